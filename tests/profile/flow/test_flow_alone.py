"""The data flow inside one module, its ends named by its neighbors."""

from __future__ import annotations

from pathlib import Path

import pytest

from onnxlens.errors import UsageError
from onnxlens.profile.count.ledger import build_ledger
from onnxlens.profile.graph.graph import Graph
from onnxlens.specs.flow import FlowGraph
from tests.profile.flow.flows import flow_at
from tests.profile.models import ledger_of, op, save, save_net, value

X, Y = value("x", (2,)), value("y", (2,))


def inside(path: Path, module: str, depth: int = 1) -> FlowGraph:
    return flow_at(*ledger_of(path), depth, module)


def ends(flow: FlowGraph) -> dict[str, str]:
    """The titles of the ends, by id."""
    return {node.id: node.title for node in flow.nodes if not node.order}


def boxes(flow: FlowGraph) -> list[tuple[int, str, str]]:
    return [(node.order, node.path, node.title) for node in flow.nodes if node.order]


def arrows(flow: FlowGraph) -> list[str]:
    return [f"{edge.source} -{edge.tensor.name}> {edge.target}" for edge in flow.edges]


def test_a_module_alone_has_its_own_boxes_and_its_neighbors_as_ends(tmp_path: Path) -> None:
    flow = inside(save_net(tmp_path), "body.0")
    assert (flow.module, flow.depth, flow.graph) == ("body.0", 1, "made")
    assert boxes(flow) == [(1, "body.0.conv", "Conv2d"), (2, "body.0", "Add")]
    assert ends(flow) == {"input/b": "from relu", "output/d": "to relu"}
    assert arrows(flow) == ["input/b -b> n1", "input/b -b> n2", "n1 -c> n2", "n2 -d> output/d"]
    assert {node.parents for node in flow.nodes if node.order} == {(("body.0", "Block"),)}


def test_at_depth_0_the_module_is_one_box_with_its_ledger_row(tmp_path: Path) -> None:
    flow = inside(save_net(tmp_path), "body.0", 0)
    assert boxes(flow) == [(1, "body.0", "Block")]
    assert arrows(flow) == ["input/b -b> n1", "n1 -d> output/d"]
    assert next(node for node in flow.nodes if node.order).costs["live_bytes"] > 0


def test_the_graphs_own_tensors_keep_their_names(tmp_path: Path) -> None:
    path = save_net(tmp_path)
    assert ends(inside(path, "stem")) == {"input/x": "x", "output/a": "to relu"}
    assert ends(inside(path, "head")) == {"input/g": "from Flatten", "output/y": "y"}  # the model's own node


def test_a_module_called_twice_shows_both_calls_and_the_nodes_between_as_ends(tmp_path: Path) -> None:
    flow = inside(save_net(tmp_path), "relu", 0)
    assert boxes(flow) == [(1, "relu", "ReLU"), (2, "relu", "ReLU")]
    assert arrows(flow) == ["input/a -a> n1", "n1 -b> output/b", "input/d -d> n2", "n2 -e> output/e"]
    assert ends(flow) == {
        "input/a": "from stem",
        "input/d": "from body.0",
        "output/b": "to body.0",
        "output/e": "to GlobalAveragePool",
    }


def test_two_tensors_from_one_module_are_distinguished_and_many_consumers_counted(tmp_path: Path) -> None:
    nodes = [
        op("Relu", "x", "a", "stem"),
        op("Neg", "x", "b", "stem"),
        op("Add", "a b", "c", "head"),
        *(op("Abs", "c", f"d{index}", f"tail{index}") for index in range(3)),
        op("Sum", "c d0 d1 d2", "y", ""),
    ]
    between = [value(name, (2,)) for name in ("a", "b", "c", "d0", "d1", "d2")]
    flow = inside(save(tmp_path, nodes, [X], [Y], between=between), "head", 0)
    assert ends(flow) == {
        "input/a": "from stem (a)",
        "input/b": "from stem (b)",
        "output/c": "to tail0, tail1, +2 more",
    }


def test_an_output_that_is_read_again_is_called_as_the_output(tmp_path: Path) -> None:
    nodes = [op("Relu", "x", "y", "stem"), op("Neg", "y", "z", "head")]
    path = save(tmp_path, nodes, [X], [Y, value("z", (2,))])
    flow = inside(path, "stem", 0)
    assert ends(flow) == {"input/x": "x", "output/y": "y"}
    assert arrows(flow) == ["input/x -x> n1", "n1 -y> output/y"]


def test_a_neighbor_in_the_same_module_is_called_by_its_path(tmp_path: Path) -> None:
    nodes = [
        op("Relu", "x", "a", "body.0.act"),
        op("Neg", "a", "b", "body.0.conv"),
        op("Abs", "b", "y", "head"),
    ]
    path = save(tmp_path, nodes, [X], [Y], between=[value("a", (2,)), value("b", (2,))])
    assert ends(inside(path, "body.0.conv", 0)) == {"input/a": "from body.0.act", "output/b": "to head"}


@pytest.mark.parametrize(
    ("module", "message"),
    [
        ("stm", r"made has no module 'stm'; there is stem$"),
        ("body", r"made has no module 'body'; there is body\.0, body\.0\.conv$"),  # it only holds others
        ("xyzzy", r"made has no module 'xyzzy'; there is body\.0, body\.0\.conv, head$"),
    ],
)
def test_an_unknown_module_is_an_error_that_suggests_others(
    module: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        inside(save_net(tmp_path), module)


def test_the_graphs_name_is_the_whole_graph(tmp_path: Path) -> None:
    path = save_net(tmp_path)
    assert inside(path, "made") == inside(path, "")


@pytest.mark.parametrize("depth", range(4))
def test_the_layers_of_the_text_encoder_add_up_to_the_whole(clip_text: Graph, depth: int) -> None:
    ledger = build_ledger(clip_text)
    parts = ("embeddings", *(f"encoder.layers.{index}" for index in range(12)), "final_layer_norm")
    flows = [flow_at(clip_text, ledger, depth, f"transformer.text_model.{part}") for part in parts]
    assert sum(node.macs for flow in flows for node in flow.nodes) == ledger.totals.macs
    for before, after in zip(flows[1:12], flows[2:13], strict=True):
        assert f"to {after.module}" in [node.title for node in before.nodes]
        assert f"from {before.module}" in [node.title for node in after.nodes]
