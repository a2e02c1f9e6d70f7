"""What of a graph can overlap: its modules on several engines, by bounds, measured times or MACs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import fsum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnxlens.api.hardware import chips_of, with_bounds
from onnxlens.api.opened import OpenedTarget, opened
from onnxlens.api.staging import staged_plot
from onnxlens.api.target import Settings, Target
from onnxlens.errors import UsageError
from onnxlens.specs.bench import NOISY_RATIO, BenchRequest
from onnxlens.specs.progress import Progress, silent
from onnxlens.specs.schedule import (
    MOST_STREAMS,
    MeasuredRun,
    Plan,
    Rows,
    ScheduleReport,
    Shared,
    Task,
    Unit,
)
from onnxlens.specs.traffic import FusionMode

if TYPE_CHECKING:
    from onnxlens.profile.flow.tasks import NodesOfTask


@dataclass(frozen=True, slots=True)
class ScheduleRequest:
    """How a graph is divided and timed.

    Attributes:
        streams: engines.
        hardware: one chip, or the path of a chip file: the times are its bounds; "" for MACs.
        stored_as: floats are as if held so, such as int8; "" for the file's.
        fusion: which traffic is left where operators run one after another.
        latency: the times are measured in ONNX Runtime, with a thread for each stream.
        by, depth: what a task is; the depth is of modules, None for the innermost.

    Raises:
        UsageError: they do not go together.
    """

    streams: int = 2
    hardware: str = ""
    stored_as: str = ""
    fusion: FusionMode = "none"
    latency: bool = False
    by: Rows = "module"
    depth: int | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.streams <= MOST_STREAMS:
            raise UsageError(f"{self.streams} streams; give 1 to {MOST_STREAMS}")
        if self.hardware and self.latency:
            raise UsageError("times are either bounds or measured; give --hardware CHIP or --latency")
        if self.by == "node" and self.depth is not None:
            raise UsageError("--depth is of modules; leave out either it or --by node")
        if not self.hardware and (self.stored_as or self.fusion != "none"):
            raise UsageError("--as-dtype and --fusion are of bounds; add --hardware CHIP")
        if self.hardware and len(chips_of(self.hardware)) > 1:
            raise UsageError(f"--hardware {self.hardware!r}: a schedule is of one chip; name one")


@dataclass(frozen=True, slots=True)
class _Times:
    """The time of each node, by its index, and what it needs of each resource.

    Attributes:
        words: where they come from.
        shares: the resources that engines share, by what they have in common.
    """

    unit: Unit
    words: str
    nodes: Mapping[int, float]
    uses: Mapping[int, Mapping[str, float]]
    shares: Mapping[Shared, Sequence[str]]
    notes: Sequence[str] = ()

    def total(self, durations: Sequence[float]) -> float:
        return sum(durations) if self.unit == "macs" else fsum(durations)

    def of(self, task: NodesOfTask) -> Task:
        seconds: dict[str, list[float]] = {}
        for index in task.nodes:
            for name, taken in self.uses.get(index, {}).items():
                seconds.setdefault(name, []).append(taken)
        parts = [self.nodes.get(index, 0) for index in task.nodes]
        duration = self.total(parts)
        uses = {name: min(fsum(taken), duration) for name, taken in seconds.items()}
        return Task(task.path, task.title, duration, {name: t for name, t in uses.items() if t}, task.after)


def schedule_graph(
    target: Target | OpenedTarget,
    settings: Settings | None = None,
    *,
    progress: Progress = silent,
    **request: Any,
) -> ScheduleReport:
    """Which modules of a graph can run at the same time, and how much sooner several engines are done.

    Args:
        target: what to schedule.
        settings: how it is exported, unless it is a file.
        progress: shows the steps.
        request: the fields of ``ScheduleRequest``.

    Raises:
        UsageError: the target, a setting or the request cannot be used.
        GraphError: the file is not an ONNX graph, or cannot be run where it is timed.
    """
    from onnxlens.profile.flow.deepest import build_flow
    from onnxlens.profile.flow.levels import with_levels
    from onnxlens.profile.flow.pages import PAGE_BOXES, READABLE_BOXES
    from onnxlens.profile.flow.parallelism import parallelism_of
    from onnxlens.profile.flow.scheduling import critical_tasks
    from onnxlens.profile.flow.tasks import tasks_of

    asked = ScheduleRequest(**request)
    with opened(target, settings, progress) as it:
        times = _times(it, asked)
        graph, ledger = it.graph, it.ledger
        it.progress("scheduling", 0, 0)
        deepest = build_flow(with_levels(graph, ledger, PAGE_BOXES, READABLE_BOXES), ledger)
        nodes = tasks_of(graph, deepest, asked.by, asked.depth)
        tasks = [times.of(each) for each in nodes]
        longest, critical = critical_tasks(tasks)
        parallel = parallelism_of(deepest)
        measured = tuple(_measured(it, asked.streams)) if asked.latency else ()
        return ScheduleReport(
            graph=graph.name,
            source=ledger.source,
            streams=asked.streams,
            unit=times.unit,
            times=times.words,
            by=asked.by,
            depth=asked.depth,
            total=times.total([task.duration for task in tasks]),
            critical_path=longest,
            tasks=tuple(replace(task, is_critical=on) for task, on in zip(tasks, critical, strict=True)),
            plans=tuple(_plan(tasks, asked.streams, *each) for each in times.shares.items()),
            unknown_nodes=0 if asked.latency else ledger.totals.unknown_nodes,
            independent=parallel.independent if parallel else (),
            measured=measured,
            notes=(*ledger.notes, *_left_out(nodes, times), *times.notes, *_noise(measured)),
        )


def write_gantt(report: ScheduleReport, out: Path | str) -> Path:
    """Draw which module runs when on which engine, as svg or png.

    Raises:
        UsageError: another suffix, ``out`` cannot be written, or nothing takes time.
    """
    from onnxlens.reports.plots.gantt import write_gantt as write

    return staged_plot(out, partial(write, report))


def _plan(tasks: Sequence[Task], streams: int, shared: Shared, resources: Sequence[str]) -> Plan:
    from onnxlens.profile.flow.scheduling import least_makespan, list_schedule

    slots = list_schedule(tasks, streams, resources)
    bound, why = least_makespan(tasks, streams, resources)
    return Plan(shared, max((slot.end for slot in slots), default=0), bound, why, slots)


def _times(it: OpenedTarget, asked: ScheduleRequest) -> _Times:
    if asked.hardware:
        return _bounds(it, asked)
    if asked.latency:
        return _latency(it)
    macs = {index: node.macs for index, node in enumerate(it.ledger.nodes)}
    return _Times("macs", "MACs", macs, {}, {"nothing": ()})


def _bounds(it: OpenedTarget, asked: ScheduleRequest) -> _Times:
    ledger = with_bounds(it, it.ledger, asked.hardware, asked.stored_as, asked.fusion)
    (bounds,) = ledger.bounds
    homes = [each.name for each in bounds.chip.memories if each.holds != "nothing" and each.bytes_per_s]
    uses = {index: {**node.units, **node.memories} for index, node in enumerate(bounds.nodes)}
    everything = sorted({name for names in uses.values() for name in names})
    types = f"floats as {bounds.dtype}" if bounds.dtype else "types as in the file"
    return _Times(
        "s",
        f"lower bounds on {bounds.label} ({types}, fusion {bounds.fusion})",
        {index: node.serial_s for index, node in enumerate(bounds.nodes)},
        uses,
        {"nothing": (), "memory": homes, "chip": everything},
        [f"{bounds.label}: {note}" for note in bounds.notes],
    )


def _latency(it: OpenedTarget) -> _Times:
    """The times of nodes with one thread each, as an engine is one thread."""
    from onnxlens.api.measure import measure_graph
    from onnxlens.profile.count.measured import with_measurements

    measured = measure_graph(it, latency=True, threads=1)
    seconds = with_measurements(it.ledger, nodes=measured.nodes).node_seconds
    notes = list(measured.notes)
    if seconds.get(None):
        notes.append(f"{seconds[None] / fsum(seconds.values()):.1%} of the measured time is of no module")
    known = {index: spent for index, spent in seconds.items() if index is not None}
    return _Times("s", "measured in ONNX Runtime, a thread an engine", known, {}, {"nothing": ()}, notes)


def _measured(it: OpenedTarget, streams: int) -> Iterator[MeasuredRun]:
    """One session after another, so that each has all of the memory."""
    from onnxlens.profile.runtime.latency import time_calls
    from onnxlens.profile.runtime.machine import machine
    from onnxlens.profile.runtime.session import SessionRequest, bound

    how, device = BenchRequest(), machine()["processor"]
    for at_a_time, threads in dict.fromkeys(((1, 1), (1, streams), (streams, 1))):
        it.progress(f"timing ONNX Runtime, {at_a_time} x {threads} threads", 0, 0)
        call = bound(it.session("cpu", SessionRequest(threads=threads, streams=at_a_time)), it.inputs, "cpu")
        found = time_calls(call, warmup=how.warmup, runs=how.runs, provider="cpu", device=device)
        yield MeasuredRun(at_a_time, threads, found)


def _noise(measured: Sequence[MeasuredRun]) -> Iterator[str]:
    spreads = [run.latency.p90_s / run.latency.p10_s for run in measured if run.latency.p10_s]
    if spreads and max(spreads) > NOISY_RATIO:
        yield f"streams: the p90 of a latency is {max(spreads):.2f} times its p10; measure on an idle machine"


def _left_out(nodes: Sequence[NodesOfTask], times: _Times) -> Iterator[str]:
    held = {index for task in nodes for index in task.nodes}
    if left := fsum(spent for index, spent in times.nodes.items() if index not in held):
        whole = fsum(times.nodes.values())
        yield f"{left / whole:.1%} of the time is of nodes that are in no task: copies, or what runs once"
