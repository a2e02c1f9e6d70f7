"""From a FlowGraph to a page: what is drawn, where, and along which curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import prod

from onnxlens.reports.drawing import colors
from onnxlens.reports.drawing.boxes import box_block, end_block, tensor_block, title_block, total_cost
from onnxlens.reports.drawing.branches import branches_of
from onnxlens.reports.drawing.clusters import (
    Cluster,
    Contents,
    End,
    PlacedCluster,
    Wire,
    lay_out,
    page_of,
    placed_page,
)
from onnxlens.reports.drawing.colors import DEFAULT_COLUMN, Scale, scale_of
from onnxlens.reports.drawing.labels import Block
from onnxlens.reports.drawing.links import Line, Links, Skip, links_of
from onnxlens.reports.drawing.position import Point
from onnxlens.reports.drawing.ranks import trunk_of
from onnxlens.reports.drawing.rows import Row, row_of
from onnxlens.reports.drawing.title import title_blocks
from onnxlens.specs.flow import FlowGraph, FlowNode

TITLE_GAP = 8.0
"""Points below each part of the title."""
LINES, SKIPS = 1_000.0, 2_000.0
"""Right of all boxes stand the lines that pass them, and right of those the skip connections."""


@dataclass(frozen=True, slots=True)
class Composition:
    """All of a picture.

    Attributes:
        paths: by the key of each wire, its corners from the top down.
        heading: title, notes and legend, each with its upper left corner.
        wires: what is drawn between the boxes.
        branches: of each box; 0 is the trunk.
    """

    flow: FlowGraph
    page: PlacedCluster
    paths: Mapping[str, Sequence[Point]]
    heading: Sequence[tuple[Block, Point]]
    rows: Mapping[str, Row]
    wires: Sequence[Wire]
    branches: Mapping[str, int]

    def curve(self, wire: Wire) -> str:
        """The curve of a line, as Graphviz draws it; a skip connection runs between two port labels."""
        corners = self.paths[wire.key]
        if isinstance(wire.carries, Line):
            return line_curve(corners)
        start, end = (
            self._side_of_port(wire.carries, box, corner)
            for box, corner in ((wire.source, corners[0]), (wire.target, corners[-1]))
        )
        return skip_curve(start, corners, end)

    def _side_of_port(self, skip: Skip, box: str, corner: Point) -> Point:
        """The right side of a box's port, which its line runs next to from ``corner`` on."""
        row = self.rows[box]
        port = row.port_of(skip.number)
        return corner[0] - row.skips[skip.number][0] + port.x + port.block.width, corner[1]


def composed(flow: FlowGraph, color: str = DEFAULT_COLUMN) -> Composition:
    """Everything at its position, colored by a column of the ledger."""
    scale, links, branches = scale_of(flow, color), links_of(flow), branches_of(flow)
    boxes = [node for node in flow.nodes if node.order]
    rows = {node.id: _row(node, flow, links, scale, branches[node.id]) for node in boxes}
    contents = Contents(
        rows=rows,
        branches=branches,
        parallel={path for pair in links.parallel for path in pair},
        ends=[End(node, end_block(node)) for node in flow.nodes if node.id in links.ends],
        title_of=lambda cluster: _cluster_title(cluster, flow, scale),
    )
    wires = [*_lines(flow, links, branches), *_skips(flow, links)]
    heading, top = _stacked(title_blocks(flow, scale, links, branches))
    page, paths = placed_page(lay_out(page_of(boxes), wires, contents), top)
    return Composition(flow, page, paths, heading, rows, wires, branches)


def _stacked(blocks: Sequence[Block]) -> tuple[Sequence[tuple[Block, Point]], float]:
    """Blocks below each other, and where what follows them begins."""
    tops = list(accumulate((block.height + TITLE_GAP for block in blocks), initial=0.0))
    return [(block, (0.0, y)) for block, y in zip(blocks, tops, strict=False)], tops[-1]


def _row(node: FlowNode, flow: FlowGraph, links: Links, scale: Scale, branch: int) -> Row:
    repeats = node.repeats // prod(flow.frames.get(path, 1) for path, _ in node.parents)
    color, page = colors.branch_color(branch), flow.links.get(node.id, "")
    return row_of(node, box_block(node, scale, repeats=repeats, branch=color, page=page), links)


def _cluster_title(cluster: Cluster, flow: FlowGraph, scale: Scale) -> Block:
    cost = total_cost(cluster.members(), scale)
    return title_block(cluster.class_name, cluster.path, cost, flow.frames.get(cluster.path, 1))


def _lines(flow: FlowGraph, links: Links, branches: Mapping[str, int]) -> Sequence[Wire]:
    trunk = trunk_of(flow, [(line.source, line.target) for line in links.lines])
    order = {node.id: node.order for node in flow.nodes}
    wires = []
    for index, line in enumerate(links.lines):
        label = tensor_block(line.tensors, colors.INK)
        if straight := (line.source, line.target) in trunk:
            side = float(min(branches.get(line.source, 0), branches.get(line.target, 0)))
        else:
            side = _outside(LINES, order[line.source])
        wires.append(Wire(f"line {index}", line.source, line.target, line, label, side, straight))
    return wires


def _skips(flow: FlowGraph, links: Links) -> Sequence[Wire]:
    order = {node.id: node.order for node in flow.nodes}
    wires = []
    for target, port in links.skips:
        if port.skip:
            upper, lower = (target, port.far) if port.back else (port.far, target)
            key, side = f"skip {port.skip.number} to {target}", _outside(SKIPS, order[upper])
            wires.append(Wire(key, upper, lower, port.skip, side=side))
    return wires


def _outside(side: float, order: int) -> float:
    """Further right the earlier it begins, so that one line runs around the other."""
    return side + 1 / (1 + order)


HEAD = 7.0
"""Length of an arrow's head in points, at the ``arrowsize`` of 0.7."""
TURN = 10.0
"""Points in which a line that leaves a port turns downwards."""
SAME = 0.01


def line_curve(corners: Sequence[Point]) -> str:
    """From a box straight down, bent where x changes, down to an arrow's head."""
    x, y = corners[-1]
    return f"e,{_written((x, y))} {_joined(_down([*corners[:-1], (x, y - HEAD)]))}"


def skip_curve(start: Point, corners: Sequence[Point], end: Point) -> str:
    """From the side of one port down to the side of another, without a head.

    Args:
        start: in the middle of the side of the port where it begins.
        corners: from next to that port label to next to the other.
        end: in the middle of the other's side.
    """
    (first_x, first_y), (last_x, last_y) = corners[0], corners[-1]
    after, before = (first_x, first_y + TURN), (last_x, last_y - TURN)
    middle = _down([after, *corners[1:-1], before])
    return _joined([start, corners[0], corners[0], *middle, corners[-1], corners[-1], end])


def arrow_curve(x: float, y: float, to_x: float) -> str:
    """Straight from left to right, or back, with a head."""
    base = to_x - HEAD if to_x > x else to_x + HEAD
    return f"e,{_written((to_x, y))} {_joined([(x, y), (x, y), (base, y), (base, y)])}"


def _down(corners: Sequence[Point]) -> Sequence[Point]:
    """Bezier points along corners below each other."""
    kept = _simplified(corners)
    points = [kept[0]]
    for (x, y), (to_x, to_y) in pairwise(kept):
        middle = (y + to_y) / 2
        points += [(x, middle), (to_x, middle), (to_x, to_y)]
    return points


def _simplified(corners: Sequence[Point]) -> Sequence[Point]:
    """Without corners in the middle of a straight piece, and without those that are there twice."""
    kept = [corners[0]]
    for corner, following in pairwise(corners[1:]):
        before = kept[-1]
        if not abs(before[0] - corner[0]) < SAME or not abs(corner[0] - following[0]) < SAME:
            kept.append(corner)
    return [*kept, corners[-1]]


def _joined(points: Sequence[Point]) -> str:
    return " ".join(map(_written, points))


def _written(point: Point) -> str:
    """As Graphviz writes it; its y grows upwards."""
    return f"{point[0]:.1f},{-point[1]:.1f}"
