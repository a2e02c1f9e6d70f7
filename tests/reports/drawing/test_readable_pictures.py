"""In every picture nothing overlaps and every tensor is named; a flow always gives the same file."""

from __future__ import annotations

import json
import subprocess
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from types import ModuleType

import pytest

from onnxlens.reports.drawing import clusters, composition, position, ranks
from onnxlens.reports.drawing.composition import Composition, composed
from onnxlens.reports.drawing.dot import dot_source
from onnxlens.specs.flow import FlowEdge, FlowGraph, FlowNode
from onnxlens.specs.tensor import TensorSpec
from tests.reports.drawing.random_flows import random_flow
from tests.reports.drawing.readable import all_clusters, require_complete, require_readable
from tests.reports.ledgers import flow


def width_of(picture: Composition) -> float:
    return max(picture.page.layout.width, *(block.width for block, _ in picture.heading))


def wide(count: int) -> FlowGraph:
    """A level of boxes that all read one tensor, and one that reads them all."""
    nodes = [FlowNode(f"n{order}", "module", f"m{order}", "Linear", (), order) for order in range(count + 2)]
    nodes[0] = FlowNode("input/x", "input", "x", "x")
    edges = [FlowEdge("input/x", node.id, TensorSpec("x", "float32", (8,))) for node in nodes[1:-1]]
    edges += [FlowEdge(node.id, nodes[-1].id, TensorSpec(node.id, "float32", (8,))) for node in nodes[1:-1]]
    return FlowGraph("wide", "wide.onnx", 1, tuple(nodes), tuple(edges))


def long_names() -> FlowGraph:
    """Names that no box can hold."""
    name = "ConditionalTemporalCrossAttentionTransformerBlockWithRotaryPositionEmbedding" * 3
    path = ".".join(["a_module_with_a_long_name"] * 9)
    nodes = tuple(
        FlowNode(f"n{order}", "module", f"{path}.{order}", name, ((path, name),), order) for order in (1, 2)
    )
    return FlowGraph(
        name, f"{path}.onnx", 9, nodes, (FlowEdge("n1", "n2", TensorSpec("t", "float32", ("n",) * 12)),)
    )


@pytest.mark.parametrize("first", range(0, 30, 10))
def test_flows_of_every_shape_are_readable(first: int) -> None:
    for seed in range(first, first + 10):
        require_readable(random_flow(seed))


@pytest.mark.parametrize("count", [1, 8, 9, 100])
def test_a_level_of_many_boxes_is_readable(count: int) -> None:
    require_readable(wide(count), "none")


def test_a_hundred_boxes_in_a_level_take_several_rows() -> None:
    picture = composed(wide(100), "none")
    assert (
        width_of(picture) < 1.5 * ranks.RANK_WIDTH
    )  # one row and the port labels of the box that reads them all


def test_long_names_are_shortened_and_readable() -> None:
    picture = require_readable(long_names(), "none")
    assert width_of(picture) < 900


def test_a_flow_without_boxes_or_lines_is_a_picture() -> None:
    nothing = FlowGraph("none", "none.onnx", 1, (), ())
    alone = FlowGraph("one", "one.onnx", 1, (FlowNode("n1", "module", "", "Net", (), 1),), ())
    for little in (nothing, alone):
        require_readable(little, "none")


@pytest.mark.parametrize(
    ("module", "name", "wrong"),
    [
        (ranks, "ITEM_GAP", -30.0),  # boxes side by side overlap
        (ranks, "LINE_GAP", -6.0),  # lines on lines, and on boxes
        (position, "ARROW", -30.0),  # a rank overlaps the one above it
        (clusters, "MARGIN", -4.0),  # parts of a cluster stick out
        (composition, "TITLE_GAP", -9.0),  # the parts of the title overlap
    ],
)
def test_a_picture_that_is_laid_out_wrongly_is_detected(
    module: ModuleType, name: str, wrong: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, name, wrong)
    with pytest.raises(AssertionError):
        for seed in range(10):
            require_readable(random_flow(seed))


def test_a_tensor_that_is_left_out_is_detected() -> None:
    picture = composed(flow())
    edges = (*picture.flow.edges, FlowEdge("n1", "n3", TensorSpec("more", "float32", (1,))))
    with pytest.raises(AssertionError):
        require_complete(replace(picture, flow=replace(picture.flow, edges=edges)))


@pytest.mark.parametrize(
    "drawn", [flow(), random_flow(3), wide(9), long_names()], ids=lambda it: it.graph[:9]
)
def test_graphviz_finds_every_text_within_its_box(drawn: FlowGraph, dot: str) -> None:
    """Graphviz warns of a cell that is too small for its content, and of source that it cannot read."""
    done = subprocess.run(
        [dot, "-Tsvg"], input=dot_source(drawn, "none").encode(), capture_output=True, check=True
    )
    assert done.stderr.decode() == ""
    ElementTree.fromstring(done.stdout)


def test_graphviz_draws_a_box_at_its_position(dot: str) -> None:
    picture = composed(flow())
    done = subprocess.run(
        [dot, "-Tjson"], input=dot_source(flow()), capture_output=True, check=True, text=True
    )
    drawn = {node["name"]: node for node in json.loads(done.stdout)["objects"]}
    centers = []
    for name, box in (("block.conv", "n1"), ("head", "n3")):
        row = picture.rows[box]
        assert abs(72 * float(drawn[name]["width"]) - row.box.width) < 1
        assert abs(72 * float(drawn[name]["height"]) - row.box.height) < 1
        (corner,) = [
            at for cluster in all_clusters(picture.page) for part, at in cluster.parts if part is row
        ]
        x, y = map(float, drawn[name]["pos"].split(","))  # from below
        centers.append((x - corner[0] - row.upper[0], y + corner[1] + row.box_y + row.box.height / 2))
    assert abs(centers[0][0]) < 1
    assert centers[0] == pytest.approx(centers[1], abs=1)


def test_an_arrow_is_longer_than_its_head() -> None:
    assert position.ARROW > composition.HEAD
