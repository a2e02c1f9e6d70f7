"""Rows under columns as text: a terminal's table, Markdown, or CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, Literal, TypeVar

from tabulate import tabulate

from onnxlens.specs.record import record
from onnxlens.specs.text import printable, printable_lines

Row = TypeVar("Row")
TableFormat = Literal["table", "csv", "md"]
By = Literal["module", "op", "node"]
Cell = str | int | float | None
"""None where there is no figure: an empty cell."""

TABULATE_FORMATS = {"table": "simple", "md": "pipe"}


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
    cells = [[column.cell(row, exact=exact) for column in columns] for row in rows]
    if exact:
        return _csv([column.csv_title or column.title for column in columns], cells)
    cells = [[printable(cell) if isinstance(cell, str) else cell for cell in row] for row in cells]
    if table_format == "md":  # a bar would end the cell
        cells = [[c.replace("|", "\\|") if isinstance(c, str) else c for c in row] for row in cells]
    text = tabulate(
        cells,
        headers=[column.title for column in columns],
        tablefmt=TABULATE_FORMATS[table_format],
        colalign=["right" if column.right else "left" for column in columns] if cells else None,
        disable_numparse=True,
        preserve_whitespace=True,
    )
    return "\n".join(line.rstrip() for line in text.splitlines())


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


def _csv(titles: Sequence[str], cells: Sequence[Sequence[Cell]]) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(titles)
    writer.writerows(cells)
    return file.getvalue().rstrip("\n")
