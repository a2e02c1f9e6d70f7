"""The oracle itself: on graphs small enough to count by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.oracle.interpreter import Counted, count
from tests.oracle.macs import NoFormula
from tests.oracle.single import CannotRun

node = helper.make_node


def zeros(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


def integer(value: int) -> np.ndarray:
    return np.array(value, np.int64)


def info(name: str, array: np.ndarray | None = None) -> onnx.ValueInfoProto:
    """Float and without a shape, where no array says more: the oracle has no use for what a file states."""
    if array is None:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)


def graph(
    nodes: Sequence[onnx.NodeProto],
    output: str = "y",
    weights: Mapping[str, np.ndarray] | None = None,
    inputs: Sequence[onnx.ValueInfoProto] = (),
) -> onnx.GraphProto:
    held = [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()]
    return helper.make_graph(nodes, "g", inputs, [info(name) for name in output.split()], held)


def counted(
    nodes: Sequence[onnx.NodeProto],
    feeds: Mapping[str, np.ndarray],
    output: str = "y",
    weights: Mapping[str, np.ndarray] | None = None,
    **model: Any,
) -> Counted:
    inputs = [info(name, array) for name, array in feeds.items()]
    imports = [
        helper.make_opsetid("", 18),
        helper.make_opsetid("com.microsoft", 1),
        helper.make_opsetid("f", 1),
    ]
    made = helper.make_model(graph(nodes, output, weights, inputs), opset_imports=imports, **model)
    return count(made, feeds)


PRODUCTS: Mapping[str, tuple[onnx.NodeProto, Mapping[str, np.ndarray], int]] = {
    # 2 images x 16 channels x 8 x 8 positions, each over 4 channels x 3 x 3
    "grouped convolution": (
        node("Conv", ["a", "b"], ["y"], group=2),
        {"a": zeros(2, 8, 10, 10), "b": zeros(16, 4, 3, 3)},
        2 * 16 * 8 * 8 * (4 * 3 * 3),
    ),
    # 3 channels x 4 x 4 positions of the input, each into 5 channels x 2 x 2
    "transposed convolution": (
        node("ConvTranspose", ["a", "b"], ["y"], strides=[2, 2]),
        {"a": zeros(1, 3, 4, 4), "b": zeros(3, 5, 2, 2)},
        (3 * 4 * 4) * (5 * 2 * 2),
    ),
    "transposed gemm": (
        node("Gemm", ["a", "b"], ["y"], transA=1),
        {"a": zeros(7, 3), "b": zeros(7, 5)},
        3 * 5 * 7,
    ),
    "broadcast product": (
        node("MatMul", ["a", "b"], ["y"]),
        {"a": zeros(6, 1, 3, 7), "b": zeros(2, 7, 5)},
        6 * 2 * 3 * 5 * 7,
    ),
    "product of vectors": (node("MatMul", ["a", "b"], ["y"]), {"a": zeros(7), "b": zeros(7)}, 7),
    # A is (K, batch, M): both transpositions
    "fused product": (
        node("FusedMatMul", ["a", "b"], ["y"], domain="com.microsoft", transA=1, transBatchA=1),
        {"a": zeros(7, 2, 3), "b": zeros(2, 7, 5)},
        2 * 3 * 5 * 7,
    ),
    # ab,bc to ac over a, b, c; then ac,cd over a, c, d
    "einsum of three": (
        node("Einsum", ["a", "b", "c"], ["y"], equation="ab,bc,cd->ad"),
        {"a": zeros(2, 3), "b": zeros(3, 5), "c": zeros(5, 7)},
        2 * 3 * 5 + 2 * 5 * 7,
    ),
    # i is summed in A alone before anything is multiplied
    "einsum with a sum": (
        node("Einsum", ["a", "b"], ["y"], equation="...ik,...kj->...j"),
        {"a": zeros(4, 2, 3), "b": zeros(4, 3, 5)},
        4 * 3 * 5,
    ),
    # 6 steps x 2 sequences x 2 directions x 3 gates x 4 units, each over 5 inputs and 4 units
    "both ways of a GRU": (
        node("GRU", ["a", "b", "c"], ["y"], hidden_size=4, direction="bidirectional"),
        {"a": zeros(6, 2, 5), "b": zeros(2, 12, 5), "c": zeros(2, 12, 4)},
        6 * 2 * 2 * 3 * 4 * (5 + 4),
    ),
    # 8 query heads x 1 query x 6 present keys, each key of 16 and value of 16; 2 heads of keys are shared
    "grouped attention with a growing cache": (
        node(
            "GroupQueryAttention",
            ["q", "k", "v", "pk", "pv", "lengths", "total"],
            ["y", "present_key", "present_value"],
            domain="com.microsoft",
            num_heads=8,
            kv_num_heads=2,
        ),
        {
            **{"q": zeros(1, 1, 128), "k": zeros(1, 1, 32), "v": zeros(1, 1, 32)},
            **{"pk": zeros(1, 2, 5, 16), "pv": zeros(1, 2, 5, 16)},
            **{"lengths": np.array([5], np.int32), "total": np.array([6], np.int32)},
        },
        8 * 6 * (16 + 16),
    ),
    # 3 x 4 rows of 32 into 96 columns, then 2 heads x 4 x 4 scores over 16 and 16
    "attention that projects": (
        node("Attention", ["x", "w", "b"], ["y"], domain="com.microsoft", num_heads=2),
        {"x": zeros(3, 4, 32), "w": zeros(32, 96), "b": zeros(96)},
        3 * 4 * 32 * 96 + 3 * 2 * 4 * 4 * (16 + 16),
    ),
    # a row of 4 features for each of 5 rows and 3 scores
    "linear classifier": (
        node(
            *("LinearClassifier", ["x"], ["label", "y"]),
            domain="ai.onnx.ml",
            coefficients=[0.5] * 12,
            intercepts=[0.0] * 3,
            classlabels_ints=[0, 1, 2],
        ),
        {"x": zeros(5, 4)},
        5 * 3 * 4,
    ),
}


@pytest.mark.parametrize("case", PRODUCTS)
def test_a_node_counts_what_it_multiplies(case: str) -> None:
    product, feeds, macs = PRODUCTS[case]
    assert counted([product], feeds).macs == macs


def test_what_constants_alone_decide_costs_nothing() -> None:
    nodes = [node("MatMul", ["v", "w"], ["vw"]), node("MatMul", ["x", "vw"], ["y"])]
    found = counted(nodes, {"x": zeros(2, 3)}, weights={"v": zeros(3, 4), "w": zeros(4, 5)})
    assert found.macs == 2 * 3 * 5


def test_nodes_in_any_order_run() -> None:
    nodes = [node("MatMul", ["z", "w"], ["y"]), node("MatMul", ["x", "w"], ["z"])]
    assert counted(nodes, {"x": zeros(2, 3)}, weights={"w": zeros(3, 3)}).macs == 2 * (2 * 3 * 3)


@pytest.mark.parametrize(("taken", "macs"), [(True, 2 * 3 * 4), (False, 0)])
def test_the_branch_that_is_taken_counts(taken: bool, macs: int) -> None:
    branches = {
        "then_branch": graph([node("MatMul", ["x", "w"], ["y"])], weights={"w": zeros(3, 4)}),
        "else_branch": graph([node("Relu", ["x"], ["y"])]),
    }
    found = counted(
        [node("If", ["c"], ["y"], name="if", **branches)], {"x": zeros(2, 3), "c": np.array(taken)}
    )
    assert found.macs == macs
    assert dict(found.bodies) == {"if/then_branch" if taken else "if/else_branch": macs}


BODY_INPUTS = (
    helper.make_tensor_value_info("i", TensorProto.INT64, []),
    helper.make_tensor_value_info("go", TensorProto.BOOL, []),
    info("h"),
)


def looped(limit: int, last: int) -> Counted:
    """A product of (2, 3) and (3, 3) in each iteration, which ends after the one with the index ``last``."""
    body = graph(
        [
            node("MatMul", ["h", "w"], ["next"]),
            node("Less", ["i", "last"], ["more"]),
            node("Identity", ["next"], ["seen"]),
        ],
        "more next seen",
        inputs=BODY_INPUTS,
    )
    feeds = {"x": zeros(2, 3), "limit": integer(limit), "last": integer(last)}
    loop = node("Loop", ["limit", "", "x"], ["y", "all"], name="loop", body=body)
    return counted([loop], feeds, "y all", weights={"w": zeros(3, 3)})


@pytest.mark.parametrize(("limit", "last", "times"), [(5, 99, 5), (5, 1, 2), (0, 99, 0)])
def test_a_loop_counts_the_iterations_that_it_makes(limit: int, last: int, times: int) -> None:
    found = looped(limit, last)
    assert found.macs == times * (2 * 3 * 3)
    if times:
        assert found.nodes["loop/body/next"].times == times
        assert found.outputs[1].shape == (times, 2, 3)


def test_a_scan_counts_once_for_each_slice() -> None:
    body = graph(
        [node("MatMul", ["h", "s"], ["next"]), node("Identity", ["next"], ["seen"])],
        "next seen",
        inputs=(info("h"), info("s")),
    )
    scan = node("Scan", ["x", "all"], ["y", "z"], body=body, num_scan_inputs=1, scan_input_axes=[1])
    found = counted([scan], {"x": zeros(2, 3), "all": zeros(3, 4, 3)}, "y z")
    assert found.macs == 4 * (2 * 3 * 3)
    assert found.outputs[1].shape == (4, 2, 3)


def test_every_element_of_a_sequence_is_mapped() -> None:
    nodes = [
        node("SequenceConstruct", ["x", "x", "x"], ["all"]),
        node("SequenceMap", ["all", "w"], ["mapped"], body=SEQUENCE_BODY),
        node("SequenceLength", ["mapped"], ["y"]),
    ]
    found = counted(nodes, {"x": zeros(2, 3)}, weights={"w": zeros(3, 4)})
    assert found.macs == 3 * (2 * 3 * 4)
    assert found.outputs[0].array() == 3


SEQUENCE_BODY = graph([node("MatMul", ["s", "v"], ["m"])], "m", inputs=(info("s"), info("v")))


def convolving(**given: int) -> int:
    """A function whose groups default to 4, and whose bias a call may omit; called on 8 channels."""
    conv = node("Conv", ["x", "w", "b"], ["y"])
    conv.attribute.append(onnx.AttributeProto(name="group", ref_attr_name="g", type=onnx.AttributeProto.INT))
    function = helper.make_function(
        *("f", "Convolve", ["x", "w", "b"], ["y"], [conv], [helper.make_opsetid("", 11)]),
        attribute_protos=[helper.make_attribute("g", 4)],
    )
    groups = given.get("g", 4)
    call = node("Convolve", ["x", "w"], ["y"], domain="f", name="call", **given)
    feeds = {"x": zeros(1, 8, 6, 6), "w": zeros(8, 8 // groups, 3, 3)}
    return counted([call], feeds, functions=[function]).bodies["call"]


def test_a_call_takes_its_own_attributes_and_the_defaults_of_others() -> None:
    assert convolving() == 8 * 4 * 4 * (2 * 3 * 3)
    assert convolving(g=2) == 8 * 4 * 4 * (4 * 3 * 3)


def test_an_operator_that_no_table_has_is_an_error_and_not_zero() -> None:
    with pytest.raises(NoFormula, match="com.microsoft::Inverse"):
        counted([node("Inverse", ["x"], ["y"], domain="com.microsoft")], {"x": np.eye(2, dtype=np.float32)})


def test_a_node_that_the_runtime_refuses_says_which() -> None:
    with pytest.raises(CannotRun, match="MatMul 'product'"):
        counted([node("MatMul", ["x", "x"], ["y"], name="product")], {"x": zeros(2, 3)})
