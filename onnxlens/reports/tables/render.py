"""Rows under columns as text: a terminal's table, Markdown, or CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import accumulate
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
GAP = 2
"""Blanks between the columns of a table."""
LEAST_COLUMNS, SHORTEST_NAME = 5, 24
"""How many columns a narrow screen shows, unless the names in the first would be cut shorter than this."""


@record(frozen=True, slots=True)
class Column(Generic[Row]):
    """A column of a table.

    Attributes:
        exact: the cell for machines: whole numbers and whole lists.
        short: the cell for people; None where it is the exact one.
        right: whether the cells are aligned to the right: numbers are.
        csv_title: its title in CSV; "" where it is the same.
        lower: whether a row's figure lacks what is unknown, so that it is a lower bound.
        sums: whether several rows have a figure together.
    """

    title: str
    exact: Callable[[Row], Cell]
    short: Callable[[Row], Cell] | None = None
    right: bool = False
    csv_title: str = ""
    lower: Callable[[Row], bool] = lambda row: False
    sums: bool = False

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


Sum = tuple[str, Row]
"""What several rows are together, and what that is called."""


def render_table(
    rows: Sequence[Row],
    columns: Sequence[Column[Row]],
    table_format: TableFormat,
    sums: Sequence[Sum[Row]] = (),
) -> str:
    """Any rows under their columns: exact figures for CSV, short ones for people, with sums below."""
    exact = table_format == "csv"
    cells = [[column.cell(row, exact=exact) for column in columns] for row in rows]
    titles = [column.title for column in columns]
    sides = ["right" if column.right else "left" for column in columns]
    if exact:
        return _csv([column.csv_title or column.title for column in columns], cells)
    cells = [[printable(cell) if isinstance(cell, str) else cell for cell in row] for row in cells]
    if sums and columns[0].sums:  # no cell is free for what a sum is called
        cells, titles, sides = [["", *row] for row in cells], ["", *titles], ["left", *sides]
    below = [_sum_cells(sum_row, columns) for sum_row in sums]
    if table_format == "md":  # a bar would end the cell
        cells = [[c.replace("|", "\\|") if isinstance(c, str) else c for c in row] for row in cells]
    text = tabulate(
        [*cells, *below],
        headers=titles,
        tablefmt=TABULATE_FORMATS[table_format],
        colalign=sides if cells or below else None,
        disable_numparse=True,
        preserve_whitespace=True,
    )
    lines = [line.rstrip() for line in text.splitlines()]
    if sums and cells and table_format == "table":
        lines.insert(len(lines) - len(sums), lines[1])
    return "\n".join(lines)


def _sum_cells(sum_row: Sum[Row], columns: Sequence[Column[Row]]) -> Sequence[Cell]:
    name, row = sum_row
    cells = [column.cell(row, exact=False) if column.sums else "" for column in columns]
    return [name, *(cells if columns[0].sums else cells[1:])]


def fitted(
    rows: Sequence[Row], columns: Sequence[Column[Row]], width: int | None
) -> tuple[Sequence[Column[Row]], Sequence[Column[Row]]]:
    """The columns that fit side by side into ``width`` characters, the first at least, and the others.

    Where the names in the first column leave too few of the others room, they are shortened in the middle.
    """
    if width is None:
        return columns, ()
    widths = [
        max(map(len, (column.title, *(printable(str(column.cell(row, exact=False))) for row in rows)))) + GAP
        for column in columns
    ]
    first = max(SHORTEST_NAME, width + GAP - sum(widths[1:LEAST_COLUMNS]))
    if first < widths[0]:
        columns = [_shortened(columns[0], first - GAP), *columns[1:]]
        widths[0] = first
    fit = sum(end - GAP <= width for end in accumulate(widths))
    return columns[: max(fit, 1)], columns[max(fit, 1) :]


def _shortened(column: Column[Row], width: int) -> Column[Row]:
    def short(row: Row) -> Cell:
        text = printable(str(column.cell(row, exact=False)))
        head, tail = (width - 1) // 2, width // 2
        return text if len(text) <= width else f"{text[:head]}…{text[-tail:]}"

    return replace(column, short=short)


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
