"""A schedule as a table and a document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from onnxlens.reports.numbers import AT_LEAST, bounded, counted, share, short_count, short_time
from onnxlens.reports.tables.render import Column, TableFormat, render_table, with_notes
from onnxlens.specs.codec import to_plain
from onnxlens.specs.schedule import Plan, ScheduleReport, Slot

SHARING = {
    "nothing": "nothing: a chip with a memory each",
    "memory": "the memory: a chip each",
    "chip": "all: streams of one chip",
}


def schedule_table(report: ScheduleReport, table_format: TableFormat) -> str:
    """A row for each way of sharing; as CSV one for each task."""
    if table_format == "csv":
        return render_table(range(len(report.tasks)), _task_columns(report), "csv")
    table = render_table(report.plans, _plan_columns(report), table_format)
    heading = (
        f"{report.graph} ({report.source}): {counted(len(report.tasks), 'task')} on "
        f"{counted(report.streams, 'engine')}; times: {report.times}"
    )
    return with_notes(heading, table, [*_lines(report), *report.notes], table_format)


def schedule_document(report: ScheduleReport) -> dict[str, Any]:
    """All of it, exact."""
    return {"schema": "onnxlens.schedule/1", **to_plain(report)}


def duration_text(report: ScheduleReport, duration: float) -> str:
    """``4.2 ms`` or ``788.83 G MACs``."""
    return short_time(duration) if report.unit == "s" else f"{short_count(duration)} MACs"


def speedup_text(report: ScheduleReport, makespan: float) -> str:
    """``1.38 x``: over one engine."""
    found = report.speedup(makespan)
    return "-" if found is None else f"{found:.2f} x"


def _plan_columns(report: ScheduleReport) -> Sequence[Column[Plan]]:
    def text(figure: float) -> str:
        return bounded(duration_text(report, figure), figure, lower=bool(report.unknown_nodes))

    def idle(plan: Plan) -> str:
        busy = sum(slot.end - slot.start for slot in plan.slots)
        return share(max(0.0, plan.makespan * report.streams - busy), plan.makespan * report.streams, 0)

    return (
        Column("engines share", lambda plan: SHARING[plan.shared] if len(report.plans) > 1 else plan.shared),
        Column("schedule", lambda plan: text(plan.makespan), right=True),
        Column("speed-up", lambda plan: speedup_text(report, plan.makespan), right=True),
        Column("at least", lambda plan: text(plan.bound), right=True),
        Column("at most", lambda plan: speedup_text(report, plan.bound), right=True),
        Column("bounded by", lambda plan: plan.bounded_by),
        Column("idle", idle, right=True),
    )


def _lines(report: ScheduleReport) -> Iterator[str]:
    critical = sum(task.is_critical for task in report.tasks)
    yield (
        f"one after another: {duration_text(report, report.total)}; longest path: "
        f"{duration_text(report, report.critical_path)} in {counted(critical, 'task')}"
    )
    for each in report.independent:
        beside = " and ".join(each.beside)
        yield (
            f"independent: {each.module} ({short_count(each.macs)} MACs) and {beside} "
            f"({short_count(each.beside_macs)} MACs)"
        )
    if report.measured:
        first = report.measured[0].latency.median_s
        runs = (
            f"{counted(run.streams, 'node')} at a time with {counted(run.threads, 'thread')} each: "
            f"{short_time(run.latency.median_s)} ({first / run.latency.median_s:.2f} x)"
            for run in report.measured
        )
        yield f"measured: {'; '.join(runs)}"
    if report.unknown_nodes:
        verb = "is" if report.unknown_nodes == 1 else "are"
        yield (
            f"{AT_LEAST}: {counted(report.unknown_nodes, 'node')} {verb} unknown, and taken to need no time"
        )


def _task_columns(report: ScheduleReport) -> Sequence[Column[int]]:
    tasks = report.tasks
    columns = [
        Column[int](report.by, lambda index: tasks[index].path),
        Column[int]("title", lambda index: tasks[index].title),
        Column[int](f"duration_{report.unit}", lambda index: tasks[index].duration),
        Column[int]("after", lambda index: " ".join(map(str, tasks[index].after))),
        Column[int]("is_critical", lambda index: int(tasks[index].is_critical)),
    ]
    for plan in report.plans:
        slots = {slot.task: slot for slot in plan.slots}
        for name in ("engine", "start", "end"):
            unit = "" if name == "engine" else f"_{report.unit}"
            columns.append(Column(f"{plan.shared}_{name}{unit}", partial(_figure, slots, name)))
    return columns


def _figure(slots: Mapping[int, Slot], name: str, index: int) -> float | None:
    """None for a task that takes no time."""
    figure: float | None = getattr(slots[index], name) if index in slots else None
    return figure
