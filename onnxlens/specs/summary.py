"""A run over several graphs: what it is to do, and what it gives, one row for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from onnxlens.errors import GraphError, UsageError
from onnxlens.specs.bench import LatencyResult
from onnxlens.specs.ledger import Bounds
from onnxlens.specs.parity import ParityResult
from onnxlens.specs.tensor import TensorSpec

Outcome = Literal["done", "differs", "failed"]


@dataclass(frozen=True, slots=True)
class Job:
    """What the main job is to do.

    Attributes:
        out: the folder to write into; it gets a folder for each graph, and the summary of all.
        graphs: names in the catalog, factories or ``.onnx`` files; empty for all of the catalog.
        weights: ``seeded``, ``none``, a checkpoint that fits every graph, or a folder of checkpoints.
        quick: run graphs of the catalog at 128 x 128 pixels; a file has sizes and weights of its own.
        netron: also draw each graph as Netron does.
        browser: the path of the Chromium that Netron draws in; None for the system's.
        cache: keep exported graphs in the user's cache, and take them from there.
        processes: how many graphs are exported at once, each in a process of its own, before the first is
            measured; with 1, each graph is exported and measured in turn, in this process.

    Raises:
        UsageError: ``processes`` is less than 1.
    """

    out: Path
    graphs: Sequence[str] = ()
    weights: str | Path = "seeded"
    quick: bool = False
    opset: int = 18
    netron: bool = False
    browser: str | None = None
    cache: bool = True
    processes: int = 1

    def __post_init__(self) -> None:
        if self.processes < 1:
            raise UsageError(f"{self.processes} processes; take at least one")


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
