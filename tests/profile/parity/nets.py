"""Networks whose modules are hard to distinguish, or hard to compare."""

from __future__ import annotations

from torch import Tensor, nn

from onnxlens.specs.graph import GraphSpec
from onnxlens.specs.tensor import TensorSpec

WIDTH = 8


class Halves(nn.Module):
    """Returns two tensors of one shape."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x.sin(), x.cos()


class Named(nn.Module):
    """Returns tensors of several shapes, by name, one of which is not consumed."""

    def forward(self, *, first: Tensor, second: Tensor) -> dict[str, Tensor]:
        return {"sum": first + second, "row": (first * second)[:, 0], "idle": first[:, :1].neg()}


class Odd(nn.Module):
    """A layer and an in-place activation called three times; two modules hard to match; a dead ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.Linear(WIDTH, WIDTH)
        self.active = nn.ReLU(inplace=True)
        self.nothing = nn.Identity()
        self.halves = Halves()
        self.named = Named()
        self.dead = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(3):
            x = self.active(self.shared(x))  # (B, L, C)
        first, second = self.halves(self.nothing(x))  # (B, L, C) each
        found = self.named(first=first, second=second)
        return found["sum"] + found["row"][:, None] + self.dead(-x)  # (B, L, C)


def odd() -> GraphSpec:
    x = TensorSpec("x", "float32", (2, 5, WIDTH))
    y = TensorSpec("y", "float32", (2, 5, WIDTH))
    return GraphSpec("odd", "user", Odd, (x,), (y,), input_ranges={"x": (-1.0, 1.0)})
