"""What measurements give the ledger: seconds and errors of modules, and when each node ran."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import isfinite

from onnxlens.errors import GraphError


@dataclass(frozen=True, slots=True)
class ModuleTiming:
    """How long one run of the graph spends in a module, everything below it included; "" is the model."""

    path: str
    median_s: float

    def __post_init__(self) -> None:
        """Refuse what is no duration.

        Raises:
            GraphError: it is negative or not finite.
        """
        _require_time(f"module {self.path!r}: time", self.median_s)


@dataclass(frozen=True, slots=True)
class ModuleError:
    """How far a module's output is from its reference; "" is the model.

    Attributes:
        rel_l2: ``||value - reference|| / ||reference||``, the worst where it has several outputs; infinite
            where a side is not finite or the reference is all zero.
    """

    path: str
    rel_l2: float

    def __post_init__(self) -> None:
        """Refuse what is no error.

        Raises:
            GraphError: it is negative or no number.
        """
        if not self.rel_l2 >= 0:
            raise GraphError(
                f"module {self.path!r}: relative L2 error is {self.rel_l2!r}; expected 0 or more, or infinity"
            )


@dataclass(frozen=True, slots=True)
class NodeTiming:
    """When one node of the graph that really ran, optimised as it is, ran.

    Attributes:
        name: of the node.
        module_path: the module that it is attributed to; "" is the model itself, None where nobody knows.
        start_s: since the start of the run.
        sources: names of the file's nodes that it stands for; none where nobody knows.
    """

    name: str
    op_type: str
    module_path: str | None
    start_s: float
    duration_s: float
    sources: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what is no time.

        Raises:
            GraphError: start or duration are negative or not finite.
        """
        _require_time(f"node {self.name!r}: start", self.start_s)
        _require_time(f"node {self.name!r}: duration", self.duration_s)

    @property
    def end_s(self) -> float:
        """Since the start of the run."""
        return self.start_s + self.duration_s


def one_after_another(nodes: Iterable[NodeTiming]) -> tuple[NodeTiming, ...]:
    """The nodes in their order, each starting where the one before it ended.

    For durations that are medians over runs: such have no start, and the gaps between nodes are left out.
    """
    laid_out: list[NodeTiming] = []
    start_s = 0.0
    for node in nodes:
        laid_out.append(replace(node, start_s=start_s))
        start_s += node.duration_s
    return tuple(laid_out)


@dataclass(frozen=True, slots=True)
class Measurements:
    """All that was measured of one graph; empty is what was not.

    Attributes:
        nodes: of one run, in any order.
        notes: how it was measured, one line each.
    """

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
