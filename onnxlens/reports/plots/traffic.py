"""Memory traffic by kind in every mode of fusion, and as the memory on the chip grows."""

from __future__ import annotations

from math import ceil, floor, log2
from pathlib import Path
from typing import TYPE_CHECKING

from onnxlens.reports.numbers import AT_LEAST, short_bytes
from onnxlens.reports.plots.style import FAINT, INK, SERIES, byte_axis, byte_text, label, plot
from onnxlens.specs.traffic import TrafficReport

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

KINDS = (
    ("weight_read_bytes", "weights read"),
    ("read_bytes", "activations read"),
    ("write_bytes", "activations written"),
    ("spilled_bytes", "spilled: read again"),
)
MOST_TICKS = 10


def write_traffic_plot(report: TrafficReport, path: Path) -> None:
    """Plot stacked bars of the kinds of bytes, and below them the knee.

    Raises:
        UsageError: the suffix of ``path`` cannot be plotted.
    """
    title = f"Memory traffic of {report.graph} ({label(report.source, 60)})"
    with plot(path, title, (11, 8)) as figure:
        bars, knee = figure.subplots(2, 1, height_ratios=(2, 3))
        _draw_bars(bars, report)
        _draw_knee(knee, report)


def _draw_bars(axes: Axes, report: TrafficReport) -> None:
    lower = bool(report.total.unsized_nodes)
    names = ["unfused" if mode == "none" else mode for mode in report.kinds]
    left = [0] * len(names)
    for (name, text), color in zip(KINDS, SERIES, strict=False):
        sizes = [getattr(kinds, name) or 0 for kinds in report.kinds.values()]
        if any(sizes):
            axes.barh(names, sizes, left=left, color=color, label=text, height=0.6)
        left = [before + size for before, size in zip(left, sizes, strict=True)]
    for place, size in enumerate(left):
        shown = f" {AT_LEAST} {short_bytes(size)}" if lower else f" {short_bytes(size)}"
        axes.text(size, place, shown, va="center", color=INK, fontsize=9)
    axes.axvline(
        report.compulsory_bytes, color=INK, linestyle="--", linewidth=1,
        label=f"inputs, outputs, weights once: {short_bytes(report.compulsory_bytes)}",
    )  # fmt: skip
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set_xlim(0, max(*left, 1) * 1.12)
    byte_axis(axes.xaxis, max(left))
    chip = "" if report.on_chip_bytes is None else f"; {short_bytes(report.on_chip_bytes)} on the chip"
    axes.set_title(f"by mode of fusion and kind of bytes{chip}", loc="left")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=9)


def _draw_knee(axes: Axes, report: TrafficReport) -> None:
    sizes = [point.on_chip_bytes for point in report.knee]
    moved = [max(point.moved_bytes, 1) for point in report.knee]
    tiled = next((place for place, point in enumerate(report.knee) if not point.untiled_nodes), len(sizes))
    color = SERIES[0]
    if tiled:
        axes.plot(
            sizes[: tiled + 1], moved[: tiled + 1], color=color, linestyle=":", marker=".",
            label="at least: some layers have no tiles so small",
        )  # fmt: skip
    axes.plot(
        sizes[tiled:], moved[tiled:], color=color, marker=".", label=f"layers in tiles, {report.fusion}"
    )
    axes.axhline(
        report.compulsory_bytes, color=INK, linestyle="--", linewidth=1, label="inputs, outputs, weights once"
    )
    marks = (
        (report.total.sram_bytes, "nothing is read again", "-."),
        (report.on_chip_bytes, "--on-chip", "-"),
    )
    for size, text, style in marks:
        if size is not None:
            axes.axvline(
                size, color=FAINT, linestyle=style, linewidth=1, label=f"{text}: {short_bytes(size)}"
            )
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    lows, highs = (min(sizes), min(*moved, max(report.compulsory_bytes, 1))), (max(sizes), max(moved))
    for axis, low, high in zip((axes.xaxis, axes.yaxis), lows, highs, strict=True):
        _powers_of_two(axis, low, high)
    axes.set_xlabel("memory on the chip")
    axes.set_ylabel("memory traffic, spills included")
    axes.set_title("by the size of the memory on the chip", loc="left")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=9)


def _powers_of_two(axis: Axis, low: int, high: int) -> None:
    """Ticks at powers of two, on a logarithmic axis."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    first, last = floor(log2(low)), ceil(log2(high))
    step = ceil((last - first + 1) / MOST_TICKS)
    axis.set_major_locator(FixedLocator([2**power for power in range(first, last + 1, step)]))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda count, _: byte_text(count)))
