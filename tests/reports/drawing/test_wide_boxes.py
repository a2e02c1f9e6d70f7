"""Boxes with thousands of inputs, outputs and neighbors: what is drawn of them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from onnxlens.reports.drawing.dot import TOOLTIP_TENSORS, dot_source, tensors_tooltip
from onnxlens.reports.drawing.links import MANY_LABELS, PortLabel, links_of
from onnxlens.reports.drawing.position import _crossed
from onnxlens.reports.drawing.ranks import Cell, Segment
from onnxlens.specs.flow import FlowEdge, FlowGraph, FlowNode
from onnxlens.specs.tensor import TensorSpec
from tests.reports.drawing.readable import require_readable

MANY = 3_000


def fan(inputs: int, outputs: int, above: int = 0) -> FlowGraph:
    """A box that reads so many inputs and boxes, and makes so many outputs, each a tensor of its own."""
    last = above + 1
    nodes = [
        *(FlowNode(f"x{index}", "input", f"x{index}", f"x{index}") for index in range(inputs)),
        *(FlowNode(f"b{order}", "module", f"b{order}", "Net", (), order) for order in range(1, last + 1)),
        *(FlowNode(f"y{index}", "output", f"y{index}", f"y{index}") for index in range(outputs)),
    ]
    ends = [
        *((f"x{index}", f"b{last}", f"x{index}") for index in range(inputs)),
        *((f"b{order}", f"b{last}", f"t{order}") for order in range(1, last)),
        *((f"b{last}", f"y{index}", f"y{index}") for index in range(outputs)),
    ]
    edges = tuple(FlowEdge(source, to, TensorSpec(name, "float32", (1, 4))) for source, to, name in ends)
    return FlowGraph("fan", "fan.onnx", 1, tuple(nodes), edges)


def words(ports: Sequence[PortLabel]) -> list[str]:
    return [port.words for port in ports]


def test_many_inputs_and_outputs_are_a_label_each() -> None:
    links = links_of(fan(20_000, MANY))
    assert not links.ends and not links.lines
    assert words(links.before["b1"]) == ["20,000 inputs, x0 to x19999"]
    assert words(links.behind["b1"]) == ["3,000 outputs, y0 to y2999"]
    assert len(links.before["b1"][0].tensors) == 20_000


def test_inputs_and_boxes_are_counted_apart() -> None:
    links = links_of(fan(MANY, 1, above=100))
    # box 100 runs right before the one that reads all, so it has a line
    assert words(links.before["b101"]) == ["3,000 inputs, x0 to x2999", "from 99 boxes"]


@pytest.mark.parametrize(("count", "labels"), [(MANY_LABELS, 0), (MANY_LABELS + 1, 1)])
def test_as_many_as_can_be_read_stand_for_themselves(count: int, labels: int) -> None:
    links = links_of(fan(count, 1))
    assert (len(links.before), len(links.ends - {"y0"})) == (labels, 0 if labels else count)


@pytest.mark.parametrize(("inputs", "outputs", "above"), [(300, 300, 0), (300, 2, 60), (1, 300, 9)])
def test_a_wide_box_is_readable_and_small(inputs: int, outputs: int, above: int) -> None:
    flow = fan(inputs, outputs, above)
    require_readable(flow)
    assert len(dot_source(flow)) < 150_000


def test_a_tooltip_lists_what_a_screen_shows() -> None:
    tensors = [TensorSpec(f"t{index}", "float32", (1,)) for index in range(MANY)]
    lines = tensors_tooltip(tensors).splitlines()
    assert len(lines) == TOOLTIP_TENSORS + 1
    assert lines[-1] == f"and {MANY - TOOLTIP_TENSORS:,} more"


@pytest.mark.parametrize(
    ("ends", "crossings"),
    [("01 12 22", 0), ("02 11 20", 3), ("00 02 01", 0), ("02 12 21", 2), ("01 10 10", 2)],
)
def test_lines_cross_where_their_ends_change_sides(ends: str, crossings: int) -> None:
    cells = [Cell(number, 0) for number in range(3)]
    numbers = {cell: number for number, cell in enumerate(cells)}
    segments = [Segment(cells[int(upper)], cells[int(lower)], 0, 0, 1) for upper, lower in ends.split()]
    assert _crossed(segments, numbers, numbers) == crossings
