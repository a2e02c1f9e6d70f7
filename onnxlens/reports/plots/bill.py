"""Which share of a pipeline's MACs, bytes and times each of its graphs has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from onnxlens.reports.drawing.colors import ink_on
from onnxlens.reports.numbers import share, short_bytes, short_count, short_time
from onnxlens.reports.plots.style import INK, SERIES, label, plot, swatch
from onnxlens.specs.bill import Bill, BillStage, BillSum

INSIDE = 0.045
"""A share from here on has room for its percentage."""

Measure = tuple[str, Callable[[BillSum], float], Callable[[float], str]]
"""What a bar is of, its figure, and how that is written."""


def write_bill_plot(bill: Bill, path: Path) -> None:
    """Draw one stacked bar for MACs, for bytes, and for the time on each chip and the measured one.

    Raises:
        UsageError: the suffix of ``path`` cannot be plotted.
    """
    measures = _measures(bill)
    groups = _groups(bill)
    request = bill.request
    title = (
        f"Where the pipeline's work is: {' + '.join(request.kinds) or 'no ControlNet'}, {request.height} x "
        f"{request.width}, {bill.timesteps} steps, guidance {request.scale:g}"
    )
    with plot(path, title, (11, 2.0 + 0.6 * len(measures))) as figure:
        axes = figure.subplots()
        for position, (_, figure_of, text) in enumerate(measures):
            parts = [figure_of(bill.sum_of(stages)) for _, stages in groups]
            whole, left = sum(parts), 0.0
            for part, color in zip(parts, SERIES, strict=False):
                axes.barh(position, part / whole, left=left, color=color, edgecolor="white", height=0.66)
                if part / whole >= INSIDE:
                    axes.text(
                        left + part / whole / 2, position, share(part, whole, 0), ha="center", va="center",
                        color=ink_on(color), fontweight="bold", fontsize=9,
                    )  # fmt: skip
                left += part / whole
            axes.text(1.01, position, text(whole), va="center", color=INK)
        axes.set_yticks(range(len(measures)), [label(name, 40) for name, _, _ in measures])
        axes.tick_params(axis="y", labelcolor=INK, length=0)
        axes.invert_yaxis()
        axes.set_xlim(0, 1.0)
        axes.set_xticks([])
        axes.grid(visible=False)
        for spine in axes.spines.values():
            spine.set_visible(False)
        handles = [swatch(color, label(name, 40)) for (name, _), color in zip(groups, SERIES, strict=False)]
        axes.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.02), ncols=4, fontsize=9)


def _measures(bill: Bill) -> Sequence[Measure]:
    found: list[Measure] = [
        ("MACs", lambda each: each.macs, short_count),
        ("bytes moved, nothing fused", lambda each: each.moved_bytes, short_bytes),
    ]
    found += [(f"{chip}: at least", partial(_bound, chip), short_time) for chip in bill.chips]
    if bill.machine:
        found.append(("measured here", lambda each: each.measured_s or 0.0, short_time))
    return found


def _bound(chip: str, each: BillSum) -> float:
    return each.bound_s[chip]


def _groups(bill: Bill) -> Sequence[tuple[str, Sequence[BillStage]]]:
    """The stages of each graph together, in the order in which they run; those of least work as one."""
    graphs: dict[str, list[BillStage]] = {}
    for stage in bill.stages:
        graphs.setdefault(stage.call.graph, []).append(stage)
    kept = sorted(graphs, key=lambda graph: bill.sum_of(graphs[graph]).macs, reverse=True)
    if len(kept) > len(SERIES):
        kept = kept[: len(SERIES) - 1]
    groups = []
    for graph in filter(kept.__contains__, graphs):
        calls = sum(stage.call.calls for stage in graphs[graph])
        groups.append((f"{graph}, x{calls}" if calls > 1 else graph, graphs[graph]))
    if others := [stage for stage in bill.stages if stage.call.graph not in kept]:
        groups.append((f"{len(graphs) - len(kept)} other graphs", others))
    return groups
