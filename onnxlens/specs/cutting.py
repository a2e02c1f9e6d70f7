"""What was cut out of a graph, and where it stands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from onnxlens.specs.tensor import TensorSpec


@dataclass(frozen=True, slots=True)
class CutBorder:
    """A tensor that the cut-out takes or gives.

    Attributes:
        tensor: by its name in the file.
        role: what PyTorch's ``forward`` calls it, or its place among what that returns; "" where the two
            sides could not be matched.
    """

    tensor: TensorSpec
    role: str = ""


@dataclass(frozen=True, slots=True)
class CutReport:
    """One module in a file of its own.

    Attributes:
        module: its path; "" is the whole model.
        call: which of its calls, from 1; 0 where the file holds all that it runs.
        calls: how often PyTorch calls it; None where that is not known.
        nodes: those that do work at run time.
        weight_bytes: what its weights take; constants such as shapes and masks are none.
        weights: ``none``, ``seeded``, a checkpoint's name; "" for those of a file from elsewhere.
        notes: what a reader must know, one line each.
        files: those that were written, the graph first.
    """

    graph: str
    module: str
    class_name: str
    call: int
    calls: int | None
    nodes: int
    weight_bytes: int
    weights: str
    inputs: tuple[CutBorder, ...]
    outputs: tuple[CutBorder, ...]
    notes: tuple[str, ...]
    files: tuple[Path, ...]
