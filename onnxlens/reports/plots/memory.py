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
AROUND = 24
"""So many steps around the peak are also drawn large, where the whole is longer than three times as many."""


def write_memory_plot(ledger: Ledger, plan: MemoryPlan, path: Path) -> None:
    """Plot what is alive at every step: the largest tensors of the peak in color, all others gray.

    Raises:
        UsageError: the suffix of ``path`` cannot be plotted.
    """
    kind = ", in place" if plan.in_place else ""
    order = "the file's order" if plan.order == "file" else f"an order found by a {plan.order} search"
    title = f"Activation memory of {ledger.graph} over {order}{kind} ({label(ledger.source, 60)})"
    wide = len(plan.steps) > 3 * AROUND
    with plot(path, title, (11, 7)) as figure:
        axes = figure.subplots(1, 1 + wide, sharey=True, squeeze=False, width_ratios=(3, 1)[: 1 + wide])[0]
        most = max(plan.levels_bytes, default=0)
        _draw(axes[0], plan, root_name(ledger), 0, len(plan.steps))
        axes[0].set_xlabel("step of the execution (nodes that run)")
        byte_axis(axes[0].yaxis, most)
        axes[0].set_ylim(0, max(most, 1) * 1.08)
        axes[0].set_ylabel(f"activations alive{', of known size' if plan.unsized else ''}")
        _mark_peak(axes[0], ledger, plan)
        if wide:
            step = plan.levels_bytes.index(most)
            window = max(step - AROUND // 2, 0), min(step + AROUND // 2, len(plan.steps))
            _draw(axes[1], plan, root_name(ledger), *window)
            axes[1].set_xlabel("the steps around the peak")
        handles, names = axes[0].get_legend_handles_labels()
        heading = "alive at the peak: size, name, shape, module that makes it"
        figure.legend(handles, names, loc="outside lower left", fontsize=8.5, title=heading, alignment="left")


def _draw(axes: Axes, plan: MemoryPlan, root: str, first: int, end: int) -> None:
    """The steps from ``first`` to ``end``: the named tensors from below, what else is alive above."""
    base = [0] * len(plan.steps)
    for tensor, color in zip(_named(plan), SERIES, strict=False):
        size_bytes = tensor.live.size_bytes or 0
        since, until = max(tensor.first_step, first), min(tensor.last_step + 1, end)
        under = base[since:until]
        base[since:until] = over = [level + size_bytes for level in under]
        maker = "input" if tensor.live.producer is None else tensor.live.producer.module_path or root
        shown = (label(tensor.live.tensor.name), tensor.live.tensor.shape_text(), label(maker, 60))
        name = "   ".join((short_bytes(size_bytes), *shown))
        edges = range(since, until + 1)
        axes.stairs(over, edges, baseline=under, fill=True, color=color, label=name, linewidth=0)
    edges, levels = range(first, end + 1), plan.levels_bytes[first:end]
    axes.stairs(
        levels, edges, baseline=base[first:end], fill=True, color=OTHERS, alpha=0.45, linewidth=0,
        label="all others",
    )  # fmt: skip
    axes.stairs(levels, edges, color=INK, linewidth=0.6)
    axes.set_xlim(first, max(end, 1))


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
