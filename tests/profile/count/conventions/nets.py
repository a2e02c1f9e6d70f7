"""Small networks that both sides can read: this tool by their export, the peers by their ``nn.Module``."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from onnxlens.specs.graph import GraphSpec
from onnxlens.specs.tensor import TensorSpec


class Residual(nn.Module):
    """Two convolutions with batch norms, and a projected shortcut."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out, affine=False)
        self.shortcut = nn.Conv2d(channels, out, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


def plain_net() -> nn.Module:
    """Plain convolutions and a classifier of linear layers."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.ReLU6(),
        nn.AdaptiveAvgPool2d(4),
        nn.Flatten(),
        nn.Linear(16 * 16, 32),
        nn.LeakyReLU(),
        nn.Dropout(),
        nn.Linear(32, 10, bias=False),
        nn.Softmax(dim=1),
    )


def residual_net() -> nn.Module:
    """Residual blocks, a grouped convolution, PReLU, average pooling to one position."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 7, 2, 3, bias=False),
        Residual(8, 16, 2),
        Residual(16, 16, 1),
        nn.PReLU(),
        nn.Conv2d(16, 32, 3, groups=4, padding_mode="reflect", padding=1),
        nn.AvgPool2d(2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, 10),
    )


class VitBlock(nn.Module):
    """Pre-norm transformer block on ``nn.MultiheadAttention``."""

    def __init__(self, width: int, *, need_weights: bool) -> None:
        super().__init__()
        self.need_weights = need_weights
        self.norm1 = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, 4, batch_first=True)
        self.norm2 = nn.LayerNorm(width, elementwise_affine=False)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm1(x)
        x = x + self.attention(y, y, y, need_weights=self.need_weights)[0]
        return x + self.mlp(self.norm2(x))


class Products(nn.Module):
    """Matrix products as functions: attention by hand, Einstein sums, products with broadcasting."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k = nn.Linear(16, 16), nn.Linear(16, 16, bias=False)
        self.mix = nn.Parameter(torch.ones(8, 12))
        self.shift = nn.Parameter(torch.ones(16))
        self.softmax = nn.Softmax(dim=-1)

    def forward(self, x: Tensor) -> Tensor:
        q, k = self.q(x), self.k(x)  # (2, 12, 16)
        scores = self.softmax(torch.einsum("bid,bjd->bij", q, k))  # (2, 12, 12)
        x = torch.bmm(scores, x) + scores @ q  # (2, 12, 16)
        x = torch.matmul(self.mix, x)  # (2, 8, 16), a matrix from the left, broadcast
        x = x.reshape(16, 16)
        x = torch.addmm(self.shift, x, x) + torch.mm(x, x)
        return F.linear(F.layer_norm(x, (16,)), x)


class Decoder(nn.Module):
    """Transposed convolutions, resizing, group and instance norms."""

    def __init__(self) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(8, 4, 4, 2, 1)
        self.grouped = nn.ConvTranspose2d(4, 4, 3, 2, 1, output_padding=1, groups=2, bias=False)
        self.norm1 = nn.GroupNorm(2, 4)
        self.norm2 = nn.GroupNorm(2, 4, affine=False)
        self.norm3 = nn.InstanceNorm2d(4)
        self.norm4 = nn.InstanceNorm2d(4, affine=True)
        self.nearest = nn.Upsample(scale_factor=2)
        self.bilinear = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
        self.old = nn.UpsamplingBilinear2d(scale_factor=2)
        self.bicubic = nn.Upsample(size=(20, 20), mode="bicubic")
        self.shuffle = nn.PixelShuffle(2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm2(self.norm1(self.up(x)))
        x = self.norm4(self.norm3(self.grouped(x)))
        x = self.old(self.bilinear(self.nearest(x)))
        return self.shuffle(self.bicubic(x))


class Lines(nn.Module):
    """Convolutions over one and three dimensions, and modules that run more than once."""

    def __init__(self) -> None:
        super().__init__()
        self.line = nn.Conv1d(8, 8, 3, padding=1)
        self.norm = nn.BatchNorm1d(8)
        self.widen = nn.ConvTranspose1d(8, 4, 2, 2)
        self.volume = nn.Conv3d(1, 2, 3)
        self.pool = nn.AvgPool3d(2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.line(self.norm(self.line(x))))
        x = self.widen(x).reshape(2, 1, 8, 8, 8)
        return self.pool(self.volume(x))


class Recurrent(nn.Module):
    """The three kinds of recurrent layers."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(6, 8, num_layers=2, bidirectional=True)
        self.gru = nn.GRU(16, 5, batch_first=True, bias=False)
        self.rnn = nn.RNN(5, 4, num_layers=2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.gru(self.lstm(x)[0].transpose(0, 1))[0]
        return self.rnn(x)[0]


NETS: Mapping[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "plain": (plain_net, (2, 3, 16, 16)),
    "residual": (residual_net, (2, 3, 32, 32)),
    "vit": (lambda: VitBlock(16, need_weights=False), (2, 9, 16)),
    "vit-weights": (lambda: VitBlock(16, need_weights=True), (2, 9, 16)),
    "products": (Products, (2, 12, 16)),
    "decoder": (Decoder, (2, 8, 2, 2)),
    "lines": (Lines, (2, 8, 64)),
    "recurrent": (Recurrent, (7, 3, 6)),
}
"""By name: what builds the network, and the shape of its one input."""


def spec_of(name: str) -> GraphSpec:
    """The network as this tool exports it."""
    build, shape = NETS[name]
    with torch.device("meta"):
        output = tuple(build().eval()(torch.empty(shape)).shape)
    return GraphSpec(
        name,
        "user",
        build,
        (TensorSpec("x", "float32", shape),),
        (TensorSpec("y", "float32", output),),
        input_ranges={"x": (-1.0, 1.0)},
    )


def __getattr__(name: str) -> Callable[[], GraphSpec]:
    """The network's factory, for the export: ``vit_weights`` gives the spec of ``vit-weights``."""
    if name.replace("_", "-") not in NETS:
        raise AttributeError(name)
    return lambda: spec_of(name.replace("_", "-"))
