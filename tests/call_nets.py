"""A network whose modules are called in every way that extraction has to distinguish."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from onnxlens.specs.graph import GraphSpec
from onnxlens.specs.tensor import TensorSpec

TARGET = "tests.call_nets:calls"
WIDTH = 4


class Joins(nn.Module):
    """Takes a list and a number, does not read one of its tensors, and returns two by name."""

    def __init__(self) -> None:
        super().__init__()
        self.line = nn.Linear(WIDTH, WIDTH)

    def forward(self, parts: list[Tensor], unread: Tensor, *, scale: float = 1.0) -> dict[str, Tensor]:
        rows, row = parts
        joined = self.line(rows) + scale * row[:, None]  # (B, L, C)
        return {"joined": joined, "mean": joined.mean(1)}  # (B, L, C), (B, C)


class Passes(nn.Module):
    """Returns its input unchanged, and a result."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x.exp()


class Adds(nn.Module):
    """Takes two tensors of one shape."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return x - 2 * y


class Borrows(nn.Module):
    """Takes a weight of another module as an input."""

    def forward(self, x: Tensor, weight: Tensor) -> Tensor:
        return x @ weight


class Shifts(nn.Module):
    """Takes a constant as an input."""

    def forward(self, x: Tensor, shift: Tensor) -> Tensor:
        return x * shift


class Calls(nn.Module):
    """Calls all of them, one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.twice = nn.Linear(WIDTH, WIDTH)
        self.joins = Joins()
        self.passes = Passes()
        self.adds = Adds()
        self.borrows = Borrows()
        self.shifts = Shifts()

    def forward(self, x: Tensor, row: Tensor) -> tuple[Tensor, Tensor]:
        first = self.twice(x)  # (B, L, C)
        second = self.twice(first.relu())  # (B, L, C)
        found = self.joins([second, row], first.sum(), scale=3.0)
        same, exponential = self.passes(found["joined"])  # (B, L, C) each
        both = self.adds(same, exponential)  # (B, L, C)
        both = self.borrows(both, self.twice.weight)  # (B, L, C)
        both = self.shifts(both, torch.arange(WIDTH, dtype=x.dtype) + 1)  # (B, L, C)
        return both, found["mean"]  # (B, L, C), (B, C)


def calls() -> GraphSpec:
    rows, row = (2, 3, WIDTH), (2, WIDTH)
    return GraphSpec(
        "calls",
        "user",
        Calls,
        inputs=(TensorSpec("x", "float32", rows), TensorSpec("row", "float32", row)),
        outputs=(TensorSpec("both", "float32", rows), TensorSpec("mean", "float32", row)),
        input_ranges={"x": (-1.0, 1.0), "row": (-1.0, 1.0)},
    )
