from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import onnx
import pytest
from onnx import NodeProto, TensorProto, helper

import onnxlens as api
from onnxlens.profile.graph.flow_joins import contains
from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.graph.loading import load_graph
from onnxlens.profile.graph.scopes import CLASSES_KEY, SCOPES_KEY
from onnxlens.profile.graph.weight_owners import PRODUCTS
from tests.profile.flow.stripped_nets import stripped
from tests.profile.models import integers, ledger_of, op, save, value, weight

LINEAR = "aten.linear.default"
BATCH_NORM = "aten._native_batch_norm_legit_no_training.default"


def traced(node: NodeProto, path: str, target: str) -> NodeProto:
    """The node as part of a call of ``target`` that the module at ``path`` made."""
    levels = ["", *([path] if path else [])]
    for key, texts in ((SCOPES_KEY, [*levels, "call"]), (CLASSES_KEY, [*("m.Made" for _ in levels), target])):
        node.metadata_props.add(key=key, value=repr(texts))
    return node


def loaded(folder: Path, nodes: Sequence[NodeProto], *weights: TensorProto, shape: Sequence[int]) -> Graph:
    outputs = [value(nodes[-1].output[0], None)]
    return load_graph(save(folder, nodes, [value("x", shape)], outputs, weights))


def told(graph: Graph) -> list[tuple[str, str]]:
    """The module of every node that runs, and what told it."""
    return [(node.module.path, node.evidence) for node in graph.nodes if not node.constant_folded]


CONV = [weight("l1.c1.weight", 4, 4, 3, 3)]


def test_a_convolution_with_the_metadata_of_its_folded_norm_is_its_weights_owners(tmp_path: Path) -> None:
    nodes = [
        traced(op("Conv", "x l1.c1.weight", "t"), "l1.b1", BATCH_NORM),
        traced(op("Relu", "t", "y"), "l1", "aten.relu.default"),
    ]
    path = save(tmp_path, nodes, [value("x", (1, 4, 8, 8))], [value("y", (1, 4, 6, 6))], CONV)
    graph, ledger = ledger_of(path)
    assert told(graph) == [("l1.c1", "weights"), ("l1", "metadata")]
    assert graph.nodes[0].call is None
    # 36 positions x 4 channels x 36 products; nothing runs in the norm, which has no row
    assert {row.path: (row.macs, row.evidence) for row in ledger.modules} == {
        "": (5184, "none"), "l1": (5184, "metadata"), "l1.c1": (5184, "weights"),
    }  # fmt: skip
    assert ledger.attribution == "metadata"
    assert (
        "the modules of 2 nodes were told: 1 by the exporter's metadata, 1 by the names of the weights that "
        "they read"
    ) in ledger.notes


@pytest.mark.parametrize(
    ("module", "target", "name"),
    [
        ("attn", LINEAR, "attn.q.weight"),  # a function of the parent's, with its child's weight
        ("head", LINEAR, "emb.weight"),  # tied
        ("fc", LINEAR, "fc.parametrizations.weight.original"),
        ("norm", "custom.product.default", "fc.weight"),
    ],
)
def test_metadata_of_a_product_stand_whatever_the_weight_is_called(
    module: str, target: str, name: str, tmp_path: Path
) -> None:
    node = traced(op("MatMul", f"x {name}", "y"), module, target)
    assert told(loaded(tmp_path, [node], weight(name, 4, 4), shape=(2, 4))) == [(module, "metadata")]


def test_a_weight_that_two_modules_read_contradicts_neither(tmp_path: Path) -> None:
    nodes = [
        traced(op("Conv", "x l1.c1.weight", "t"), "l1.b1", BATCH_NORM),
        traced(op("Conv", "t l1.c1.weight", "y"), "l1.b2", BATCH_NORM),
    ]
    graph = loaded(tmp_path, nodes, *CONV, shape=(1, 4, 8, 8))
    assert told(graph) == [("l1.b1", "metadata"), ("l1.b2", "metadata")]


def test_a_quantized_file_keeps_its_layers_though_they_lost_their_metadata(tmp_path: Path) -> None:
    def byte(name: str, *shape: int) -> TensorProto:
        return helper.make_tensor(name, TensorProto.INT8, shape, bytes(4 ** len(shape)), raw=True)

    scale, zero = "s z", weight("s")
    nodes = [
        op("QuantizeLinear", f"x {scale}", "q"),
        op("QLinearMatMul", f"q {scale} val_1_quantized {scale} {scale}", "a"),
        op("QLinearAdd", f"a {scale} b.fc1.bias_quantized {scale} {scale}", "b", domain="com.microsoft"),
        op("QLinearMatMul", f"b {scale} b.fc2.weight_quantized {scale} {scale}", "c"),
        op("DequantizeLinear", f"c {scale}", "d"),
        traced(op("LayerNormalization", "d b.norm.weight", "y"), "b.norm", "aten.layer_norm.default"),
    ]
    weights = [
        byte("val_1_quantized", 4, 4),
        byte("b.fc1.bias_quantized", 4),
        byte("b.fc2.weight_quantized", 4, 4),
    ]
    zero_point = helper.make_tensor("z", TensorProto.INT8, (), b"\0", raw=True)
    graph = loaded(tmp_path, nodes, *weights, zero, zero_point, weight("b.norm.weight", 4), shape=(4, 4))
    assert told(graph)[1:4] == [("b.fc1", "flow"), ("b.fc1", "weights"), ("b.fc2", "weights")]


def test_bodies_that_lost_their_modules_get_them_from_weights_and_stay_inside_their_node(
    tmp_path: Path,
) -> None:
    def body(*nodes: NodeProto) -> onnx.GraphProto:
        return helper.make_graph(nodes, "body", [], [value(nodes[-1].output[0], (2, 4))])

    then = body(
        op("MatMul", "x m.a.0.weight", "t1"), op("Relu", "t1", "t2"),
        op("MatMul", "t2 m.a.2.weight", "t3"), op("Relu", "t3", "t4"),
    )  # fmt: skip
    other = body(op("Neg", "x", "e1"))
    nodes = [
        traced(op("Identity", "flag", "c"), "", "aten.gt"),
        traced(op("If", "c", "r", then_branch=then, else_branch=other), "m", "cond"),
        traced(op("Relu", "r", "y"), "head", "aten.relu"),
    ]
    weights = [weight("m.a.0.weight", 4, 4), weight("m.a.2.weight", 4, 4)]
    inputs = [value("x", (2, 4)), value("flag", (), TensorProto.BOOL)]
    graph = load_graph(save(tmp_path, nodes, inputs, [value("y", (2, 4))], weights))
    assert {node.view.outputs[0].name.rpartition("/")[2]: node.module.path for node in graph.nodes} == {
        "c": "", "t1": "m.a.0", "t2": "m.a", "t3": "m.a.2", "t4": "m", "e1": "m", "r": "m", "y": "head",
    }  # fmt: skip


def plain(folder: Path, nodes: Sequence[NodeProto], *names: str) -> list[str]:
    """The modules of the nodes that run, in a file that has nothing but the names of its weights."""
    for node in nodes:
        node.ClearField("name")
    graph = loaded(folder, nodes, *(weight(name, 4, 4) for name in names), shape=(2, 4))
    assert graph.attribution == "weights"
    return [path for path, _ in told(graph)]


def test_between_two_layers_a_node_is_what_contains_both(tmp_path: Path) -> None:
    nodes = [
        op("Sub", "x x", "p"),
        op("MatMul", "p enc.0.fc1.weight", "a"),
        op("Relu", "a", "b"),
        op("MatMul", "b enc.0.fc2.weight", "c"),
        op("Relu", "c", "d"),
        op("MatMul", "d head.weight", "e"),
        op("Softmax", "e", "y"),
    ]
    found = plain(tmp_path, nodes, "enc.0.fc1.weight", "enc.0.fc2.weight", "head.weight")
    assert found == ["", "enc.0.fc1", "enc.0", "enc.0.fc2", "", "head", ""]


def test_a_product_without_a_name_joins_its_bias(tmp_path: Path) -> None:
    nodes = [
        op("MatMul", "x 17", "a"),
        op("Cast", "a", "b", to=TensorProto.FLOAT),
        op("Add", "enc.fc1.bias b", "c"),
        op("MatMul", "c 18", "d"),  # no bias: all that is known is what stands around it
        op("MatMul", "d enc.fc2.weight", "y"),
    ]
    found = plain(tmp_path, nodes, "17", "enc.fc1.bias", "18", "enc.fc2.weight")
    assert found == ["enc.fc1", "enc.fc1", "enc.fc1", "enc", "enc.fc2"]


def test_a_prefix_of_a_whole_graph_says_less_than_its_weights(tmp_path: Path) -> None:
    nodes = [
        op("MatMul", "x net/fc1.weight", "a"),
        op("Relu", "a", "b"),
        op("MatMul", "b net/fc2.weight", "y"),
    ]
    for number, node in enumerate(nodes):
        node.name = f"net/{node.op_type}_{number}"
    graph = loaded(tmp_path, nodes, *(weight(f"net/fc{n}.weight", 4, 4) for n in (1, 2)), shape=(2, 4))
    assert told(graph) == [("net.fc1", "weights"), ("net", "names"), ("net.fc2", "weights")]


def test_a_folded_weight_is_its_owners_and_that_of_several_is_their_parents(tmp_path: Path) -> None:
    nodes = [
        op("Transpose", "attn.q.weight", "q"),
        op("Concat", "q attn.k.weight", "qk", axis=1),
        op("MatMul", "x qk", "a"),
        op("Slice", "a begin end axis", "b"),
        op("Transpose", "attn.o.weight", "o"),
        op("MatMul", "b o", "y"),
    ]
    for node in nodes:
        node.ClearField("name")
    weights = [weight(f"attn.{name}.weight", 4, 4) for name in "qko"]
    limits = [integers("begin", [0]), integers("end", [4]), integers("axis", [1])]
    graph = loaded(tmp_path, nodes, *weights, *limits, shape=(2, 4))
    assert [path for path, _ in told(graph)] == ["attn", "attn", "attn.o"]


def test_a_tied_weight_names_neither_of_its_readers(tmp_path: Path) -> None:
    nodes = [
        op("Gather", "emb.weight ids", "a"),
        op("MatMul", "a fc.weight", "b"),
        op("MatMul", "b emb.weight", "y"),
    ]
    for node in nodes:
        node.ClearField("name")
    weights = [weight("emb.weight", 4, 4), weight("fc.weight", 4, 4)]
    inputs = [value("ids", (2,), TensorProto.INT64)]
    graph = load_graph(save(tmp_path, nodes, inputs, [value("y", (2, 4))], weights))
    assert told(graph) == [("", "flow"), ("fc", "weights"), ("", "flow")]


@pytest.mark.parametrize("target", ["tests.profile.flow.stripped_nets:resnet", "clip-text"])
def test_a_file_that_lost_its_metadata_has_every_layer_where_it_was(target: str, tmp_path: Path) -> None:
    path = api.export_graph(target, tmp_path, api.Settings(weights="none")).onnx_path
    before, after = load_graph(path), load_graph(stripped(path))
    pairs = [
        (true.module.path, node)
        for true, node in zip(before.nodes, after.nodes, strict=True)
        if not node.constant_folded
    ]
    layers = [
        (path, node.module.path)
        for path, node in pairs
        if node.view.op_type in PRODUCTS and node.evidence == "weights"
    ]
    assert len(layers) > 10
    assert all(path == found for path, found in layers)
    # all others are where they were, or in a module that contains that
    assert [(path, node.module.path) for path, node in pairs if not contains(node.module.path, path)] == []
