"""Rows under columns as text: a terminal's table, Markdown, or CSV."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import accumulate
from operator import add
from typing import Generic, Literal, TypeVar
from unicodedata import combining, east_asian_width

from onnxlens.specs.record import record
from onnxlens.specs.roofline import AT
from onnxlens.specs.text import printable, printable_lines

Row = TypeVar("Row")
TableFormat = Literal["table", "csv", "md"]
By = Literal["module", "op", "node", "group"]
Cell = str | int | float | None
"""None where there is no figure: an empty cell."""

GAP = 2
"""Blanks between the columns of a table, and before or after a title."""
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
        lines: its title on a screen, if that is too long for one line.
    """

    title: str
    exact: Callable[[Row], Cell]
    short: Callable[[Row], Cell] | None = None
    right: bool = False
    csv_title: str = ""
    lower: Callable[[Row], bool] = lambda row: False
    sums: bool = False
    lines: Sequence[str] = ()

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
    cells = [column.cells(rows, exact=exact) for column in columns]
    if exact:
        return _csv([column.csv_title or column.title for column in columns], zip(*cells, strict=True))
    in_lines = table_format == "table" and any(column.lines for column in columns)
    heads = [list(column.lines if in_lines and column.lines else [column.title]) for column in columns]
    right = [column.right and bool(rows or sums) for column in columns]
    if sums:
        cells = [[*above, *_sum_cells(column, sums)] for above, column in zip(cells, columns, strict=True)]
        names = [name for name, _ in sums]
        if columns[0].sums:  # no cell is free for what a sum is called
            cells, heads, right = [[""] * len(rows) + names, *cells], [[""], *heads], [False, *right]
        else:
            cells[0] = [*cells[0][: len(rows)], *names]
    texts = [_printable(["" if cell is None else str(cell) for cell in column]) for column in cells]
    if table_format == "md":  # a bar would end the cell
        texts = [[text.replace("|", "\\|") for text in column] for column in texts]
    deep = max(map(len, heads))
    padded = [
        _padded([""] * (deep - len(head)) + head, texts[index], right[index], 2 if len(head) == 1 else 0)
        for index, head in enumerate(heads)
    ]
    every = list(zip(*padded, strict=True))
    above, lines = every[:deep], every[deep:]
    rule = ["-" * len(title) for title in above[0]]
    if table_format == "table":
        between = [tuple(rule)] if sums and rows else []
        lines = [*above, tuple(rule), *lines[: len(rows)], *between, *lines[len(rows) :]]
        return "\n".join("  ".join(line).rstrip() for line in lines)
    marks = [("-", "-") if not rows else ("-", ":") if last else (":", "-") for last in right]
    rule = [before + dashes + after for dashes, (before, after) in zip(rule, marks, strict=True)]
    return "\n".join((_between_bars(above[0]), f"|{'|'.join(rule)}|", *map(_between_bars, lines)))


def _sum_cells(column: Column[Row], sums: Sequence[Sum[Row]]) -> Sequence[Cell]:
    return [column.cell(row, exact=False) if column.sums else "" for _, row in sums]


def fitted(
    rows: Sequence[Row], columns: Sequence[Column[Row]], width: int | None
) -> tuple[Sequence[Column[Row]], Sequence[Column[Row]]]:
    """The columns that fit side by side into ``width`` characters, the first at least, and the others.

    Where the names in the first column leave too few of the others room, they are shortened in the middle.
    """
    if width is None:
        return columns, ()
    widths = [
        max(
            [
                *(_width(line) - GAP for line in column.lines),
                _width(column.title) if not column.lines else 0,
                *(_width(printable(str(c))) - GAP for c in column.cells(rows, exact=False)),
            ]
        )
        + 2 * GAP
        for column in columns
    ]
    first = max(SHORTEST_NAME, width + GAP - sum(widths[1:LEAST_COLUMNS]))
    if first < widths[0]:
        columns = [_shortened(columns[0], first - GAP), *columns[1:]]
        widths[0] = first
    fit = sum(end - GAP <= width for end in accumulate(widths))
    return columns[: max(fit, 1)], columns[max(fit, 1) :]


def hidden_note(columns: Sequence[Column[Row]]) -> Sequence[str]:
    """Which columns a screen has no room for, if there are any."""
    if not columns:
        return ()
    do, them = ("does", "it") if len(columns) == 1 else ("do", "them")
    return (f"columns: {', '.join(_grouped(columns))} {do} not fit; --wide shows {them}",)


def _grouped(columns: Sequence[Column[Row]]) -> Sequence[str]:
    """Their titles; those of the same figure of several chips or reports together."""
    times = Counter(column.title.partition(AT)[0] for column in columns)
    titles = (
        f"{plain}{AT}.. ({times[plain]})"
        if times[plain := column.title.partition(AT)[0]] > 2
        else column.title
        for column in columns
    )
    return list(dict.fromkeys(titles))


def _shortened(column: Column[Row], width: int) -> Column[Row]:
    def short(row: Row) -> Cell:
        text = printable(str(column.cell(row, exact=False)))
        head, tail = (width - 1) // 2, width // 2
        return text if len(text) <= width else f"{text[:head]}…{text[-tail:]}"

    return replace(column, short=short)


def _printable(texts: Sequence[str]) -> Sequence[str]:
    return texts if "".join(texts).isprintable() else list(map(printable, texts))


def _padded(head: Sequence[str], cells: Sequence[str], right: bool, room: int) -> Sequence[str]:
    """A column, its title first, all as wide as the widest text; the title is given ``room`` spaces."""
    texts = [*head, *cells]
    widths = list(map(len if "".join(texts).isascii() else _width, texts))
    width = max(*(each + room for each in widths[: len(head)]), *widths)
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


def first_of(texts: Sequence[str], limit: int | None, between: str = ", ") -> str:
    """The first ``limit`` texts, None for all, and how many more there are."""
    hidden = len(texts) - len(texts[:limit])
    return between.join([*texts[:limit], *([f"+{hidden} more"] if hidden else [])])


def _csv(titles: Sequence[str], cells: Iterable[Sequence[Cell]]) -> str:
    import csv  # tables for people do without

    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(titles)
    writer.writerows(cells)
    return file.getvalue().rstrip("\n")
