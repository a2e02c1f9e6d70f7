"""Which of the names in a row's name are its own: those of shared constants are not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import NodeProto, TensorProto, helper, numpy_helper
from torch import Tensor, nn

from onnxlens.api.opened import OpenedTarget
from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.graph.loading import load_graph
from onnxlens.profile.vendor.compilers.fused_names import PRODUCTS, parts_of, with_own_names
from onnxlens.specs.graph import GraphSpec
from onnxlens.specs.layers import LayerRecord
from onnxlens.specs.tensor import TensorSpec

node = helper.make_node


def graph_of(
    folder: Path,
    nodes: Sequence[NodeProto],
    given: Sequence[int],
    made: Sequence[int],
    **weights: Sequence[int],
) -> Graph:
    """From ``x`` of one shape to ``y`` of another, with weights of these shapes."""
    held = [numpy_helper.from_array(np.ones(shape, np.float32), name) for name, shape in weights.items()]
    held.append(numpy_helper.from_array(np.array([0, 0, 1, 1, 0, 0, 1, 1]), "pads"))
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("x", given), ("y", made))]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], held)
    path = folder / "g.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return load_graph(path)


def own_names(graph: Graph, name: str, op_type: str) -> tuple[str, ...]:
    (record,) = with_own_names(graph, [LayerRecord(name, op_type)])
    return record.sources


@pytest.fixture
def convolutions(tmp_path: Path) -> Graph:
    """Conv, BatchNormalization, Clip, Pad, Conv, Relu, Add, Relu."""
    nodes = [
        node("Conv", ["x", "w"], ["a"], "conv"),
        node("BatchNormalization", ["a", "one", "one", "one", "one"], ["b"], "norm"),
        node("Clip", ["b"], ["c"], "clip"),
        node("Pad", ["c", "pads"], ["d"], "pad"),
        node("Conv", ["d", "v"], ["e"], "conv_1"),
        node("Relu", ["e"], ["f"], "relu"),
        node("Add", ["c", "f"], ["g"], "add"),
        node("Relu", ["g"], ["y"], "relu_1"),
    ]
    ends = [1, 3, 8, 8], [1, 4, 8, 8]
    return graph_of(tmp_path, nodes, *ends, w=(4, 3, 1, 1), v=(4, 4, 3, 3), one=(4,))


@pytest.fixture
def attention(tmp_path: Path) -> Graph:
    """Two linear layers with biases, the product of what they make, and a normalization before a third."""
    nodes = [
        node("MatMul", ["x", "w"], ["a"], "matmul_q"),
        node("Add", ["a", "b"], ["q"], "linear_q"),
        node("MatMul", ["x", "w"], ["c"], "matmul_k"),
        node("Add", ["c", "b"], ["k"], "linear_k"),
        node("Add", ["k", "q"], ["r"], "residual"),
        node("MatMul", ["q", "r"], ["p"], "product"),
        node("LayerNormalization", ["r", "b"], ["n"], "norm"),
        node("MatMul", ["n", "w"], ["m"], "matmul_n"),
        node("Add", ["m", "b"], ["l"], "linear_n"),
        node("Sub", ["l", "p"], ["y"], "difference"),
    ]
    return graph_of(tmp_path, nodes, [4, 4], [4, 4], w=(4, 4), b=(4,))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("clip;;norm;;conv;1", "clip norm conv"),
        ("clip;;conv;1", "clip conv"),  # a BatchNormalization that has no name is between them
        ("relu;;clip;;conv_1;;pad;1", "relu conv_1 pad"),  # the Clip feeds the Pad, and no Conv feeds it
        ("add;;clip;", "add"),
        ("relu_1;;relu;;add", "relu_1 add"),
        ("clip;1", "clip"),  # alone it is not fused with anything
        ("clip;;first.1;2", "clip first.1"),  # beside a module
        ("conv_1;;conv", "conv_1"),
        ("#292", "#292"),
        (";4", ""),
    ],
)
def test_an_activation_belongs_to_a_row_that_makes_what_it_reads(
    name: str, expected: str, convolutions: Graph
) -> None:
    assert own_names(convolutions, name, "Conv2D") == tuple(expected.split())


@pytest.mark.parametrize(
    ("name", "op_type", "expected"),
    [
        (
            "linear_k;;linear_q;1",
            "FullyConnected",
            "linear_k",
        ),  # a shape that both have, named after the first
        ("residual;;linear_k", "SquaredDifference", "residual linear_k"),  # one reads the other
        ("linear_k;;product;;block.1", "FullyConnected", "linear_k block.1"),
        ("product;;linear_k;3", "BatchMatMul", "product"),
        ("linear_k;;product", "Transpose", "linear_k product"),
        ("norm;;linear_n;1", "FullyConnected", "linear_n"),  # its scale is in the weight
        ("residual;;linear_k;_32bit/Mul", "SquaredDifference", "norm"),  # the normalization of the sum
        ("norm;1_32bit", "Mul", "norm 1_32bit"),
        ("product", "FullyConnected", "product"),  # better than nothing
    ],
)
def test_a_product_is_with_a_weight_or_without(
    name: str, op_type: str, expected: str, attention: Graph
) -> None:
    assert own_names(attention, name, op_type) == tuple(expected.split())


class Heads(nn.Module):
    """Three linear layers in a row."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(4, 4, bias=False) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        return self.v(self.k(self.q(x)).exp())


def heads() -> GraphSpec:
    tensor = TensorSpec("x", "float32", (2, 4))
    return GraphSpec("heads", "user", Heads, (tensor,), (), {"x": (0, 1)})


def test_a_module_stands_for_the_product_that_it_runs() -> None:
    with OpenedTarget("tests.profile.vendor.compilers.test_fused_names:heads") as it:
        products = [node.view.name for node in it.graph.nodes if node.view.op_type in PRODUCTS]
        assert own_names(it.graph, "k;;q;1", "FullyConnected") == (products[1],)
        assert own_names(it.graph, "v;;q;;node_exp", "FullyConnected") == (products[2],)


def test_numbers_count_operations_of_one_name() -> None:
    assert parts_of("a;;b.1;;c;12") == ["a", "b.1", "c"]
    assert parts_of("a;8_softmax_3") == ["a", "8_softmax_3"]
