"""Ranks: how far down each box is, and which edges pass through the ranks between."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from itertools import pairwise
from math import inf
from typing import TypeVar

from onnxlens.specs.flow import FlowGraph

LINE_GAP = 7.0
"""Points that a line keeps free on both sides."""
ITEM_GAP = 16.0
"""Points between two things side by side."""
RANK_WIDTH, SIDE_BY_SIDE = 2400.0, 4
"""Points that a rank may be wide when it holds more than so many; what does not fit goes into the next."""


@dataclass(frozen=True, slots=True)
class Item:
    """An item of a rank: a box with its port labels, a cluster, a title, an end; in points.

    Attributes:
        side: how far right it stands, unless lines cross less elsewhere.
        centered: it is in the middle of its neighbors that are so too, and not at the top of the rank.
        leads: it stands above everything that is in the first rank.
    """

    width: float
    height: float
    side: float = 0
    centered: bool = False
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
        label: width and height of its text in this level.
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
    """An entry of a rank: an item, or a line that passes.

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
    """A line between two cells in neighboring ranks: where it leaves the upper, and reaches the lower."""

    upper: Cell
    lower: Cell
    out_x: float
    in_x: float
    straight: int


@dataclass(slots=True)
class Level:
    """Items and lines in ranks: items at the even ones, the labels above each at the odd ones.

    Attributes:
        ranks: the cells of each, from left to right.
        cells: by item, its cell.
        paths: by link, the cells that it runs through, from the top down.
        segments: by rank, the lines from its cells to those of the next.
        first: the item that stays leftmost.
    """

    ranks: list[list[Cell]]
    cells: list[Cell]
    paths: list[list[Cell]]
    segments: list[list[Segment]]
    first: int | None = None


def level_of(items: Sequence[Item], links: Sequence[Link], first: int | None = None) -> Level:
    """The items in ranks, each below all that it reads, and the lines through the ranks.

    Args:
        items: what stands in the level, in the order of execution.
        links: the lines.
        first: the item to stay leftmost in the first rank.

    Raises:
        graphlib.CycleError: an item reads what reads it.
    """
    item_ranks = _wrapped(_item_ranks(items, links), items)
    count = max(item_ranks, default=0) + 1
    cells = [
        Cell(index, item.side, ITEM_GAP / 2, item.width + ITEM_GAP / 2, item.height)
        for index, item in enumerate(items)
    ]
    level = Level([[] for _ in range(2 * count - 1)], cells, [], [[] for _ in range(2 * count - 2)], first)
    for index, cell in enumerate(cells):
        level.ranks[2 * item_ranks[index]].append(cell)
    for link in links:
        top = -1 if link.source is None else 2 * item_ranks[link.source.item]
        bottom = 2 * count - 1 if link.target is None else 2 * item_ranks[link.target.item]
        _run(level, link, top, bottom)
    for rank in level.ranks:
        rank.sort(key=lambda cell: cell.side)
    return level


def _run(level: Level, link: Link, top: int, bottom: int) -> None:
    """Put a line into all ranks between its ends."""
    path = [] if link.source is None else [level.cells[link.source.item]]
    for rank in range(top + 1, bottom):
        cell = Cell(None, link.side)
        if link.label and rank == bottom - 1:
            cell = Cell(None, link.side, LINE_GAP, link.label[0] + LINE_GAP, link.label[1])
        level.ranks[rank].append(cell)
        path.append(cell)
    if link.target is not None:
        path.append(level.cells[link.target.item])
    for rank, (upper, lower) in enumerate(pairwise(path), start=max(top, 0)):
        out_x = link.source.x if link.source and upper.item is not None else 0.0
        in_x = link.target.x if link.target and lower.item is not None else 0.0
        level.segments[rank].append(Segment(upper, lower, out_x, in_x, link.straight))
    level.paths.append(path)


def _item_ranks(items: Sequence[Item], links: Collection[Link]) -> Sequence[int]:
    """By item, its rank; what nothing leads to stands right above its consumers."""
    pairs = {(link.source.item, link.target.item) for link in links if link.source and link.target}
    from_above = {link.target.item for link in links if link.target and not link.source}
    item_ranks = _ranked(len(items), pairs, from_above)
    first = [item for item, rank in enumerate(item_ranks) if not rank]
    leading = [item for item in first if items[item].leads]
    if 0 < len(leading) < len(first):
        pairs |= {(leading[0], item) for item in first if item not in leading}
        item_ranks = _ranked(len(items), pairs, from_above)
    return item_ranks


def _ranked(count: int, pairs: Collection[tuple[int, int]], high: Collection[int]) -> Sequence[int]:
    producers: dict[int, set[int]] = {item: set() for item in range(count)}
    for source, target in pairs:
        producers[target].add(source)
    item_ranks = longest_path_ranks(list(TopologicalSorter(producers).static_order()), sorted(pairs), high)
    return [item_ranks[item] for item in range(count)]


def _wrapped(item_ranks: Sequence[int], items: Sequence[Item]) -> list[int]:
    """The ranks, with those that are too wide taking several."""
    members: dict[int, list[int]] = defaultdict(list)
    for item, rank in enumerate(item_ranks):
        members[rank].append(item)
    rows = [0] * len(items)
    row = -1
    for rank in sorted(members):
        row, width = row + 1, 0.0
        many = len(members[rank]) > SIDE_BY_SIDE
        for item in members[rank]:
            if many and width and width + items[item].width > RANK_WIDTH:
                row, width = row + 1, 0.0
            rows[item] = row
            width += items[item].width + ITEM_GAP
    return rows


Pair = tuple[str, str]
"""The two ends of a line."""
Vertex = TypeVar("Vertex", bound=Hashable)


def ranks_of(flow: FlowGraph) -> Mapping[str, int]:
    """By box, its rank when every box is below all that it reads; a loop leads back up."""
    order = {node.id: node.order for node in flow.nodes if node.order}
    pairs = [
        (edge.source, edge.target)
        for edge in flow.edges
        if order.get(edge.source) and order[edge.source] < order.get(edge.target, 0)
    ]
    return longest_path_ranks(sorted(order, key=order.__getitem__), pairs)


def longest_path_ranks(
    vertices: Sequence[Vertex], pairs: Iterable[tuple[Vertex, Vertex]], high: Collection[Vertex] = ()
) -> Mapping[Vertex, int]:
    """By vertex, how many pairs the longest path to it has; what only feeds one vertex is right above that.

    Args:
        vertices: in an order that the pairs respect.
        pairs: producers and their consumers.
        high: those that are as high as they can be.
    """
    producers, consumers = _neighbors(pairs)
    ranks = _longest_paths(vertices, producers)
    free: set[Vertex] = set()
    for vertex in vertices:
        alone = all(producer in free and len(consumers[producer]) == 1 for producer in producers[vertex])
        if alone and vertex not in high:
            free.add(vertex)
    for vertex in reversed(vertices):
        if vertex in free and consumers[vertex]:
            ranks[vertex] = min(ranks[consumer] for consumer in consumers[vertex]) - 1
    return ranks


def trunk_of(flow: FlowGraph, lines: Iterable[Pair]) -> frozenset[Pair]:
    """The lines to draw straight: from the deepest producer of a vertex, where the longest path goes on."""
    pairs = list(dict.fromkeys(lines))
    ends = {"input": 0, "output": inf}
    vertices = [node.id for node in sorted(flow.nodes, key=lambda node: ends.get(node.kind, node.order))]
    producers, consumers = _neighbors(pairs)
    above, below = _longest_paths(vertices, producers), _longest_paths(vertices[::-1], consumers)
    return frozenset(
        (source, target)
        for source, target in pairs
        if target == max(consumers[source], key=below.__getitem__)
        and source == max(producers[target], key=above.__getitem__)
    )


def _neighbors(
    pairs: Iterable[tuple[Vertex, Vertex]],
) -> tuple[Mapping[Vertex, Sequence[Vertex]], Mapping[Vertex, Sequence[Vertex]]]:
    """The producers and the consumers of each vertex."""
    producers: dict[Vertex, list[Vertex]] = defaultdict(list)
    consumers: dict[Vertex, list[Vertex]] = defaultdict(list)
    for source, target in dict.fromkeys(pairs):
        consumers[source].append(target)
        producers[target].append(source)
    return producers, consumers


def _longest_paths(
    vertices: Sequence[Vertex], producers: Mapping[Vertex, Sequence[Vertex]]
) -> dict[Vertex, int]:
    lengths: dict[Vertex, int] = {}
    for vertex in vertices:
        lengths[vertex] = max((lengths.get(producer, -1) + 1 for producer in producers[vertex]), default=0)
    return lengths
