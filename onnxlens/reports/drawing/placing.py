"""A level with everything in its place: how far down each rank stands, and the way of every line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from onnxlens.reports.drawing.alignment import align_cells
from onnxlens.reports.drawing.level import Cell, Item, Level, Link, Segment, level_of
from onnxlens.reports.drawing.ordering import order_cells

ARROW = 14.0
"""Points above an item, where lines run straight: the head of an arrow, and a little more."""
STUB = 4.0
"""Points above and below a label, where lines run straight."""
BEND, STEEPEST = 8.0, 0.03
"""A line that changes its place has so many points of height for it, and so many more for each of the way."""
MOST_BEND = 26.0

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Placed:
    """A level, in points from its upper left corner.

    Attributes:
        items: by item, its upper left corner.
        ways: by the key of each link, the corners of its way from the top down: straight down in a rank,
            bent between two.
        labels: by the key of each link that has one in this level, the label's upper left corner.
    """

    width: float
    height: float
    items: Sequence[Point]
    ways: Mapping[str, Sequence[Point]]
    labels: Mapping[str, Point]


def place_level(items: Sequence[Item], links: Sequence[Link], first: int | None = None) -> Placed:
    """Items in layers, lines between them.

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
    bounds = {
        cell: (tops[rank], bottoms[rank]) for rank, cells in enumerate(level.ranks) for cell in cells
    }  # fmt: skip
    lowered = _lowered(level, items)
    corners = [
        (cell.x, bounds[cell][0] + lower) for cell, lower in zip(level.cells, lowered, strict=True)
    ]  # fmt: skip
    ways: dict[str, Sequence[Point]] = {}
    labels: dict[str, Point] = {}
    for link, way in zip(links, level.ways, strict=True):
        ways[link.key] = _way(link, way, corners, bounds)
        for cell in way:
            if cell.item is None and cell.height:
                top, bottom = bounds[cell]
                labels[link.key] = (cell.x, (top + bottom - cell.height) / 2)
    return Placed(width, bottoms[-1], corners, ways, labels)


def _way(
    link: Link, way: Sequence[Cell], corners: Sequence[Point], bounds: Mapping[Cell, tuple[float, float]]
) -> Sequence[Point]:
    """From an item straight down to the end of its rank, through the ranks between, and on to an item."""
    points: list[Point] = []
    if link.source:
        x, y = corners[link.source.item]
        points += [(x + link.source.x, y + link.source.y), (x + link.source.x, bounds[way[0]][1])]
    for cell in way:
        if cell.item is None:
            points += [(cell.x, bound) for bound in bounds[cell]]
    if link.target:
        x, y = corners[link.target.item]
        points += [(x + link.target.x, bounds[way[-1]][0]), (x + link.target.x, y + link.target.y)]
    return points


def _lowered(level: Level, items: Sequence[Item]) -> Sequence[float]:
    """How far below the top of its rank each item stands."""
    lowered = [0.0] * len(items)
    for cells in level.ranks:
        centred = [cell for cell in cells if cell.item is not None and items[cell.item].centred]
        height = max((cell.height for cell in centred), default=0.0)
        for cell in centred:
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
    ways = [abs(segment.upper.x + segment.out_x - segment.lower.x - segment.in_x) for segment in segments]
    bend = min(BEND + STEEPEST * max(ways), MOST_BEND) if max(ways) > 1 else 0.0
    arrows = any(segment.lower.item is not None for segment in segments)
    return bend + (ARROW if arrows else STUB)
