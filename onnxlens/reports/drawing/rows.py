"""A box with its port labels: what it reads at its left; at its right skips and who reads what it makes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from math import ceil, sqrt

from onnxlens.reports.drawing.boxes import port_block
from onnxlens.reports.drawing.labels import Block
from onnxlens.reports.drawing.links import Links, PortLabel
from onnxlens.reports.drawing.position import Point
from onnxlens.specs.flow import FlowNode

Arrow = tuple[float, float, float]
"""From an x at a y to another x."""

PORT_GAP = 3.0
"""Points between two port labels."""
ARROW_LENGTH = 18.0
"""Points between a box and its port labels."""
PORTS_HIGH = 4
"""So many port labels stand below each other; more take another column, or make a square."""
CORNER = 8.0
"""Arrows keep so many points off the corners of a box."""
SKIP_ROOM = 12.0
"""Points next to a port label for the line of its skip connection."""
COMING, UPWARDS = (0, 2), 2
"""Of the four groups of port labels right of a box: those that it reads; how many have lines that go up."""


@dataclass(frozen=True, slots=True)
class PlacedPort:
    """A port, its upper left corner, in points from that of the row."""

    port: PortLabel
    block: Block
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Row:
    """All that belongs to one box, in points from its upper left corner.

    Attributes:
        box_x, box_y: the corner of the box.
        arrows: between the box and each group of port labels, as (x, y, x) from where to where.
        skips: by the number of each skip connection that ends here, where its line runs next to the label.
    """

    node: FlowNode
    box: Block
    box_x: float
    box_y: float
    ports: Sequence[PlacedPort]
    arrows: Sequence[Arrow]
    skips: Mapping[int, Point]
    width: float
    height: float

    @property
    def upper(self) -> Point:
        """Where lines come to the box."""
        return self.box_x + self.box.width / 2, self.box_y

    @property
    def lower(self) -> Point:
        """Where lines leave the box."""
        return self.box_x + self.box.width / 2, self.box_y + self.box.height

    def port_of(self, number: int) -> PlacedPort:
        """The port label of a skip connection."""
        return next(port for port in self.ports if port.port.skip and port.port.skip.number == number)


def row_of(node: FlowNode, box: Block, links: Links) -> Row:
    """A box and its port labels, side by side, all in the middle of the row's height."""
    read = [port for port in links.before.get(node.id, ()) if not port.lined]
    groups = _right_of(node, links)
    high = max(PORTS_HIGH, ceil(sqrt(len(read))))
    left = [_Stack(read[start : start + high]) for start in range(0, len(read), high)]
    right = _Stack([port for ports in groups for port in ports])
    height = max([box.height, right.height, *(stack.height for stack in left)])
    ports: list[PlacedPort] = []
    arrows: list[Arrow] = []
    x = 0.0
    for stack in left:
        ports += stack.placed(x, height / 2, to_the_right=True)
        x += stack.width + PORT_GAP
    if left:
        arrows.append((x - PORT_GAP, height / 2, x - PORT_GAP + ARROW_LENGTH))
        x += ARROW_LENGTH - PORT_GAP
    box_x, x = x, x + box.width
    skips: Mapping[int, Point] = {}
    if right.ports:
        placed_right = right.placed(x + ARROW_LENGTH, height / 2, to_the_right=False)
        ports += placed_right
        one_by_one = iter(placed_right)
        placed = [list(islice(one_by_one, len(group))) for group in groups]
        arrows += _arrows(placed, x, (height / 2, box.height / 2 - CORNER))
        x += ARROW_LENGTH + right.width
        skips = _skips(placed, x)
        x = max([x, *(index + SKIP_ROOM / 2 for index, _ in skips.values())])
    return Row(node, box, box_x, (height - box.height) / 2, ports, arrows, skips, x, height)


def _right_of(node: FlowNode, links: Links) -> Sequence[Sequence[PortLabel]]:
    """From the top down: what comes from above, goes back up, comes back from below, and goes on."""
    lined = [port for port in links.before.get(node.id, ()) if port.lined]
    made = links.behind.get(node.id, ())
    ordered = ((lined, False), (made, True), (lined, True), (made, False))
    return [[port for port in ports if port.back == back] for ports, back in ordered]


def _arrows(groups: Sequence[Sequence[PlacedPort]], x: float, reach: Point) -> Iterator[Arrow]:
    """From every other group of ports to the box, and from it to the rest, as far as its side reaches."""
    middle, half = reach
    for index, group in enumerate(groups):
        if group:
            y = (group[0].y + group[-1].y + group[-1].block.height) / 2
            y = max(middle - half, min(y, middle + half))
            yield (group[0].x, y, x) if index in COMING else (x, y, group[0].x)


def _skips(groups: Sequence[Sequence[PlacedPort]], edge: float) -> Mapping[int, Point]:
    """Lines to the upper ones come from above, and those to lower ones pass outside; likewise from below."""
    positions: dict[int, Point] = {}
    upwards = [placed for group in groups[:UPWARDS] for placed in group]
    downwards = [placed for group in groups[UPWARDS:] for placed in group]
    for ports in (upwards, downwards[::-1]):
        skipping = [placed for placed in ports if placed.port.lined]
        for index, placed in enumerate(skipping, start=1):
            if placed.port.skip:
                middle = placed.y + placed.block.height / 2
                positions[placed.port.skip.number] = (edge + index * SKIP_ROOM, middle)
    return positions


class _Stack:
    """Port labels below each other."""

    def __init__(self, ports: Sequence[PortLabel]) -> None:
        self.ports = ports
        self._blocks = list(map(port_block, ports))
        self.width = max((block.width for block in self._blocks), default=0)
        self.height = sum(block.height for block in self._blocks) + PORT_GAP * max(len(ports) - 1, 0)

    def placed(self, x: float, middle: float, *, to_the_right: bool) -> list[PlacedPort]:
        """Around the middle, towards the box."""
        y = middle - self.height / 2
        placed = []
        for port, block in zip(self.ports, self._blocks, strict=True):
            placed.append(PlacedPort(port, block, x + (self.width - block.width if to_the_right else 0), y))
            y += block.height + PORT_GAP
        return placed
