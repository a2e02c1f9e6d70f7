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


def shown_chips(ledger: Ledger) -> Sequence[str]:
    """What a table shows of them unless columns are chosen."""
    return [*shown_bounds(ledger), *shown_tools(ledger)]


def chip_columns(ledger: Ledger, members: Members) -> Mapping[str, Column[Any]]:
    """The columns of chips, fusion and tools, for rows of which ``members`` has the nodes."""
    return {
        **bound_columns(ledger, members), **fused_columns(ledger, members), **tool_columns(ledger, members)
    }  # fmt: skip


def chip_columns_of_modules(ledger: Ledger) -> Mapping[str, Column[ModuleCost]]:
    """Those of modules."""
    inside = nodes_inside(ledger) if has_chips(ledger) else {}
    return chip_columns(ledger, lambda module: inside[module.path])
