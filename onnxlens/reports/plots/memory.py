"""Memory over the execution of a graph, with the tensors at its peak named."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from onnxlens.reports.numbers import short_bytes
from onnxlens.reports.plots.style import FAINT, INK, SERIES, byte_axis, label, plot
from onnxlens.reports.tables.module_names import root_name
from onnxlens.reports.tables.peak import at_least
from onnxlens.specs.ledger import Ledger
from onnxlens.specs.memory import MemoryPlan, PlannedTensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAMED = len(SERIES) - 1
"""So many tensors at the peak are named; the others are one area of the last color."""
OTHERS = SERIES[-1]


def write_memory_plot(ledger: Ledger, plan: MemoryPlan, path: Path) -> None:
    """Plot what is alive at every step: the largest tensors of the peak in color, all others gray.

    Raises:
        UsageError: the suffix of ``path`` cannot be plotted.
    """
    kind = ", in place" if plan.in_place else ""
    order = "the file's order" if plan.order == "file" else f"an order found by a {plan.order} search"
    title = f"Activation memory of {ledger.graph} over {order}{kind} ({label(ledger.source, 60)})"
    with plot(path, title, (11, 6.6)) as figure:
        axes = figure.subplots()
        _draw(axes, plan)
        most = max(plan.levels_bytes, default=0)
        axes.set_xlim(0, max(len(plan.steps), 1))
        axes.set_ylim(0, max(most, 1) * 1.08)
        byte_axis(axes.yaxis, most)
        axes.set_xlabel("step of the execution (nodes that run)")
        axes.set_ylabel(f"activations alive{', of known size' if plan.unsized else ''}")
        _mark_peak(axes, ledger, plan)
        figure.legend(
            loc="outside lower left", ncols=2, fontsize=8.5, title="alive at the peak", alignment="left"
        )


def _draw(axes: Axes, plan: MemoryPlan) -> None:
    """Steps as areas on top of each other: the named tensors from below, what else is alive above."""
    count = len(plan.steps)
    edges = range(count + 1)
    base = [0] * count
    for tensor, color in zip(_named(plan), SERIES, strict=False):
        size_bytes = tensor.live.size_bytes or 0
        top = [
            level + size_bytes * (tensor.first_step <= step <= tensor.last_step)
            for step, level in enumerate(base)
        ]
        name = (
            f"{label(tensor.live.tensor.name)}  {short_bytes(size_bytes)}  {tensor.live.tensor.shape_text()}"
        )
        axes.stairs(top, edges, baseline=base, fill=True, color=color, label=name, linewidth=0)
        base = top
    axes.stairs(
        plan.levels_bytes, edges, baseline=base, fill=True, color=OTHERS, alpha=0.45, linewidth=0,
        label="all others",
    )  # fmt: skip
    axes.stairs(plan.levels_bytes, edges, color=INK, linewidth=0.9)


def _named(plan: MemoryPlan) -> list[PlannedTensor]:
    """The largest tensors of known size at the peak."""
    alive = {each.tensor.name: rank for rank, each in enumerate(plan.peak.tensors)}
    found = [each for each in plan.tensors if each.live.tensor.name in alive and each.live.size_bytes]
    return sorted(found, key=lambda each: alive[each.live.tensor.name])[:NAMED]


def _mark_peak(axes: Axes, ledger: Ledger, plan: MemoryPlan) -> None:
    if not plan.levels_bytes:
        return
    most = max(plan.levels_bytes)
    step = plan.levels_bytes.index(most)
    where = label(plan.peak.module_path or root_name(ledger), 60)
    right = step > len(plan.steps) / 2
    axes.plot(step + 0.5, most, "v", color=INK, markersize=7, clip_on=False)
    axes.annotate(
        f"peak {at_least(ledger)}{short_bytes(most)} at step {step}: {where}",
        (step + 0.5, most),
        xytext=(-8 if right else 8, 6),
        textcoords="offset points",
        ha="right" if right else "left",
        fontsize=9,
        fontweight="bold",
    )
    axes.axvline(step + 0.5, color=FAINT, linewidth=0.8, linestyle=":")
