"""Chips as text and as a document: a list, or one with every figure, its source and its grade."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from onnxlens.reports.numbers import short_bytes, short_count
from onnxlens.reports.tables.render import Column, TableFormat, render_table, with_notes
from onnxlens.specs.chip import Chip, Figure
from onnxlens.specs.codec import to_plain

Row = tuple[str, Figure]

UNITS: Mapping[str, str] = {
    "clock_hz": "Hz", "power_w": "W", "macs_per_cycle": "MACs/cycle and core", "macs_per_s": "MACs/s",
    "vector_ops_per_s": "ops/s", "special_ops_per_s": "ops/s", "size_bytes": "", "bytes_per_s": "B/s",
}  # fmt: skip

LEGEND = (
    "macs/s: dense, of the operands with the highest rate (weights x activations)",
    "grades: vendor, quoted (the vendor, by another page), third party, calculated, measured (here)",
    "one chip with all its figures and sources: onnxlens hardware NAME; @SYSTEM behind a name takes another "
    "clock and memory",
)


def chips_table(chips: Sequence[Chip], table_format: TableFormat = "table") -> str:
    """A row for each chip."""
    columns: Sequence[Column[Chip]] = (
        Column("chip", lambda chip: chip.name),
        Column("product", lambda chip: chip.title),
        Column("operands", lambda chip: _fastest(chip)[0]),
        Column("macs/s", lambda chip: _fastest(chip)[1], lambda chip: _shown(_fastest(chip)[1]), right=True),
        Column("memory/s", _memory_rate, lambda chip: _shown(_memory_rate(chip), "B"), right=True),
        Column(
            "on chip",
            lambda chip: chip.buffered_bytes or None,
            lambda chip: "-" if not chip.buffered_bytes else short_bytes(chip.buffered_bytes),
            right=True,
        ),
        Column("grades", lambda chip: ", ".join(dict.fromkeys(each.grade for each in chip.peaks.values()))),
        Column("systems", lambda chip: ", ".join(chip.systems)),
    )
    return with_notes("chips", render_table(chips, columns, table_format), LEGEND, table_format)


def _fastest(chip: Chip) -> tuple[str, int | float | None]:
    rates = {operands: figure.value for operands, figure in chip.peaks.items()}
    operands = max(rates, key=rates.__getitem__, default="")
    return operands or "-", rates.get(operands)


def _memory_rate(chip: Chip) -> int | float | None:
    homes = (each for each in chip.memories if each.holds != "nothing" and each.bytes_per_s is not None)
    return max((each.bytes_per_s.value for each in homes if each.bytes_per_s), default=None)


def _shown(rate: int | float | None, unit: str = "") -> str:
    return "-" if rate is None else f"{short_count(rate)}{unit}"


def chip_table(chip: Chip, table_format: TableFormat = "table") -> str:
    """A row for each figure; below what is derived, what is not published, and the notes."""
    columns: Sequence[Column[Row]] = (
        Column("figure", lambda row: row[0]),
        Column("value", lambda row: row[1].value, lambda row: f"{row[1].value:,}", right=True),
        Column("unit", lambda row: _unit(row[0])),
        Column("grade", lambda row: row[1].grade),
        Column("source", lambda row: row[1].source),
        Column("note", lambda row: row[1].note),
    )
    rows = list(chip.figures())
    system = f", system {chip.system} of {', '.join(chip.systems)}" if chip.system else ""
    notes = [
        *(
            f"peak of {pair}: {short_count(rate.value)} MACs/s, {rate.grade}"
            for pair, rate in chip.peaks.items()
        ),
        *(f"{memory.name} is home to {memory.holds}" for memory in chip.memories),
        *(f"array: {len(chip.array)} rules of how it is filled" for _ in chip.array[:1]),
        *(f"not published: {key}: {why}" for key, why in chip.not_published.items()),
        *(f"note: {note}" for note in chip.notes),
    ]
    heading = f"{chip.name}: {chip.title}, cores: {chip.cores}{system}"
    return with_notes(heading, render_table(rows, columns, table_format), notes, table_format)


def _unit(key: str) -> str:
    name = key.rpartition(".")[2] if key.startswith("memory.") else key.partition(".")[0]
    return UNITS[name] or "B"


def chips_document(chips: Sequence[Chip]) -> dict[str, Any]:
    """Every figure of the chips as published, and the peaks that follow from them."""
    return {"schema": "onnxlens.hardware/1", "chips": [_plain(chip) for chip in chips]}


def _plain(chip: Chip) -> dict[str, Any]:
    return {**to_plain(chip), "peaks": to_plain(dict(chip.peaks))}
