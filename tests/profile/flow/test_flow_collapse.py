from __future__ import annotations

from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from onnxlens.profile.count.ledger import build_ledger
from onnxlens.profile.count.measured import with_measurements
from onnxlens.profile.graph.graph import Graph
from onnxlens.reports.drawing.title import description
from onnxlens.specs.flow import FlowGraph
from onnxlens.specs.manifest import StateTensor
from onnxlens.specs.measured import ModuleError, ModuleTiming
from tests.profile.flow.flows import flow_at
from tests.profile.models import (
    ledger_of,
    net_nodes,
    op,
    save,
    save_net,
    value,
    weight,
    write_manifest,
)


@pytest.fixture
def net(tmp_path: Path) -> Path:
    return save_net(tmp_path)


def flow_of(path: Path, depth: int) -> FlowGraph:
    return flow_at(*ledger_of(path), depth)


def boxes(flow: FlowGraph) -> list[tuple[str, str, str]]:
    """Kind, path and title of every box that runs something, in order."""
    ran = sorted((node for node in flow.nodes if node.order), key=lambda node: node.order)
    return [(node.kind, node.path, node.title) for node in ran]


def arrows(flow: FlowGraph) -> list[str]:
    return [f"{edge.source} -{edge.tensor.name}> {edge.target}" for edge in flow.edges]


def require_no_cycle(flow: FlowGraph) -> None:
    order = {node.id: node.order for node in flow.nodes}
    sorter: TopologicalSorter[str] = TopologicalSorter({node.id: () for node in flow.nodes})
    for edge in flow.edges:
        sorter.add(edge.target, edge.source)
        if order[edge.source] and order[edge.target]:
            assert order[edge.source] < order[edge.target]
    sorter.prepare()  # raises CycleError


def test_at_depth_0_the_model_is_one_box(net: Path) -> None:
    flow = flow_of(net, 0)
    assert boxes(flow) == [("module", "", "Net")]
    assert arrows(flow) == ["input/x -x> n1", "n1 -y> output/y"]
    assert (flow.graph, flow.source, flow.depth) == ("made", "graph.onnx", 0)


def test_at_depth_1_a_module_called_twice_has_two_boxes_and_loose_operators_one(net: Path) -> None:
    flow = flow_of(net, 1)
    assert boxes(flow) == [
        ("module", "stem", "Conv2d"),
        ("module", "relu", "ReLU"),
        ("module", "body.0", "Block"),
        ("module", "relu", "ReLU"),
        ("operators", "", "GlobalAveragePool"),  # the Flatten after it is a view
        ("module", "head", "Linear"),
    ]
    assert arrows(flow) == [
        "input/x -x> n1", "n1 -a> n2", "n2 -b> n3", "n3 -d> n4", "n4 -e> n5", "n5 -g> n6", "n6 -y> output/y",
    ]  # fmt: skip


def test_at_depth_2_the_block_is_opened_and_its_residual_is_an_edge(net: Path) -> None:
    flow = flow_of(net, 2)
    assert boxes(flow)[2:4] == [("module", "body.0.conv", "Conv2d"), ("operators", "body.0", "Add")]
    assert {"n2 -b> n3", "n2 -b> n4", "n3 -c> n4", "n4 -d> n5"} <= set(arrows(flow))
    assert len(arrows(flow)) == 9  # the 7 of depth 1, the residual, and from the convolution to the sum
    opened = [node.parents for node in flow.nodes if node.path.startswith("body.0")]
    assert opened == [(("body.0", "Block"),), (("body.0", "Block"),)]


def test_deeper_than_the_net_changes_nothing_but_the_depth(net: Path) -> None:
    two, nine = flow_of(net, 2), flow_of(net, 9)
    assert (two.nodes, two.edges) == (nine.nodes, nine.edges)


def test_a_module_that_only_contains_others_is_not_a_level(net: Path) -> None:
    write_manifest(net)  # it declares the ModuleList "body"
    _, ledger = ledger_of(net)
    assert "body" not in [module.path for module in ledger.modules]
    assert next(module.depth for module in ledger.modules if module.path == "body.0.conv") == 2


def test_a_box_carries_its_macs_and_its_module_params_once(net: Path) -> None:
    flow = flow_of(net, 1)
    stem, relu, block, relu_again, _, head = (node for node in flow.nodes if node.order)
    assert (stem.macs, stem.params) == (4 * 64 * 27, 4 * 27 + 4)
    assert (block.macs, block.params) == (4 * 64 * 4, 16)
    assert (head.macs, head.params) == (8, 10)
    assert (relu.id, relu_again.id) == ("n2", "n4")


def test_a_module_with_weights_that_runs_twice_shows_its_params_once(tmp_path: Path) -> None:
    nodes = net_nodes()
    nodes[2].metadata_props[0].value = repr(["", "stem", "call"])  # the second convolution, run by the stem
    flow = flow_of(save_net(tmp_path, nodes), 2)
    stems = [node.params for node in flow.nodes if node.path == "stem"]
    assert stems == [112 + 16, 0]


def test_a_box_carries_every_column_of_its_modules_row(net: Path) -> None:
    graph, ledger = ledger_of(net)
    timed = with_measurements(ledger, [ModuleTiming("body.0", 0.5)], [ModuleError("stem", 1e-6)])
    boxes_of = {node.id: node for node in flow_at(graph, timed, 1).nodes}
    row = next(module for module in timed.modules if module.path == "body.0")
    assert boxes_of["n3"].costs == {
        "macs": 4 * 64 * 4,  # 4 channels at 64 positions, each a sum over 4
        "vector_ops": 4 * 64,  # the residual
        "special_ops": 0,
        "flops": 2 * 1024 + 256,
        "params": 16,
        "weight_read_bytes": 4 * 16,
        "read_bytes": 3 * 1024,  # b for the convolution, b and c for the sum; a tensor has 4 * 64 floats
        "write_bytes": 2 * 1024,
        "moved_bytes": 64 + 5 * 1024,
        "unknown_nodes": 0,
        "arithmetic_intensity": 2304 / 5184,
        "resident_weight_bytes": 64,
        "live_bytes": row.live_bytes,
        "latency_s": 0.5,
        "achieved_macs_per_s": 1024 / 0.5,
    }
    assert boxes_of["n1"].costs["parity_error"] == 1e-6
    assert "latency_s" not in boxes_of["n1"].costs
    assert boxes_of["input/x"].costs == {}


def test_figures_of_a_whole_module_are_not_at_its_segments(net: Path) -> None:
    graph, ledger = ledger_of(net)
    timed = with_measurements(ledger, [ModuleTiming("relu", 0.5), ModuleTiming("", 2.0)])
    _, relu, _, relu_again, loose, _ = (node for node in flow_at(graph, timed, 1).nodes if node.order)
    assert {"latency_s", "live_bytes"}.isdisjoint(
        relu.costs.keys() | relu_again.costs.keys() | loose.costs.keys()
    )
    assert "params" not in relu_again.costs  # they are at the first
    assert (relu.costs["params"], loose.costs["params"]) == (0, 0)  # counted, and none there
    assert loose.costs["vector_ops"] == 4 * 64  # the pooling of the model itself, whose seconds are not its


def test_what_cannot_be_counted_is_absent_from_a_box_and_not_0(tmp_path: Path) -> None:
    nodes = [op("Foo", "x", "a", "stem", domain="com.vendor"), op("Relu", "a", "b", "stem")]
    nodes += [op("Foo", "b", "y", "head", domain="com.vendor")]
    tensors = [value(name, (2,)) for name in "xaby"]
    path = save(tmp_path, nodes, tensors[:1], tensors[3:], between=tensors[1:3])
    stem, head = (node for node in flow_of(path, 1).nodes if node.order)
    assert (stem.costs["vector_ops"], stem.costs["unknown_nodes"]) == (2, 1)  # of the Relu at least
    assert {"macs", "special_ops"}.isdisjoint(stem.costs)
    assert {"macs", "vector_ops", "special_ops", "flops"}.isdisjoint(head.costs)
    assert (head.costs["moved_bytes"], head.macs) == (2 * 8, 0)  # two float32 in, two out


def test_an_edge_says_which_tensor_with_its_dtype_and_shape(net: Path) -> None:
    flow = flow_of(net, 1)
    assert [str(edge.tensor) for edge in flow.edges][:3] == [
        "x float32(1, 3, 8, 8)", "a float32(1, 4, 8, 8)", "b float32(1, 4, 8, 8)",
    ]  # fmt: skip


def test_a_tensor_read_twice_by_one_box_is_one_edge(tmp_path: Path) -> None:
    nodes = [op("Relu", "x", "a", "stem"), op("Neg", "a", "b", "head"), op("Add", "a b", "y", "head")]
    between = [value("a", (2,)), value("b", (2,))]
    path = save(tmp_path, nodes, [value("x", (2,))], [value("y", (2,))], between=between)
    assert arrows(flow_of(path, 1)) == ["input/x -x> n1", "n1 -a> n2", "n2 -y> output/y"]


def test_weights_and_constant_folded_nodes_are_not_in_the_flow(tmp_path: Path) -> None:
    nodes = [op("Constant", "", "c", "stem", value_floats=[1.0, 2.0]), op("Add", "x c", "y", "head")]
    path = save(tmp_path, nodes, [value("x", (2,))], [value("y", (2,))])
    flow = flow_of(path, 1)
    assert boxes(flow) == [("module", "head", "Linear")]
    assert arrows(flow) == ["input/x -x> n1", "n1 -y> output/y"]


def test_a_file_that_names_no_modules_is_one_box_by_the_graphs_name(tmp_path: Path) -> None:
    path = save(tmp_path, [op("Relu", "x", "y")], [value("x", (2,))], [value("y", (2,))])
    assert boxes(flow_of(path, 2)) == [("module", "", "made")]


def test_an_output_that_is_an_input_is_an_edge_from_input_to_output(tmp_path: Path) -> None:
    tensors = [value("x", (2,)), value("y", (2,))]
    flow = flow_of(save(tmp_path, [op("Relu", "x", "y", "stem")], tensors[:1], tensors), 1)
    assert "input/x -x> output/x" in arrows(flow)


@pytest.mark.parametrize("depth", range(5))
def test_flow_of_the_soft_edge_network_holds_the_ledgers_figures(hed: Graph, depth: int) -> None:
    require_same_figures(hed, depth)


@pytest.mark.parametrize("depth", range(8))
def test_flow_of_the_text_encoder_holds_the_ledgers_figures(clip_text: Graph, depth: int) -> None:
    require_same_figures(clip_text, depth)


def require_same_figures(graph: Graph, depth: int) -> None:
    ledger = build_ledger(graph)
    flow = flow_at(graph, ledger, depth)
    require_no_cycle(flow)
    assert sum(node.macs for node in flow.nodes) == ledger.totals.macs
    assert sum(node.params for node in flow.nodes) == ledger.totals.params
    # every activation that one box makes and another reads is an edge, and the boxes share out the nodes
    made = {tensor.name for tensor in graph.inputs}
    made |= {output.name for node in graph.nodes for output in node.view.outputs if output is not None}
    assert {edge.tensor.name for edge in flow.edges} <= made
    targets = {edge.target for edge in flow.edges}
    assert {node.id for node in flow.nodes if node.kind != "input"} == targets


def test_clip_layers_follow_each_other_in_the_flow(clip_text: Graph) -> None:
    flow = flow_at(clip_text, build_ledger(clip_text), 4)
    layers = [node.id for node in flow.nodes if node.title == "ClipLayer"]
    assert len(layers) == 12
    pairs = {(edge.source, edge.target): edge.tensor.shape for edge in flow.edges}
    for before, after in zip(layers, layers[1:], strict=False):
        assert pairs[before, after] == (2, 77, 768)


def test_params_that_no_box_shows_are_in_the_total_of_what_is_shown(tmp_path: Path) -> None:
    """A module reads the weight of another one that never runs: the table has it at its owner."""
    nodes = [op("Add", "x x", "a", "stem"), op("MatMul", "a table.weight", "y", "stem")]
    path = save(
        tmp_path, nodes, [value("x", (2, 4))], [value("y", (2, 5))], [weight("table.weight", 4, 5)],
        between=[value("a", (2, 4))],
    )  # fmt: skip
    write_manifest(path, StateTensor("table.weight", "float32", (4, 5), "parameter"))
    graph, ledger = ledger_of(path)
    flow, stem = flow_at(graph, ledger, 1), flow_at(graph, ledger, 1, "stem")
    # the manifest's 112 + 16 + 10, and the table of 20; the box of stem shows its own 112
    assert (ledger.totals.params, flow.params) == (158, 158)
    assert [node.params for node in flow.nodes if node.order] == [112]
    assert description(flow) == "from graph.onnx; 1 box, 40 MACs, 158 params"  # 2 x 4 x 5
    assert stem.params is None  # its box shows all it owns
