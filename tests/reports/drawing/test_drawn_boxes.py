"""The text of boxes, port labels, cluster titles and the heading."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from html import unescape

import pytest

from onnxlens.reports.drawing.boxes import (
    TENSOR_LINES,
    box_block,
    port_block,
    tensor_lines,
    title_block,
    total_cost,
)
from onnxlens.reports.drawing.colors import scale_of
from onnxlens.reports.drawing.composition import composed
from onnxlens.reports.drawing.dot import box_tooltip, tensors_tooltip
from onnxlens.reports.drawing.labels import Block, Text, text_block, text_width
from onnxlens.reports.drawing.links import Links, PortLabel, Skip
from onnxlens.reports.drawing.rows import PORTS_HIGH, Row, row_of
from onnxlens.specs.flow import FlowGraph, FlowNode
from onnxlens.specs.tensor import TensorSpec
from tests.reports.ledgers import flow

BOX = FlowNode(
    "n7", "module", "blocks.0.conv", "Conv2d", (), 7, {"macs": 250, "params": 10, "moved_bytes": 2048}
)
OTHER = replace(BOX, id="n8", order=8, costs={"macs": 750, "params": 0, "moved_bytes": 2048})
TENSOR = TensorSpec("t", "float16", (1, "n", 8))


def texts(block: Block) -> Sequence[str]:
    """The lines of text in it."""
    found = re.findall(r"<FONT[^>]*>(.*?)</FONT>", block.markup)
    return [unescape(re.sub(r"</?[BI]>", "", text)) for text in found]


def drawn(node: FlowNode, column: str = "macs", **more: int | str) -> Sequence[str]:
    net = FlowGraph("net", "net.onnx", 1, (node, OTHER), ())
    return texts(box_block(node, scale_of(net, column), **more))  # type: ignore[arg-type]


def test_a_box_says_number_class_path_and_costs() -> None:
    assert drawn(BOX) == ["7  Conv2d", "blocks.0.conv", "250 MACs (25.0 %), 10 params"]


def test_the_share_is_next_to_the_cost_that_is_the_color() -> None:
    assert drawn(BOX, "params")[2] == "250 MACs, 10 params (100.0 %)"
    assert drawn(BOX, "moved_bytes")[2:] == ["250 MACs, 10 params", "2.00 KiB memory traffic (50.0 %)"]
    assert drawn(BOX, "none")[2:] == ["250 MACs, 10 params"]


def test_a_folded_box_shows_the_costs_of_one_and_of_all() -> None:
    assert drawn(replace(BOX, repeats=3), repeats=3)[2:] == [
        "each 250 MACs, 10 params",
        "all 3: 750 MACs (50.0 %)",  # of 3 x 250 + 750
        "x3",
    ]


def test_operators_are_in_italics_without_a_path_and_zero_costs_are_left_out() -> None:
    node = FlowNode("n1", "operators", "blocks.0", "Exp, Add", (), 1, {"macs": 0, "params": 0})
    assert drawn(node) == ["1  Exp, Add"]
    assert "<I>1  Exp, Add</I>" in box_block(node, scale_of(flow(), "macs")).markup


def test_a_closed_box_names_the_file_of_its_page_in_full() -> None:
    page = "folder/a_long_name.of_a_module.with_many_parts.input_blocks.11.1.svg"
    lines = drawn(BOX, page=page)[3:]
    assert "".join(lines) == "inside: a_long_name.of_a_module.with_many_parts.input_blocks.11.1.svg"


def test_equal_tensors_are_counted_and_long_lists_shortened() -> None:
    assert tensor_lines([TENSOR, TENSOR]) == ["2 x (1, n, 8) float16"]
    others = [TensorSpec(f"t{size}", "int64", (size,)) for size in range(TENSOR_LINES + 2)]
    assert tensor_lines(others) == [f"({size},) int64" for size in range(TENSOR_LINES - 1)] + ["and 3 more"]


def test_a_port_label_names_the_far_end() -> None:
    assert texts(port_block(PortLabel("n1", "from 1", (TENSOR,)))) == ["from 1", "(1, n, 8) float16"]
    assert Skip(1).color in port_block(PortLabel("n1", "skip 1 from 1", (TENSOR,), Skip(1))).markup
    assert Skip(1).color != Skip(2).color


def test_a_cluster_title_has_class_path_and_total_costs() -> None:
    scale = scale_of(FlowGraph("net", "net.onnx", 1, (BOX, OTHER), ()), "macs")
    assert texts(title_block("ResBlock", "blocks.0", total_cost([BOX], scale), 4)) == [
        "ResBlock", "blocks.0", "250 MACs (25.0 %)", "x4",
    ]  # fmt: skip
    assert texts(title_block("", "blocks.0", "")) == ["blocks.0"]
    assert total_cost([BOX], scale_of(flow(), "none")) == "250 MACs"


def heading(drawn: FlowGraph, column: str = "macs") -> Sequence[str]:
    return [text for block, _ in composed(drawn, column).heading for text in texts(block)]


def test_the_heading_has_the_module_the_source_and_the_notes() -> None:
    lines = heading(replace(flow(), module="block", notes=("collapsed to depth 2",)))
    assert lines[:3] == [
        "net: data flow between modules inside Block block, depth 2",
        "from net.onnx; 3 boxes, 2.42 M MACs, 655.81 k params",
        "collapsed to depth 2",
    ]
    assert "fill: share of all MACs" in lines


def test_totals_that_are_not_known_are_not_0() -> None:
    node = FlowNode("n1", "module", "m", "Net", (), 1, {"unknown_nodes": 1})
    lines = heading(FlowGraph("net", "net.onnx", 1, (node,), ()))
    assert lines[1] == "from net.onnx; 1 box"
    assert "no figure" in lines


def test_the_legend_names_parallel_branches_by_what_is_in_them() -> None:
    assert not any(line.startswith("parallel branch") for line in heading(flow()))
    nodes = [FlowNode(f"n{order}", "module", f"m{order}", "Net", (), order, {"macs": 1}) for order in (1, 2)]
    lines = heading(FlowGraph("net", "net.onnx", 1, tuple(nodes), ()))
    assert "parallel branch 1: Net" in lines


def row(reads: int, makes: int) -> Row:
    before = {"n7": [PortLabel(f"n{index}", f"from {index}", (TENSOR,)) for index in range(reads)]}
    behind = {"n7": [PortLabel(f"n{index}", f"to {index}", (TENSOR,)) for index in range(makes)]}
    return row_of(BOX, text_block([Text("box")] * 3), Links([], before, behind, frozenset()))


def test_inputs_of_a_box_are_at_its_left_and_consumers_at_its_right() -> None:
    drawn_row = row(2, 1)
    left, middle, right = drawn_row.ports
    assert max(left.x + left.block.width, middle.x + middle.block.width) < drawn_row.box_x
    assert right.x > drawn_row.box_x + drawn_row.box.width
    (to_box, from_box) = drawn_row.arrows
    assert to_box[2] == drawn_row.box_x
    assert from_box[0] == drawn_row.box_x + drawn_row.box.width and from_box[2] == right.x


@pytest.mark.parametrize(("count", "columns"), [(1, 1), (PORTS_HIGH, 1), (PORTS_HIGH + 1, 2), (100, 10)])
def test_many_port_labels_are_in_columns(count: int, columns: int) -> None:
    drawn_row = row(count, 0)
    assert len({port.x + port.block.width for port in drawn_row.ports}) == columns
    assert drawn_row.height < 400


def test_a_text_is_never_wider_than_its_block() -> None:
    block = text_block([Text("WWWWWW", 10, bold=True), Text("i", 10)])
    assert block.width >= text_width("WWWWWW", 10, bold=True)
    assert "<B>WWWWWW</B>" in block.markup
    assert "a &lt;b&gt; &amp; &quot;c&quot;" in Text('a <b> & "c"').markup()


def test_tooltips_have_exact_figures() -> None:
    node = replace(BOX, repeats=2, costs={"macs": 12_345_678, "latency_s": 0.25})
    assert box_tooltip(node, 3) == (
        "7 Conv2d\nblocks.0.conv\nparallel branch 3\n2 equal blocks; figures of one\n"
        "macs: 12,345,678\nlatency_s: 0.25"
    )
    assert tensors_tooltip([TensorSpec("t", "float32", (2, 3)), TENSOR]) == (
        "t: (2, 3) float32, 24 bytes\nt: (1, n, 8) float16"
    )
