"""A table of anybody's: a CSV file with a column of names and columns of figures."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import cast

from onnxlens.profile.vendor.readers.given import Given, Row
from onnxlens.profile.vendor.readers.reader import Reader
from onnxlens.profile.vendor.readers.values import Unit, refuse
from onnxlens.specs.layers import METRICS, LayerRecord, LayerReport

TOOL = "plain"

NAMES = ("name", "layer", "node", "module")
TIME = re.compile(r"(?:time|latency|duration)[ _]*[(\[]?(?P<unit>s|ms|us|µs|ns)?[)\]]?\Z", re.IGNORECASE)
"""What columns may be called; a time has its unit behind it, ``time_us`` or ``Time (us)``, else is in s."""

DELIMITERS = (",", ";", "\t")

TARGETS = ("node", "module", "source", "tensor")
"""What the column of a mapping may be called that says where a name leads."""


def _head(text: str) -> tuple[str, Sequence[str]]:
    """What separates the cells of a table's first line, and its columns."""
    first = text.split("\n", 1)[0]
    delimiter = max(DELIMITERS, key=first.count)
    return delimiter, [cell.strip().strip('"') for cell in first.rstrip("\r").split(delimiter)]


def _figure_of(column: str) -> tuple[str, Unit | None] | None:
    """The metric that a column holds, and its unit where it is a time; None if it holds none."""
    if column in METRICS and column != "time_s":
        return column, None
    match = TIME.match(column)
    if match is None:
        return None
    return "time_s", cast(Unit, (match["unit"] or "s").lower().replace("µ", "u"))


def _called(columns: Sequence[str], names: Sequence[str]) -> str | None:
    """The column that has the first of these names, however it is written."""
    return next((column for name in names for column in columns if column.lower() == name), None)


def _recognizes(given: Given) -> bool:
    _, columns = _head(given.head())
    return _called(columns, NAMES) is not None and any(map(_figure_of, columns))


def _read(given: Given) -> LayerReport:
    delimiter, columns = _head(given.text())
    name = _called(columns, NAMES)
    figures = {column: found for column in columns if (found := _figure_of(column))}
    if name is None or not figures:
        refuse(
            f"{given.path}, line 1",
            f"its columns are {', '.join(columns[:6])}",
            f"expected one of {', '.join(NAMES)}, and one of time_s, time_ms, time_us, {', '.join(METRICS)}",
        )
    leads = _mapping(given)
    rows = given.table((name, *figures), delimiter=delimiter)
    records = tuple(_record(row, name, figures, leads) for row in rows)
    unused = sorted(leads.keys() - {record.name for record in records})
    notes = (f"the mapping has names that no layer has: {', '.join(unused[:4])}",) if unused else ()
    return LayerReport(TOOL, records, notes=notes)


def _mapping(given: Given) -> Mapping[str, Sequence[str]]:
    """Where each name leads: all rows of a name together."""
    if given.names is None:
        return {}
    delimiter, columns = _head(given.text(given.names))
    name, target = _called(columns, ("name",)), _called(columns, TARGETS)
    if name is None or target is None:
        refuse(f"{given.names}, line 1", f"expected the columns name and one of {', '.join(TARGETS)}")
    leads: dict[str, list[str]] = {}
    for row in given.table((name, target), given.names, delimiter):
        leads.setdefault(row[name], []).append(row[target])
    return leads


def _record(
    row: Row, name: str, figures: Mapping[str, tuple[str, Unit | None]], leads: Mapping[str, Sequence[str]]
) -> LayerRecord:
    """One row; an empty cell is a figure that is not known, and a 0 is one that is."""
    found: dict[str, int | float] = {}
    for column, (metric, unit) in figures.items():
        if row[column]:
            found[metric] = row.seconds(column, unit) if unit else row.number(column)
    own = row[name]
    return LayerRecord(own, row.get("op_type"), tuple(leads.get(own, (own,))), row.get("placement"), found)


READERS = (
    Reader(
        TOOL,
        "a CSV file with the columns name and time_s, or another figure",
        _recognizes,
        _read,
        general=True,
    ),
)
