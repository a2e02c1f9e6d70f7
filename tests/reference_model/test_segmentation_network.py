"""UniFormer and UPerNet against their formulas, written down once more from the published keys alone."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from onnxlens.reference_model import catalog

State = Mapping[str, Tensor]
BLOCKS = (3, 4, 8, 3)
GRIDS = (1, 2, 3, 6)
HEAD = "decode_head"
UNUSED = "auxiliary_head."
"""What training alone uses."""


class Formulas:
    """The network as functions of its ``state_dict``; nothing of the package's modules."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.read: set[str] = set()

    def value(self, key: str) -> Tensor:
        self.read.add(key)
        return self.state[key]

    def bias(self, name: str) -> Tensor | None:
        return self.value(f"{name}.bias") if f"{name}.bias" in self.state else None

    def conv(self, x: Tensor, name: str, stride: int = 1) -> Tensor:
        weight = self.value(f"{name}.weight")
        groups = x.shape[1] // weight.shape[1]
        padding = 0 if stride > 1 else weight.shape[-1] // 2
        return F.conv2d(x, weight, self.bias(name), stride, padding, groups=groups)

    def batch_norm(self, x: Tensor, name: str) -> Tensor:
        mean, variance, weight, bias = (
            self.value(f"{name}.{key}")[:, None, None]
            for key in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (variance + 1e-5).sqrt() * weight + bias

    def layer_norm(self, x: Tensor, name: str, eps: float = 1e-6) -> Tensor:
        """Of the channels, the second dimension of a map."""
        weight, bias = (self.value(f"{name}.{key}")[:, None, None] for key in ("weight", "bias"))
        centered = x - x.mean(dim=1, keepdim=True)
        return centered / ((centered**2).mean(dim=1, keepdim=True) + eps).sqrt() * weight + bias

    def linear(self, x: Tensor, name: str) -> Tensor:
        """At each position of a map."""
        product = torch.einsum("bchw,dc->bdhw", x, self.value(f"{name}.weight"))
        return product + self.value(f"{name}.bias")[:, None, None]

    def attention(self, x: Tensor, name: str) -> Tensor:
        """Softmax over all positions of q k / 8, in heads of 64 channels."""
        batch, channels, height, width = x.shape
        q, k, v = self.linear(x, f"{name}.qkv").reshape(batch, 3, channels // 64, 64, -1).unbind(1)
        weights = (torch.einsum("bhcq,bhck->bhqk", q, k) / 8).softmax(dim=-1)
        mixed = torch.einsum("bhqk,bhck->bhcq", weights, v).reshape(batch, channels, height, width)
        return self.linear(mixed, f"{name}.proj")

    def gelu(self, x: Tensor) -> Tensor:
        return x * (1 + torch.erf(x / 2**0.5)) / 2

    def block(self, x: Tensor, name: str, local: bool) -> Tensor:
        norm, layer = (self.batch_norm, self.conv) if local else (self.layer_norm, self.linear)
        x = x + self.conv(x, f"{name}.pos_embed")
        y = norm(x, f"{name}.norm1")
        if local:
            x = x + self.conv(self.conv(self.conv(y, f"{name}.conv1"), f"{name}.attn"), f"{name}.conv2")
        else:
            x = x + self.attention(y, f"{name}.attn")
        y = self.gelu(layer(norm(x, f"{name}.norm2"), f"{name}.mlp.fc1"))
        return x + layer(y, f"{name}.mlp.fc2")

    def backbone(self, x: Tensor) -> list[Tensor]:
        maps = []
        for stage, count in enumerate(BLOCKS, 1):
            name = f"backbone.patch_embed{stage}"
            x = self.conv(x, f"{name}.proj", stride=4 if stage == 1 else 2)
            x = self.layer_norm(x, f"{name}.norm", eps=1e-5)
            for index in range(count):
                x = self.block(x, f"backbone.blocks{stage}.{index}", local=stage < 3)
            maps.append(self.layer_norm(x, f"backbone.norm{stage}"))
        return maps

    def conv_relu(self, x: Tensor, name: str) -> Tensor:
        return self.batch_norm(self.conv(x, f"{name}.conv"), f"{name}.bn").clamp(min=0)

    def head(self, maps: list[Tensor]) -> Tensor:
        top = maps[-1]
        pooled = [
            bilinear(self.conv_relu(mean_over(top, side), f"{HEAD}.psp_modules.{index}.1"), top)
            for index, side in enumerate(GRIDS)
        ]
        x = self.conv_relu(torch.cat([top, *pooled], dim=1), f"{HEAD}.bottleneck")
        levels = [x]
        for index in (2, 1, 0):
            side = self.conv_relu(maps[index], f"{HEAD}.lateral_convs.{index}")
            x = side + bilinear(x, side)
            levels.insert(0, self.conv_relu(x, f"{HEAD}.fpn_convs.{index}"))
        together = torch.cat([bilinear(level, maps[0]) for level in levels], dim=1)
        return self.conv(self.conv_relu(together, f"{HEAD}.fpn_bottleneck"), f"{HEAD}.conv_seg")


def mean_over(x: Tensor, side: int) -> Tensor:
    """The mean of each cell of a grid; a cell's ends are rounded outwards, so that cells may share rows."""

    def cells(length: int) -> Tensor:
        rows = torch.zeros(side, length, dtype=x.dtype)
        for cell in range(side):
            start, end = cell * length // side, -(-(cell + 1) * length // side)
            rows[cell, start:end] = 1 / (end - start)
        return rows

    return torch.einsum("yh,bchw,xw->bcyx", cells(x.shape[2]), x, cells(x.shape[3]))


def bilinear(x: Tensor, like: Tensor) -> Tensor:
    """Pixels are areas: the center of pixel i of n stands at (i + 1/2) m / n - 1/2 of m, held at the ends."""

    def weights(count: int, length: int) -> Tensor:
        rows = torch.zeros(count, length, dtype=x.dtype)
        for index in range(count):
            place = min(max((index + 0.5) * length / count - 0.5, 0), length - 1)
            low = min(int(place), length - 1)
            rows[index, low] += 1 - (place - low)
            rows[index, min(low + 1, length - 1)] += place - low
        return rows

    height, width = like.shape[2:]
    return torch.einsum("yh,bchw,xw->bcyx", weights(height, x.shape[2]), x, weights(width, x.shape[3]))


def random_state(module: nn.Module) -> dict[str, Tensor]:
    """Of every entry what keeps the values near 1, whatever the width."""
    generator = torch.Generator().manual_seed(5)
    state = {}
    for key, tensor in module.state_dict().items():
        drawn = torch.rand(tensor.shape, generator=generator, dtype=torch.float64)
        fan_in = tensor[0].numel() if tensor.ndim > 1 else 1
        state[key] = drawn + 0.5 if tensor.ndim == 1 else (2 * drawn - 1) * (3 / fan_in) ** 0.5
        if key.endswith(("bias", "running_mean")):
            state[key] = drawn - 0.5
        if not tensor.is_floating_point():
            state[key] = torch.zeros_like(tensor, device="cpu")
    return state


@pytest.fixture(scope="module")
def network() -> tuple[nn.Module, State]:
    module = catalog.get("uniformer-seg").build("meta")
    state = random_state(module)
    module.load_state_dict(state, assign=True)
    return module, state


@pytest.mark.parametrize("size", [(64, 64), (32, 224)])
def test_scores_are_those_of_the_formulas_in_float64(
    network: tuple[nn.Module, State], size: tuple[int, int]
) -> None:
    module, state = network
    image = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 4 - 2
    formulas = Formulas(state)
    with torch.inference_mode():
        scores = module(image)
        expected = formulas.head(formulas.backbone(image))
    assert scores.shape == (1, 150, size[0] // 4, size[1] // 4)
    assert expected.std() > 0.1
    assert (scores - expected).norm() / expected.norm() < 1e-10
    counted = {key for key in state if key.endswith("num_batches_tracked")}
    assert set(state) - formulas.read == {key for key in state if key.startswith(UNUSED)} | counted
