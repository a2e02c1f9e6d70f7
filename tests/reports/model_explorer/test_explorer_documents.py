"""The documents for Model Explorer, read by the package's own classes: no field missing, none unknown."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

import pytest
from onnx import TensorProto, helper, save

from onnxlens.reports.model_explorer.document import (
    BORDERS,
    DATA_LEVELS,
    GRAPH_LEVELS,
    Namespaces,
    graph_document,
    lined_text,
)
from onnxlens.reports.model_explorer.node_data import HEAT, INFINITE, data_notes, node_data
from onnxlens.specs.flow import FixedInput, GraphEnd, NodeFlow, OperatorGraph, OperatorNode, Wire
from onnxlens.specs.ledger import BodyCost, Ledger
from onnxlens.specs.measured import NodeTiming
from onnxlens.specs.tensor import TensorSpec
from tests.reports import ledgers

KERNEL = FixedInput(1, TensorSpec("block.conv.weight", "float32", (16, 3, 3, 3)), True, "W")
SHAPE = FixedInput(1, TensorSpec("shape", "int64", (2,)), False, "", "[1, 10]")
SORTED = TensorSpec("sorted", "float32", (1, "n"))
TRANSPOSED = TensorSpec("transposed", "float32", (10, 65536))

FLOW = NodeFlow(
    "net", "net.onnx",
    (
        OperatorGraph(
            "net",
            (GraphEnd("input/image", ledgers.IMAGE),),
            (
                OperatorNode("conv", ledgers.CONV, {"group": "1"}, (Wire("input/image", 0, 0, "X"),),
                             (KERNEL,), (ledgers.FEATURES,)),
                OperatorNode("exp", ledgers.EXP, {}, (Wire("conv", 0, 0),), (), (ledgers.FEATURES,)),
                OperatorNode("sort", ledgers.SORT, {}, (Wire("exp", 0, 0),), (SHAPE,), (None, SORTED)),
                OperatorNode("fold", ledgers.FOLD, {}, (), (), (TRANSPOSED,)),
                OperatorNode("gemm", ledgers.GEMM, {}, (Wire("sort", 1, 0), Wire("fold", 0, 1)), (),
                             (ledgers.LOGITS,)),
            ),
            (GraphEnd("output/logits", ledgers.LOGITS, Wire("gemm", 0, 0)),),
        ),
    ),
)  # fmt: skip


def document(ledger: Ledger | None = None) -> dict[str, Any]:
    return json.loads("".join(lined_text(graph_document(FLOW, ledger or ledgers.ledger()), GRAPH_LEVELS)))


def nodes() -> dict[str, dict[str, Any]]:
    return {node["id"]: node for node in document()["graphs"][0]["nodes"]}


def texts(node: str) -> dict[str, str]:
    return {pair["key"]: pair["value"] for pair in nodes()[node]["attrs"]}


def measured() -> Ledger:
    """The ledger with errors of every module but one."""
    errors = {"": 2e-5, "block": 3e-6, "block.conv": 0.0, "head": inf}
    ledger = ledgers.ledger()
    modules = (replace(module, parity_error=errors.get(module.path)) for module in ledger.modules)
    return replace(ledger, modules=tuple(modules))


@pytest.mark.usefixtures("model_explorer")
def test_the_packages_own_classes_read_a_graph_strictly() -> None:
    import dacite
    from model_explorer import graph_builder

    read = dacite.from_dict(graph_builder.GraphCollection, document(), dacite.Config(strict=True))
    (graph,) = read.graphs
    assert (read.label, graph.id) == ("net", "net")
    ids = {node.id for node in graph.nodes}
    assert len(ids) == len(graph.nodes) == 7
    assert all(edge.sourceNodeId in ids for node in graph.nodes for edge in node.incomingEdges)


@pytest.mark.usefixtures("model_explorer")
def test_the_packages_own_classes_read_node_data_strictly() -> None:
    import dacite
    from model_explorer import node_data_builder

    documents = node_data(FLOW, ledgers.ledger(), [NodeTiming("conv", "Conv", "", 0, 1e-3, ("conv",))])
    assert sorted(documents) == ["latency_s", "macs", "moved_bytes"]
    for column in documents.values():
        data = {"graphsData": json.loads("".join(lined_text(column, DATA_LEVELS)))}
        read = dacite.from_dict(node_data_builder.ModelNodeData, data, dacite.Config(strict=True))
        assert set(read.graphsData) == {"net"}


def test_a_namespace_is_the_path_of_modules_with_their_classes() -> None:
    namespaces = Namespaces(ledgers.ledger())
    assert namespaces.of("") == ""
    assert namespaces.of("block.conv") == "block (Block)/conv (Conv2d)"
    assert namespaces.of("block.odd/name;x") == "block (Block)/odd\\/name,x"  # no level of its own, no list
    assert namespaces.lineage("block.conv") == ("", "block", "block.conv")


def test_a_node_says_what_it_is_and_costs() -> None:
    conv = nodes()["conv"]
    assert (conv["label"], conv["namespace"]) == ("Conv", "block (Block)/conv (Conv2d)")
    assert conv["incomingEdges"] == [
        {"sourceNodeId": "input/image", "sourceNodeOutputId": "0", "targetNodeInputId": "0"}
    ]
    assert {pair["key"]: pair["value"] for pair in conv["outputsMetadata"][0]["attrs"]} == {
        "name": "features", "tensor_shape": "1x16x64x64", "dtype": "float32",
    }  # fmt: skip
    assert texts("conv") == {
        "module": "block.conv (Conv2d)",
        "group": "1",
        "input 1 W": "weight block.conv.weight float32(16, 3, 3, 3)",
        "macs": "1.77 M (1,769,472)",
        "vector_ops": "65.54 k (65,536)",
        "special_ops": "0",
        "params": "448",
        "weight_read_bytes": "1.75 KiB (1,792)",
        "read_bytes": "48.00 KiB (49,152)",
        "write_bytes": "256.00 KiB (262,144)",
        "moved_bytes": "305.75 KiB (313,088)",
    }


def test_an_unknown_node_says_why_and_has_no_operations() -> None:
    assert texts("sort")["status"] == "unknown: no rule for com.vendor::Sort"
    assert not {"macs", "vector_ops", "special_ops"} & set(texts("sort"))
    assert texts("sort")["input 1"] == "constant shape int64(2,) = [1, 10]"
    assert nodes()["sort"]["style"] == {"borderColor": BORDERS["unknown"]}
    assert nodes()["sort"]["outputsMetadata"][0]["id"] == "1"  # the first is left out


def test_a_free_node_is_drawn_and_says_that_it_works_before_run_time() -> None:
    assert texts("fold") == {
        "module": "head (Linear)", "status": "free: it works on weights alone, so before run time",
    }  # fmt: skip
    assert nodes()["fold"]["style"] == {"borderColor": BORDERS["free"]}


def test_levels_have_the_ledgers_columns_and_those_not_computed_are_absent() -> None:
    levels = document()["graphs"][0]["groupNodeAttributes"]
    assert sorted(levels) == ["", "block (Block)", "block (Block)/conv (Conv2d)", "head (Linear)"]
    assert levels["block (Block)"]["macs"] == "1.77 M (1,769,472)"
    known = document(ledgers.known_ledger())["graphs"][0]["groupNodeAttributes"]
    assert known["block (Block)"]["macs_percent"] == "73.0 %"  # of 1,769,472 + 655,360
    assert "macs_percent" not in levels["block (Block)"]
    assert (levels[""]["macs"], known[""]["macs"]) == (">= 2.42 M (2,424,832)", "2.42 M (2,424,832)")
    assert levels["block (Block)"]["operators"] == "Conv 1, Exp 1"
    assert levels[""]["note 1"] == "one thing to know"
    assert not {"latency_s", "parity_error"} & set(levels["block (Block)"])
    assert document(measured())["graphs"][0]["groupNodeAttributes"]["head (Linear)"]["parity_error"] == "inf"


def results(column: str, ledger: Ledger | None = None, *timings: NodeTiming) -> dict[str, Any]:
    data = node_data(FLOW, ledger or ledgers.ledger(), timings)[column]
    return {name: result["value"] for name, result in data["net"]["results"].items()}


def test_node_data_holds_exact_counts_and_leaves_unknown_ones_out() -> None:
    assert results("macs") == {"conv": 1_769_472, "exp": 0, "fold": 0, "gemm": 655_360}
    assert sum(results("moved_bytes").values()) == ledgers.TOTALS.moved_bytes


def test_colors_end_at_fractions_of_the_largest_figure() -> None:
    data = node_data(FLOW, ledgers.ledger())["macs"]["net"]
    assert [limit["bgColor"] for limit in data["thresholds"]] == list(HEAT)
    assert data["thresholds"][-1]["value"] == 1_769_472
    assert data["results"]["exp"] == {"value": 0, "bgColor": "transparent"}


def test_a_time_is_at_the_source_that_does_most() -> None:
    run = (
        NodeTiming("fused", "FusedConv", "block", 0.0, 3e-3, ("exp", "conv")),
        NodeTiming("again", "Conv", "block", 0.0, 1e-3, ("conv",)),
        NodeTiming("moved", "Exp", "block", 0.0, 2e-3, ("sort", "exp")),  # equal bytes: the first
        NodeTiming("reorder", "ReorderOutput", None, 0.0, 5e-4),
        NodeTiming("stranger", "Mul", "head", 0.0, 5e-4, ("elsewhere",)),
    )
    assert results("latency_s", None, *run) == {"conv": 4e-3, "sort": 2e-3}
    assert data_notes(FLOW, run) == (
        "latency by node: the medians of the nodes add up to 7.0 ms, of which 1.0 ms is of nodes inserted "
        "by ONNX Runtime, and at no node here",
    )
    assert data_notes(FLOW, ()) == ()


def test_an_error_is_at_the_node_that_produces_the_output_of_the_innermost_module() -> None:
    # features leave both the convolution and the block, and the block's come from the exponential;
    # logits leave the head and the model
    assert results("parity_error", measured()) == {"exp": 0.0, "gemm": INFINITE}
    data = node_data(FLOW, measured())["parity_error"]["net"]
    assert data["results"]["gemm"] == {"value": INFINITE, "bgColor": HEAT[-1]}
    assert data["hideAggregatedStats"] == ["sum", "avg"]


def test_a_node_that_runs_subgraphs_includes_their_costs() -> None:
    body = BodyCost("body", 2, 100, 0, 0, 30, 0, repeats=5)
    loop = replace(ledgers.EXP, op_type="Loop", repeats=2, bodies=(body,))
    main = FLOW.graphs[0]
    changed = tuple(replace(node, cost=loop) if node.id == "exp" else node for node in main.nodes)
    flow = replace(FLOW, graphs=(replace(main, nodes=changed),))
    macs, moved = (
        node_data(flow, ledgers.ledger())[name]["net"]["results"] for name in ("macs", "moved_bytes")
    )
    assert macs["exp"]["value"] == 2 * 5 * 100
    assert moved["exp"]["value"] == 2 * 262_144 + 2 * 5 * 30


PEAK = """
import onnxlens, resource, sys
started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
onnxlens.explore_graph(sys.argv[1], sys.argv[2])
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - started) << 10)
"""


@pytest.mark.slow
def test_a_node_takes_half_of_the_memory_of_a_document_held_whole(tmp_path: Path) -> None:
    nodes = 20_000
    names = [f"x{index}" for index in range(nodes + 1)]
    made = [
        helper.make_node("Relu", [names[index]], [names[index + 1]], f"/l.{index // 10}/Relu_{index}")
        for index in range(nodes)
    ]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 4)) for name in names]
    graph = helper.make_graph(made, "chain", values[:1], values[-1:], value_info=values[1:-1])
    path = tmp_path / "chain.onnx"
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    run = [sys.executable, "-c", PEAK, str(path), str(tmp_path / "chain.json")]
    grown = int(subprocess.run(run, capture_output=True, check=True, text=True).stdout)
    assert (
        grown / nodes < 11_906 / 2
    )  # bytes for a node of this file, measured when the document was one object
