"""A module extracted as a file of its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from onnxlens.specs.tensor import TensorSpec


@dataclass(frozen=True, slots=True)
class ExtractedTensor:
    """An input or output of the extracted module.

    Attributes:
        tensor: by its name in the file.
        role: the parameter of PyTorch's ``forward``, or the index among the returned tensors; "" if the call
            was not matched.
    """

    tensor: TensorSpec
    role: str = ""


@dataclass(frozen=True, slots=True)
class ExtractReport:
    """One module in a file of its own.

    Attributes:
        module: its path; "" is the whole model.
        call: which of its calls, from 1; 0 if the file holds all of them.
        calls: how often PyTorch calls it; None if unknown.
        nodes: those that run, constant-folded ones excluded.
        weight_bytes: of its weights, without constants such as shapes and masks.
        weights: ``none``, ``seeded``, a checkpoint's name; "" for those of a foreign file.
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
    inputs: tuple[ExtractedTensor, ...]
    outputs: tuple[ExtractedTensor, ...]
    notes: tuple[str, ...]
    files: tuple[Path, ...]
