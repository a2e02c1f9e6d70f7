"""A graph's modules on several engines: which waits for which, when each runs, and what bounds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from onnxlens.specs.bench import LatencyResult
from onnxlens.specs.flow import Independent

Shared = Literal["nothing", "memory", "chip"]
SHARED: tuple[Shared, ...] = get_args(Shared)
"""What the engines have in common: each is a chip of its own, with a memory of its own or one for all; or
they are streams of one chip, and share its arithmetic too."""

Unit = Literal["s", "macs"]
"""Of every duration: seconds, or the MACs that one engine has done by then."""

Rows = Literal["module", "node"]

MOST_STREAMS = 64


@dataclass(frozen=True, slots=True)
class Task:
    """What runs on one engine without a pause.

    Attributes:
        path: of the module, or the node's name.
        title: its class, or its operators.
        duration: where it has an engine to itself.
        uses: how long it would take each resource, such as a memory, if that were all that it needs.
        after: the tasks that it waits for, by their positions.
        is_critical: nothing can delay it without delaying the end, however many engines there are.
    """

    path: str
    title: str
    duration: float
    uses: Mapping[str, float] = field(default_factory=dict)
    after: tuple[int, ...] = ()
    is_critical: bool = False


@dataclass(frozen=True, slots=True)
class Slot:
    """When a task runs, and on which engine; one that takes no time needs none."""

    task: int
    engine: int
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Plan:
    """The tasks on the engines.

    Attributes:
        shared: what the engines share.
        makespan: when the last task is done.
        bound: the least that any schedule takes: the longest path, or the work divided by the engines, or a
            shared resource that is never idle.
        bounded_by: which of them.
        slots: in the order of their starts.
    """

    shared: Shared
    makespan: float
    bound: float
    bounded_by: str
    slots: tuple[Slot, ...]


@dataclass(frozen=True, slots=True)
class MeasuredRun:
    """ONNX Runtime with so many nodes at a time, and so many threads in each."""

    streams: int
    threads: int
    latency: LatencyResult


@dataclass(frozen=True, slots=True)
class ScheduleReport:
    """What of a graph can overlap.

    Attributes:
        streams: engines.
        unit: of durations.
        times: where they come from, in words.
        depth: the level of modules that a task is; None for the innermost.
        total: of all tasks, one after another.
        critical_path: the longest chain of tasks that wait for each other.
        tasks: in execution order.
        plans: by what is shared.
        unknown_nodes: how many are taken to need no time, as what they do is unknown: figures may be more.
        independent: the heaviest modules that can run at the same time.
        measured: where it was run: one stream, one stream with a thread for each engine, and all streams.
    """

    graph: str
    source: str
    streams: int
    unit: Unit
    times: str
    by: Rows
    depth: int | None
    total: float
    critical_path: float
    tasks: tuple[Task, ...]
    plans: tuple[Plan, ...]
    unknown_nodes: int = 0
    independent: tuple[Independent, ...] = ()
    measured: tuple[MeasuredRun, ...] = ()
    notes: tuple[str, ...] = ()

    def speedup(self, makespan: float) -> float | None:
        """Over one engine; None where nothing takes time."""
        return self.total / makespan if makespan else None
