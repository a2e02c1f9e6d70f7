"""What rows of anybody's table may be besides layers: totals, several runs; and how they write numbers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from math import fsum

from onnxlens.profile.vendor.readers.given import Row
from onnxlens.profile.vendor.readers.values import mean, refuse, shown
from onnxlens.specs.layers import METRICS, LayerRecord

Records = list[LayerRecord]
Notes = tuple[str, ...]

TOTAL = re.compile(r"(?:(?:grand|over)[ _-]?)?(?:total|sum|all|overall|summe|gesamt)\b.*|", re.IGNORECASE)
"""What a row of totals may be called; also nothing."""

NEARLY = 0.99
"""A total is at least so much of what the layers come to: figures are rounded."""

DECIMAL = re.compile(r"\d*,(?:\d{1,2}|\d{4,})|0,\d+|\d{1,3}(?:\.\d{3})+,\d+")
"""A comma that can only be a decimal one."""

THOUSANDS = re.compile(r"[1-9]\d{0,2}(?:(?:,\d{3})+\.\d+|(?:,\d{3}){2,})")
"""Commas that can only be between thousands."""

WITH_COMMAS = {
    True: re.compile(r"[+-]?(?:\d*|\d{1,3}(?:\.\d{3})+),\d+(?:[eE][+-]?\d+)?"),
    False: re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?(?:[eE][+-]?\d+)?"),
}
"""What any number with a comma may be, where commas are decimal, and where they are between thousands."""


def without_total(records: Records) -> tuple[Records, Notes]:
    """The layers without the row of totals before or behind them: named so, and as large as all others."""
    for at in (len(records) - 1, 0):
        others = records[:at] + records[at + 1 :]
        if len(others) > 1 and TOTAL.fullmatch(records[at].name) and _is_total(records[at], others):
            kept, notes = without_total(others)
            return kept, (f"the row {records[at].name!r} is a total, and no layer", *notes)
    return records, ()


def _is_total(record: LayerRecord, others: Records) -> bool:
    sums = {name: fsum(each.figures.get(name, 0) for each in others) for name in _summed(record)}
    return bool(sums) and all(record.figures[name] >= NEARLY * value for name, value in sums.items())


def without_inner(records: Records) -> tuple[Records, Notes]:
    """Modules without those inside them that have a row too, where every module has at least their sum."""
    by_name = {record.name: record for record in records}
    inside: dict[str, list[LayerRecord]] = {}
    for record in records:
        parents = (record.name[: match.start()] for match in re.finditer(r"[./]", record.name))
        if around := [name for name in parents if name in by_name]:
            inside.setdefault(around[-1], []).append(record)
    if not inside or not all(_is_total(by_name[name], inner) for name, inner in inside.items()):
        return records, ()
    own = {name: _less(by_name[name], inner) for name, inner in inside.items()}
    return [own.get(record.name, record) for record in records], (
        "figures of modules are taken to have those of the modules inside them, which are taken off",
    )


def _less(record: LayerRecord, inner: Records) -> LayerRecord:
    figures = {
        name: value - sum(each.figures.get(name, 0) for each in inner) if name in _summed(record) else value
        for name, value in record.figures.items()
    }
    return replace(record, figures={name: max(0, value) for name, value in figures.items()})


def _summed(record: LayerRecord) -> Sequence[str]:
    return [name for name in record.figures if METRICS[name].together == "sum"]


def mean_of_runs(records: Records) -> tuple[Records, Notes]:
    """The mean of runs, where all layers stand in the table several times, in the same order.

    Where only some names do, their rows are parts of a layer, which add up.
    """
    times = Counter(record.name for record in records)
    names = [record.name for record in records]
    runs = len(names) // len(times) if times else 1
    if runs > 1 and names == list(times) * runs:
        found = [records[at :: len(times)] for at in range(len(times))]
        return [averaged(each) for each in found], (f"the mean of {runs} runs",)
    several = [name for name, count in times.items() if count > 1]
    if not several:
        return records, ()
    return records, (f"several rows of a name are added up: {', '.join(several[:3])}",)


def averaged(same: Sequence[LayerRecord]) -> LayerRecord:
    """One layer of several runs; a figure is the mean of those that have it."""
    found: dict[str, list[int | float]] = {}
    for record in same:
        for name, value in record.figures.items():
            found.setdefault(name, []).append(value)
    figures = {name: mean(values) for name, values in found.items()}
    return replace(same[0], figures=figures)


def with_points(rows: Sequence[Row], columns: Iterable[str]) -> Sequence[Row]:
    """The rows with decimal points in these columns: ``0,5`` and ``1,234.5`` are 0.5 and 1234.5.

    Raises:
        UsageError: commas of a column may be either.
    """
    for column in columns:
        marked = [row for row in rows if "," in row[column]]
        if not marked:
            continue
        decimal = any(DECIMAL.fullmatch(row[column]) for row in marked)
        if decimal == any(THOUSANDS.fullmatch(row[column]) for row in marked):
            refuse(
                f"{marked[0].place}, column {column!r}",
                f"the comma in {shown(marked[0][column])} may be a decimal one or between thousands",
                "write numbers with a decimal point alone",
            )
        rows = [_pointed(row, column, decimal) for row in rows]
    return rows


def _pointed(row: Row, column: str, decimal: bool) -> Row:
    text = row[column]
    if "," in text:
        if not WITH_COMMAS[decimal].fullmatch(text):
            refuse(f"{row.place}, column {column!r}", f"{shown(text)} is no number as those beside it are")
        text = text.replace(".", "").replace(",", ".") if decimal else text.replace(",", "")
    elif decimal and "." in text:
        refuse(f"{row.place}, column {column!r}", f"a point in {shown(text)}, but commas above or below")
    at = row.columns[column]
    return replace(row, cells=[*row.cells[:at], text, *row.cells[at + 1 :]])
