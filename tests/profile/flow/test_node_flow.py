"""The data flow node by node: every node once, every tensor from its producer, bodies as own graphs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from onnx import TensorProto, helper

from onnxlens.errors import GraphError
from onnxlens.profile.count.ledger import build_ledger
from onnxlens.profile.flow.node_flow import build_node_flow
from onnxlens.profile.graph.loading import load_graph
from onnxlens.specs.flow import GraphEnd, NodeFlow, OperatorGraph, OperatorNode, Wire
from onnxlens.specs.ledger import NodeCost
from onnxlens.specs.tensor import TensorSpec
from tests.profile.count.test_repeats import ELSE, GOES_ON, THEN, graph, loop_body, save_if, save_loop
from tests.profile.models import integers, ledger_of, op, save, save_net, value, weight


def flow_of(path: Path) -> NodeFlow:
    return build_node_flow(*ledger_of(path))


def wires(main: OperatorGraph) -> dict[str, list[str]]:
    """Where the inputs of every node and output come from."""
    found = {node.id: [wire.source for wire in node.wires] for node in main.nodes}
    ends = {end.id: [end.wire.source] if end.wire else [] for end in main.outputs}
    return {**found, **ends}


def node(flow: NodeFlow, name: str) -> OperatorNode:
    (found,) = (node for main in flow.graphs for node in main.nodes if node.id == name)
    return found


def test_tensors_come_from_their_producers_and_weights_are_at_their_consumers(tmp_path: Path) -> None:
    flow = flow_of(save_net(tmp_path))
    (main,) = flow.graphs
    assert wires(main) == {
        "node_a": ["input/x"], "node_b": ["node_a"], "node_c": ["node_b"], "node_d": ["node_b", "node_c"],
        "node_e": ["node_d"], "node_f": ["node_e"], "node_g": ["node_f"], "node_y": ["node_g"],
        "output/y": ["node_y"],
    }  # fmt: skip
    stem = node(flow, "node_a")
    assert [(fixed.input, fixed.formal, fixed.tensor.name) for fixed in stem.fixed] == [
        (1, "W", "stem.weight"), (2, "B", "stem.bias"),
    ]  # fmt: skip
    assert all(fixed.is_weight for fixed in stem.fixed)
    assert [(wire.input, wire.formal) for wire in stem.wires] == [(0, "X")]
    assert stem.attributes == {"kernel_shape": "3, 3", "pads": "1, 1, 1, 1"}
    assert stem.cost.macs == 8 * 8 * 4 * 27


def test_every_node_of_the_ledger_is_in_a_graph(tmp_path: Path) -> None:
    read, ledger = ledger_of(save_if(tmp_path))
    flow = build_node_flow(read, ledger)
    costs = [node.cost for main in flow.graphs for node in main.nodes]
    assert sorted(costs, key=lambda cost: cost.node) == sorted(ledger.nodes, key=lambda cost: cost.node)


def test_data_flows_into_a_branch_on_both_graphs(tmp_path: Path) -> None:
    flow = flow_of(save_if(tmp_path))
    main, then, other = flow.graphs
    assert [main.id for main in flow.graphs] == ["made", "joined/then_branch", "joined/else_branch"]
    assert node(flow, "node_joined").bodies == ("joined/then_branch", "joined/else_branch")
    # x is read by both branches, and captured once; flag is the If's own input
    assert wires(main)["node_joined"] == ["input/flag", "input/x"]
    assert [end.tensor.name for end in then.inputs] == ["x"]
    prefix = "joined/then_branch/"
    inside = [*wires(then).values()]
    assert inside == [[then.inputs[0].id], [f"{prefix}node_made"], [f"{prefix}node_out"]]
    assert [end.tensor.name for end in other.outputs] == ["joined/else_branch/out"]


def test_a_loops_body_takes_the_inputs_of_the_loop(tmp_path: Path) -> None:
    main, body = flow_of(save_loop(tmp_path, loop_body(GOES_ON))).graphs
    assert wires(main)["node_last"] == ["input/x"]  # the limit is a constant
    # the condition that is returned, and what the loop is given; its weight is not an input
    assert sorted(end.tensor.name for end in body.inputs) == ["last/body/going", "x"]


def test_inputs_of_an_inner_branch_pass_through_the_outer_body(tmp_path: Path) -> None:
    inner = op("If", "flag", "chosen", then_branch=graph(
        [op("Add", "next far", "deep")], [], [value("deep", (3, 4))],
    ), else_branch=graph([op("Neg", "next", "deep")], [], [value("deep", (3, 4))]))  # fmt: skip
    nodes = [op("Abs", "x", "far"), op("Loop", "limit - x", "last slices", body=loop_body(GOES_ON, inner))]
    held = [weight("w", 4, 4), integers("axis", [0]), integers("limit", 5)]
    inputs = [value("x", (3, 4)), value("flag", (), TensorProto.BOOL)]
    outputs = [value("last", (3, 4)), value("slices", (5, 4))]
    flow = flow_of(save(tmp_path, nodes, inputs, outputs, held))
    main, body, then, other = flow.graphs
    assert wires(main)["node_last"] == ["input/x", "input/flag", "node_far"]
    entries = {end.id: end.tensor.name for end in body.inputs}
    choice = next(node for node in body.nodes if node.cost.op_type == "If")
    assert [entries.get(wire.source, wire.source) for wire in choice.wires] == [
        "flag", "last/body/node_next", "far",
    ]  # fmt: skip
    assert sorted(end.tensor.name for end in then.inputs) == ["far", "last/body/next"]
    assert [end.tensor.name for end in other.inputs] == ["last/body/next"]


def test_a_branch_without_nodes_returns_its_inputs(tmp_path: Path) -> None:
    bare = graph([], [], [value("x", (3, 4))])
    nodes = [op("If", "flag", "y", then_branch=bare, else_branch=ELSE)]
    inputs = [value("x", (3, 4)), value("flag", (), TensorProto.BOOL)]
    main, then, _ = flow_of(save(tmp_path, nodes, inputs, [value("y", (3, 4))])).graphs
    assert then.nodes == ()
    assert wires(main)["node_y"] == ["input/flag", "input/x"]
    assert [then.outputs[0].wire.source] == [end.id for end in then.inputs]


def test_names_that_repeat_become_ids_that_do_not(tmp_path: Path) -> None:
    nodes = [op("Relu", "x", "a"), op("Relu", "a", "b"), op("Relu", "b", "y")]
    nodes[1].name = nodes[0].name
    nodes[2].name = "input/x"
    (main,) = flow_of(save(tmp_path, nodes, [value("x", (3,))], [value("y", (3,))])).graphs
    assert wires(main) == {
        "node_a": ["input/x"], "node_a (2)": ["node_a"], "input/x (2)": ["node_a (2)"],
        "output/y": ["input/x (2)"],
    }  # fmt: skip


def test_small_integers_are_written_out_and_an_output_may_be_a_weight(tmp_path: Path) -> None:
    nodes = [op("Reshape", "x shape", "y")]
    outputs = [value("y", (12,)), value("w", (4, 4))]
    held = [integers("shape", [12]), weight("w", 4, 4)]
    path = save(tmp_path, nodes, [value("x", (3, 4))], outputs, held)
    (main,) = flow_of(path).graphs
    (shape,) = main.nodes[0].fixed
    assert (shape.values, shape.is_weight, shape.formal) == ("[12]", False, "shape")
    assert wires(main)["output/w"] == []


def test_an_input_whose_value_is_given_is_a_constant(tmp_path: Path) -> None:
    read = load_graph(save_if(tmp_path), values={"flag": (1,)})
    flow = build_node_flow(read, build_ledger(read))
    (given,) = node(flow, "node_joined").fixed
    assert (given.tensor.name, given.is_weight) == ("flag", False)


def test_attributes_are_short_texts(tmp_path: Path) -> None:
    many = list(range(17))
    odd = op("Odd", "x", "y", domain="com.odd", ratio=1e-5, many=many, mode="fast", table=weight("t", 2, 3))
    odd.attribute.append(helper.make_attribute("inner", THEN))
    opsets = {"": 18, "com.odd": 1}
    path = save(tmp_path, [odd], [value("x", (3,))], [value("y", (3,))], opsets=opsets)
    (main,) = flow_of(path).graphs
    assert main.nodes[0].attributes == {
        "ratio": "1e-05", "many": "17 values", "mode": "fast", "table": "float32 [2, 3]",
    }  # fmt: skip


X = TensorSpec("x", "float32", (3,))
RELU = OperatorNode("relu", NodeCost("relu", "Relu", "", "", ""))


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ((RELU, RELU), "two nodes of 'net' share an id"),
        ((replace(RELU, wires=(Wire("nobody", 0, 0),)),), "a wire comes from 'nobody'"),
        ((replace(RELU, bodies=("nowhere",)),), "'nowhere' is not a graph"),
    ],
)
def test_an_inconsistent_flow_is_an_error(nodes: tuple[OperatorNode, ...], message: str) -> None:
    with pytest.raises(GraphError, match=message):
        NodeFlow("net", "net.onnx", (OperatorGraph("net", (GraphEnd("input/x", X),), nodes, ()),))


def test_two_graphs_of_one_name_are_an_error() -> None:
    with pytest.raises(GraphError, match="two graphs share an id"):
        NodeFlow("net", "net.onnx", (OperatorGraph("net", (), (), ()), OperatorGraph("net", (), (), ())))
