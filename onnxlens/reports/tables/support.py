"""What a compiler takes of a graph, as a table and a document."""

from __future__ import annotations

from functools import partial
from typing import Any

from onnxlens.reports.numbers import bounded, counted, share, short_bytes, short_count
from onnxlens.reports.tables.render import Column, TableFormat, render_table, with_notes
from onnxlens.specs.bounds import MOST_LEVELS
from onnxlens.specs.codec import to_plain
from onnxlens.specs.support import SUPPORTS, Island, LeftOut, ModuleSupport, SupportReport

LEVELS = 2
"""Of modules in a table for people."""

SHOWN = 12
"""Islands, and reasons, in a table for people."""


def support_table(
    report: SupportReport, table_format: TableFormat = "table", depth: int | None = None
) -> str:
    """By module, for people two levels if no depth is asked for; below the islands and what is left out."""
    exact = table_format == "csv"
    levels = MOST_LEVELS if exact and depth is None else LEVELS if depth is None else depth
    rows = [row for row in report.modules if row.depth <= levels]
    modules = render_table(rows, _module_columns(report), table_format)
    if exact:
        return modules
    parts = [modules]
    if report.islands:
        heaviest = sorted(report.islands, key=lambda island: (-island.macs, -len(island.names)))[:SHOWN]
        parts.append(render_table(heaviest, _ISLANDS, table_format))
    if report.left_out:
        parts.append(render_table(report.left_out[:SHOWN], _LEFT_OUT, table_format))
    heading = f"{report.graph} ({report.source}) on {report.table} {report.version}".rstrip()
    return with_notes(heading, "\n\n".join(parts), _notes(report), table_format)


def _module_columns(report: SupportReport) -> list[Column[ModuleSupport]]:
    def macs(support: str, row: ModuleSupport) -> int:
        return row.macs.get(support, 0)

    def off(row: ModuleSupport) -> str:
        return share(row.off_macs, row.all_macs) or "-"

    return [
        Column("module", lambda row: row.path, lambda row: row.path or report.graph),
        Column("class", lambda row: row.class_name),
        Column("nodes", lambda row: sum(row.nodes.values()), right=True),
        Column("left out", _nodes_off, right=True, csv_title="nodes_off"),
        Column("MACs", lambda row: row.all_macs, lambda row: short_count(row.all_macs), True, "macs"),
        Column("off", lambda row: row.off_macs, off, True, "off_macs"),
        *(
            Column(
                support,
                partial(macs, support),
                lambda row, support=support: short_count(macs(support, row)),  # type: ignore[misc]
                right=True,
                csv_title=f"{support}_macs",
            )
            for support in SUPPORTS
            if support in report.nodes
        ),
    ]


def _nodes_off(row: ModuleSupport) -> int:
    return sum(row.nodes.values()) - row.nodes.get("accepted", 0)


_ISLANDS: list[Column[Island]] = [
    Column("island in", lambda island: island.module, lambda island: island.module or "the model"),
    Column("nodes", lambda island: len(island.names), right=True),
    Column("MACs", lambda island: island.macs, lambda island: short_count(island.macs), right=True),
    Column("in", lambda island: island.in_bytes, lambda island: _size(island.in_bytes, island), right=True),
    Column(
        "out", lambda island: island.out_bytes, lambda island: _size(island.out_bytes, island), right=True
    ),
    Column("first node", lambda island: island.names[0]),
    Column("last node", lambda island: island.names[-1]),
]

_LEFT_OUT: list[Column[LeftOut]] = [
    Column("left out", lambda row: row.op_type),
    Column("nodes", lambda row: row.nodes, right=True),
    Column("MACs", lambda row: row.macs, lambda row: short_count(row.macs), right=True),
    Column("verdict", lambda row: row.support),
    Column("first", lambda row: row.first),
    Column("why", lambda row: row.reason),
]


def _size(size: int, island: Island) -> str:
    return bounded(short_bytes(size), size, lower=bool(island.unsized))


def _notes(report: SupportReport) -> list[str]:
    macs, nodes = sum(report.macs.values()), sum(report.nodes.values())
    counts = ", ".join(
        f"{report.nodes[support]} {support} ({share(report.macs.get(support, 0), macs) or '0 %'} of the MACs)"
        for support in SUPPORTS
        if support in report.nodes
    )
    unsized = sum(island.unsized for island in report.islands)
    crossing = bounded(short_bytes(report.boundary_bytes), report.boundary_bytes, lower=bool(unsized))
    lines = [
        f"{counted(nodes, 'node')}: {counts}",
        f"{counted(len(report.islands), 'island')}; {crossing} cross their borders in one run",
    ]
    if report.largest is not None:
        largest = report.largest
        lines.append(
            f"largest part that runs in one piece: {counted(len(largest.names), 'node')}, "
            f"{short_count(largest.macs)} MACs ({share(largest.macs, macs) or '0 %'}), "
            f"{_size(largest.in_bytes, largest)} in, {_size(largest.out_bytes, largest)} out"
        )
    if report.unknown_macs:
        lines.append(f"the MACs of {counted(report.unknown_macs, 'node')} are not known")
    hidden = (len(report.islands) - SHOWN, len(report.left_out) - SHOWN)
    for more, what in zip(hidden, ("islands", "reasons"), strict=True):
        if more > 0:
            lines.append(f"{more} more {what}: --format json has all")
    made = ", ".join(filter(None, (report.date, report.how)))
    return [*lines, f"table: {made}"] if made else lines


def support_document(report: SupportReport) -> dict[str, Any]:
    """All of it, exact."""
    plain = to_plain(report)
    for key in ("islands", "largest"):
        if key in plain:
            several = plain[key] if isinstance(plain[key], list) else [plain[key]]
            for island in several:
                island["boundary_bytes"] = island["in_bytes"] + island["out_bytes"]
    return {
        "schema": "onnxlens.support/1",
        **plain,
        "boundary_bytes": report.boundary_bytes,
        "off_macs": report.off_macs,
    }
