"""Parameters of modules as torch's exporters and ONNX Runtime's quantizer write them.

The oracle is the module itself: the elements of its parameters, less what folding took away.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from onnxlens.profile.count.parameters import parameter_sizes
from onnxlens.profile.graph.loading import load_graph

Feed = Callable[[], tuple[Tensor, ...]]


class Convolutions(nn.Module):
    """Every normalization of images, affine or not."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.batch = nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8)
        self.slope, self.group = nn.PReLU(8), nn.GroupNorm(2, 8)
        self.instance, self.plain = nn.InstanceNorm2d(8, affine=True), nn.InstanceNorm2d(8)
        self.up, self.head = nn.ConvTranspose2d(8, 4, 2), nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.plain(self.instance(self.group(self.slope(self.batch(self.conv(x))))))
        x = nn.functional.interpolate(self.up(x), scale_factor=2.0)
        return self.head(x.mean((2, 3)))


class Attention(nn.Module):
    """Embeddings, a causal mask that is a buffer, layer scale."""

    def __init__(self, tokens: int = 6, width: int = 16) -> None:
        super().__init__()
        self.table, self.position = nn.Embedding(20, width), nn.Parameter(torch.rand(width))
        self.query, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 20, bias=False)
        self.register_buffer("mask", torch.triu(torch.full((tokens, tokens), -1e9), 1))

    def forward(self, ids: Tensor) -> Tensor:
        batch, tokens = ids.shape
        x = self.table(ids)
        parts = self.query(self.norm(x)).chunk(3, -1)
        query, key, value = (part.view(batch, tokens, 2, 8).transpose(1, 2) for part in parts)
        scores = (query @ key.transpose(-1, -2)) * 8**-0.5 + self.mask
        mixed = (scores.softmax(-1) @ value).transpose(1, 2).reshape(batch, tokens, 16)
        return self.head(x + self.position * self.out(mixed))


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(5, 4, 2, bidirectional=True, batch_first=True)
        self.gru, self.rnn = nn.GRU(8, 3, batch_first=True), nn.RNN(3, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.rnn(self.gru(self.lstm(x)[0])[0])[0]


class Rotary(nn.Module):
    """Looks up cosines that are a buffer, normalizes by a root mean square."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key = nn.Linear(8, 8, bias=False), nn.Linear(8, 8, bias=False)
        self.scale = nn.Parameter(torch.rand(8))
        self.register_buffer("cosines", torch.rand(32, 8))

    def forward(self, x: Tensor, positions: Tensor) -> Tensor:
        x = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.scale
        cosines = self.cosines[positions]
        return (self.query(x) * cosines) @ (self.key(x) * cosines).transpose(-1, -2)


class Patches(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patch, self.head = nn.Conv2d(3, 16, 4, 4), nn.Linear(16, 10)
        self.cls_token, self.pos_embed = (
            nn.Parameter(torch.rand(1, 1, 16)),
            nn.Parameter(torch.rand(1, 17, 16)),
        )
        self.norm = nn.LayerNorm(16)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], 1) + self.pos_embed
        return self.head(self.norm(x)[:, 0]).softmax(-1)


FOLDED = {"Convolutions": 8}
"""A convolution without a bias takes over scale and offset of its batch normalization as one bias."""

NETS: Mapping[type[nn.Module], Feed] = {
    Convolutions: lambda: (torch.rand(1, 3, 12, 12),),
    Attention: lambda: (torch.zeros(2, 6, dtype=torch.int64),),
    Recurrent: lambda: (torch.rand(2, 7, 5),),
    Rotary: lambda: (torch.rand(5, 8), torch.arange(5)),
    Patches: lambda: (torch.rand(2, 3, 16, 16),),
}
WAYS: Mapping[str, Mapping[str, Any]] = {
    "TorchScript": {"dynamo": False},
    "TorchScript unfolded": {"dynamo": False, "do_constant_folding": False},
    "opset 13": {"dynamo": False, "opset_version": 13},
    "dynamo": {"dynamo": True},
    "dynamo unoptimized": {"dynamo": True, "optimize": False},
}
QUICK = {
    *((net.__name__, way) for net in NETS for way in ("TorchScript", "TorchScript unfolded")),
    ("Convolutions", "dynamo"),
}
LOST = {("Patches", "dynamo"): 16}
"""The class token is expanded to the batch and written as a constant of another name."""


def built(net: type[nn.Module]) -> nn.Module:
    """With values of their own: TorchScript's exporter merges tensors that are equal."""
    torch.manual_seed(0)
    module = net().eval()
    for parameter in module.parameters():
        nn.init.uniform_(parameter, 0.1, 1)
    return module


def exported(net: type[nn.Module], way: str, folder: Path) -> Path:
    path = folder / "net.onnx"
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        torch.onnx.export(built(net), NETS[net](), str(path), **WAYS[way])
    return path


def owned(net: type[nn.Module]) -> int:
    return sum(parameter.numel() for parameter in net().parameters())


def cases() -> Iterator[Any]:
    for net in NETS:
        for way in WAYS:
            marks = () if (net.__name__, way) in QUICK else (pytest.mark.slow,)
            yield pytest.param(net, way, marks=marks, id=f"{net.__name__}, {way}")


@pytest.mark.parametrize(("net", "way"), list(cases()))
def test_a_file_without_a_manifest_has_the_modules_parameters(
    net: type[nn.Module], way: str, tmp_path: Path
) -> None:
    folded = 0 if way.endswith(("unfolded", "unoptimized")) else FOLDED.get(net.__name__, 0)
    found = parameter_sizes(load_graph(exported(net, way, tmp_path)))
    assert sum(found.values()) == owned(net) - folded - LOST.get((net.__name__, way), 0)


@pytest.mark.parametrize("kind", ["dynamic", "QDQ", pytest.param("QOperator", marks=pytest.mark.slow)])
@pytest.mark.parametrize("net", [Convolutions, Attention, pytest.param(Patches, marks=pytest.mark.slow)])
def test_quantized_weights_count_once_without_their_scales(
    net: type[nn.Module], kind: str, tmp_path: Path
) -> None:
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        quantize_dynamic,
        quantize_static,
    )

    class Samples(CalibrationDataReader):
        def __init__(self) -> None:
            inputs = load_graph(path).inputs
            feeds = (feed.numpy() for feed in NETS[net]())
            self.left = iter([dict(zip((tensor.name for tensor in inputs), feeds, strict=True))])

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self.left, None)

    path, out = exported(net, "TorchScript", tmp_path), tmp_path / "quantized.onnx"
    if kind == "dynamic":
        quantize_dynamic(str(path), str(out))
    else:
        quantize_static(str(path), str(out), Samples(), quant_format=QuantFormat[kind])
    found = parameter_sizes(load_graph(out))
    assert sum(found.values()) == owned(net) - FOLDED.get(net.__name__, 0)
