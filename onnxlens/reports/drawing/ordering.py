"""The order of the cells in each rank, so that few lines cross."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from onnxlens.reports.drawing.level import Cell, Level, Segment

SWEEPS = 12
Place = tuple[float, float]
"""Where a line meets a rank: the number of the cell there, and how far right in it."""


def order_cells(level: Level) -> None:
    """Sort the cells of every rank by where their lines come from, then by where they go, over and over.

    The order with the fewest crossings stays; of equal ones the first, which is that of execution.
    """
    _keep_first(level)
    best = [list(rank) for rank in level.ranks]
    fewest = _crossings(level)
    for sweep in range(SWEEPS):
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
    """By the middle of the places that a cell's lines have in the rank before; without lines it stays."""
    segments = level.segments[rank - 1] if down else level.segments[rank]
    numbers = _numbers(level.ranks[rank - 1 if down else rank + 1])
    places: dict[Cell, list[Place]] = defaultdict(list)
    for segment in segments:
        here, there = (segment.lower, segment.upper) if down else (segment.upper, segment.lower)
        places[here].append((numbers[there], segment.out_x if down else segment.in_x))
    bound = [cell for cell in level.ranks[rank] if places[cell]]
    in_turn = iter(sorted(bound, key=lambda cell: _middle(places[cell])))
    level.ranks[rank] = [next(in_turn) if places[cell] else cell for cell in level.ranks[rank]]


def _middle(places: Sequence[Place]) -> Place:
    return sorted(places)[(len(places) - 1) // 2]


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
    return sum(
        ends[first][0] < ends[second][0] and ends[first][1] > ends[second][1]
        for first in range(len(ends))
        for second in range(first + 1, len(ends))
    )
