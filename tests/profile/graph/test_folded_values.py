"""What constant folding computes in numpy is what ONNX's own reference evaluator computes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from onnxlens.profile.graph.loading.inference.facts import of_value
from onnxlens.profile.graph.loading.inference.values import FAST, OTHERS, computed
from onnxlens.profile.graph.loading.protobuf import read_graph

TABLE = np.arange(6, dtype=np.int64).reshape(2, 3)
ROW = np.array([3, 0, 4], np.int64)
FRACTIONS = np.array([[0.25, 1, 7.5]], np.float32)
FLAGS = np.array([True, False, True])
AXES = np.array([0], np.int64)

CASES: dict[str, tuple[list[np.ndarray], dict[str, Any]]] = {
    "ConstantOfShape": ([np.array([2, 0, 3], np.int64)], {}),
    "ConstantOfShape of ones": ([ROW[:1]], {"value": numpy_helper.from_array(np.ones(1, np.int32))}),
    "ConstantOfShape of none": ([ROW[:0]], {"value": numpy_helper.from_array(np.array([True]))}),
    "Expand": ([FRACTIONS, np.array([2, 4, 1], np.int64)], {}),
    "Expand of flags": ([FLAGS, np.array([2, 3], np.int64)], {}),
    "Transpose": ([TABLE], {}),
    "Transpose of three": ([TABLE[None]], {"perm": [1, 0, 2]}),
    "Min": ([TABLE, ROW], {}),
    "Min of three": ([TABLE, ROW, AXES], {}),
    "Max": ([TABLE, ROW], {}),
    "Max of one": ([ROW], {}),
    "GreaterOrEqual": ([TABLE, ROW], {}),
    "LessOrEqual": ([TABLE, ROW], {}),
    "Abs": ([-TABLE], {}),
    "Log": ([FRACTIONS], {}),
    "Add": ([TABLE, ROW], {}),
    "Div": ([np.array([-7, 7, 9]), np.array([2, -2, 4])], {}),
    "Gather": ([TABLE, np.array([1, 1])], {"axis": 1}),
    "Slice": ([TABLE, AXES + 2, AXES - 9, AXES + 1, AXES - 1], {}),
    "Squeeze": ([FRACTIONS, AXES], {}),
    "Unsqueeze": ([FRACTIONS, AXES], {}),
    "Reshape": ([TABLE, np.array([0, -1, 1])], {}),
    "Range": ([np.array(1), np.array(8), np.array(3)], {}),
    "Where": ([FLAGS, TABLE, ROW], {}),
}


@pytest.mark.parametrize("what", CASES)
def test_folded_as_the_reference_folds(what: str) -> None:
    arrays, attributes = CASES[what]
    node = helper.make_node(what.split()[0], [f"x{i}" for i in range(len(arrays))], ["y"], **attributes)
    given = {name: array for name, array in zip(node.input, arrays, strict=True)}
    (expected,) = ReferenceEvaluator(node, opsets={"": 18}).run(None, given)
    found = _computed(node, arrays)
    assert node.op_type in FAST.keys() | OTHERS.keys()
    assert found is not None
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("op_type", ["ConstantOfShape", "Expand"])
def test_what_makes_much_of_little_is_not_computed(op_type: str) -> None:
    sizes = np.array([2**40, 2**40], np.int64)
    arrays = [sizes] if op_type == "ConstantOfShape" else [AXES, sizes]
    node = helper.make_node(op_type, [f"x{i}" for i in range(len(arrays))], ["y"])
    assert _computed(node, arrays) is None


def _computed(node: Any, arrays: list[np.ndarray]) -> np.ndarray | None:
    (read,) = read_graph(helper.make_graph([node], "g", [], [])).nodes
    values = computed(read, [*map(of_value, arrays)], {"": 18})
    return None if values is None else values[0]
