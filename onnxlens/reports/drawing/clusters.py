"""Opened modules as clusters, nested, and laid out from the inside out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError
from itertools import groupby

from onnxlens.reports.drawing.labels import Block
from onnxlens.reports.drawing.links import Line, Skip
from onnxlens.reports.drawing.position import Placed, Point, place_level
from onnxlens.reports.drawing.ranks import Item, Link, Spot
from onnxlens.reports.drawing.rows import Row
from onnxlens.specs.flow import FlowNode

MARGIN = 10.0
"""Points between a cluster and what stands in it."""
STRAIGHT = 100
"""How much more it is worth that the lines of the trunk are straight than others."""

Parents = tuple[tuple[str, str], ...]
"""The modules around a box, outermost first, as (path, class name)."""


@dataclass(slots=True)
class Cluster:
    """An opened module, or the page.

    Attributes:
        parents: the modules around what stands in it, itself last; () for the page.
        children: the boxes that stand in it directly, and the modules that are opened in it.
    """

    parents: Parents
    children: list[FlowNode | Cluster] = field(default_factory=list)

    @property
    def path(self) -> str:
        """The module's path."""
        return self.parents[-1][0]

    @property
    def class_name(self) -> str:
        """The module's class; "" where the file does not say."""
        return self.parents[-1][1]

    def members(self) -> Iterator[FlowNode]:
        """All boxes in it, also those in the clusters in it."""
        for child in self.children:
            if isinstance(child, Cluster):
                yield from child.members()
            else:
                yield child


def page_of(nodes: Iterable[FlowNode], parents: Parents = ()) -> Cluster:
    """The clusters of a picture, in the order in which their first box runs."""
    page = Cluster(parents)
    opened: dict[Parents, list[FlowNode]] = {}
    for node in nodes:
        inner = node.parents[: len(parents) + 1]
        if inner == parents:
            page.children.append(node)
        elif inner in opened:
            opened[inner].append(node)
        else:
            opened[inner] = [node]
            page.children.append(Cluster(inner))
    for index, child in enumerate(page.children):
        if isinstance(child, Cluster):
            page.children[index] = page_of(opened[child.parents], child.parents)
    return page


def in_segments(cluster: Cluster) -> Cluster:
    """The same with a cluster of its own for every segment in which a module runs.

    A module that is read by what it reads itself cannot be one cluster that stands above or below that.
    """
    split = Cluster(cluster.parents)
    level = len(cluster.parents)
    nodes = sorted(cluster.members(), key=lambda node: node.order)
    for inner, segment in groupby(nodes, key=lambda node: node.parents[: level + 1]):
        boxes: Sequence[FlowNode] = list(segment)
        split.children += boxes if inner == cluster.parents else [page_of(boxes, inner)]
    return split


@dataclass(frozen=True, slots=True)
class Wire:
    """A line, or a skip connection, that is drawn.

    Attributes:
        key: its name.
        carries: the one or the other.
        label: its text.
        side: how far right it is to run.
        trunk: it is to be straight.
    """

    key: str
    source: str
    target: str
    carries: Line | Skip
    label: Block | None = None
    side: float = 0
    trunk: bool = False


@dataclass(frozen=True, slots=True)
class End:
    """An input or output that has a position of its own."""

    node: FlowNode
    block: Block


@dataclass(frozen=True, slots=True)
class ClusterLayout:
    """A cluster, or the page, laid out.

    Attributes:
        parts: what stands in it, the title of a cluster first.
        wires: the lines between and through its parts.
    """

    cluster: Cluster
    parts: Sequence[Part]
    wires: Sequence[Wire]
    placed: Placed

    @property
    def width(self) -> float:
        """With its margins, in points."""
        return self.placed.width + 2 * MARGIN

    @property
    def height(self) -> float:
        """With its margins, in points."""
        return self.placed.height + 2 * MARGIN


Part = Row | End | ClusterLayout | Block


@dataclass(frozen=True, slots=True)
class Contents:
    """What a picture is made of, before anything has its position.

    Attributes:
        rows: by box.
        branches: by box.
        parallel: the paths of the clusters that are drawn in parallel.
        ends: the inputs and outputs that stand on the page.
        title_of: what stands in the upper left corner of a cluster.
    """

    rows: Mapping[str, Row]
    branches: Mapping[str, int]
    parallel: Collection[str]
    ends: Sequence[End]
    title_of: Callable[[Cluster], Block]


def lay_out(cluster: Cluster, wires: Sequence[Wire], contents: Contents) -> ClusterLayout:
    """A cluster, or the page, with all that is in it laid out.

    A module that runs in several segments, and reads what reads it, has a cluster for each of them.
    """
    try:
        return _lay_out(cluster, wires, contents)
    except CycleError:
        return _lay_out(in_segments(cluster), wires, contents)


def _lay_out(cluster: Cluster, wires: Sequence[Wire], contents: Contents) -> ClusterLayout:
    members = {node.id for node in cluster.members()}
    near = [wire for wire in wires if not cluster.parents or wire.source in members or wire.target in members]
    title = contents.title_of(cluster) if cluster.parents else None
    parts: list[Part] = [title] if title else []
    part_of: dict[str, int] = {}
    for child in cluster.children:
        if isinstance(child, Cluster):
            part_of.update((node.id, len(parts)) for node in child.members())
            parts.append(lay_out(child, near, contents))
        else:
            part_of[child.id] = len(parts)
            parts.append(contents.rows[child.id])
    for end in contents.ends if title is None else ():
        part_of[end.node.id] = len(parts)
        parts.append(end)
    here = [wire for wire in near if part_of.get(wire.source) != part_of.get(wire.target)]
    lined = {end for wire in here for end in (part_of.get(wire.source), part_of.get(wire.target))}
    apart = {index for index, part in enumerate(parts) if isinstance(part, Row) and index not in lined}
    if apart and title:  # they are next to the title, above the rest
        apart.add(0)
    items = [_item(part, contents, leads=index in apart) for index, part in enumerate(parts)]
    links = [_link(wire, part_of, parts) for wire in here]
    return ClusterLayout(cluster, parts, here, place_level(items, links, 0 if title else None))


def _item(part: Part, contents: Contents, *, leads: bool) -> Item:
    if isinstance(part, End):
        return Item(part.block.width, part.block.height, centered=True, leads=part.node.kind == "input")
    if isinstance(part, Row):
        return Item(part.width, part.height, contents.branches[part.node.id], centered=True, leads=leads)
    if isinstance(part, ClusterLayout) and part.cluster.path not in contents.parallel:
        heaviest = max(part.cluster.members(), key=lambda node: node.macs * node.repeats)
        return Item(part.width, part.height, contents.branches[heaviest.id])
    return Item(part.width, part.height, leads=leads)


def _link(wire: Wire, part_of: Mapping[str, int], parts: Sequence[Part]) -> Link:
    source, target = part_of.get(wire.source), part_of.get(wire.target)
    begin = None if source is None else Spot(source, *_end_of(wire, parts[source], lower=True))
    end = None if target is None else Spot(target, *_end_of(wire, parts[target], lower=False))
    label = (wire.label.width, wire.label.height) if wire.label and begin and end else None
    return Link(wire.key, begin, end, label, wire.side, STRAIGHT if wire.trunk else 1)


def _end_of(wire: Wire, part: Part, *, lower: bool) -> Point:
    """Where a line meets a part: its lower or upper edge, or next to a port label for a skip connection."""
    if isinstance(part, ClusterLayout):
        return part.placed.paths[wire.key][-1 if lower else 0][0] + MARGIN, part.height if lower else 0.0
    if isinstance(part, Row):
        if isinstance(wire.carries, Skip):
            return part.skips[wire.carries.number]
        return part.lower if lower else part.upper
    block = part.block if isinstance(part, End) else part
    return block.width / 2, block.height if lower else 0.0


@dataclass(frozen=True, slots=True)
class PlacedCluster:
    """A cluster, or the page, on the canvas: everything with its upper left corner, in points, downwards."""

    layout: ClusterLayout
    corner: Point
    parts: Sequence[tuple[Part, Point]]
    labels: Sequence[tuple[Wire, Point]]
    clusters: Sequence[PlacedCluster]


def placed_page(page: ClusterLayout, top: float) -> tuple[PlacedCluster, Mapping[str, Sequence[Point]]]:
    """The page, ``top`` points below the canvas's upper edge; by wire, the corners of its path downwards."""
    paths: dict[str, list[Point]] = defaultdict(list)
    placed = _put(page, (0.0, top), paths)
    for corners in paths.values():  # every level adds its piece of a path, and a path only goes down
        corners.sort(key=lambda corner: corner[1])
    return placed, paths


def _put(level: ClusterLayout, corner: Point, paths: dict[str, list[Point]]) -> PlacedCluster:
    left, top = corner[0] + MARGIN, corner[1] + MARGIN
    corners = [(left + x, top + y) for x, y in level.placed.items]
    parts = list(zip(level.parts, corners, strict=True))
    for key, points in level.placed.paths.items():
        paths[key] += [(left + x, top + y) for x, y in points]
    wires = {wire.key: wire for wire in level.wires}
    return PlacedCluster(
        level,
        corner,
        [(part, corner) for part, corner in parts if not isinstance(part, ClusterLayout)],
        [(wires[key], (left + x, top + y)) for key, (x, y) in level.placed.labels.items()],
        [_put(part, corner, paths) for part, corner in parts if isinstance(part, ClusterLayout)],
    )
