"""One module of a file as a model of its own: its nodes, weights, inputs and outputs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxlens.errors import GraphError, UsageError
from onnxlens.profile.count.ledger import build_ledger
from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.graph.loading import load_graph
from onnxlens.profile.runtime.session import SessionRequest, open_session, run
from onnxlens.profile.subgraph.extraction import Subgraph, extract_subgraph
from onnxlens.specs.ledger import Ledger
from tests.profile.models import (
    integers,
    name_like_older_exporter,
    net_nodes,
    op,
    save,
    save_net,
    value,
    weight,
    write_manifest,
)


@pytest.fixture
def net(tmp_path: Path) -> Graph:
    return load_graph(save_net(tmp_path))


def operators(subgraph: Subgraph) -> list[str]:
    return [node.op_type for node in subgraph.model.graph.node]


def names(subgraph: Subgraph) -> tuple[list[str], list[str], list[str]]:
    """Of inputs, weights and outputs."""
    graph = subgraph.model.graph
    assert [tensor.name for tensor in subgraph.inputs] == [value.name for value in graph.input]
    assert [tensor.name for tensor in subgraph.outputs] == [value.name for value in graph.output]
    sides = (graph.input, graph.initializer, graph.output)
    inputs, weights, outputs = ([item.name for item in side] for side in sides)
    return inputs, weights, outputs


def ledger_of_subgraph(subgraph: Subgraph, folder: Path) -> Ledger:
    path = folder / "subgraph.onnx"
    path.write_bytes(subgraph.model.SerializeToString())
    return build_ledger(load_graph(path))


def test_inputs_and_outputs_are_the_values_that_cross_the_module(net: Graph) -> None:
    subgraph = extract_subgraph(net, "body.0")
    assert operators(subgraph) == ["Conv", "Add"]
    assert names(subgraph) == (["b"], ["body.0.conv.weight"], ["d"])
    assert subgraph.inputs[0].shape == subgraph.outputs[0].shape == (1, 4, 8, 8)
    assert (subgraph.nodes, subgraph.notes) == (2, ())
    assert [value.name for value in subgraph.model.graph.value_info] == ["c"]
    assert subgraph.model.graph.name == "made/body.0"


def test_its_weights_point_where_they_did_and_are_not_read(net: Graph) -> None:
    (held,) = extract_subgraph(net, "body.0.conv").model.graph.initializer
    assert [(entry.key, entry.value) for entry in held.external_data] == [("location", "absent.onnx.data")]


def test_rows_of_a_subgraph_are_those_of_the_whole_graph(net: Graph, tmp_path: Path) -> None:
    ledger = ledger_of_subgraph(extract_subgraph(net, "body.0"), tmp_path)
    # 64 positions x 4 channels, each a sum over 4 channels; the block adds one element to each
    assert {module.path: (module.macs, module.vector_ops) for module in ledger.modules} == {
        "": (64 * 4 * 4, 64 * 4), "body.0": (64 * 4 * 4, 64 * 4), "body.0.conv": (64 * 4 * 4, 0),
    }  # fmt: skip


def test_an_input_that_depends_on_outputs_is_noted(net: Graph) -> None:
    subgraph = extract_subgraph(net, "relu")  # after the stem, and after the block that reads it
    assert names(subgraph) == (["a", "d"], [], ["b", "e"])
    (note,) = subgraph.notes
    assert note.startswith("d is made outside, from the module's own outputs")
    shape = (1, 4, 8, 8)
    given = {"a": np.full(shape, -3), "d": np.full(shape, 2)}
    assert run_alone(subgraph, **given) == {"b": np.zeros(shape).tolist(), "e": np.full(shape, 2).tolist()}


def test_a_subset_of_a_modules_nodes_can_be_extracted(net: Graph) -> None:
    second = [node for node in net.nodes if node.view.name == "node_e"]
    assert names(extract_subgraph(net, "relu", second)) == (["d"], [], ["e"])


def test_a_parent_is_its_children_and_a_module_that_runs_nothing_is_refused(tmp_path: Path) -> None:
    path = save_net(tmp_path)
    write_manifest(path)
    graph = load_graph(path)
    for loaded in (graph, load_graph(save_net(tmp_path))):
        assert names(extract_subgraph(loaded, "body")) == (["b"], ["body.0.conv.weight"], ["d"])
    with pytest.raises(GraphError, match="net: unused runs no operator"):
        extract_subgraph(graph, "unused")


@pytest.mark.parametrize("path", ["", "made"])
def test_the_whole_graph_is_a_module_too(net: Graph, path: str) -> None:
    subgraph = extract_subgraph(net, path)
    assert operators(subgraph) == [node.op_type for node in net_nodes()]
    inputs, weights, outputs = names(subgraph)
    assert (inputs, outputs, len(weights)) == (["x"], ["y"], 5)


def test_a_module_that_does_not_exist_is_refused_with_the_nearest(net: Graph) -> None:
    with pytest.raises(UsageError, match="made has no module 'steam'; there is stem"):
        extract_subgraph(net, "steam")
    with pytest.raises(UsageError, match="made has no module '7'; there is body.0, body.0.conv, head"):
        extract_subgraph(net, "7")


def test_modules_of_the_older_exporter_are_found_by_name(tmp_path: Path) -> None:
    nodes = net_nodes()
    name_like_older_exporter(nodes)
    graph = load_graph(save_net(tmp_path, nodes))
    assert names(extract_subgraph(graph, "body.0")) == (["b"], ["body.0.conv.weight"], ["d"])


def test_a_file_without_modules_is_extracted_as_a_whole(tmp_path: Path) -> None:
    nodes = [op("Relu", "x", "a"), op("Neg", "a", "y")]
    graph = load_graph(save(tmp_path, nodes, [value("x", (3,))], [value("y", (3,))]))
    with pytest.raises(UsageError, match=r"graph\.onnx names no modules, so it has no module 'stem'"):
        extract_subgraph(graph, "stem")
    assert operators(extract_subgraph(graph, "")) == ["Relu", "Neg"]


def test_a_layer_that_only_its_weight_names_is_extracted(tmp_path: Path) -> None:
    nodes = net_nodes()
    for node in nodes:
        node.ClearField("metadata_props")
    graph = load_graph(save_net(tmp_path, nodes))
    assert operators(extract_subgraph(graph, "body.0.conv")) == ["Conv"]


def test_constant_folded_nodes_are_extracted_too(tmp_path: Path) -> None:
    nodes = [
        op("Neg", "w", "negative", ""),  # two modules read it
        op("Constant", "", "two", "", value_float=2.0),
        op("Mul", "x negative", "a", "stem"),
        op("Mul", "a negative", "b", "relu"),
        op("Pow", "b two", "y", "relu"),
    ]
    graph = load_graph(save(tmp_path, nodes, [value("x", (3,))], [value("y", (3,))], [weight("w", 3)]))
    assert names(extract_subgraph(graph, "stem")) == (["x"], ["w"], ["a"])
    subgraph = extract_subgraph(graph, "relu")
    assert operators(subgraph) == ["Neg", "Constant", "Mul", "Pow"]
    assert names(subgraph) == (["a"], ["w"], ["y"])
    assert subgraph.nodes == 2


def test_an_input_with_a_default_value_is_a_weight(tmp_path: Path) -> None:
    nodes = [op("Add", "x bias", "a", "stem"), op("Neg", "a", "y", "relu")]
    inputs = [value("x", (3,)), value("bias", (3,))]
    graph = load_graph(save(tmp_path, nodes, inputs, [value("y", (3,))], [weight("bias", 3)]))
    assert names(extract_subgraph(graph, "stem")) == (["x"], ["bias"], ["a"])


def test_a_graph_output_that_is_read_inside_is_an_output(tmp_path: Path) -> None:
    nodes = [op("Neg", "x", "a", "stem"), op("Exp", "a", "b", "stem"), op("Abs", "b", "y", "relu")]
    path = save(tmp_path, nodes, [value("x", (3,))], [value("y", (3,)), value("a", (3,))])
    subgraph = extract_subgraph(load_graph(path), "stem")
    assert names(subgraph) == (["x"], [], ["a", "b"])
    assert run_alone(subgraph, x=[0, 0, 0]) == {"a": [0, 0, 0], "b": [1, 1, 1]}  # exp(-0)


def test_a_module_without_outputs_is_refused(tmp_path: Path) -> None:
    nodes = [op("Neg", "x", "idle", "stem"), op("Abs", "x", "y", "relu")]
    path = save(tmp_path, nodes, [value("x", (3,))], [value("y", (3,))])
    with pytest.raises(GraphError, match="made: stem: nothing reads its values, so it has no outputs"):
        extract_subgraph(load_graph(path), "stem")


def test_dynamic_dimensions_stay_symbols_and_fixed_ones_are_fixed(tmp_path: Path) -> None:
    nodes = [op("Neg", "x", "a", "stem"), op("Abs", "a", "y", "relu")]
    path = save(tmp_path, nodes, [value("x", ("n", 3))], [value("y", ("n", 3))])
    for dims, expected in (({}, ("n", 3)), ({"n": 5}, (5, 3))):
        graph = extract_subgraph(load_graph(path, dims=dims), "relu").model.graph
        for held in (graph.input[0], graph.output[0]):
            found = [dim.dim_param or dim.dim_value for dim in held.type.tensor_type.shape.dim]
            assert found == list(expected)


def test_an_input_that_was_given_a_value_is_a_constant(tmp_path: Path) -> None:
    nodes = [op("Reshape", "x sizes", "a", "stem"), op("Neg", "a", "y", "relu")]
    inputs = [value("x", (6,)), value("sizes", (2,), TensorProto.INT64)]
    path = save(tmp_path, nodes, inputs, [value("y", ("h", "w"))])
    subgraph = extract_subgraph(load_graph(path, values={"sizes": (2, 3)}), "stem")
    assert names(subgraph) == (["x"], ["sizes"], ["a"])
    assert subgraph.outputs[0].shape == (2, 3)


def test_an_unknown_element_type_cannot_be_declared(tmp_path: Path) -> None:
    nodes = [op("Vendors", "x", "a", "stem", domain="vendor"), op("Neg", "a", "y", "relu")]
    opsets = {"": 18, "vendor": 1}
    path = save(tmp_path, nodes, [value("x", (3,))], [value("y", (3,))], opsets=opsets)
    with pytest.raises(GraphError, match="made: relu reads or makes 'a', whose element type the file"):
        extract_subgraph(load_graph(path), "relu")


def test_a_node_without_metadata_stays_with_the_module_it_was_given_to(tmp_path: Path) -> None:
    nodes = net_nodes()
    nodes[6].ClearField("metadata_props")  # g, which only the head reads
    graph = load_graph(save_net(tmp_path, nodes))
    assert graph.nodes[6].module.path == "head"
    subgraph = extract_subgraph(graph, "head")
    assert names(subgraph)[0] == ["f"]
    (head,) = (row for row in ledger_of_subgraph(subgraph, tmp_path).modules if row.path == "head")
    assert head.operators == {"Flatten": 1, "Gemm": 1}


def test_sparse_weights_and_functions_are_kept(tmp_path: Path) -> None:
    nodes = [op("Twice", "x", "a", "stem", domain="own"), op("Add", "a s", "y", "relu")]
    path = save(tmp_path, nodes, [value("x", (3,))], [value("y", (3,))], opsets={"": 18, "own": 1})
    model = onnx.load(str(path))
    kept = numpy_helper.from_array(np.array([5], np.float32), "s")
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(kept, integers("", [1]), [3]))
    body = [helper.make_node("Add", ["i", "i"], ["o"])]
    model.functions.append(
        helper.make_function("own", "Twice", ["i"], ["o"], body, [helper.make_opsetid("", 18)])
    )
    path.write_bytes(model.SerializeToString())
    graph = load_graph(path)
    assert graph.module_of(0) == "stem"  # the function is written out, in the module of its call
    assert run_alone(extract_subgraph(graph, "stem"), x=[1, 2, 3]) == {"a": [2, 4, 6]}
    assert run_alone(extract_subgraph(graph, "relu"), a=[2, 4, 6]) == {"y": [2, 9, 6]}


def run_alone(subgraph: Subgraph, **inputs: object) -> Mapping[str, list[float]]:
    onnx.checker.check_model(subgraph.model)
    session = open_session(
        Path("subgraph.onnx"), request=SessionRequest(model=subgraph.model.SerializeToString())
    )
    given = {name: np.array(held, np.float32) for name, held in inputs.items()}
    return {name: found.tolist() for name, found in run(session, given).items()}


def branching(folder: Path, inside: str = "stem") -> Graph:
    """c is -b, or a, by the sign of x's largest; y is c less 5."""
    minus = op("Neg", "b", "minus_b", inside)
    then = helper.make_graph([minus], "then", [], [value("minus_b", (2,))])
    same = helper.make_graph([op("Identity", "a", "same_a", inside)], "else", [], [value("same_a", (2,))])
    nodes = [
        op("Add", "x one", "a", ""),
        op("Add", "a a", "b", ""),
        op("ReduceMax", "x", "largest", "stem", keepdims=0),
        op("Less", "largest zero", "flag", "stem"),
        op("If", "flag", "c", "stem", then_branch=then, else_branch=same),
        op("Sub", "c five", "y", ""),
    ]
    held = [
        numpy_helper.from_array(np.array(number, np.float32), name)
        for name, number in (("one", 1), ("zero", 0), ("five", 5))
    ]
    return load_graph(save(folder, nodes, [value("x", (2,))], [value("y", (2,))], held))


@pytest.mark.parametrize(("sign", "expected"), [(1, [10, 20]), (-1, [-7, -8])])
def test_what_a_branch_reads_from_outside_is_an_input(tmp_path: Path, sign: int, expected: list[int]) -> None:
    subgraph = extract_subgraph(branching(tmp_path), "stem")
    assert names(subgraph) == (["x", "a", "b"], ["zero"], ["c"])
    assert run_alone(subgraph, x=[sign, sign], a=[10, 20], b=[7, 8]) == {"c": expected}


def test_a_module_inside_a_branch_cannot_be_extracted(tmp_path: Path) -> None:
    graph = branching(tmp_path, inside="stem.inner")
    with pytest.raises(GraphError, match="stem.inner runs inside the If 'node_c' .* extract stem, which"):
        extract_subgraph(graph, "stem.inner")


def test_the_file_may_be_of_a_time_when_weights_were_inputs(tmp_path: Path) -> None:
    nodes = [op("Add", "x w", "a", "stem"), op("Neg", "a", "y", "relu")]
    inputs = [value("x", (2,)), value("w", (2,))]
    path = save(tmp_path, nodes, inputs, [value("y", (2,))], [weight("w", 2)], opsets={"": 8})
    model = onnx.load(str(path))
    model.ir_version = 3
    path.write_bytes(model.SerializeToString())
    assert run_alone(extract_subgraph(load_graph(path), "stem"), x=[1, 2]) == {"a": [1, 2]}


@pytest.mark.parametrize("name", ["hed", pytest.param("clip_text", marks=pytest.mark.slow)])
def test_every_module_costs_alone_what_it_costs_in_the_whole_graph(
    name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    graph: Graph = request.getfixturevalue(name)
    idle = 0
    for row in build_ledger(graph).modules:
        if not row.order:
            idle += 1
            continue
        if ".layers." in row.path and ".layers.0" not in row.path:
            continue  # all twelve are alike
        alone = ledger_of_subgraph(extract_subgraph(graph, row.path), tmp_path)
        figures = (alone.totals.macs, alone.totals.vector_ops, alone.totals.special_ops)
        assert figures == (row.macs, row.vector_ops, row.special_ops), row.path
    assert idle == (1 if name == "clip_text" else 0)  # the position embedding is a weight
