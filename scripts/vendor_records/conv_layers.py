"""Convolutions without padding that both simulators are given: the input is as large as the kernel needs."""

from __future__ import annotations

LAYERS = {  # input channels, output channels, kernel, output side, stride
    "c64": (64, 64, 3, 32, 1),
    "c16": (16, 16, 3, 32, 1),
    "rgb": (3, 16, 3, 32, 2),
    "pw64": (64, 128, 1, 32, 1),
    "k1co20": (20, 20, 1, 32, 1),
    "c38": (38, 38, 3, 17, 1),
    "c9": (9, 4, 3, 10, 1),
    "deep": (128, 128, 3, 8, 1),
    "row": (512, 256, 1, 1, 1),
}


def input_side(kernel: int, side: int, stride: int) -> int:
    """What an output of that side reads."""
    return (side - 1) * stride + kernel
