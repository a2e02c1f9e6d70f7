"""Measurements for the ledger: seconds and errors of modules, and when each node ran."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import accumulate
from math import isfinite

from onnxlens.errors import GraphError


@dataclass(frozen=True, slots=True)
class ModuleTiming:
    """The time of a module in one run, everything below it included; "" is the model.

    ``median_s`` is None if its nodes ran as part of others' alone: ``timed_in`` are the modules of those.
    """

    path: str
    median_s: float | None
    timed_in: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if (self.median_s is None) != (self.timed_in is not None):
            raise GraphError(f"module {self.path!r}: time {self.median_s}, and that of {self.timed_in}")
        if self.median_s is not None:
            _require_time(f"module {self.path!r}: time", self.median_s)


@dataclass(frozen=True, slots=True)
class ModuleError:
    """How far a module's output is from its reference; "" is the model.

    ``rel_l2`` is ``||value - reference|| / ||reference||``, the worst of its outputs; infinite if a side is
    not finite or the reference is all zero.
    """

    path: str
    rel_l2: float

    def __post_init__(self) -> None:
        if not self.rel_l2 >= 0:
            raise GraphError(
                f"module {self.path!r}: relative L2 error is {self.rel_l2!r}; expected 0 or more, or infinity"
            )


@dataclass(frozen=True, slots=True)
class NodeTiming:
    """When one node of the optimized graph ran.

    Attributes:
        module_path: the module that it is attributed to; "" is the model itself, None if unknown.
        start_s: since the start of the run.
        sources: names of the file's nodes that it computes; empty if unknown.
    """

    name: str
    op_type: str
    module_path: str | None
    start_s: float
    duration_s: float
    sources: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _require_time(f"node {self.name!r}: start", self.start_s)
        _require_time(f"node {self.name!r}: duration", self.duration_s)

    @property
    def end_s(self) -> float:
        """Since the start of the run."""
        return self.start_s + self.duration_s


def one_after_another(nodes: Iterable[NodeTiming]) -> tuple[NodeTiming, ...]:
    """The nodes in their order, each starting at the end of the one before it.

    For durations that are medians over runs, which have no start; gaps between nodes are left out.
    """
    nodes = tuple(nodes)
    starts = accumulate((node.duration_s for node in nodes), initial=0.0)
    return tuple(replace(node, start_s=start_s) for node, start_s in zip(nodes, starts, strict=False))


@dataclass(frozen=True, slots=True)
class Measurements:
    """All measurements of one graph, ``nodes`` of one run in any order; what was not measured is empty."""

    timings: tuple[ModuleTiming, ...] = ()
    errors: tuple[ModuleError, ...] = ()
    nodes: tuple[NodeTiming, ...] = ()
    notes: tuple[str, ...] = ()

    def __add__(self, other: Measurements) -> Measurements:
        return Measurements(
            self.timings + other.timings,
            self.errors + other.errors,
            self.nodes + other.nodes,
            self.notes + other.notes,
        )


def _require_time(what: str, seconds: float) -> None:
    if not (isfinite(seconds) and seconds >= 0):
        raise GraphError(f"{what} is {seconds!r} s; expected a finite number, 0 or more")
