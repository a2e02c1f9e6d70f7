"""A network small enough to trace in a moment, and ways to declare it wrongly."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from onnxlens.specs.graph import CheckpointScope, GraphSpec
from onnxlens.specs.tensor import TensorSpec

TARGET = "tests.export.tiny:network"
"""How the command line and the API name ``network``."""

SIDE = 6
WIDTH = 8
CLASSES = 4

IMAGE = TensorSpec("image", "float32", (1, 3, SIDE, SIDE))
LOGITS = TensorSpec("logits", "float32", (1, SIDE * SIDE, CLASSES))


class TinyAttention(nn.Module):
    """One head over all positions."""

    def __init__(self) -> None:
        super().__init__()
        self.q = nn.Linear(WIDTH, WIDTH)
        self.k = nn.Linear(WIDTH, WIDTH)
        self.v = nn.Linear(WIDTH, WIDTH)
        self.out = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (project(x)[:, None] for project in (self.q, self.k, self.v))  # (B, 1, L, C)
        x = F.scaled_dot_product_attention(q, k, v)[:, 0]  # (B, L, C)
        x = self.out(x)  # (B, L, C)
        return x


class Tiny(nn.Module):
    """Convolution, group norm, attention, linear; one layer and one buffer that the forward pass skips."""

    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, WIDTH, kernel_size=3, padding=1)
        self.norm = nn.GroupNorm(2, WIDTH, eps=1e-6)
        self.attention = TinyAttention()
        self.head = nn.Linear(WIDTH, CLASSES)
        self.unused = nn.Linear(WIDTH, 5)
        self.register_buffer("scale", torch.ones(WIDTH))
        self.register_buffer("position_ids", torch.arange(7)[None])

    def forward(self, image: Tensor) -> Tensor:
        x = self.norm(self.conv(image))  # (B, C, H, W)
        x = x.flatten(2).transpose(1, 2) * self.scale  # (B, HW, C)
        x = self.attention(x)  # (B, HW, C)
        x = self.head(x)  # (B, HW, 4)
        return x


MACS = (
    SIDE**2 * WIDTH * 3 * 9  # convolution
    + 4 * SIDE**2 * WIDTH**2  # q, k, v and out
    + 2 * SIDE**4 * WIDTH  # both products of the attention
    + SIDE**2 * WIDTH * CLASSES  # head
)
PARAMS = (WIDTH * 3 * 9 + WIDTH) + 2 * WIDTH + 4 * (WIDTH**2 + WIDTH) + (WIDTH * CLASSES + CLASSES)
"""Those that the forward pass uses."""
UNUSED_PARAMS = WIDTH * 5 + 5
BUFFERS = WIDTH + 7


def network() -> GraphSpec:
    return GraphSpec(
        name="tiny",
        family="user",
        factory=Tiny,
        inputs=(IMAGE,),
        outputs=(LOGITS,),
        input_ranges={"image": (-1.0, 1.0)},
        checkpoint=CheckpointScope("tiny.", optional=("position_ids",)),
    )


def tolerant() -> GraphSpec:
    """The network with a tolerance of its own."""
    return replace(network(), tolerance=0.25)


def renamed_output() -> GraphSpec:
    """Declares another output shape than the module's."""
    return replace(network(), outputs=(TensorSpec("logits", "float32", (1, 3, 3)),))


class DataDependent(nn.Module):
    """Cannot be traced: its control flow reads a value."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, WIDTH, kernel_size=3)

    def forward(self, image: Tensor) -> Tensor:
        if image.sum().item() > 0:
            return self.conv(image)
        return image


def untraceable() -> GraphSpec:
    return replace(network(), factory=DataDependent)


class Tied(nn.Module):
    """Two names for one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(SIDE, SIDE)
        self.second = nn.Linear(SIDE, SIDE)
        self.second.weight = self.first.weight

    def forward(self, image: Tensor) -> Tensor:
        return self.second(self.first(image))


def tied() -> GraphSpec:
    return replace(network(), factory=Tied, outputs=())


def not_a_spec() -> int:
    return 3


NOT_CALLABLE = 3
