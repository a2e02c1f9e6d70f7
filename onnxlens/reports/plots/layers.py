"""What other tools report of every module, as bars side by side: our MACs first, then a panel per report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnxlens.errors import UsageError
from onnxlens.reports.numbers import PART, TOOL_COSTS, share
from onnxlens.reports.plots.style import FAINT, INK, SERIES, label, plot, swatch
from onnxlens.reports.tables.chips import chip_columns_of_modules
from onnxlens.reports.tables.columns import cost_column
from onnxlens.reports.tables.module_names import module_name
from onnxlens.reports.tables.render import Column
from onnxlens.reports.tables.tools import heading, headline
from onnxlens.specs.layers import ToolCosts, together
from onnxlens.specs.ledger import Ledger, ModuleCost
from onnxlens.specs.roofline import AT
from onnxlens.specs.text import around

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_ROWS = 40
"""What can be read on a page."""

LONGEST_NAME = 40
INCHES_PER_LETTER, PANEL_INCHES, ROW_INCHES = 0.085, 2.1, 0.23
SPLIT = "////"


@dataclass(frozen=True, slots=True)
class _Panel:
    """One column of bars.

    Attributes:
        whole: what the bars are shares of; None for a metric without a sum.
        elsewhere: what leads to no node.
    """

    title: str
    column: Column[Any]
    whole: float | None
    elsewhere: float = 0


def write_layers_plot(ledger: Ledger, metric: str, depth: int | None, path: Path) -> None:
    """Draw the modules down to a depth; without one as deep as can be read.

    Raises:
        UsageError: no report has the metric, or the suffix of ``path`` cannot be plotted.
    """
    panels = _panels(ledger, metric)
    modules = _modules(ledger, depth)
    paths = {module.path for module in modules}
    outer = {around(module.path, paths) for module in modules if module.path}
    name = module_name(ledger.modules, ledger.graph, nested=True)
    names = [f"{'   ' * module.depth}{label(name(module).strip(), LONGEST_NAME)}" for module in modules]
    if any(panel.elsewhere for panel in panels):
        names.append("at no node")
    wide = INCHES_PER_LETTER * max(map(len, names))
    title = f"What tools report of {ledger.graph} by module ({label(ledger.source, LONGEST_NAME)})"
    size = (max(wide + PANEL_INCHES * len(panels), 8.5), 1.7 + ROW_INCHES * len(names))
    with plot(path, title, size) as figure:
        text, *every = figure.subplots(
            1, len(panels) + 1, sharey=True, width_ratios=[wide, *[PANEL_INCHES] * len(panels)]
        )
        text.set_axis_off()
        text.set_xlim(0, 1)
        text.set_ylim(len(names) - 0.4, -0.6)
        for place, each in enumerate(names):
            text.text(0, place, each, va="center", fontsize=9, color=INK)
        for axes, panel, color in zip(every, panels, [FAINT, *SERIES], strict=False):
            _draw(axes, panel, modules, outer, color)
        handles = [
            swatch(FAINT, "filled: a module"),
            _hollow("hollow: with the modules below it"),
            _hollow(f"{PART} part of a layer that several modules share", SPLIT),
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=9)


def _hollow(text: str, hatch: str = "") -> Any:
    from matplotlib.patches import Patch

    return Patch(facecolor="white", edgecolor=FAINT, hatch=hatch, label=text)


def _panels(ledger: Ledger, metric: str) -> Sequence[_Panel]:
    columns = chip_columns_of_modules(ledger)
    found = [_Panel("MACs, ours", cost_column("macs"), ledger.totals.macs)]
    for costs in ledger.tools:
        name = metric or headline(costs)
        if name in costs.figures:
            found.append(_panel(costs, name, columns[name + AT + costs.report.label]))
    if len(found) == 1:
        what = f"has {metric}" if metric else "has a figure"
        there = sorted({name for costs in ledger.tools for name in costs.figures})
        raise UsageError(f"--plot: no report {what}; there are {', '.join(there) or 'none'}")
    return found[: len(SERIES) + 1]


def _panel(costs: ToolCosts, name: str, column: Column[Any]) -> _Panel:
    cost = TOOL_COSTS[name]
    title = "\n".join((cost.title, *heading(name, costs.report.label)[1:]))
    figures = [match.record.figures[name] for match in costs.matches if name in match.record.figures]
    whole = together(name, figures) if cost.combined == "sum" else None
    return _Panel(title, column, whole, costs.led(name, "unattributed") or 0)


def _modules(ledger: Ledger, depth: int | None) -> Sequence[ModuleCost]:
    """Those down to the depth that run something, in the order of execution."""
    running = [module for module in ledger.modules if module.order]
    if depth is None:
        at = Counter(module.depth for module in running)
        depth = max((d for d in at if sum(at[each] for each in range(d + 1)) <= MOST_ROWS), default=0)
    return [module for module in running if module.depth <= depth]


def _draw(axes: Axes, panel: _Panel, modules: Sequence[ModuleCost], outer: set[str], color: str) -> None:
    cells = [panel.column.exact(module) for module in modules]
    figures = [cell if isinstance(cell, int | float) else None for cell in cells]
    texts = [str(panel.column.cell(module, exact=False)) for module in modules]
    alone = len(modules) == 1
    bars = [figure for figure in figures[not alone :] if figure is not None]
    most = max((*bars, panel.elsewhere)) or 1
    whole = panel.whole or most
    for place, (module, figure, text) in enumerate(zip(modules, figures, texts, strict=True)):
        if figure is None:
            continue
        end = figure / whole if place or alone else 0.0  # of the whole model its bar would be the longest
        axes.barh(
            place, end, height=0.62, edgecolor=color, linewidth=0.8,
            facecolor="white" if module.path in outer or PART in text else color,
            hatch=SPLIT if PART in text else None,
        )  # fmt: skip
        part = f", {share(figure, whole)}" if panel.whole and figure < whole else ""
        axes.text(end, place, f" {text}{part}", va="center", fontsize=8, color=INK)
    if panel.elsewhere:
        axes.barh(len(modules), panel.elsewhere / whole, height=0.62, color=FAINT)
        where = f" {share(panel.elsewhere, whole)}"
        axes.text(panel.elsewhere / whole, len(modules), where, va="center", fontsize=8, color=INK)
    axes.set_title(panel.title, fontsize=10, loc="left")
    axes.set_xlim(0, most / whole * 1.9)
    axes.set_xticks([])
    axes.tick_params(axis="y", left=False, labelleft=False)
    axes.grid(visible=False)
    axes.spines["bottom"].set_visible(False)
