"""The tensors alive at the peak: makers and last readers derived by hand, sums held to the level there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from onnx import NodeProto, TensorProto, helper

import onnxlens as api
from onnxlens.errors import GraphError
from onnxlens.profile.count.liveness import live_bytes, memory_peak
from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.graph.loading import load_graph
from onnxlens.specs.memory import LiveTensor, MemoryPeak, NodePlace
from tests.profile.models import integers, op, save, value

UNIT = 10 * 4


def graph_of(folder: Path, nodes: Sequence[NodeProto]) -> Graph:
    path = save(folder, nodes, [value("x", (10,))], [value("y", (10,))], [integers("shape", [2, 5])])
    return load_graph(path)


def names(place: NodePlace | None, graph: Graph) -> str:
    """What the node of that name makes, at its module."""
    if place is None:
        return ""
    made = {node.view.name: node.view.outputs[0] for node in graph.nodes}[place.node]
    assert made is not None
    return f"{made.name}@{place.module_path}"


def alive(graph: Graph) -> list[tuple[str, str, str]]:
    return [
        (each.tensor.name, names(each.producer, graph), names(each.last_consumer, graph))
        for each in memory_peak(graph).tensors
    ]


def test_a_residual_waits_for_its_sum(tmp_path: Path) -> None:
    nodes = [op("Relu", "x", "a", "stem"), op("Neg", "a", "b", "block"), op("Abs", "b", "c", "block"),
             op("Add", "a c", "y", "")]  # fmt: skip
    graph = graph_of(tmp_path, nodes)
    # x a | a b | a b c | a c y: the first of the two that hold three
    assert alive(graph) == [("a", "a@stem", "y@"), ("b", "b@block", "c@block"), ("c", "c@block", "y@")]
    found = memory_peak(graph)
    assert (found.module_path, found.live_bytes) == ("block", 3 * UNIT)


def test_an_input_has_no_maker_and_an_output_no_last_reader(tmp_path: Path) -> None:
    graph = graph_of(tmp_path, [op("Relu", "x", "y", "act")])
    assert alive(graph) == [("x", "", "y@act"), ("y", "y@act", "")]


def test_views_are_one_tensor_whose_last_reader_may_read_a_view(tmp_path: Path) -> None:
    nodes = [
        op("Relu", "x", "a", "one"),
        op("Reshape", "a shape", "v", "one"),
        op("Neg", "x", "b", "two"),
        op("Flatten", "v", "w", "three", axis=0),
        op("Abs", "w", "c", "three"),
        op("Add", "b c", "y", ""),
    ]
    graph = graph_of(tmp_path, nodes)
    # x a b at Neg: x is read there last, a by Abs through its two views
    assert alive(graph) == [("x", "", "b@two"), ("a", "a@one", "c@three"), ("b", "b@two", "y@")]


def test_a_branch_that_is_not_taken_holds_nothing(tmp_path: Path) -> None:
    """Of an If the larger branch counts: what the other would make is not alive."""
    big = helper.make_graph(
        [op("Relu", "x", "p", "then"), op("Neg", "p", "q", "then"), op("Add", "p q", "r", "then")], "big", [],
        [value("r", (10,))], value_info=[value("p", (10,)), value("q", (10,))],
    )  # fmt: skip
    small = helper.make_graph([op("Abs", "x", "s", "else")], "small", [], [value("s", (10,))])
    nodes = [op("If", "cond", "y", "", then_branch=big, else_branch=small)]
    inputs = [value("cond", (), TensorProto.BOOL), value("x", (10,))]
    path = save(tmp_path, nodes, inputs, [value("y", (10,))])
    found = api.memory_peak(path)
    # the condition, p, q and r, which becomes the If's output; x is read by Relu last, as Abs does not run
    assert sorted((each.tensor.name.split("/")[-1], each.size_bytes) for each in found.tensors) == [
        ("cond", 1), ("p", UNIT), ("q", UNIT), ("r", UNIT),
    ]  # fmt: skip


@pytest.mark.parametrize("dtype", ["", "float16", "int4"])
def test_the_tensors_add_up_to_the_highest_level(
    dtype: str, hed: Graph, clip_text: Graph, tmp_path: Path
) -> None:
    body = helper.make_graph(
        [op("Identity", "go", "go_on", "l"), op("Relu", "h", "t", "l"), op("Add", "t h", "next", "l")],
        "body",
        [value("i", (), TensorProto.INT64), value("go", (), TensorProto.BOOL), value("h", (10,))],
        [value("go_on", (), TensorProto.BOOL), value("next", (10,))], value_info=[value("t", (10,))],
    )  # fmt: skip
    nodes = [op("Relu", "x", "start", "s"), op("Loop", "x x start", "y", "l", body=body)]
    nodes[1].input[:] = ["", "", "start"]
    path = save(tmp_path, nodes, [value("x", (10,))], [value("y", (10,))])
    for graph in (hed, clip_text, load_graph(path)):
        found = memory_peak(graph, stored_as=dtype)
        levels = live_bytes(graph, stored_as=dtype)
        at = next(index for index, node in enumerate(graph.nodes) if node.view.name == found.node)
        assert found.live_bytes == max(levels) == levels[at]
        assert found.live_bytes == sum(each.size_bytes or 0 for each in found.tensors)
        sizes = [each.size_bytes or 0 for each in found.tensors]
        assert sizes == sorted(sizes, reverse=True)


def test_a_size_that_is_not_known_is_none(tmp_path: Path) -> None:
    path = save(tmp_path, [op("Relu", "x", "y", "act")], [value("x", ("n", 4))], [value("y", ("n", 4))])
    assert [each.size_bytes for each in memory_peak(load_graph(path)).tensors] == [None, None]


def test_tensors_that_do_not_add_up_are_refused(tmp_path: Path) -> None:
    spec = graph_of(tmp_path, [op("Relu", "x", "y", "act")]).inputs[0]
    with pytest.raises(GraphError, match="50 bytes are alive, 40 of its tensors"):
        MemoryPeak("n", "", 50, (LiveTensor(spec, 40, None, None),))
