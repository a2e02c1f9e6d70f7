"""The roofline of a graph: modules as points under the roofs of one chip or several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

from onnxlens.errors import UsageError
from onnxlens.reports.numbers import short_count, short_time
from onnxlens.reports.plots.style import FAINT, INK, SERIES, label, plot
from onnxlens.specs.groups import nodes_inside
from onnxlens.specs.ledger import Ledger
from onnxlens.specs.roofline import COMPUTE, Bound, ChipBounds

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_NAMED = 6
"""Modules whose names stand at their points: those that take longest."""

LARGEST_POINT, SMALLEST_POINT = 420.0, 14.0


def write_roofline(ledger: Ledger, depth: int | None, path: Path) -> None:
    """Draw the modules of one depth that have MACs, those that take longest on the first chip named.

    A point stands at its MACs per byte that it must move, and at the MACs per second that its operators reach
    at most if they run one after another; its area is that time. What is below its roof is what fusing
    operators can gain at most, or is limited by another unit.

    Raises:
        UsageError: the ledger has no bounds, or no module of that depth has MACs and bytes.
    """
    if not ledger.bounds:
        raise UsageError("a roofline needs a chip; give --hardware CHIP")
    points = _points(ledger, 1 if depth is None else depth)
    if not points and depth is None:
        points = _points(ledger, 0)
    if not points:
        raise UsageError(f"no module of depth {depth} has MACs; choose another --depth")
    types = ledger.bounds[0].dtype or "types of the file"
    with plot(path, f"Roofline of {ledger.graph} from {label(ledger.source)}, {types}", (11, 6.4)) as figure:
        axes = figure.subplots()
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel("MACs per byte that must be moved (each weight, input and output once)")
        axes.set_ylabel(
            f"MACs per second, at most, operators one after another (fusion {ledger.bounds[0].fusion})"
        )
        found = [{name: each.of(nodes) for name, nodes in points.items()} for each in ledger.bounds]
        intensities = [_intensity(bound) for each in found for bound in each.values()]
        span = (min(intensities) / 3, max(intensities) * 3)
        for color, bounds, drawn in zip(cycle(SERIES), ledger.bounds, found, strict=False):
            _draw(axes, bounds, [*drawn.values()], span, color)
        _name_points(axes, found[0])
        axes.yaxis.set_major_formatter(lambda rate, _: short_count(rate))
        axes.xaxis.set_major_formatter(lambda ratio, _: f"{ratio:g}")
        axes.set_xlim(*span)
        axes.legend(loc="lower right", fontsize=9)


def _points(ledger: Ledger, depth: int) -> Mapping[str, Sequence[int]]:
    """The nodes of the modules of a depth that have a place in the plot, by their paths."""
    inside = nodes_inside(ledger)
    paths = [module.path for module in ledger.modules if module.depth == depth and module.macs]
    return {path: inside[path] for path in paths if _intensity(ledger.bounds[0].of(inside[path]))}


def _intensity(bound: Bound) -> float:
    moved = bound.weight_bytes + bound.other_bytes
    return bound.macs / moved if moved else 0.0


def _rate(bound: Bound) -> float:
    return bound.macs / bound.serial_s if bound.serial_s else 0.0


def _draw(
    axes: Axes, bounds: ChipBounds, modules: Sequence[Bound], span: tuple[float, float], color: str
) -> None:
    """A chip's roofs, and its modules."""
    whole = bounds.total
    peak = whole.macs / whole.limits[COMPUTE] if whole.limits.get(COMPUTE) else None
    low, high = span
    for memory in bounds.chip.memories:
        if memory.bytes_per_s is not None and peak:
            rate = memory.bytes_per_s.value
            ridge = min(max(peak / rate, low), high)
            dash = "--" if memory.holds == "nothing" else "-"
            axes.plot([low, ridge], [low * rate, ridge * rate], color=color, linewidth=1.2, linestyle=dash)
            axes.annotate(
                f"{memory.name} {short_count(rate)}B/s", (low, low * rate), xytext=(16, -3),
                textcoords="offset points", fontsize=8, color=color,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},  # no roof through a label
            )  # fmt: skip
    if peak:
        axes.plot([low, high], [peak, peak], color=color, linewidth=1.6)
    points = [bound for bound in modules if _rate(bound)]
    longest = max((bound.serial_s for bound in points), default=1.0)
    axes.scatter(
        [_intensity(bound) for bound in points],
        [_rate(bound) for bound in points],
        s=[SMALLEST_POINT + LARGEST_POINT * bound.serial_s / longest for bound in points],
        color=color, alpha=0.55, edgecolors=INK, linewidths=0.5, zorder=3,
        label=f"{bounds.label}: {short_count(peak or 0)} MACs/s; largest point {short_time(longest)}",
    )  # fmt: skip


def _name_points(axes: Axes, modules: Mapping[str, Bound]) -> None:
    """The names of what takes longest, below the points in turn, so that they do not cover each other."""
    ranked = sorted(modules.items(), key=lambda each: each[1].serial_s, reverse=True)[:MOST_NAMED]
    for place, (name, bound) in enumerate(sorted(ranked, key=lambda each: _intensity(each[1]))):
        axes.annotate(
            label(name or "(model)", 32), (_intensity(bound), _rate(bound)),
            xytext=(0, -26 - 15 * (place % 6)), textcoords="offset points", ha="center", fontsize=8,
            color=INK, zorder=5 - place % 6 / 10,  # the line to a lower name passes behind those above it
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
            arrowprops={"arrowstyle": "-", "color": FAINT, "linewidth": 0.5},
        )  # fmt: skip
