"""Which module runs when on which engine: a row for each engine, a chart for each way of sharing."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from onnxlens.errors import UsageError
from onnxlens.reports.numbers import DECIMAL_STEPS, counted
from onnxlens.reports.plots.style import FAINT, INK, SERIES, label, plot, swatch, tick_text
from onnxlens.reports.tables.schedule import SHARING, duration_text, speedup_text
from onnxlens.specs.schedule import Plan, ScheduleReport, Slot, Task

if TYPE_CHECKING:
    from matplotlib.axes import Axes

OTHERS, OWN = "all else", "operators between modules"
HEIGHT, STRIP = 0.62, 0.12
"""Of a row's bars, and of the line below them that marks the longest path."""
TIME_STEPS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns"))
TOUCHING = 1e-9
"""A share of the whole: bars of one module with less between them are drawn as one."""


def write_gantt(report: ScheduleReport, path: Path) -> None:
    """Draw every plan of a schedule.

    Raises:
        UsageError: the suffix of ``path`` cannot be plotted, or nothing takes time.
    """
    if not report.total:
        raise UsageError(f"{report.source}: nothing that is known of it takes time: there is nothing to draw")
    groups = task_groups(report.tasks, len(SERIES))
    spent = _spent(report.tasks, groups)
    named = [name for name in dict.fromkeys(groups) if spent[name] and name != OTHERS]
    colors = dict(zip(named, SERIES, strict=False)) | {OTHERS: SERIES[-1]}
    engines = counted(report.streams, "engine")
    title = f"{report.graph} ({label(report.source, 40)}) on {engines}: {label(report.times, 80)}"
    rows = (1 + report.streams) * 0.42 + 0.75
    with plot(path, title, (12, 1.1 + rows * len(report.plans))) as figure:
        charts = figure.subplots(len(report.plans), 1, sharex=True, squeeze=False)[:, 0]
        for axes, plan in zip(charts, report.plans, strict=True):
            _draw(axes, report, plan, groups, colors)
        handles = [
            swatch(colors[name], f"{label(name or OWN, 40)}: {duration_text(report, spent[name])}")
            for name in (*named, OTHERS)
            if spent[name]
        ]
        handles.append(swatch(INK, "on the longest path"))
        figure.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=9)


def task_groups(tasks: Sequence[Task], most: int) -> Sequence[str]:
    """For each task a module around it, or itself: at most so many, ``OTHERS`` among them.

    The one that takes most of the time is opened, while there are not too many.
    """
    groups = [_outermost(task.path, "") for task in tasks]
    waiting = _heavy(tasks, groups)
    while waiting:
        name = waiting.pop(0)
        opened = [
            _outermost(task.path, name) if group == name else group
            for task, group in zip(tasks, groups, strict=True)
        ]
        heavy = _heavy(tasks, opened)
        if opened != groups and 0 < len(heavy) < most:
            groups, waiting = opened, heavy
    kept = set(_heavy(tasks, groups)[: most - 1])
    return [name if name in kept else OTHERS for name in groups]


LEAST_SHARE = 0.01
"""Of the time, for a color of its own."""


def _heavy(tasks: Sequence[Task], groups: Sequence[str]) -> list[str]:
    """Those that take much of the time, the most first."""
    spent = _spent(tasks, groups)
    return [name for name, time in spent.most_common() if time >= LEAST_SHARE * spent.total()]


def _spent(tasks: Sequence[Task], groups: Sequence[str]) -> Counter[str]:
    spent: Counter[str] = Counter()
    for task, group in zip(tasks, groups, strict=True):
        spent[group] += task.duration  # type: ignore[assignment]  # seconds
    return spent


def _outermost(path: str, inside: str) -> str:
    """The module below one, on the way to a path; the path itself where there is none."""
    if inside and not path.startswith(f"{inside}."):
        return path
    start = len(inside) + 1 if inside else 0
    end = path.find(".", start)
    return path if end < 0 else path[:end]


def _draw(
    axes: Axes, report: ScheduleReport, plan: Plan, groups: Sequence[str], colors: Mapping[str, str]
) -> None:
    bars: Mapping[tuple[int, str], list[Slot]] = defaultdict(list)
    strips: Mapping[int, list[Slot]] = defaultdict(list)
    for slot in plan.slots:
        bars[slot.engine, groups[slot.task]].append(slot)
        if report.tasks[slot.task].is_critical:
            strips[slot.engine].append(slot)
    for (engine, group), slots in bars.items():
        spans = list(_spans(slots, report.total))
        axes.broken_barh(spans, (engine - HEIGHT / 2, HEIGHT), color=colors[group], linewidth=0)
    for engine, slots in strips.items():
        spans = list(_spans(slots, report.total))
        axes.broken_barh(spans, (engine + HEIGHT / 2, STRIP), color=INK, linewidth=0)
    axes.axvline(plan.bound, color=FAINT, linestyle="--", linewidth=1)
    axes.set_yticks(range(report.streams), [f"engine {number + 1}" for number in range(report.streams)])
    axes.set_ylim(report.streams - 0.35, -0.5)
    axes.set_xlim(0, max(each.makespan for each in report.plans) * 1.01)
    axes.grid(axis="y", visible=False)
    steps = TIME_STEPS if report.unit == "s" else DECIMAL_STEPS
    axes.xaxis.set_major_formatter(lambda value, _: tick_text(value, steps))
    axes.set_title(
        f"engines share {SHARING[plan.shared]}.  {duration_text(report, plan.makespan)}, "
        f"{speedup_text(report, plan.makespan)};  dashed: at least {duration_text(report, plan.bound)} "
        f"({plan.bounded_by}), at most {speedup_text(report, plan.bound)}",
        loc="left", fontsize=10,
    )  # fmt: skip


def _spans(slots: Sequence[Slot], whole: float) -> Iterator[tuple[float, float]]:
    """Start and length of each bar, those that touch as one."""
    start, end = slots[0].start, slots[0].end
    for slot in slots[1:]:
        if slot.start - end > TOUCHING * whole:
            yield start, end - start
            start = slot.start
        end = slot.end
    yield start, end - start
