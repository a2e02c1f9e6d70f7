"""Where the cells of a level stand from left to right: lines as straight as can be, nothing overlapping."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import inf

from onnxlens.reports.drawing.level import Cell, Level, Segment

SWEEPS = 8


@dataclass(slots=True, eq=False)
class _Column:
    """Cells below each other that move together.

    Attributes:
        cells: each with how far right of the column's ``x`` it stands.
        left, right: the columns beside it, and how far from it they must keep.
        pulls: for every line to another column: that column, the shift at which the line is straight, and
            how much that is worth.
    """

    cells: list[tuple[Cell, float]] = field(default_factory=list)
    left: list[tuple[_Column, float]] = field(default_factory=list)
    right: list[tuple[_Column, float]] = field(default_factory=list)
    pulls: list[tuple[_Column, float, int]] = field(default_factory=list)
    x: float = 0


def align_cells(level: Level) -> float:
    """Set the ``x`` of every cell, from 0 on; the width of the whole.

    Cells along the lines that are worth most become columns, as long as no two cross. The columns are pushed
    to the left until they touch, then each is moved to where its other lines are straightest.
    """
    columns = _columns(level)
    for column in columns:  # from left to right
        column.x = max((other.x + gap for other, gap in column.left), default=0.0)
    for sweep in range(SWEEPS):
        for column in reversed(columns) if sweep % 2 == 0 else columns:
            _move(column)
    least = min(
        (column.x + shift - cell.left for column in columns for cell, shift in column.cells), default=0
    )
    for column in columns:
        for cell, shift in column.cells:
            cell.x = column.x + shift - least
    if level.first is not None:  # no line ties it to anything
        level.cells[level.first].x = level.cells[level.first].left
    return max((cell.x + cell.right for rank in level.ranks for cell in rank), default=0)


def _move(column: _Column) -> None:
    """As near to the middle of its pulls as the columns beside it leave room."""
    if not column.pulls:
        return
    wanted = _weighted_middle([(other.x + shift, worth) for other, shift, worth in column.pulls])
    least = max((other.x + gap for other, gap in column.left), default=-inf)
    most = min((other.x - gap for other, gap in column.right), default=inf)
    column.x = max(least, min(wanted, most))


def _weighted_middle(pulls: Sequence[tuple[float, int]]) -> float:
    half = sum(worth for _, worth in pulls) / 2
    reached = 0
    for x, worth in sorted(pulls):
        reached += worth
        if reached >= half:
            return x
    return 0.0


def _columns(level: Level) -> Sequence[_Column]:
    """The columns, each after all that stand left of it."""
    below = {segment.upper: segment for segment in _aligned(level)}
    tops = {cell: _Column() for rank in level.ranks for cell in rank}
    for segment in below.values():
        del tops[segment.lower]
    of: dict[Cell, tuple[_Column, float]] = {}
    for top, column in tops.items():
        cell, shift = top, 0.0
        column.cells.append((cell, shift))
        while cell in below:
            segment = below[cell]
            cell, shift = segment.lower, shift + segment.out_x - segment.in_x
            column.cells.append((cell, shift))
        of.update((cell, (column, shift)) for cell, shift in column.cells)
    _separate(level, of)
    _pull(level, of)
    return _from_left(list(tops.values()))


def _aligned(level: Level) -> Iterator[Segment]:
    """The segments that are drawn straight, those worth most first, as far as none crosses another."""
    for rank, segments in enumerate(level.segments):
        upper = {cell: number for number, cell in enumerate(level.ranks[rank])}
        lower = {cell: number for number, cell in enumerate(level.ranks[rank + 1])}
        taken: list[tuple[int, int]] = []
        for segment in sorted(segments, key=_worth, reverse=True):
            start, end = upper[segment.upper], lower[segment.lower]
            if all(
                (start < other) == (end < below) and start != other and end != below for other, below in taken
            ):
                taken.append((start, end))
                yield segment


def _worth(segment: Segment) -> int:
    """A line that only passes is worth more than its ends, for it is long."""
    passing = (segment.upper.item is None) + (segment.lower.item is None)
    return segment.straight * (1, 2, 8)[passing]


def _separate(level: Level, of: Mapping[Cell, tuple[_Column, float]]) -> None:
    for rank in level.ranks:
        for cell, beside in pairwise(rank):
            (column, shift), (other, its) = of[cell], of[beside]
            gap = cell.right + beside.left + shift - its
            column.right.append((other, gap))
            other.left.append((column, gap))


def _pull(level: Level, of: Mapping[Cell, tuple[_Column, float]]) -> None:
    for segment in (segment for segments in level.segments for segment in segments):
        (column, shift), (other, its) = of[segment.upper], of[segment.lower]
        if column is not other:
            way = shift + segment.out_x - its - segment.in_x
            column.pulls.append((other, -way, _worth(segment)))
            other.pulls.append((column, way, _worth(segment)))


def _from_left(columns: Sequence[_Column]) -> Sequence[_Column]:
    """In an order in which each comes after those left of it."""
    waiting = {column: len(column.left) for column in columns}
    ready = [column for column in columns if not waiting[column]]
    for column in ready:
        for other, _ in column.right:
            waiting[other] -= 1
            if not waiting[other]:
                ready.append(other)
    return ready
