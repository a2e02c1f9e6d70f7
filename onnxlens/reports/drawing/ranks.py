"""Ranks: how far down each box is, and which edges pass through the ranks between."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from itertools import pairwise
from math import inf
from typing import TypeVar

from onnxlens.specs.flow import FlowGraph, FlowNode

LINE_GAP = 7.0
"""Points that a line keeps free on both sides."""
ITEM_GAP = 16.0
"""Points between two things side by side."""
LAYER_WIDTH, SIDE_BY_SIDE = 2400.0, 4
"""Points that a layer may be wide when it holds more than so many; what does not fit goes into the next."""


@dataclass(frozen=True, slots=True)
class Item:
    """Something that stands in a layer: a box with its tags, a frame, a title, an end; in points.

    Attributes:
        side: how far right it stands, unless lines cross less elsewhere.
        centred: it stands in the middle of those beside it that do so too, and not at the top of the layer.
        leads: it stands above everything that is in the first layer.
    """

    width: float
    height: float
    side: float = 0
    centred: bool = False
    leads: bool = False


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a line leaves an item or comes to it, in points from the item's upper left corner."""

    item: int
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Link:
    """A line, as far as it runs in this level.

    Attributes:
        key: the line's, in the whole picture.
        source: where it begins; None: it comes from above.
        target: where it ends; None: it goes on below.
        label: width and height of what is written beside it in this level.
        side: how far right it runs, unless lines cross less elsewhere.
        straight: how much it is worth that it is straight.
    """

    key: str
    source: Spot | None
    target: Spot | None
    label: tuple[float, float] | None = None
    side: float = 0
    straight: int = 1


@dataclass(slots=True, eq=False)
class Cell:
    """A place in a rank: an item, or a line on its way through.

    Attributes:
        item: its number; None for a line.
        side: how far right it wants to be.
        left, right: what it takes on both sides of its ``x``, the gaps to others among it.
        height: 0 for a line without a label.
        x: of an item's left edge, or of the line.
    """

    item: int | None
    side: float
    left: float = LINE_GAP
    right: float = LINE_GAP
    height: float = 0
    x: float = 0


@dataclass(frozen=True, slots=True)
class Segment:
    """A line between two cells in neighbouring ranks: where it leaves the upper, and reaches the lower."""

    upper: Cell
    lower: Cell
    out_x: float
    in_x: float
    straight: int


@dataclass(slots=True)
class Level:
    """Items and lines in ranks: layers of items at the even ones, the labels above each between them.

    Attributes:
        ranks: the cells of each, from left to right.
        cells: by item, its cell.
        ways: by link, the cells that it runs through, from the top down.
        segments: by rank, the lines from its cells to those of the next.
        first: the item that stays leftmost.
    """

    ranks: list[list[Cell]]
    cells: list[Cell]
    ways: list[list[Cell]]
    segments: list[list[Segment]]
    first: int | None = None


def level_of(items: Sequence[Item], links: Sequence[Link], first: int | None = None) -> Level:
    """The items in layers, each below all that it reads, and the lines through the ranks.

    Args:
        items: what stands in the level, in the order of execution.
        links: the lines.
        first: the item to stay leftmost in the first layer.

    Raises:
        graphlib.CycleError: an item reads what reads it.
    """
    layers = _wrapped(_layers(items, links), items)
    count = max(layers, default=0) + 1
    cells = [
        Cell(place, item.side, ITEM_GAP / 2, item.width + ITEM_GAP / 2, item.height)
        for place, item in enumerate(items)
    ]
    level = Level([[] for _ in range(2 * count - 1)], cells, [], [[] for _ in range(2 * count - 2)], first)
    for place, cell in enumerate(cells):
        level.ranks[2 * layers[place]].append(cell)
    for link in links:
        top = -1 if link.source is None else 2 * layers[link.source.item]
        bottom = 2 * count - 1 if link.target is None else 2 * layers[link.target.item]
        _run(level, link, top, bottom)
    for rank in level.ranks:
        rank.sort(key=lambda cell: cell.side)
    return level


def _run(level: Level, link: Link, top: int, bottom: int) -> None:
    """Put a line into all ranks between its ends."""
    way = [] if link.source is None else [level.cells[link.source.item]]
    for rank in range(top + 1, bottom):
        cell = Cell(None, link.side)
        if link.label and rank == bottom - 1:
            cell = Cell(None, link.side, LINE_GAP, link.label[0] + LINE_GAP, link.label[1])
        level.ranks[rank].append(cell)
        way.append(cell)
    if link.target is not None:
        way.append(level.cells[link.target.item])
    for rank, (upper, lower) in enumerate(pairwise(way), start=max(top, 0)):
        out_x = link.source.x if link.source and upper.item is not None else 0.0
        in_x = link.target.x if link.target and lower.item is not None else 0.0
        level.segments[rank].append(Segment(upper, lower, out_x, in_x, link.straight))
    level.ways.append(way)


def _layers(items: Sequence[Item], links: Collection[Link]) -> Sequence[int]:
    """By item, its layer; what nothing leads to stands right above its readers."""
    pairs = {(link.source.item, link.target.item) for link in links if link.source and link.target}
    from_above = {link.target.item for link in links if link.target and not link.source}
    layers = _layered(len(items), pairs, from_above)
    first = [item for item, layer in enumerate(layers) if not layer]
    leading = [item for item in first if items[item].leads]
    if 0 < len(leading) < len(first):
        pairs |= {(leading[0], item) for item in first if item not in leading}
        layers = _layered(len(items), pairs, from_above)
    return layers


def _layered(count: int, pairs: Collection[tuple[int, int]], high: Collection[int]) -> Sequence[int]:
    feeders: dict[int, set[int]] = {item: set() for item in range(count)}
    for source, target in pairs:
        feeders[target].add(source)
    layers = layered(list(TopologicalSorter(feeders).static_order()), sorted(pairs), high)
    return [layers[item] for item in range(count)]


def _wrapped(layers: Sequence[int], items: Sequence[Item]) -> list[int]:
    """The layers with those that are too wide taking several rows."""
    members: dict[int, list[int]] = defaultdict(list)
    for item, layer in enumerate(layers):
        members[layer].append(item)
    rows = [0] * len(items)
    row = -1
    for layer in sorted(members):
        row, width = row + 1, 0.0
        many = len(members[layer]) > SIDE_BY_SIDE
        for item in members[layer]:
            if many and width and width + items[item].width > LAYER_WIDTH:
                row, width = row + 1, 0.0
            rows[item] = row
            width += items[item].width + ITEM_GAP
    return rows


Pair = tuple[str, str]
"""The two ends of a line."""
Place = TypeVar("Place", bound=Hashable)


def layers_of(flow: FlowGraph) -> Mapping[str, int]:
    """By box, the layer that it stands in when every box is below all that it reads; a loop leads back up."""
    order = {node.id: node.order for node in flow.nodes if node.order}
    pairs = [
        (edge.source, edge.target)
        for edge in flow.edges
        if order.get(edge.source) and order[edge.source] < order.get(edge.target, 0)
    ]
    return layered(sorted(order, key=order.__getitem__), pairs)


def layered(
    places: Sequence[Place], pairs: Iterable[tuple[Place, Place]], high: Collection[Place] = ()
) -> Mapping[Place, int]:
    """By place, how many pairs the longest way to it has; what only feeds one place stands right above that.

    Args:
        places: in an order that the pairs respect.
        pairs: what reads what, the reader second.
        high: what is to stand as high as it can.
    """
    feeders, readers = _neighbours(pairs)
    layers = _longest_ways(places, feeders)
    free: set[Place] = set()
    for place in places:
        alone = all(feeder in free and len(readers[feeder]) == 1 for feeder in feeders[place])
        if alone and place not in high:
            free.add(place)
    for place in reversed(places):
        if place in free and readers[place]:
            layers[place] = min(layers[reader] for reader in readers[place]) - 1
    return layers


def trunk_of(flow: FlowGraph, lines: Iterable[Pair]) -> frozenset[Pair]:
    """The lines to be drawn straight: from the deepest feeder of a place, on where the longest way goes."""
    pairs = list(dict.fromkeys(lines))
    places = [node.id for node in sorted(flow.nodes, key=_time)]
    feeders, readers = _neighbours(pairs)
    above, below = _longest_ways(places, feeders), _longest_ways(places[::-1], readers)
    return frozenset(
        (source, target)
        for source, target in pairs
        if target == max(readers[source], key=below.__getitem__)
        and source == max(feeders[target], key=above.__getitem__)
    )


def _time(node: FlowNode) -> float:
    return node.order or (0 if node.kind == "input" else inf)


def _neighbours(
    pairs: Iterable[tuple[Place, Place]],
) -> tuple[Mapping[Place, Sequence[Place]], Mapping[Place, Sequence[Place]]]:
    """Who feeds each place, and who reads it."""
    feeders: dict[Place, list[Place]] = defaultdict(list)
    readers: dict[Place, list[Place]] = defaultdict(list)
    for source, target in dict.fromkeys(pairs):
        readers[source].append(target)
        feeders[target].append(source)
    return feeders, readers


def _longest_ways(places: Sequence[Place], feeders: Mapping[Place, Sequence[Place]]) -> dict[Place, int]:
    ways: dict[Place, int] = {}
    for place in places:
        ways[place] = max((ways.get(feeder, -1) + 1 for feeder in feeders[place]), default=0)
    return ways
