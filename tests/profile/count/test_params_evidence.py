"""What counts as a parameter in files that have no manifest: by the slot an operator reads it in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from onnxlens.profile.count.parameters import parameter_sizes
from onnxlens.profile.graph.loading import load_graph
from tests.profile.models import integers, op, save, value, weight


def tensor(name: str, array: Any, dtype: Any = np.float32) -> TensorProto:
    return numpy_helper.from_array(np.asarray(array, dtype), name)


@dataclass(frozen=True)
class Case:
    """A graph from ``x`` to ``y``, and the parameters that it holds."""

    nodes: Sequence[NodeProto]
    weights: Sequence[TensorProto]
    params: dict[str, int]
    x: ValueInfoProto = field(default_factory=lambda: value("x", (2, 3)))


IMAGE = value("x", (1, 3, 4, 4))
TOKENS = value("x", (2, 3), TensorProto.INT64)
BRANCH = helper.make_graph([op("MatMul", "x w", "t")], "then", [], [value("t", (2, 4))])
OTHER = helper.make_graph(
    [op("MatMul", "x v", "e")], "else", [], [value("e", (2, 4))], [weight("v", 3, 4)]
)  # fmt: skip
BODY = helper.make_graph(
    [op("MatMul", "s w", "s_out"), op("Identity", "go", "go_out")],
    "body",
    [value("i", ()), value("go", (), TensorProto.BOOL), value("s", (2, 3))],
    [value("go_out", (), TensorProto.BOOL), value("s_out", (2, 3))],
)

CASES: dict[str, Case] = {
    "an initial state is none": Case(
        [op("ConstantOfShape", "size", "h"), op("LSTM", "x W R - - h h", "y", hidden_size=4)],
        [weight("W", 1, 16, 5), weight("R", 1, 16, 4), integers("size", [1, 3, 4])],
        {"W": 80, "R": 64}, value("x", (7, 3, 5)),
    ),
    "nor are the scales of a Resize": Case(
        [op("Resize", "x - scales", "r"), op("Conv", "r w", "y")],
        [tensor("scales", [1, 1, 2, 2]), weight("w", 2, 3, 1, 1)], {"w": 6}, IMAGE,
    ),
    "nor a mask that is made of a shape": Case(
        [op("ConstantOfShape", "size", "o"), op("Trilu", "o", "m", upper=1), op("Add", "x m", "y")],
        [integers("size", [3, 3])], {}, value("x", (3, 3)),
    ),
    "a mask of scores is none, though a number stands for each key": Case(
        [op("MatMul", "x x", "s"), op("Add", "s mask", "m"), op("Softmax", "m", "y")],
        [tensor("mask", np.arange(3))], {}, value("x", (3, 3)),
    ),
    "a bias stands behind casts and scales": Case(
        [op("MatMul", "x w", "a"), op("Mul", "a half", "b"), op("Cast", "b", "c", to=TensorProto.FLOAT),
         op("Add", "bias c", "y")],
        [weight("w", 3, 4), tensor("half", 0.5), weight("bias", 4)], {"w": 12, "bias": 4},
    ),
    "a bias of one number": Case(
        [op("MatMul", "x w", "a"), op("Add", "a b", "y")], [weight("w", 3, 1), weight("b", 1)],
        {"w": 3, "b": 1},
    ),
    "a number that scales all is none": Case(
        [op("MatMul", "x w", "a"), op("Mul", "a s", "y")], [weight("w", 3, 1), weight("s", 1)], {"w": 3},
    ),
    "a table that is added to a product is none": Case(
        [op("MatMul", "x w", "a"), op("Add", "a t", "y")], [weight("w", 3, 4), weight("t", 2, 4)],
        {"w": 12},
    ),
    "a window over the input is none": Case(
        [op("Mul", "x window", "f"), op("MatMul", "f w", "y")], [weight("window", 3), weight("w", 3, 4)],
        {"w": 12},
    ),
    "scale and offset behind a convolution, channel by channel": Case(
        [op("Conv", "x w", "a"), op("Mul", "a s", "b"), op("Add", "b o", "c"), op("Mul", "c wide", "y")],
        [weight("w", 2, 3, 1, 1), weight("s", 2, 1, 1), weight("o", 1, 2, 1, 1), weight("wide", 4)],
        {"w": 6, "s": 2, "o": 2}, IMAGE,
    ),
    "channels that moved to the last axis": Case(
        [op("Conv", "x w", "a"), op("Transpose", "a", "t", perm=[0, 2, 3, 1]), op("Add", "t b", "u"),
         op("Mul", "u wide", "y")],
        [weight("w", 2, 3, 1, 1), weight("b", 1, 1, 1, 2), weight("wide", 4, 1)], {"w": 6, "b": 2}, IMAGE,
    ),
    "a bias that is quantized on the way to its integer convolution": Case(
        [op("DynamicQuantizeLinear", "x", "q s z"), op("ConvInteger", "q w z", "i"), op("Div", "b s", "d"),
         op("Floor", "d", "f"), op("Cast", "f", "c", to=TensorProto.INT32), op("Reshape", "c size", "r"),
         op("Add", "i r", "y")],
        [tensor("w", np.ones((2, 3, 1, 1)), np.uint8), weight("b", 2), integers("size", [1, 2, 1, 1])],
        {"w": 6, "b": 2}, IMAGE,
    ),
    "the scale of a reciprocal root": Case(
        [op("ReduceMean", "x", "m", axes=[-1]), op("Sqrt", "m", "r"), op("Reciprocal", "r", "i"),
         op("Mul", "i g", "j"), op("Mul", "x j", "n"), op("Add", "n b", "y")],
        [weight("g", 3), weight("b", 3)], {"g": 3, "b": 3},
    ),
    "running statistics are none": Case(
        [op("BatchNormalization", "x g b mean var", "y")],
        [tensor("g", [1, 2, 3]), tensor("b", [1, 2, 3]), weight("mean", 3), weight("var", 3)],
        {"g": 3, "b": 3}, IMAGE,
    ),
    "ones and zeros fill a normalization that has no scale": Case(
        [op("InstanceNormalization", "x one zero", "n"), op("Mul", "n g", "m"), op("Add", "m b", "y")],
        [tensor("one", [1, 1, 1]), tensor("zero", [0, 0, 0]), weight("g", 3, 1, 1), weight("b", 3, 1, 1)],
        {"g": 3, "b": 3}, IMAGE,
    ),
    "unless they are called its weight": Case(
        [op("InstanceNormalization", "x n.weight n.bias", "y")],
        [tensor("n.weight", [1, 1, 1]), tensor("n.bias", [0, 0, 0])], {"n.weight": 3, "n.bias": 3}, IMAGE,
    ),
    "a layer normalization that is written out": Case(
        [op("ReduceMean", "x", "m", axes=[-1]), op("Sub", "x m", "d"), op("Pow", "d two", "q"),
         op("ReduceMean", "q", "v", axes=[-1]), op("Add", "v eps", "e"), op("Sqrt", "e", "r"),
         op("Div", "d r", "n"), op("Mul", "n g", "s"), op("Add", "s b", "y")],
        [tensor("two", 2), tensor("eps", 1e-5), weight("g", 3), weight("b", 3)], {"g": 3, "b": 3},
    ),
    "a weight that is moved first, once for all who read it": Case(
        [op("Transpose", "w", "t"), op("MatMul", "x t", "a"), op("MatMul", "a w", "y")],
        [weight("w", 4, 3)], {"w": 12},
    ),
    "a weight of integers, without scale and zero point": Case(
        [op("DequantizeLinear", "w s z", "f"), op("MatMul", "x f", "a"), op("DequantizeLinear", "b s", "c"),
         op("Add", "a c", "y")],
        [tensor("w", np.ones((3, 4)), np.int8), tensor("s", 0.1), tensor("z", 0, np.int8),
         tensor("b", np.ones(4), np.int32)], {"w": 12, "b": 4},
    ),
    "the weight of an integer convolution": Case(
        [op("QLinearConv", "x s z w s z s z b", "y")],
        [tensor("s", 0.1), tensor("z", 0, np.uint8), tensor("w", np.ones((2, 3, 1, 1)), np.uint8),
         tensor("b", np.ones(2), np.int32)], {"w": 6, "b": 2}, value("x", (1, 3, 4, 4), TensorProto.UINT8),
    ),
    "a table of embeddings": Case(
        [op("Gather", "table x", "y")], [weight("table", 9, 5)], {"table": 45}, TOKENS,
    ),
    "weights of both branches, and of the graph around them": Case(
        [op("If", "flag", "y", then_branch=BRANCH, else_branch=OTHER)],
        [weight("w", 3, 4), tensor("flag", True, bool)], {"w": 12, "y/else_branch/v": 12},
    ),
    "what a loop reads counts once": Case(
        [op("Loop", "times - x", "y", body=BODY)], [weight("w", 3, 3), integers("times", 5)], {"w": 9},
    ),
    "floats that another's operator reads": Case(
        [helper.make_node("Wobble", ["x", "w", "size"], ["y"], domain="com.odd")],
        [weight("w", 3, 4), integers("size", [3, 4])], {"w": 12},
    ),
    "what is called a parameter": Case(
        [op("Concat", "cls_token x", "a", axis=0), op("Add", "a pos_embed", "b"), op("Add", "b grid", "y")],
        [weight("cls_token", 1, 3), weight("pos_embed", 3, 3), weight("grid", 3, 3)],
        {"cls_token": 3, "pos_embed": 9},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_parameters_are_what_operators_take_in_a_weights_place(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    path = save(
        tmp_path, case.nodes, [case.x], [value("y", None)], case.weights, opsets={"": 17, "com.odd": 1}
    )
    assert parameter_sizes(load_graph(path)) == case.params


def test_rotated_tables_are_read_by_products_alone(tmp_path: Path) -> None:
    nodes = [
        op("Gather", "cos p", "c"), op("MatMul", "x w", "q"), op("MatMul", "x v", "k"),
        op("Mul", "q c", "a"), op("Mul", "k c", "b"), op("Add", "a b", "y"),
    ]  # fmt: skip
    weights = [weight("cos", 9, 4), weight("w", 3, 4), weight("v", 3, 4)]
    inputs = [value("x", (2, 3)), value("p", (2,), TensorProto.INT64)]
    path = save(tmp_path, nodes, inputs, [value("y", (2, 4))], weights)
    assert parameter_sizes(load_graph(path)) == {"w": 12, "v": 12}
