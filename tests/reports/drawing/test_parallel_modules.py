"""Networks that can run in parallel are drawn side by side; the rest is drawn below."""

from __future__ import annotations

from collections.abc import Mapping

from onnxlens.reports.drawing.composition import composed
from onnxlens.reports.drawing.links import parallel_modules
from onnxlens.specs.flow import FlowEdge, FlowGraph, FlowNode
from onnxlens.specs.tensor import TensorSpec


def two_networks(macs: Mapping[str, int], arrows: str) -> FlowGraph:
    """Boxes ``a.1`` and ``b.1`` are in the clusters ``a`` and ``b``."""
    nodes = tuple(
        FlowNode(box, "module", box, "Conv2d", ((box[0], "Net"),), order, {"macs": work})
        for order, (box, work) in enumerate(macs.items(), start=1)
    )
    edges = (arrow.split(">") for arrow in arrows.split())
    return FlowGraph(
        "net", "net.onnx", 2, nodes,
        tuple(FlowEdge(one, other, TensorSpec(one, "float32", (1,))) for one, other in edges),
    )  # fmt: skip


JOINED = "a.1>a.2 b.1>b.2 a.2>b.2"


def test_networks_that_each_do_a_quarter_of_their_work_alone_are_parallel() -> None:
    net = two_networks({"a.1": 50, "a.2": 50, "b.1": 25, "b.2": 75}, JOINED)  # 25 of 100, and of 100
    assert parallel_modules(net) == {("a", "b")}
    left, right = sorted(cluster.corner for cluster in composed(net).page.clusters)
    assert left[1] == right[1] and left[0] < right[0]


def test_one_that_does_less_alone_is_below() -> None:
    net = two_networks({"a.1": 50, "a.2": 50, "b.1": 25, "b.2": 76}, JOINED)
    assert parallel_modules(net) == set()
    upper, lower = composed(net).page.clusters
    assert upper.corner[1] + upper.layout.height < lower.corner[1]


def test_one_that_does_less_than_a_quarter_of_the_others_work_is_below() -> None:
    assert parallel_modules(two_networks({"a.1": 60, "a.2": 60, "b.1": 25, "b.2": 0}, JOINED)) == set()


def test_without_macs_boxes_are_counted() -> None:
    assert parallel_modules(two_networks(dict.fromkeys(("a.1", "a.2", "b.1", "b.2"), 0), JOINED)) == {
        ("a", "b")
    }


def test_networks_that_do_not_read_each_other_need_no_decision() -> None:
    assert parallel_modules(two_networks(dict.fromkeys(("a.1", "b.1"), 9), "")) == set()


def test_a_head_is_below_a_module_that_does_less_than_a_quarter_of_what_the_head_does_without_it() -> None:
    assert parallel_modules(two_networks({"a.1": 3, "a.2": 2, "b.1": 20, "b.2": 60}, JOINED)) == {("a", "b")}
    assert parallel_modules(two_networks({"a.1": 2, "a.2": 2, "b.1": 20, "b.2": 60}, JOINED)) == set()
