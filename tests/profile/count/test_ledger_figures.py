from __future__ import annotations

from dataclasses import fields
from math import prod
from pathlib import Path

import pytest
from onnx import NodeProto, TensorProto, helper

from onnxlens.specs.ledger import Ledger, ModuleCost, OperatorCost
from tests.profile.models import (
    far_weight,
    integers,
    ledger_of,
    net_nodes,
    op,
    save,
    save_net,
    value,
    weight,
)

MAP = 4 * 8 * 8 * 4
"""Bytes of a feature map: 4 channels of 8 x 8 float32."""
STEM_MACS = 4 * 8 * 8 * (3 * 3 * 3)
CONV_MACS = 4 * 8 * 8 * 4
HEAD_MACS = 2 * 4

MS = "com.microsoft"


@pytest.fixture
def net(tmp_path: Path) -> Ledger:
    return ledger_of(save_net(tmp_path))[1]


def module(ledger: Ledger, path: str) -> ModuleCost:
    return next(module for module in ledger.modules if module.path == path)


def test_each_node_of_the_net_is_counted_as_by_hand(net: Ledger) -> None:
    counted = [
        (n.op_type, n.macs, n.vector_ops, n.params, n.weight_read_bytes, n.read_bytes, n.write_bytes)
        for n in net.nodes
    ]
    assert counted == [
        ("Conv", STEM_MACS, 256, 108 + 4, 112 * 4, 3 * 8 * 8 * 4, MAP),  # vector: the bias, 4 x 8 x 8
        ("Relu", 0, 256, 0, 0, MAP, MAP),
        ("Conv", CONV_MACS, 0, 16, 16 * 4, MAP, MAP),
        ("Add", 0, 256, 0, 0, 2 * MAP, MAP),
        ("Relu", 0, 256, 0, 0, MAP, MAP),
        ("GlobalAveragePool", 0, 256, 0, 0, MAP, 4 * 4),
        ("Flatten", 0, 0, 0, 0, 0, 0),  # a view
        ("Gemm", HEAD_MACS, 2, 8 + 2, 10 * 4, 4 * 4, 2 * 4),
    ]
    assert {node.status for node in net.nodes} == {"counted"}


def test_totals_of_the_net_are_as_by_hand(net: Ledger) -> None:
    totals = net.totals
    assert totals.nodes == 8
    assert totals.macs == STEM_MACS + CONV_MACS + HEAD_MACS == 7944
    assert totals.vector_ops == 5 * 256 + 2
    assert totals.flops == 2 * 7944 + 5 * 256 + 2
    assert totals.params == 112 + 16 + 10
    assert totals.weight_read_bytes == totals.resident_weight_bytes == 138 * 4
    assert totals.read_bytes == 768 + 6 * MAP + 16
    assert totals.write_bytes == 5 * MAP + 16 + 8
    assert totals.peak_live_bytes == 3 * MAP  # at the Add: both operands and the sum
    assert (totals.free_nodes, totals.unknown_nodes, totals.unknown_bytes, totals.buffers) == (0, 0, 0, 0)


def test_module_rows_are_in_execution_order_and_parents_before_their_children(net: Ledger) -> None:
    assert [(m.path, m.order, m.depth) for m in net.modules] == [
        ("", 1, 0), ("stem", 1, 1), ("relu", 2, 1), ("body.0", 3, 1), ("body.0.conv", 3, 2), ("head", 8, 1),
    ]  # fmt: skip


def test_module_rows_sum_their_nodes(net: Ledger) -> None:
    block, relu = module(net, "body.0"), module(net, "relu")
    assert (block.macs, block.vector_ops, block.params) == (CONV_MACS, 256, 16)
    assert block.operators == {"Conv": 1, "Add": 1}
    assert (block.weight_read_bytes, block.read_bytes, block.write_bytes) == (64, 3 * MAP, 2 * MAP)
    assert relu.operators == {"Relu": 2}  # called twice, one row
    assert (relu.vector_ops, relu.read_bytes, relu.write_bytes) == (2 * 256, 2 * MAP, 2 * MAP)
    assert block.flops == 2 * CONV_MACS + 256


def test_activation_memory_of_a_module_is_the_peak_while_it_runs(net: Ledger) -> None:
    assert module(net, "stem").live_bytes == 768 + MAP
    assert module(net, "body.0.conv").live_bytes == 2 * MAP
    assert module(net, "body.0").live_bytes == 3 * MAP
    assert module(net, "head").live_bytes == 16 + 8


def test_modules_at_the_top_and_the_models_own_nodes_sum_to_the_totals(net: Ledger) -> None:
    for name in ("macs", "vector_ops", "params", "weight_read_bytes", "read_bytes", "write_bytes"):
        top = sum(getattr(m, name) for m in net.modules if m.depth == 1)
        own = sum(getattr(node, name) for node in net.nodes if node.module_path == "")
        assert top + own == getattr(net.totals, name), name


def test_operators_sum_the_nodes_of_a_type_most_macs_first(net: Ledger) -> None:
    assert [(o.op_type, o.nodes, o.macs) for o in net.operators] == [
        ("Conv", 2, STEM_MACS + CONV_MACS), ("Gemm", 1, HEAD_MACS),
        # no MACs: by bytes read and written, Relu 4 maps, Add 3, then the pool
        ("Relu", 2, 0), ("Add", 1, 0), ("GlobalAveragePool", 1, 0), ("Flatten", 1, 0),
    ]  # fmt: skip
    for field in fields(OperatorCost):
        if field.name not in ("op_type", "domain", "free_nodes", "unknown_nodes", "peer", "lower_bounds"):
            assert sum(getattr(o, field.name) for o in net.operators) == getattr(net.totals, field.name)


def test_an_operator_without_a_rule_is_unknown_with_its_reason_and_its_bytes(tmp_path: Path) -> None:
    nodes = [op("Mystery", "x x w", "a", domain="com.vendor"), op("Relu", "a", "y")]
    path = save(
        tmp_path, nodes, [value("x", (2, 3))], [value("y", (2, 3))], [weight("w", 5)],
        between=[value("a", (2, 3))], opsets={"": 18, "com.vendor": 1},
    )  # fmt: skip
    _, ledger = ledger_of(path)
    mystery = ledger.nodes[0]
    assert mystery.status == "unknown"
    assert mystery.reason == "no rule for com.vendor::Mystery; add one with onnxlens.rules.register"
    assert (mystery.macs, mystery.vector_ops) == (0, 0)
    # a rule is not needed to know the bytes: x once, w, a
    assert (mystery.read_bytes, mystery.weight_read_bytes, mystery.write_bytes) == (6 * 4, 5 * 4, 6 * 4)
    assert ledger.totals.unknown_nodes == ledger.modules[0].unknown_nodes == 1
    assert ledger.totals.unknown_bytes == (6 + 6 + 5) * 4  # x once, a, w
    assert {operator.domain for operator in ledger.operators if operator.unknown_nodes} == {"com.vendor"}


def test_a_dynamic_dimension_makes_its_nodes_unknown_and_says_which_value(tmp_path: Path) -> None:
    path = save(
        tmp_path, [op("Relu", "x", "a"), op("ReduceSum", "a", "y", keepdims=0)],
        [value("x", ("batch", 3))], [value("y", ())], between=[value("a", ("batch", 3))],
    )  # fmt: skip
    _, ledger = ledger_of(path)
    assert [node.status for node in ledger.nodes] == ["unknown", "unknown"]
    assert ledger.nodes[0].reason == "the shape of 'x' is dynamic: ('batch', 3)"
    assert ledger.totals.unknown_bytes == 0  # neither has a known size


def test_constant_folded_nodes_are_free_and_their_results_are_weights(tmp_path: Path) -> None:
    nodes = [
        op("ReduceMean", "w", "mean", axes=[1, 2, 3]),
        op("Sub", "w mean", "standard"),  # weight standardization
        op("Conv", "x standard", "y", kernel_shape=[1, 1]),
    ]
    path = save(
        tmp_path, nodes, [value("x", (1, 3, 4, 4))], [value("y", (1, 2, 4, 4))],
        [far_weight("w", 2, 3, 1, 1)],
        between=[value("mean", (2, 1, 1, 1)), value("standard", (2, 3, 1, 1))], opsets={"": 17},
    )  # fmt: skip
    _, ledger = ledger_of(path)
    assert [node.status for node in ledger.nodes] == ["free", "free", "counted"]
    assert ledger.totals.free_nodes == 2
    assert ledger.totals.vector_ops == 0
    assert ledger.totals.weight_read_bytes == ledger.totals.resident_weight_bytes == 6 * 4
    assert [node.params for node in ledger.nodes] == [0, 0, 6]
    assert ledger.modules[0].operators == {"Conv": 1}


def test_a_constant_of_shape_instead_of_a_weight_is_a_weight(tmp_path: Path) -> None:
    nodes = [op("ConstantOfShape", "shape", "w"), op("MatMul", "x w", "y")]
    path = save(
        tmp_path, nodes, [value("x", (2, 3))], [value("y", (2, 4))], [integers("shape", [3, 4])],
        between=[value("w", (3, 4))],
    )  # fmt: skip
    _, ledger = ledger_of(path)
    assert [(node.status, node.params) for node in ledger.nodes] == [("free", 0), ("counted", 12)]
    assert ledger.totals.params == 12
    assert ledger.totals.resident_weight_bytes == 12 * 4  # the table of its shape need not be kept


def test_constant_nodes_of_scalars_and_integers_are_not_parameters(tmp_path: Path) -> None:
    scalar = helper.make_tensor("v", TensorProto.FLOAT, [], [2.0])
    shape = helper.make_tensor("v", TensorProto.INT64, [2], [3, 2])
    nodes = [
        op("Constant", "", "two", value=scalar),
        op("Constant", "", "shape", value=shape),
        op("Mul", "x two", "a"),
        op("Reshape", "a shape", "y"),
    ]
    _, ledger = ledger_of(save(tmp_path, nodes, [value("x", (2, 3))], [value("y", (3, 2))]))
    assert ledger.totals.params == 0
    assert [node.status for node in ledger.nodes] == ["free", "free", "counted", "counted"]
    assert ledger.totals.weight_read_bytes == 4  # the scalar; a view reads no shape
    assert ledger.totals.resident_weight_bytes == 4


def test_a_file_without_manifest_says_how_params_were_counted(net: Ledger) -> None:
    assert net.notes == (
        "params were counted from the file's weights: it has no manifest of its PyTorch model",
    )
    assert (net.graph, net.source, net.opset, net.attribution, net.weights) == (
        "made", "graph.onnx", 18, "metadata", "",
    )  # fmt: skip


def test_a_file_without_metadata_has_a_row_for_every_owner_of_weights(tmp_path: Path) -> None:
    nodes = net_nodes()
    for node in nodes:
        node.ClearField("metadata_props")
    _, ledger = ledger_of(save_net(tmp_path, nodes))
    assert ledger.attribution == "weights"
    assert [(m.path, m.macs, m.evidence) for m in ledger.modules] == [
        ("", 7944, "none"),
        ("stem", 6912, "weights"),
        ("body.0.conv", 1024, "weights"),
        ("head", 8, "weights"),
    ]


@pytest.mark.parametrize(
    ("node", "inputs", "shapes"),
    [
        (
            op("MatMulNBits", "x w s", "y", domain=MS, N=-4, K=8, bits=4, block_size=16),
            "ws",
            [(2, 8), (2, 4)],
        ),
    ],
)
def test_a_figure_below_zero_is_an_unknown_node(
    node: NodeProto, inputs: str, shapes: list[tuple[int, ...]], tmp_path: Path
) -> None:
    x, y = (value(name, shape) for name, shape in zip("xy", shapes, strict=True))
    weights = [weight(name, 4, 1, 16) for name in inputs]
    _, ledger = ledger_of(save(tmp_path, [node], [x], [y], weights, opsets={"": 21, MS: 1}))
    (cost,) = ledger.nodes
    assert cost.status == "unknown"
    assert "an attribute of it is out of its range" in cost.reason
    assert (cost.macs, cost.vector_ops, cost.special_ops) == (0, 0, 0)
    assert cost.write_bytes == 4 * prod(shapes[1])
