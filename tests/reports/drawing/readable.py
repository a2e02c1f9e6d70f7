"""Invariants of every picture: nothing overlaps, and everything is drawn."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import combinations, pairwise
from typing import NamedTuple

from onnxlens.reports.drawing.clusters import End, PlacedCluster
from onnxlens.reports.drawing.composition import Composition, composed
from onnxlens.reports.drawing.dot import picture_source
from onnxlens.reports.drawing.labels import Block
from onnxlens.reports.drawing.links import Line
from onnxlens.reports.drawing.rows import Row
from onnxlens.specs.flow import FlowGraph
from onnxlens.specs.tensor import TensorSpec

TOUCH = 0.6
"""Tolerance of overlap in points: a curve is written to a tenth of a point, an outline is one wide."""
PIECES = 6
"""Samples of a curve between two of its points."""

Point = tuple[float, float]


class Area(NamedTuple):
    """A rectangle on the canvas, and the name of its content."""

    what: str
    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: Area) -> bool:
        """Whether they share more than an edge."""
        return (
            self.left < other.right - TOUCH
            and other.left < self.right - TOUCH
            and self.top < other.bottom - TOUCH
            and other.top < self.bottom - TOUCH
        )

    def holds(self, other: Area) -> bool:
        """Whether the other is inside."""
        return (
            self.left <= other.left + TOUCH
            and other.right <= self.right + TOUCH
            and self.top <= other.top + TOUCH
            and other.bottom <= self.bottom + TOUCH
        )

    def has(self, point: Point) -> bool:
        """Whether a point is well inside."""
        return (
            self.left + TOUCH < point[0] < self.right - TOUCH
            and self.top + TOUCH < point[1] < self.bottom - TOUCH
        )


def require_readable(flow: FlowGraph, color: str = "macs") -> Composition:
    """Assert all invariants for one flow; returns its composition."""
    picture = composed(flow, color)
    areas = list(_areas(picture))
    _require_apart(areas)
    _require_nested(picture.page, _cluster_area(picture.page))
    _require_free_lines(picture, areas)
    _require_lines_apart(picture)
    _require_joined(picture)
    require_complete(picture)
    assert picture_source(picture) == picture_source(composed(flow, color))
    return picture


def _areas(picture: Composition) -> Iterator[Area]:
    for block, corner in picture.heading:
        yield _area("heading", block, corner)
    for cluster in all_clusters(picture.page):
        for part, corner in cluster.parts:
            yield from _part_areas(part, corner)
        for wire, corner in cluster.labels:
            assert wire.label
            yield _area(f"label of {wire.key}", wire.label, corner)


def all_clusters(cluster: PlacedCluster) -> Iterator[PlacedCluster]:
    """Itself, and all clusters in it."""
    yield cluster
    for child in cluster.clusters:
        yield from all_clusters(child)


def _part_areas(part: object, corner: Point) -> Iterator[Area]:
    x, y = corner
    if isinstance(part, Row):
        yield _area(part.node.id, part.box, (x + part.box_x, y + part.box_y))
        for placed in part.ports:
            yield _area(f"port of {part.node.id}", placed.block, (x + placed.x, y + placed.y))
    elif isinstance(part, End):
        yield _area(part.node.id, part.block, corner)
    else:
        assert isinstance(part, Block)
        yield _area("title", part, corner)


def _area(what: str, block: Block, corner: Point) -> Area:
    return Area(what, *corner, corner[0] + block.width, corner[1] + block.height)


def _require_apart(areas: Sequence[Area]) -> None:
    for one, other in combinations(areas, 2):
        assert not one.meets(other), (one, other)


def _cluster_area(cluster: PlacedCluster) -> Area:
    x, y = cluster.corner
    return Area("cluster", x, y, x + cluster.layout.width, y + cluster.layout.height)


def _require_nested(cluster: PlacedCluster, around: Area) -> None:
    """All parts of a cluster are inside it, and its clusters do not overlap."""
    inner = [area for part, corner in cluster.parts for area in _part_areas(part, corner)]
    clusters = [_cluster_area(child) for child in cluster.clusters]
    for area in (*inner, *clusters):
        assert around.holds(area), (around, area)
    for one, other in combinations(clusters, 2):
        assert not one.meets(other), (one, other)
    for child, area in zip(cluster.clusters, clusters, strict=True):
        _require_nested(child, area)


def _require_free_lines(picture: Composition, areas: Sequence[Area]) -> None:
    """No line runs through a box, a port label, a title, or the label of another line."""
    for wire in picture.wires:
        for point in _drawn(picture.curve(wire)):
            for area in areas:
                assert not area.has(point), (wire.key, wire.source, wire.target, point, area)


def _require_lines_apart(picture: Composition) -> None:
    """No two lines overlap, unless they leave or reach the same box there."""
    runs = [
        (wire, x, y, to_y)
        for wire in picture.wires
        for (x, y), (to_x, to_y) in pairwise(picture.paths[wire.key])
        if abs(x - to_x) < TOUCH
    ]
    for (one, x, top, bottom), (other, its_x, its_top, its_bottom) in combinations(runs, 2):
        if one is other or one.source == other.source or one.target == other.target:
            continue
        apart = abs(x - its_x) > TOUCH or min(bottom, its_bottom) - max(top, its_top) < TOUCH
        assert apart, (one.key, other.key, x, top)


def _drawn(curve: str) -> Iterator[Point]:
    """Points along a curve as Graphviz reads it, down the canvas."""
    numbers = [(float(x), -float(y)) for x, y in re.findall(r"(-?[\d.]+),(-?[\d.]+)", curve)]
    head = numbers[:1] if curve.startswith("e,") else []
    points = numbers[len(head) :]
    assert len(points) % 3 == 1, curve
    yield from head
    for start in range(0, len(points) - 1, 3):
        for piece in range(PIECES + 1):
            yield _bezier(points[start : start + 4], piece / PIECES)


def _bezier(points: Sequence[Point], t: float) -> Point:
    while len(points) > 1:
        points = [((1 - t) * x + t * u, (1 - t) * y + t * v) for (x, y), (u, v) in pairwise(points)]
    return points[0]


def _require_joined(picture: Composition) -> None:
    """Every line leaves the lower edge of its box, and its head touches the upper edge of the other."""
    areas = {area.what: area for area in _areas(picture)}
    for wire in picture.wires:
        if isinstance(wire.carries, Line):
            (x, y), *_, (to_x, to_y) = picture.paths[wire.key]
            source, target = areas[wire.source], areas[wire.target]
            assert abs(y - source.bottom) < TOUCH and source.left < x < source.right, wire.key
            assert abs(to_y - target.top) < TOUCH and target.left < to_x < target.right, wire.key


def require_complete(picture: Composition) -> None:
    """Every tensor between two nodes is on a line, or in port labels at those of both ends that are boxes."""
    flow = picture.flow
    lined = {
        (wire.source, wire.target, tensor)
        for wire in picture.wires
        if isinstance(wire.carries, Line)
        for tensor in wire.carries.tensors
    }
    shown = [row.node.id for cluster in all_clusters(picture.page) for row in _rows(cluster)]
    assert sorted(shown) == sorted(node.id for node in flow.nodes if node.order)
    nodes = {node.id: node for node in flow.nodes}
    for edge in flow.edges:
        if (edge.source, edge.target, edge.tensor) in lined:
            continue
        source, target = nodes[edge.source], nodes[edge.target]
        if target.order:
            name = str(source.order) if source.order else source.title
            assert _named(picture.rows[target.id], name, edge.tensor), edge
        if source.order:
            name = str(target.order) if target.order else target.title
            assert _named(picture.rows[source.id], name, edge.tensor), edge


def _rows(cluster: PlacedCluster) -> Iterator[Row]:
    return (part for part, _ in cluster.parts if isinstance(part, Row))


def _named(row: Row, name: str, tensor: TensorSpec) -> bool:
    """Whether a port label of the box has the tensor, and its far end's number or name; or counts those."""
    words = [placed.port.words for placed in row.ports if tensor in placed.port.tensors]
    named = re.compile(rf"(?<![^ ]){re.escape(name)}(?![^,])|(to|from) [\d,]+ boxes|[\d,]+ (in|out)puts, ")
    return any(named.search(re.sub(r"^(skip|link|loop) \d+ ", "", text)) for text in words)
