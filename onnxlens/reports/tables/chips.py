"""The columns of nodes together, whatever the rows are: of chips, of fusion, and of other tools' reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from onnxlens.reports.tables.bounds import Members, bound_columns, shown_bounds
from onnxlens.reports.tables.fused import fused_columns
from onnxlens.reports.tables.render import Column
from onnxlens.reports.tables.tools import TOOL_TEXTS, is_of_tool, shown_tools, tool_columns
from onnxlens.specs.groups import nodes_inside
from onnxlens.specs.ledger import Ledger, ModuleCost
from onnxlens.specs.roofline import AT, ON_CHIPS


def has_chips(ledger: Ledger) -> bool:
    """Whether it has columns of chips, of fusion or of other tools."""
    return bool(ledger.bounds or ledger.tools) or ledger.traffic is not None


def is_figure(name: str) -> bool:
    """Whether such a column holds numbers."""
    plain = name.partition(AT)[0]
    return plain not in TOOL_TEXTS if is_of_tool(name) else plain in ON_CHIPS


def with_chips(names: Sequence[str], after: str, ledger: Ledger) -> list[str]:
    """The columns that a table shows, and after one of them those of chips: bounds, what tools make of them.

    Reports stand side by side: of several the figures come before all else, for which a screen may lack room.
    """
    bounds, tools = shown_bounds(ledger), shown_tools(ledger)
    chips = [*bounds[: len(ledger.bounds)], *tools, *bounds[len(ledger.bounds) :]]
    moved = [name for name in ("class", after) if name in names] if len(ledger.tools) > 1 else []
    place = names.index(after) + 1
    before = [name for name in names[:place] if name not in moved]
    first = len(ledger.bounds) + len(ledger.tools)
    return [*before, *chips[:first], *moved, *chips[first:], *names[place:]]


def chip_columns(ledger: Ledger, members: Members) -> Mapping[str, Column[Any]]:
    """The columns of chips, fusion and tools, for rows of which ``members`` has the nodes."""
    return {
        **bound_columns(ledger, members), **fused_columns(ledger, members), **tool_columns(ledger, members)
    }  # fmt: skip


def chip_columns_of_modules(ledger: Ledger) -> Mapping[str, Column[ModuleCost]]:
    """Those of modules."""
    inside = nodes_inside(ledger) if has_chips(ledger) else {}
    return chip_columns(ledger, lambda module: inside[module.path])
