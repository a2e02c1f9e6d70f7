"""What a run over several graphs gives: one row for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from onnxlens.errors import GraphError
from onnxlens.specs.bench import LatencyResult
from onnxlens.specs.ledger import Bounds
from onnxlens.specs.parity import ParityResult
from onnxlens.specs.tensor import TensorSpec

Outcome = Literal["done", "differs", "failed"]


@dataclass(frozen=True, slots=True)
class GraphSummary:
    """What became of one graph.

    Attributes:
        outcome: ``differs`` when an output is off its tolerance, ``failed`` when a step raised an error.
        reason: the error's line, or the outputs that differ.
        nodes: of the exported file.
        worst: the output furthest from PyTorch's, by relative error; None for a graph that was only counted.
        latency: of ONNX Runtime; None likewise.
        files: by what they hold, relative to the run's folder.
        seconds: that all of its steps took together.
        note: what a reader must know although nothing failed.
        lower_bounds: the figures that lack those of unknown nodes; None if all is known.
    """

    graph: str
    family: str
    outcome: Outcome
    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()
    opset: int = 0
    weights: str = ""
    nodes: int = 0
    unknown_nodes: int = 0
    macs: int = 0
    params: int = 0
    worst: ParityResult | None = None
    latency: LatencyResult | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    reason: str = ""
    note: str = ""
    lower_bounds: Bounds = None

    def __post_init__(self) -> None:
        if self.outcome not in get_args(Outcome) or (self.outcome == "done") == bool(self.reason):
            raise GraphError(
                f"summary of {self.graph!r}: outcome {self.outcome!r} with reason {self.reason!r}"
            )


@dataclass(frozen=True, slots=True)
class RunSummary:
    """All graphs of one run, in the order they ran, and the machine: its processor, memory and versions."""

    graphs: tuple[GraphSummary, ...]
    machine: Mapping[str, str]
    seconds: float

    @property
    def succeeded(self) -> bool:
        """Whether every graph is done and agrees."""
        return all(graph.outcome == "done" for graph in self.graphs)
