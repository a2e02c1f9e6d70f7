"""A table of anybody's: a CSV file with a column of names and columns of figures."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from onnxlens.profile.vendor.readers.given import Given, Row
from onnxlens.profile.vendor.readers.reader import Reader
from onnxlens.profile.vendor.readers.rows import mean_of_runs, with_points, without_inner, without_total
from onnxlens.profile.vendor.readers.values import Unit, refuse
from onnxlens.specs.layers import METRICS, LayerRecord, LayerReport

TOOL = "plain"

NAMES = (
    "name", "layer name", "node name", "op name", "operator name", "module name", "layer", "node", "module",
)  # fmt: skip
"""What the column of names may be called, the surest first."""

OPERATORS = ("op type", "operator type", "type")

TIMES = frozenset({"time", "latency", "duration", "elapsed", "runtime"})
STATISTICS: Mapping[str, int] = {"avg": 0, "average": 0, "mean": 0, "median": 1, "p50": 1}
NO_STATISTIC = 2
UNITS: Mapping[str, Unit] = {
    "s": "s", "sec": "s", "seconds": "s", "ms": "ms", "msec": "ms", "milliseconds": "ms",
    "us": "us", "usec": "us", "microseconds": "us", "ns": "ns", "nsec": "ns", "nanoseconds": "ns",
}  # fmt: skip
BESIDE_TIME = frozenset({"execution", "exec", "inference", "layer", "op", "node", "kernel", "real"})
"""The words of a column of times: ``time_us``, ``Avg. Time(ms)``, ``averageMs``; no total, no percentage."""

DELIMITERS = (",", ";", "\t")

MOST_BEFORE = 20
"""How many lines may stand before the head: a title, comments, the ``sep=;`` of a spreadsheet."""

TARGETS = ("node", "module", "source", "tensor")
"""What the column of a mapping may be called that says where a name leads."""


@dataclass(frozen=True, slots=True)
class Figure:
    """What a column holds: a metric; of a time its unit, None where the head says none, and its statistic."""

    metric: str
    unit: Unit | None = None
    rank: int = NO_STATISTIC


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a table, ``skip`` lines below the start."""

    skip: int
    delimiter: str
    columns: Sequence[str]

    def called(self, names: Sequence[str]) -> str | None:
        """The column that has the first of these names, however it is written."""
        written = {" ".join(_words(column)): column for column in reversed(self.columns)}
        return next((written[name] for name in names if name in written), None)

    def figures(self) -> Mapping[str, Figure]:
        """The columns of figures."""
        return {column: found for column in self.columns if (found := _figure_of(column))}

    def rows(self, given: Given, needed: Sequence[str], path: Path | None = None) -> Sequence[Row]:
        """The rows of the table; columns that are not needed may stand there twice."""
        twice = [name for name, times in Counter(self.columns).items() if times > 1 and name not in needed]
        return list(given.table(needed, path, self.delimiter, twice, self.skip))


def _heads(text: str) -> Iterator[Head]:
    """What may be the head of a table: its first lines, the likeliest first."""
    for skip, line in enumerate(text.split("\n", MOST_BEFORE)[:MOST_BEFORE]):
        delimiter = max(DELIMITERS, key=line.count)
        cells = next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])
        yield Head(skip, delimiter, [cell.strip() for cell in cells])


def _words(column: str) -> Sequence[str]:
    """The words of a column's name, in lower case: ``averageMs``, ``Avg. Time(ms)``, ``time_us``."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", column).lower().replace("µ", "u").replace("μ", "u")
    return re.findall(r"[^\W_]+|[%/]", apart)


def _figure_of(column: str) -> Figure | None:
    """The metric that a column holds; None if it holds none."""
    words = _words(column)
    if (name := "_".join(words)) in METRICS and name != "time_s":
        return Figure(name)
    units = [UNITS[word] for word in words if word in UNITS]
    ranks = [STATISTICS[word] for word in words if word in STATISTICS]
    is_time = not TIMES.isdisjoint(words) or (units and ranks)
    strange = set(words) - TIMES - BESIDE_TIME - UNITS.keys() - STATISTICS.keys()
    if not is_time or strange or len(units) > 1:
        return None
    return Figure("time_s", units[0] if units else None, min(ranks, default=NO_STATISTIC))


def _table(text: str) -> Head | None:
    return next((head for head in _heads(text) if head.called(NAMES) and head.figures()), None)


def _recognizes(given: Given) -> bool:
    return _table(given.head()) is not None


def _read(given: Given) -> LayerReport:
    head = _table(given.text())
    if head is None:
        columns = next(_heads(given.text())).columns
        refuse(
            f"{given.path}, line 1",
            f"its columns are {', '.join(columns[:6])}",
            f"expected one of {', '.join(NAMES)}, and one of time_s, time_ms, time_us, {', '.join(METRICS)}",
        )
    name = head.called(NAMES)
    assert name is not None
    figures, notes = _chosen(head, str(given.path))
    leads = _mapping(given)
    rows = with_points(head.rows(given, (name, *figures)), figures)
    operator, placement = head.called(OPERATORS), head.called(("placement",))
    records = [
        LayerRecord(
            row[name],
            row[operator] if operator else "",
            tuple(leads.get(row[name], (row[name],))),
            row[placement] if placement else "",
            dict(_figures(row, figures)),
        )
        for row in rows
    ]
    of_modules = "module" in _words(name)
    for change in (without_total, mean_of_runs, without_total, *([without_inner] if of_modules else [])):
        records, note = change(records)
        notes += note
    if any(not record.name for record in records):
        refuse(next(row.place for row in rows if not row[name]), f"no name in the column {name!r}")
    unused = sorted(leads.keys() - {record.name for record in records})
    if unused:
        notes += (f"the mapping has names that no layer has: {', '.join(unused[:4])}",)
    return LayerReport(TOOL, tuple(records), notes=notes)


def _chosen(head: Head, path: str) -> tuple[Mapping[str, Figure], tuple[str, ...]]:
    """The columns that are read: of several times the mean, else the median; and what is to be said of it."""
    figures = head.figures()
    times = {column: figure for column, figure in figures.items() if figure.metric == "time_s"}
    best = min((figure.rank for figure in times.values()), default=NO_STATISTIC)
    chosen = [column for column, figure in times.items() if figure.rank == best]
    if len(chosen) > 1:
        refuse(
            f"{path}, line {head.skip + 1}", f"{' and '.join(map(repr, chosen))} are both times", "keep one"
        )
    notes = [f"time_s is the column {column!r}" for column in chosen if len(times) > 1]
    notes += [
        f"the column {column!r} has no unit: it is taken to be in s"
        for column in chosen
        if times[column].unit is None
    ]
    kept = {column: figure for column, figure in figures.items() if column not in times or column in chosen}
    return kept, tuple(notes)


def _mapping(given: Given) -> Mapping[str, Sequence[str]]:
    """Where each name leads: all rows of a name together."""
    if given.names is None:
        return {}
    for head in _heads(given.text(given.names)):
        name = head.called(NAMES[:1])
        target = head.called(TARGETS)
        if name and target:
            break
    else:
        refuse(f"{given.names}, line 1", f"expected the columns name and one of {', '.join(TARGETS)}")
    leads: dict[str, list[str]] = {}
    for row in head.rows(given, (name, target), given.names):
        leads.setdefault(row[name], []).append(row[target])
    return leads


def _figures(row: Row, figures: Mapping[str, Figure]) -> Iterator[tuple[str, int | float]]:
    """The figures of a row; an empty cell is a figure that is not known, and a 0 is one that is."""
    for column, figure in figures.items():
        if row[column] and figure.metric == "time_s":
            yield figure.metric, row.seconds(column, figure.unit or "s")
        elif row[column]:
            yield figure.metric, row.number(column)


READERS = (
    Reader(
        TOOL,
        "a CSV file with the columns name and time_s, or another figure",
        _recognizes,
        _read,
        general=True,
    ),
)
