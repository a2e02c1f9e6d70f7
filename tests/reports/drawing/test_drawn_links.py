"""Which edges are lines, port labels or skip connections."""

from __future__ import annotations

from onnxlens.reports.drawing.links import FAN_IN_LIMIT, FAN_OUT_LIMIT, SKIP_RANKS, links_of
from onnxlens.reports.drawing.ranks import longest_path_ranks, trunk_of
from onnxlens.specs.flow import FlowEdge, FlowGraph, FlowNode
from onnxlens.specs.tensor import TensorSpec


def chain(count: int, arrows: str = "", inputs: str = "x") -> FlowGraph:
    """``b1`` to ``bN`` one after the other, ``x`` into the first, ``y`` out of the last, and more arrows."""
    boxes = [f"b{order}" for order in range(1, count + 1)]
    nodes = (
        *(FlowNode(name, "input", name, name) for name in inputs),
        *(FlowNode(box, "module", box, "Net", (), order) for order, box in enumerate(boxes, start=1)),
        FlowNode("y", "output", "y", "y"),
    )
    pairs = [
        *zip(boxes, boxes[1:], strict=False), ("x", "b1"), (boxes[-1], "y"),
        *(arrow.split(">") for arrow in arrows.split()),
    ]  # fmt: skip
    edges = tuple(FlowEdge(source, target, TensorSpec(source, "float32", (1,))) for source, target in pairs)
    return FlowGraph("net", "net.onnx", 1, nodes, edges)


def lines(flow: FlowGraph) -> set[tuple[str, str]]:
    return {(line.source, line.target) for line in links_of(flow).lines}


def test_a_chain_is_lines_with_its_ends_at_top_and_bottom() -> None:
    links = links_of(chain(2))
    assert lines(chain(2)) == {("x", "b1"), ("b1", "b2"), ("b2", "y")}
    assert links.ends == {"x", "y"}
    assert not links.before and not links.behind


def test_an_edge_over_more_ranks_than_allowed_is_a_skip_connection_numbered_at_both_ends() -> None:
    far = SKIP_RANKS + 2
    links = links_of(chain(far, f"b1>b{far}"))
    (before,), (behind,) = links.before[f"b{far}"], links.behind["b1"]
    assert (before.words, behind.words) == ("skip 1 from 1", f"skip 1 to {far}")
    assert before.skip == behind.skip
    assert [box for box, _ in links.skips] == [f"b{far}"]
    near = SKIP_RANKS + 1
    assert ("b1", f"b{near}") in lines(chain(near, f"b1>b{near}"))


def test_skip_connections_are_numbered_in_the_order_of_execution() -> None:
    links = links_of(chain(12, "b2>b12 b1>b11"))
    assert [port.words for port in (*links.before["b11"], *links.before["b12"])] == [
        "skip 1 from 1", "skip 2 from 2",
    ]  # fmt: skip


def test_a_tensor_of_many_consumers_is_named_at_each_but_the_next() -> None:
    consumers = FAN_OUT_LIMIT + 1
    flow = chain(consumers + 1, " ".join(f"b1>b{box}" for box in range(3, consumers + 2)))
    links = links_of(flow)
    assert ("b1", "b2") in lines(flow)
    assert [port.words for port in links.behind["b1"]] == ["to 3, 4, 5"]
    assert all(links.before[f"b{box}"][0].words == "from 1" for box in range(3, consumers + 2))


def test_a_box_that_reads_too_many_names_them() -> None:
    count = FAN_IN_LIMIT + 2
    flow = chain(count, " ".join(f"b{source}>b{count}" for source in range(1, count - 1)))
    words = [port.words for port in links_of(flow).before[f"b{count}"]]
    assert words == [f"from {source}" for source in range(1, count - 1)]


def test_an_input_of_a_box_that_reads_others_has_a_port_label() -> None:
    links = links_of(chain(2, "t>b2", inputs="xt"))
    assert [port.words for port in links.before["b2"]] == ["t"]
    assert links.ends == {"x", "y"}


def test_tensors_between_the_same_boxes_share_a_line() -> None:
    flow = chain(2)
    more = FlowEdge("b1", "b2", TensorSpec("second", "int64", (3,)))
    both = FlowGraph("net", "net.onnx", 1, flow.nodes, (*flow.edges, more, more))
    (line,) = (line for line in links_of(both).lines if line.source == "b1")
    assert [tensor.name for tensor in line.tensors] == ["b1", "second"]


def test_ranks_are_the_longest_paths_and_feeders_are_above_their_consumer() -> None:
    far_boxes = longest_path_ranks("abcd", [("a", "b"), ("b", "c"), ("d", "c")])
    assert far_boxes == {"a": 0, "b": 1, "c": 2, "d": 1}  # d alone could be at 0
    assert longest_path_ranks("abcd", [("a", "b"), ("b", "c"), ("d", "c")], high="d")["d"] == 0


def test_the_trunk_is_the_longest_path() -> None:
    flow = chain(4, "b1>b4 b2>b4")
    pairs = [(line.source, line.target) for line in links_of(flow).lines]
    assert trunk_of(flow, pairs) == {
        ("x", "b1"), ("b1", "b2"), ("b2", "b3"), ("b3", "b4"), ("b4", "y"),
    }  # fmt: skip
