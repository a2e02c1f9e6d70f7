"""Tensors that many boxes read are drawn as tags at their readers, others as they were."""

from __future__ import annotations

import pytest

from onnxlens.reports.fan_out import FAN_OUT_LIMIT, tagged
from onnxlens.reports.pictures import dot_source
from onnxlens.specs.flow import FlowEdge, FlowGraph, FlowNode
from onnxlens.specs.tensor import TensorSpec

CONTEXT = TensorSpec("context", "float32", (1, 4))
FRAME = (("block", "Block"),)


def fan(readers: int, *, from_input: bool) -> FlowGraph:
    """``context``, an input or a box's output, read by so many boxes in a frame; the last gives ``y``."""
    source = (
        FlowNode("input/context", "input", "context", "context")
        if from_input
        else FlowNode("n7", "module", "encoder", "Encoder", (), 7)
    )
    boxes = tuple(
        FlowNode(f"n{order}", "module", f"block.{order}", "Linear", FRAME, order)
        for order in range(10, 10 + readers)
    )
    end = FlowNode("output/y", "output", "y", "y")
    edges = [FlowEdge(source.id, box.id, CONTEXT) for box in boxes]
    edges.append(FlowEdge(boxes[-1].id, end.id, TensorSpec("y", "float32", (1, 4))))
    return FlowGraph("net", "net.onnx", 2, (source, *boxes, end), tuple(edges))


@pytest.mark.parametrize("from_input", [True, False])
def test_up_to_the_limit_the_flow_stays_as_it_is(from_input: bool) -> None:
    assert FAN_OUT_LIMIT == 3
    assert tagged(fan(3, from_input=from_input)) == fan(3, from_input=from_input)


def test_beyond_the_limit_each_reader_has_a_tag_in_its_own_frame_and_the_input_end_is_gone() -> None:
    flow = tagged(fan(4, from_input=True))
    tags = [node for node in flow.nodes if node.kind == "input"]
    assert [(tag.title, tag.path, tag.parents) for tag in tags] == [("context", "context", FRAME)] * 4
    pairs = [(edge.source, edge.target, edge.tensor) for edge in flow.edges]
    assert pairs[:4] == [(tag.id, f"n{order}", CONTEXT) for order, tag in enumerate(tags, start=10)]
    assert pairs[4][:2] == ("n13", "output/y")
    assert "input/context" not in {node.id for node in flow.nodes}


def test_a_box_that_many_read_keeps_its_place_and_its_tags_say_its_number() -> None:
    flow = tagged(fan(4, from_input=False))
    assert [node.id for node in flow.nodes][:1] == ["n7"]
    assert [node.title for node in flow.nodes if node.kind == "input"] == ["from 7"] * 4
    assert not [edge for edge in flow.edges if edge.source == "n7"]


def test_readers_are_counted_by_tensor_and_once_each() -> None:
    """Two tensors of two readers each, and one reader twice, are no fan, though four edges leave the box."""
    flow = fan(2, from_input=False)
    other = TensorSpec("other", "float32", (1, 4))
    more = tuple(FlowEdge("n7", target, other) for target in ("n10", "n11"))
    flow = FlowGraph("net", "net.onnx", 2, flow.nodes, (*flow.edges, *more, flow.edges[0]))
    assert tagged(flow) == flow


def test_two_tensors_from_one_box_to_the_same_readers_share_their_tags() -> None:
    flow = fan(4, from_input=False)
    other = TensorSpec("other", "int64", (2,))
    more = tuple(FlowEdge("n7", f"n{order}", other) for order in range(10, 14))
    shared = tagged(FlowGraph("net", "net.onnx", 2, flow.nodes, (*flow.edges, *more)))
    assert len([node for node in shared.nodes if node.kind == "input"]) == 4
    assert len(shared.edges) == 4 + 4 + 1


def test_an_input_that_nothing_reads_has_no_end_and_one_that_is_read_too_keeps_it() -> None:
    flow = fan(4, from_input=True)
    unread = FlowNode("input/unread", "input", "unread", "unread")
    few = FlowEdge("input/context", "n10", TensorSpec("slice", "float32", (1,)))
    flow = tagged(FlowGraph("net", "net.onnx", 2, (unread, *flow.nodes), (*flow.edges, few)))
    ends = {node.id for node in flow.nodes if node.id.startswith("input/")}
    assert ends == {"input/context"}


def test_the_picture_draws_the_tags_and_its_legend_explains_them() -> None:
    source = dot_source(fan(5, from_input=True))
    assert source.count("<B>context</B>") == 5
    assert "a tensor that more than 3 boxes read is named at each of them" in source
