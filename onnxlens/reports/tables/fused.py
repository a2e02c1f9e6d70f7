"""The columns of memory traffic when operators are fused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

from onnxlens.reports.numbers import bounded, short_bytes
from onnxlens.reports.tables.bounds import Members
from onnxlens.reports.tables.render import Column
from onnxlens.specs.ledger import Ledger
from onnxlens.specs.traffic import TrafficRow

Figure = Callable[[TrafficRow], int | None]

FUSED: Mapping[str, Figure] = MappingProxyType(
    {
        "fused_bytes": lambda row: sum(row.moved_bytes.values()),  # of its only mode
        "fused_weight_read_bytes": lambda row: row.weight_read_bytes,
        "fused_read_bytes": lambda row: row.read_bytes,
        "fused_write_bytes": lambda row: row.write_bytes,
        "spilled_bytes": lambda row: row.spilled_bytes,
        "sram_bytes": lambda row: row.sram_bytes,
    }
)
"""Each figure of a row."""

SHOWN = ("fused_bytes", "spilled_bytes", "sram_bytes")
"""What a table shows unless columns are chosen."""


def fused_columns(ledger: Ledger, members: Members) -> Mapping[str, Column[Any]]:
    """The columns, for rows of which ``members`` has the nodes; none where no fusion was asked for."""
    if (traffic := ledger.traffic) is None:
        return {}
    found = cache(traffic.of)
    return {
        name: _column(name, figure, lambda row: found(tuple(members(row)))) for name, figure in FUSED.items()
    }


def _column(name: str, figure: Figure, find: Callable[[Any], TrafficRow]) -> Column[Any]:
    def short(row: Any) -> str:
        value = exact(row)
        return "-" if value is None else bounded(short_bytes(value), value, lower=lower(row))

    def exact(row: Any) -> int | None:
        return figure(find(row))

    def lower(row: Any) -> bool:
        """Whether nodes of unknown size, or without tiles, make it a lower bound."""
        found = find(row)
        return bool(found.unsized_nodes or (name == "spilled_bytes" and found.untiled_nodes))

    return Column(name, exact, short, right=True, lower=lower, sums=True)


def fused_note(ledger: Ledger) -> list[str]:
    """What the columns are of."""
    if ledger.traffic is None:
        return []
    row = ledger.traffic.of(range(len(ledger.nodes)))
    moved = sum(row.moved_bytes.values())
    text = (
        f"fusion {ledger.traffic.fusion}: {bounded(short_bytes(moved), moved, lower=bool(row.unsized_nodes))}"
    )
    if row.spilled_bytes is not None and ledger.traffic.on_chip_bytes is not None:
        spilled = bounded(short_bytes(row.spilled_bytes), 1, lower=bool(row.untiled_nodes))
        size = short_bytes(ledger.traffic.on_chip_bytes)
        text += f", and {spilled} are read again with {size} on the chip"
    return [text]
