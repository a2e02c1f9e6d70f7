"""Positions in a level: the order in each rank, then x, then y, then the path of every edge."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from math import inf
from statistics import median_low

from onnxlens.reports.drawing.ranks import Cell, Item, Level, Link, Segment, level_of

ORDERING_SWEEPS = 12
Meeting = tuple[float, float]
"""Where a line meets a rank: the number of the cell there, and how far right in it."""


def order_cells(level: Level) -> None:
    """Sort the cells of every rank by where their lines come from, then by where they go, over and over.

    The order with the fewest crossings stays; of equal ones the first, which is that of execution.
    """
    _keep_first(level)
    best = [list(rank) for rank in level.ranks]
    fewest = _crossings(level)
    for sweep in range(ORDERING_SWEEPS):
        if not fewest:
            break
        ranks = range(1, len(level.ranks)) if sweep % 2 == 0 else range(len(level.ranks) - 2, -1, -1)
        for rank in ranks:
            _sort(level, rank, down=sweep % 2 == 0)
        _keep_first(level)
        if (count := _crossings(level)) < fewest:
            best, fewest = [list(rank) for rank in level.ranks], count
    level.ranks[:] = best


def _sort(level: Level, rank: int, *, down: bool) -> None:
    """By the middle of the positions that a cell's lines have in the rank before; without lines it stays."""
    segments = level.segments[rank - 1] if down else level.segments[rank]
    numbers = _numbers(level.ranks[rank - 1 if down else rank + 1])
    meetings: dict[Cell, list[Meeting]] = defaultdict(list)
    for segment in segments:
        here, there = (segment.lower, segment.upper) if down else (segment.upper, segment.lower)
        meetings[here].append((numbers[there], segment.out_x if down else segment.in_x))
    bound = [cell for cell in level.ranks[rank] if meetings[cell]]
    in_turn = iter(sorted(bound, key=lambda cell: median_low(meetings[cell])))
    level.ranks[rank] = [next(in_turn) if meetings[cell] else cell for cell in level.ranks[rank]]


def _numbers(cells: Sequence[Cell]) -> Mapping[Cell, int]:
    return {cell: number for number, cell in enumerate(cells)}


def _keep_first(level: Level) -> None:
    if level.first is not None:
        level.ranks[0].sort(key=lambda cell: cell.item != level.first)


def _crossings(level: Level) -> int:
    return sum(
        _crossed(segments, _numbers(level.ranks[rank]), _numbers(level.ranks[rank + 1]))
        for rank, segments in enumerate(level.segments)
    )


def _crossed(segments: Sequence[Segment], upper: Mapping[Cell, int], lower: Mapping[Cell, int]) -> int:
    """How many pairs of lines between two ranks change sides."""
    ends = sorted(
        ((upper[segment.upper], segment.out_x), (lower[segment.lower], segment.in_x)) for segment in segments
    )
    crossed, passed = 0, list[Meeting]()
    for _, end in ends:  # lines from one place are in the order of their ends, so they do not cross
        crossed += len(passed) - bisect_right(passed, end)
        insort(passed, end)
    return crossed


ALIGNING_SWEEPS = 8


@dataclass(slots=True, eq=False)
class _Column:
    """Cells below each other that move together.

    Attributes:
        cells: each with how far right of the column's ``x`` it stands.
        left, right: the neighboring columns, and how far from it they must keep.
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
    for sweep in range(ALIGNING_SWEEPS):
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
    """As near to the middle of its pulls as the neighboring columns leave room."""
    if not column.pulls:
        return
    wanted = _weighted_middle([(other.x + shift, worth) for other, shift, worth in column.pulls])
    least = max((other.x + gap for other, gap in column.left), default=-inf)
    most = min((other.x - gap for other, gap in column.right), default=inf)
    column.x = max(least, min(wanted, most))


def _weighted_middle(pulls: Sequence[tuple[float, int]]) -> float:
    half = sum(worth for _, worth in pulls) / 2
    ordered = sorted(pulls)
    reached = accumulate(worth for _, worth in ordered)
    return next(x for (x, _), worth in zip(ordered, reached, strict=True) if worth >= half)


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
        upper, lower = _numbers(level.ranks[rank]), _numbers(level.ranks[rank + 1])
        taken: list[tuple[int, int]] = []
        for segment in sorted(segments, key=_worth, reverse=True):
            start, end = upper[segment.upper], lower[segment.lower]
            at = bisect_left(taken, (start, end))  # in order of their starts, and so of their ends
            left, right = taken[at - 1 : at], taken[at : at + 1]
            if all(other < start and below < end for other, below in left) and all(
                start < other and end < below for other, below in right
            ):
                taken.insert(at, (start, end))
                yield segment


def _worth(segment: Segment) -> int:
    """A line that only passes is worth more than its ends, for it is long."""
    passing = (segment.upper.item is None) + (segment.lower.item is None)
    return segment.straight * (1, 2, 8)[passing]


def _separate(level: Level, of: Mapping[Cell, tuple[_Column, float]]) -> None:
    for rank in level.ranks:
        for cell, following in pairwise(rank):
            (column, shift), (other, its) = of[cell], of[following]
            gap = cell.right + following.left + shift - its
            column.right.append((other, gap))
            other.left.append((column, gap))


def _pull(level: Level, of: Mapping[Cell, tuple[_Column, float]]) -> None:
    for segment in (segment for segments in level.segments for segment in segments):
        (column, shift), (other, its) = of[segment.upper], of[segment.lower]
        if column is not other:
            straight = shift + segment.out_x - its - segment.in_x
            column.pulls.append((other, -straight, _worth(segment)))
            other.pulls.append((column, straight, _worth(segment)))


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


ARROW = 14.0
"""Points above an item, where lines run straight: the head of an arrow, and a little more."""
STUB = 4.0
"""Points above and below a label, where lines run straight."""
BEND, STEEPEST = 8.0, 0.03
"""A line that changes its x has so many points of height for it, and this part of the change more."""
MOST_BEND = 26.0

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Placed:
    """A level, in points from its upper left corner.

    Attributes:
        items: by item, its upper left corner.
        paths: by the key of each link, its corners from the top down: straight down in a rank,
            bent between two.
        labels: by the key of each link that has one in this level, the label's upper left corner.
    """

    width: float
    height: float
    items: Sequence[Point]
    paths: Mapping[str, Sequence[Point]]
    labels: Mapping[str, Point]


def place_level(items: Sequence[Item], links: Sequence[Link], first: int | None = None) -> Placed:
    """Items in ranks, lines between them.

    Args:
        items: what stands in the level, in the order of execution.
        links: the lines.
        first: the item to stay in the upper left corner.

    Raises:
        graphlib.CycleError: an item reads what reads it.
    """
    level = level_of(items, links, first)
    order_cells(level)
    width = align_cells(level)
    tops, bottoms = _edges(level)
    edges = zip(tops, bottoms, strict=True)
    bounds = {cell: edge for cells, edge in zip(level.ranks, edges, strict=True) for cell in cells}
    lowered = zip(level.cells, _lowered(level, items), strict=True)
    corners = [(cell.x, bounds[cell][0] + lower) for cell, lower in lowered]
    paths: dict[str, Sequence[Point]] = {}
    labels: dict[str, Point] = {}
    for link, path in zip(links, level.paths, strict=True):
        paths[link.key] = _corners(link, path, corners, bounds)
        for cell in path:
            if cell.item is None and cell.height:
                top, bottom = bounds[cell]
                labels[link.key] = (cell.x, (top + bottom - cell.height) / 2)
    return Placed(width, bottoms[-1], corners, paths, labels)


def _corners(
    link: Link, path: Sequence[Cell], corners: Sequence[Point], bounds: Mapping[Cell, tuple[float, float]]
) -> Sequence[Point]:
    """From an item straight down to the end of its rank, through the ranks between, and on to an item."""
    points: list[Point] = []
    if link.source:
        x, y = corners[link.source.item]
        points += [(x + link.source.x, y + link.source.y), (x + link.source.x, bounds[path[0]][1])]
    for cell in path:
        if cell.item is None:
            points += [(cell.x, bound) for bound in bounds[cell]]
    if link.target:
        x, y = corners[link.target.item]
        points += [(x + link.target.x, bounds[path[-1]][0]), (x + link.target.x, y + link.target.y)]
    return points


def _lowered(level: Level, items: Sequence[Item]) -> Sequence[float]:
    """How far below the top of its rank each item stands."""
    lowered = [0.0] * len(items)
    for cells in level.ranks:
        centered = [cell for cell in cells if cell.item is not None and items[cell.item].centered]
        height = max((cell.height for cell in centered), default=0.0)
        for cell in centered:
            if cell.item is not None:
                lowered[cell.item] = (height - cell.height) / 2
    return lowered


def _edges(level: Level) -> tuple[Sequence[float], Sequence[float]]:
    """The upper and lower edge of each rank."""
    tops, bottoms = [], []
    y = 0.0
    for rank, cells in enumerate(level.ranks):
        tops.append(y)
        y += max((cell.height for cell in cells), default=0.0)
        bottoms.append(y)
        if rank < len(level.segments):
            y += _gap(level.segments[rank])
    return tops, bottoms


def _gap(segments: Sequence[Segment]) -> float:
    """Room for the bends between two ranks, for what is straight at their ends, and for arrow heads."""
    if not segments:
        return STUB
    shifts = [abs(segment.upper.x + segment.out_x - segment.lower.x - segment.in_x) for segment in segments]
    bend = min(BEND + STEEPEST * max(shifts), MOST_BEND) if max(shifts) > 1 else 0.0
    arrows = any(segment.lower.item is not None for segment in segments)
    return bend + (ARROW if arrows else STUB)
