"""Memory traffic under fusion as a table and a document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from onnxlens.reports.numbers import AT_LEAST, UNKNOWN, as_if_held, bounded, counted, short_bytes
from onnxlens.reports.tables.render import Column, TableFormat, fitted, hidden_note, render_table, with_notes
from onnxlens.specs.codec import to_plain
from onnxlens.specs.traffic import FUSION_MODES, FusionMode, KneePoint, TrafficReport, TrafficRow

LEVELS = 2
"""Of modules in a table, unless more are asked for."""

KINDS = {
    "weight_read_bytes": "weights",
    "read_bytes": "read",
    "write_bytes": "written",
    "spilled_bytes": "spilled",
}
KNEE_SHOWN = 10


@dataclass(frozen=True, slots=True)
class TrafficLayout:
    """What is shown.

    Attributes:
        depth: the levels of modules; None for two in a table, all as data.
        width: of the screen in characters; None shows all columns.
    """

    depth: int | None = None
    width: int | None = None


def traffic_table(report: TrafficReport, table_format: TableFormat, layout: TrafficLayout) -> str:
    """A row for each module, operator type or node; exact and all of them as CSV, else with the total."""
    columns = _columns(report)
    rows = _rows(report, layout.depth if table_format == "csv" or layout.depth is not None else LEVELS)
    if table_format == "csv":
        return render_table(rows, [*columns.values()], "csv")
    named = [column for name, column in columns.items() if name != "depth"]
    shown, hidden = fitted(rows, named, layout.width if table_format == "table" else None)
    table = render_table(rows, shown, table_format, [("total", report.total)])
    notes = [*hidden_note(hidden), *_notes(report)]
    return with_notes(f"{report.graph} ({report.source})", table, notes, table_format)


def traffic_document(report: TrafficReport, layout: TrafficLayout) -> dict[str, Any]:
    """All of it, exact; a figure that is not known is absent."""
    plain = to_plain(report)
    rows = [_plain(report, row) for row in _rows(report, layout.depth)]
    return {"schema": "onnxlens.traffic/1", **plain, "rows": rows, "total": _plain(report, report.total)}


def _plain(report: TrafficReport, row: TrafficRow) -> dict[str, Any]:
    return {**to_plain(row), "name": _name(report, row)}


def _rows(report: TrafficReport, depth: int | None) -> Sequence[TrafficRow]:
    return [row for row in report.rows if depth is None or row.depth <= depth]


def _name(report: TrafficReport, row: TrafficRow) -> str:
    return row.name or (report.graph if report.by == "module" else "")


def _columns(report: TrafficReport) -> Mapping[str, Column[TrafficRow]]:
    modes = [mode for mode in FUSION_MODES if mode in report.total.moved_bytes]
    classed = report.by != "op" and report.attribution != "none"
    found: dict[str, Column[TrafficRow]] = {report.by: Column(report.by, partial(_name, report))}
    if classed:
        found["class"] = Column("class", lambda row: row.class_name)
    if report.by == "module":
        found["depth"] = Column("depth", lambda row: row.depth, right=True)
    for mode in modes:
        name = f"{mode.replace('-', '_')}_bytes"
        found[name] = _bytes("unfused" if mode == "none" else mode, name, partial(_moved, mode))
    for name, title in KINDS.items():
        if name != "spilled_bytes" or report.on_chip_bytes is not None:
            found[name] = _bytes(title, name, partial(_figure, name), untiled=name == "spilled_bytes")
    found["sram_bytes"] = _bytes("sram", "sram_bytes", lambda row: row.sram_bytes)
    found["untiled_nodes"] = Column("untiled", lambda row: row.untiled_nodes, right=True, sums=True)
    found["unsized_nodes"] = Column("unsized", lambda row: row.unsized_nodes, right=True, sums=True)
    for name in ("untiled_nodes", "unsized_nodes"):
        if not getattr(report.total, name):
            del found[name]
    return found


def _moved(mode: FusionMode, row: TrafficRow) -> int:
    return row.moved_bytes[mode]


def _figure(name: str, row: TrafficRow) -> int | None:
    figure: int | None = getattr(row, name)
    return figure


def _bytes(title: str, name: str, figure: Any, *, untiled: bool = False) -> Column[TrafficRow]:
    """Bytes; of a row with nodes of unknown size, or without tiles, a lower bound."""

    def text(row: TrafficRow) -> str:
        value = figure(row)
        lower = bool(row.unsized_nodes or (untiled and row.untiled_nodes))
        return "-" if value is None else bounded(short_bytes(value), value, lower=lower)

    return Column(title, figure, text, right=True, csv_title=name, sums=True)


def _notes(report: TrafficReport) -> list[str]:
    total, lower = report.total, bool(report.total.unsized_nodes)
    band = [
        f"{bounded(short_bytes(moved), moved, lower=lower)} {'unfused' if mode == 'none' else mode}"
        for mode, moved in total.moved_bytes.items()
    ]
    least = short_bytes(report.compulsory_bytes) if report.compulsory_bytes or not lower else UNKNOWN
    lines = [
        f"memory traffic: {', '.join(band)}; at least {least}: inputs, outputs and weights once",
        f"weights, read, written: with --fusion {report.fusion}",
    ]
    if total.sram_bytes is not None:
        lines.append(
            f"sram: the least memory on the chip that spills nothing: {short_bytes(total.sram_bytes)}"
        )
    if report.on_chip_bytes is not None and total.spilled_bytes is not None:
        known = total.spilled_bytes if lower else 1
        spilled = bounded(short_bytes(total.spilled_bytes), known, lower=lower or bool(total.untiled_nodes))
        size = short_bytes(report.on_chip_bytes)
        lines.append(f"spilled: with {size} on the chip {spilled} are read again, layer by layer in tiles")
    if total.untiled_nodes:
        lines.append(
            f"untiled: {counted(total.untiled_nodes, 'node')} without tiles that fit, or that are known"
        )
    if lower:
        unsized = counted(total.unsized_nodes, "node")
        lines.append(f"unsized: {unsized} without a size; {AT_LEAST}: without what moves there")
    if report.stored_as:
        lines.append(as_if_held(report.stored_as))
    lines.append(f"knee: {', '.join(_knee_text(point, lower=lower) for point in _some(report.knee))}")
    return lines


def _knee_text(point: KneePoint, *, lower: bool) -> str:
    lower = lower or bool(point.untiled_nodes)
    moved = bounded(short_bytes(point.moved_bytes), point.moved_bytes, lower=lower)
    return f"{short_bytes(point.on_chip_bytes)} {moved}"


def _some(points: Sequence[KneePoint]) -> Sequence[KneePoint]:
    """So many of them that a line holds, the last too."""
    step = -(-len(points) // KNEE_SHOWN)
    return points[::-1][::step][::-1]
