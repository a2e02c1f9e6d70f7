"""Back edges of loops, and edges to parallel modules."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace

import pytest

from onnxlens.reports.drawing.boxes import TENSOR_LINES, tensor_lines
from onnxlens.reports.drawing.composition import Composition, composed
from onnxlens.reports.drawing.dot import dot_source
from onnxlens.reports.drawing.rows import PlacedPort
from onnxlens.reports.drawing.title import heading
from onnxlens.specs.flow import FlowEdge, FlowGraph, FlowNode
from onnxlens.specs.tensor import TensorSpec
from tests.reports.drawing.random_flows import random_flow
from tests.reports.drawing.readable import require_readable


def boxes(clusters: Mapping[str, str], arrows: str) -> FlowGraph:
    """Boxes by name with the module that each is in, in order, and ``a>b`` for each tensor."""
    nodes = [
        FlowNode(
            name, "module", name, name.upper(), ((cluster, cluster),) if cluster else (), order, {"macs": 8}
        )
        for order, (name, cluster) in enumerate(clusters.items(), start=1)
    ]
    pairs = [arrow.split(">") for arrow in arrows.split()]
    edges = [FlowEdge(one, other, TensorSpec(f"of_{one}", "float32", (1,))) for one, other in pairs]
    return FlowGraph("net", "net.onnx", 1, tuple(nodes), tuple(edges))


def loop() -> FlowGraph:
    return boxes(dict.fromkeys("abcd", ""), "a>b b>c c>a c>d")


def parallel() -> FlowGraph:
    """Two modules of which the second reads the first in its last box alone."""
    return boxes({"a": "one", "b": "one", "p": "two", "q": "two"}, "a>b p>q b>q a>q")


def ports(picture: Composition) -> Mapping[str, list[str]]:
    return {box: [port.port.words for port in row.ports] for box, row in picture.rows.items() if row.ports}


def port_of(picture: Composition, box: str, words: str) -> PlacedPort:
    (found,) = (port for port in picture.rows[box].ports if port.port.words == words)
    return found


def test_a_loops_back_edge_is_a_numbered_line_up_to_the_box_that_reads_it() -> None:
    picture = require_readable(loop())
    assert ports(picture) == {"a": ["loop 1 from 3"], "c": ["loop 1 to 1"]}
    (wire,) = (wire for wire in picture.wires if wire.key.startswith("skip"))
    corners = picture.paths[wire.key]
    assert (wire.source, wire.target) == ("a", "c")  # as it is drawn: from the upper to the lower
    assert corners[0][1] < corners[-1][1]
    assert "a colored label marks an end of a loop" in dot_source(loop())


def test_the_output_of_a_loop_is_a_line_of_its_own() -> None:
    lines = [(wire.source, wire.target) for wire in composed(loop()).wires if wire.key.startswith("line")]
    assert lines == [("a", "b"), ("b", "c"), ("c", "d")]


@pytest.mark.parametrize("first", range(0, 20, 10))
def test_flows_of_every_shape_with_loops_are_readable(first: int) -> None:
    for seed in range(first, first + 10):
        flow, chance = random_flow(seed), random.Random(seed)
        ran = [node.id for node in flow.nodes if node.order]
        ends = [sorted(chance.choices(range(len(ran)), k=2)) for _ in range(2)]
        back = [FlowEdge(ran[late], ran[early], TensorSpec("back", "float32", (1,))) for early, late in ends]
        require_readable(replace(flow, edges=(*flow.edges, *back)))


def test_every_tensor_between_parallel_modules_is_numbered_and_read_from_the_left() -> None:
    picture = require_readable(parallel())
    # two different tensors: what b makes, and what a makes for b and q
    assert ports(picture) == {
        "a": ["link 1 to 4"],
        "b": ["link 2 to 4"],
        "q": ["link 1 from 1", "link 2 from 2"],
    }
    row = picture.rows["q"]
    assert all(port_of(picture, "q", words).x < row.box_x for words in ("link 1 from 1", "link 2 from 2"))
    assert port_of(picture, "b", "link 2 to 4").x > picture.rows["b"].box_x
    assert "a link between parallel modules" in dot_source(parallel())


def test_a_box_without_lines_is_right_of_its_clusters_title_above_the_others() -> None:
    flow = boxes({"time": "net", "a": "net", "b": "net"}, "a>b")
    (cluster,) = require_readable(flow).page.clusters
    corners = {getattr(part, "node", None) and part.node.id: corner for part, corner in cluster.parts}  # type: ignore[union-attr]
    assert corners["time"][1] < corners["a"][1] < corners["b"][1]
    assert corners[None][0] < corners["time"][0]


def test_six_different_shapes_are_shown_and_of_more_the_rest_is_counted() -> None:
    shapes = [TensorSpec(f"t{size}", "float32", (size,)) for size in range(1, 8)]
    assert len(tensor_lines(shapes[:6])) == TENSOR_LINES == 6
    assert tensor_lines([*shapes, shapes[0]])[-1] == "and 2 more"  # of 7 shapes 5 are shown


def test_the_module_that_is_shown_alone_is_called_by_its_class_too() -> None:
    flow = replace(boxes({"a": "net.block"}, ""), module="net.block")
    cluster = (("net.block", "ResBlock"),)
    named = replace(flow, nodes=tuple(replace(node, parents=cluster) for node in flow.nodes))
    assert heading(named) == "net: data flow between modules inside ResBlock net.block, depth 1"
    assert heading(flow) == "net: data flow between modules inside net.block, depth 1"
