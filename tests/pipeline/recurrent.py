"""A network with an operator that no table of ours knows."""

from __future__ import annotations

from torch import nn

from onnxlens.specs.graph import GraphSpec
from onnxlens.specs.tensor import TensorSpec


class Recurrent(nn.Module):
    """An LSTM, which PyTorch runs on a CPU as one operator of its own, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.out = nn.LSTM(8, 8), nn.Linear(8, 4)

    def forward(self, x):  # type: ignore[no-untyped-def]
        """(L, B, 8) to (L, B, 4)."""
        return self.out(self.lstm(x)[0])


def network() -> GraphSpec:
    return GraphSpec(
        "recurrent", "user", Recurrent, (TensorSpec("x", "float32", (4, 2, 8)),), (), {"x": (0.0, 1.0)}
    )
