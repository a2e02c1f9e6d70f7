"""What must hold for every picture: nothing lies on anything else, and everything is there."""

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
"""Points by which two things may meet: a curve is written to a tenth of a point, a border is one wide."""
PIECES = 6
"""A curve is looked at in so many places between two of its points."""

Point = tuple[float, float]


class Place(NamedTuple):
    """A rectangle on the canvas, and what is in it."""

    what: str
    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: Place) -> bool:
        """Whether they share more than an edge."""
        return (
            self.left < other.right - TOUCH
            and other.left < self.right - TOUCH
            and self.top < other.bottom - TOUCH
            and other.top < self.bottom - TOUCH
        )

    def holds(self, other: Place) -> bool:
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
    """All of it for one flow; what is drawn."""
    picture = composed(flow, color)
    places = list(_places(picture))
    _require_apart(places)
    _require_nested(picture.page, _cluster_area(picture.page))
    _require_free_lines(picture, places)
    _require_lines_apart(picture)
    _require_joined(picture)
    require_complete(picture)
    assert picture_source(picture) == picture_source(composed(flow, color))
    return picture


def _places(picture: Composition) -> Iterator[Place]:
    for block, corner in picture.heading:
        yield _place("heading", block, corner)
    for cluster in all_clusters(picture.page):
        for part, corner in cluster.parts:
            yield from _part_places(part, corner)
        for wire, corner in cluster.labels:
            assert wire.label
            yield _place(f"label of {wire.key}", wire.label, corner)


def all_clusters(cluster: PlacedCluster) -> Iterator[PlacedCluster]:
    """Itself, and all clusters in it."""
    yield cluster
    for child in cluster.clusters:
        yield from all_clusters(child)


def _part_places(part: object, corner: Point) -> Iterator[Place]:
    x, y = corner
    if isinstance(part, Row):
        yield _place(part.node.id, part.box, (x + part.box_x, y + part.box_y))
        for placed in part.ports:
            yield _place(f"port of {part.node.id}", placed.block, (x + placed.x, y + placed.y))
    elif isinstance(part, End):
        yield _place(part.node.id, part.block, corner)
    else:
        assert isinstance(part, Block)
        yield _place("title", part, corner)


def _place(what: str, block: Block, corner: Point) -> Place:
    return Place(what, *corner, corner[0] + block.width, corner[1] + block.height)


def _require_apart(places: Sequence[Place]) -> None:
    for one, other in combinations(places, 2):
        assert not one.meets(other), (one, other)


def _cluster_area(cluster: PlacedCluster) -> Place:
    x, y = cluster.corner
    return Place("cluster", x, y, x + cluster.layout.width, y + cluster.layout.height)


def _require_nested(cluster: PlacedCluster, around: Place) -> None:
    """All that stands in a cluster is inside it, and its clusters do not meet."""
    inner = [place for part, corner in cluster.parts for place in _part_places(part, corner)]
    clusters = [_cluster_area(child) for child in cluster.clusters]
    for place in (*inner, *clusters):
        assert around.holds(place), (around, place)
    for one, other in combinations(clusters, 2):
        assert not one.meets(other), (one, other)
    for child, place in zip(cluster.clusters, clusters, strict=True):
        _require_nested(child, place)


def _require_free_lines(picture: Composition, places: Sequence[Place]) -> None:
    """No line runs through a box, a port, a title, or what is written beside another line."""
    for wire in picture.wires:
        for point in _drawn(picture.curve(wire)):
            for place in places:
                assert not place.has(point), (wire.key, wire.source, wire.target, point, place)


def _require_lines_apart(picture: Composition) -> None:
    """No two lines lie on each other, unless they leave or reach the same box there."""
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
    places = {place.what: place for place in _places(picture)}
    for wire in picture.wires:
        if isinstance(wire.carries, Line):
            (x, y), *_, (to_x, to_y) = picture.paths[wire.key]
            source, target = places[wire.source], places[wire.target]
            assert abs(y - source.bottom) < TOUCH and source.left < x < source.right, wire.key
            assert abs(to_y - target.top) < TOUCH and target.left < to_x < target.right, wire.key


def require_complete(picture: Composition) -> None:
    """Every tensor between two places is on a line, or on ports at those of both ends that are boxes."""
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
            assert _told(picture.rows[target.id], name, edge.tensor), edge
        if source.order:
            name = str(target.order) if target.order else target.title
            assert _told(picture.rows[source.id], name, edge.tensor), edge


def _rows(cluster: PlacedCluster) -> Iterator[Row]:
    return (part for part, _ in cluster.parts if isinstance(part, Row))


def _told(row: Row, name: str, tensor: TensorSpec) -> bool:
    """Whether a port at a box has the tensor, and the number or the name of its far end; or counts those."""
    words = [placed.port.words for placed in row.ports if tensor in placed.port.tensors]
    named = re.compile(rf"(?<![^ ]){re.escape(name)}(?![^,])|to \d+ boxes")
    return any(named.search(re.sub(r"^(skip|link|loop) \d+ ", "", text)) for text in words)
