"""What a decoding step of a language model reads, computes and takes at least, over its context."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

from onnxlens.errors import UsageError
from onnxlens.reports.numbers import short_time
from onnxlens.reports.plots.style import INK, SERIES, byte_axis, label, plot
from onnxlens.specs.phases import PhasePoint, PhasesReport

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LEAST_POINTS = 2
KINDS = (
    ("weight_read_bytes", "weights read"),
    ("cache_read_bytes", "cache read"),
    ("cache_write_bytes", "cache written"),
    ("activation_bytes", "other activations"),
)


def write_phases_plot(report: PhasesReport, path: Path) -> None:
    """Plot a step's bytes by kind for the last batch, and its least time for every batch and chip.

    Raises:
        UsageError: the suffix of ``path`` cannot be plotted, or there are fewer than two contexts.
    """
    points = report.of("decode")
    batches = list(dict.fromkeys(point.batch for point in points))
    lines = [sorted((p for p in points if p.batch == batch), key=lambda p: p.context) for batch in batches]
    if not lines or len(lines[0]) < LEAST_POINTS:
        raise UsageError("--plot draws a step over its context; give at least two with --context")
    timed = bool(report.chips) or any(point.measured for point in points)
    title = f"A decoding step of {report.graph} over its context ({label(report.source, 60)})"
    with plot(path, title, (11, 8 if timed else 5)) as figure:
        axes = figure.subplots(1 + timed, 1, squeeze=False)[:, 0]
        _draw_bytes(axes[0], report, lines)
        if timed:
            _draw_times(axes[1], report, lines)
        for each in axes:
            _context_axis(each, [point.context for point in lines[0]])


def _draw_bytes(axes: Axes, report: PhasesReport, lines: Sequence[Sequence[PhasePoint]]) -> None:
    """Stacked areas of the last batch."""
    line = lines[-1]
    contexts = [point.context for point in line]
    heights = [[getattr(point.cost, name) for point in line] for name, _ in KINDS]
    axes.stackplot(
        contexts, heights, labels=[text for _, text in KINDS], colors=SERIES[: len(KINDS)], alpha=0.85
    )
    most = max(sum(each) for each in zip(*heights, strict=True))
    byte_axis(axes.yaxis, most)
    axes.set_ylim(0, most * 1.05)
    batch = line[0].batch
    even = report.outweighs.get(batch)
    if even is not None and contexts[0] <= even <= contexts[-1]:
        axes.axvline(
            even, color=INK, linestyle="--", linewidth=1,
            label=f"from {even:,} on the caches\nhold more than the weights",
        )  # fmt: skip
    axes.set_title(f"memory traffic of a step, batch {batch}", loc="left")
    axes.set_ylabel("bytes of one step")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=9)


def _draw_times(axes: Axes, report: PhasesReport, lines: Sequence[Sequence[PhasePoint]]) -> None:
    """A line for each batch, in a style for each chip; what was measured as marks."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    styles = ("-", "--", "-.", ":")
    for line, color in zip(lines, cycle(SERIES), strict=False):
        contexts, batch = [point.context for point in line], line[0].batch
        for place, chip in enumerate(report.chips):
            times = [point.cost.bound_s[chip] for point in line]
            style = styles[place % len(styles)]
            axes.plot(
                contexts, times, style, color=color, marker=".", label=f"{chip}, batch {batch}: at least"
            )
        measured = [(p.context, p.measured.median_s) for p in line if p.measured is not None]
        if measured:
            axes.plot(*zip(*measured, strict=True), "x", color=color, label=f"measured here, batch {batch}")
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda seconds, _: short_time(seconds)))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_title("time per output token: lower bounds, no predictions", loc="left")
    axes.set_ylabel("one step")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=9)


def _context_axis(axes: Axes, contexts: Sequence[int]) -> None:
    from matplotlib.ticker import FuncFormatter

    axes.set_xlim(contexts[0], contexts[-1])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda count, _: f"{count:,.0f}"))
    axes.set_xlabel("context: tokens in the cache before the step")
