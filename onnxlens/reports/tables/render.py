"""Rows under columns as text: a terminal's table, Markdown, or CSV."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from operator import add
from typing import Generic, Literal, TypeVar
from unicodedata import combining, east_asian_width

from onnxlens.specs.record import record
from onnxlens.specs.text import printable, printable_lines

Row = TypeVar("Row")
TableFormat = Literal["table", "csv", "md"]
By = Literal["module", "op", "node"]
Cell = str | int | float | None
"""None where there is no figure: an empty cell."""


@record(frozen=True, slots=True)
class Column(Generic[Row]):
    """A column of a table.

    Attributes:
        exact: the cell for machines: whole numbers and whole lists.
        short: the cell for people; None where it is the exact one.
        right: whether the cells are aligned to the right.
        csv_title: its title in CSV; "" where it is the same.
    """

    title: str
    exact: Callable[[Row], Cell]
    short: Callable[[Row], Cell] | None = None
    right: bool = False
    csv_title: str = ""

    def cell(self, row: Row, *, exact: bool) -> Cell:
        """The content of this column for ``row``."""
        return self.exact(row) if exact or self.short is None else self.short(row)

    def cells(self, rows: Iterable[Row], *, exact: bool) -> Sequence[Cell]:
        """The content of this column for all rows."""
        return list(map(self.exact if exact or self.short is None else self.short, rows))


def figure_column(
    title: str,
    figure: Callable[[Row], float | None],
    short: Callable[[float], str],
    missing: str = "-",
    csv_title: str = "",
) -> Column[Row]:
    """A column of figures that rows may lack: an empty cell for machines, ``missing`` for people."""

    def text(row: Row) -> str:
        value = figure(row)
        return missing if value is None else short(value)

    return Column(title, figure, text, right=True, csv_title=csv_title)


def render_table(rows: Sequence[Row], columns: Sequence[Column[Row]], table_format: TableFormat) -> str:
    """Any rows under their columns: exact figures for CSV, short ones for people."""
    exact = table_format == "csv"
    cells = [column.cells(rows, exact=exact) for column in columns]
    if exact:
        return _csv([column.csv_title or column.title for column in columns], zip(*cells, strict=True))
    texts = [_printable(["" if cell is None else str(cell) for cell in column]) for column in cells]
    if table_format == "md":  # a bar would end the cell
        texts = [[text.replace("|", "\\|") for text in column] for column in texts]
    right = [column.right and bool(rows) for column in columns]
    padded = [_padded([column.title, *texts[index]], right[index]) for index, column in enumerate(columns)]
    titles, *lines = zip(*padded, strict=True)
    rule = ["-" * len(title) for title in titles]
    if table_format == "table":
        return "\n".join("  ".join(line).rstrip() for line in (titles, rule, *lines))
    marks = [("-", "-") if not rows else ("-", ":") if last else (":", "-") for last in right]
    rule = [before + dashes + after for dashes, (before, after) in zip(rule, marks, strict=True)]
    return "\n".join((_between_bars(titles), f"|{'|'.join(rule)}|", *map(_between_bars, lines)))


def _printable(texts: Sequence[str]) -> Sequence[str]:
    return texts if "".join(texts).isprintable() else list(map(printable, texts))


def _padded(texts: Sequence[str], right: bool) -> Sequence[str]:
    """A column, its title first, all as wide as the widest text; the title is given two spaces."""
    widths = list(map(len if "".join(texts).isascii() else _width, texts))
    width = max(widths[0] + 2, *widths)
    ends = [" " * (width - each) for each in widths]
    return list(map(add, ends, texts) if right else map(add, texts, ends))


def _width(text: str) -> int:
    """How many columns of a terminal the text takes."""
    return sum(0 if combining(char) else 2 if east_asian_width(char) in "WF" else 1 for char in text)


def _between_bars(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def with_notes(heading: str, table: str, notes: Iterable[str], table_format: TableFormat) -> str:
    """For people the table below its heading and above its notes; as CSV the table alone."""
    if table_format == "csv":
        return table
    bullet = "- " if table_format == "md" else ""  # Markdown would run plain lines together
    lines = (bullet + printable(note) for note in notes)
    return "\n\n".join(filter(None, (printable_lines(heading), table, "\n".join(lines))))


def first_of(texts: Sequence[str], limit: int | None) -> str:
    """The first ``limit`` texts, None for all, and how many more there are."""
    hidden = len(texts) - len(texts[:limit])
    return ", ".join(texts[:limit]) + (f", +{hidden} more" if hidden else "")


def _csv(titles: Sequence[str], cells: Iterable[Sequence[Cell]]) -> str:
    import csv  # tables for people do without

    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(titles)
    writer.writerows(cells)
    return file.getvalue().rstrip("\n")
