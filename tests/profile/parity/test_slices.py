"""Slices of a hand-made model, run in ONNX Runtime; and how many fit into a given memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxlens.errors import UsageError
from onnxlens.profile.parity.slices import REFERENCE, Slice, Slicer, chunks
from onnxlens.profile.runtime.session import SessionRequest, open_session, run
from onnxlens.specs.tensor import TensorSpec

NET_TYPES = {name: TensorSpec(name, "float32", (2,)) for name in "xabcy"} | {"t": TensorSpec("t", "bool", ())}


def net() -> onnx.ModelProto:
    """A chain a = x + w, b = 2a, c = b or a by x's sign, y = c - v; w is computed from a weight, v is one."""
    branches = [
        helper.make_graph([helper.make_node("Neg", ["b"], ["minus_b"])], "then", [], [_value("minus_b")]),
        helper.make_graph([helper.make_node("Identity", ["a"], ["same_a"])], "else", [], [_value("same_a")]),
    ]
    nodes = [
        helper.make_node("Neg", ["u"], ["w"]),
        helper.make_node("Add", ["x", "w"], ["a"]),
        helper.make_node("Add", ["a", "a"], ["b"]),
        helper.make_node("ReduceMax", ["x"], ["largest"], keepdims=0),
        helper.make_node("Less", ["largest", "zero"], ["t"]),
        helper.make_node("If", ["t"], ["c"], then_branch=branches[0], else_branch=branches[1]),
        helper.make_node("Sub", ["c", "v"], ["y"]),
    ]
    weights = [_tensor("u", [1, 2]), _tensor("v", [5, 5]), _tensor("zero", 0)]
    graph = helper.make_graph(nodes, "net", [_value("x")], [_value("y")], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def _value(name: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, (2,))


def _tensor(name: str, values: object) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(values, np.float32), name)


@pytest.fixture
def slicer() -> Slicer:
    return Slicer(net(), NET_TYPES)


def results(model: onnx.ModelProto, **inputs: list[float]) -> dict[str, list[float]]:
    onnx.checker.check_model(model)
    session = open_session(Path("net.onnx"), request=SessionRequest(model=model.SerializeToString()))
    arrays = {
        name.replace("pytorch_", REFERENCE): np.array(value, np.float32) for name, value in inputs.items()
    }
    return {name: value.tolist() for name, value in run(session, arrays).items()}


def test_a_slice_starts_at_known_values(slicer: Slicer) -> None:
    assert slicer.slice("a", "ab") == Slice("a", (0, 1), ("x",))
    assert slicer.slice("b", "ab") == Slice("b", (2,), ("a",))
    assert slicer.slice("y", "y") == Slice("y", (0, 1, 2, 3, 4, 5, 6), ("x",))
    assert [node.op_type for node in slicer.operators(slicer.slice("y", "c"))] == ["Sub"]


def test_a_slice_includes_what_a_branch_reads_from_outside(slicer: Slicer) -> None:
    part = slicer.slice("c", "ab")
    assert part.nodes == (3, 4, 5)
    assert sorted(part.inputs) == ["a", "b", "x"]


def test_slices_run_in_one_model_each_on_its_own_inputs(slicer: Slicer) -> None:
    model = slicer.model_of([slicer.slice(name, "abc") for name in "aby"], "abc")
    assert [value.name for value in model.graph.input] == ["x", "pytorch/a", "pytorch/c"]
    assert [tensor.name for tensor in model.graph.initializer] == ["u", "v"]
    got = results(model, x=[10, 20], pytorch_a=[100, 200], pytorch_c=[7, 8])
    # a is x - u; b is twice the given a, not the computed one; y is the given c less v
    assert got == {"a": [9, 18], "b": [200, 400], "y": [2, 3]}


@pytest.mark.parametrize(("sign", "expected"), [(1, [100, 200]), (-1, [-7, -8])])
def test_branches_take_known_values_too(slicer: Slicer, sign: int, expected: list[float]) -> None:
    model = slicer.model_of([slicer.slice("c", "ab")], "ab")
    got = results(model, x=[sign, sign], pytorch_a=[100, 200], pytorch_b=[7, 8])
    assert got == {"c": expected}


def test_a_model_up_to_some_values_leaves_the_rest_out(slicer: Slicer) -> None:
    model = slicer.model_up_to(["a", "b"])
    assert len(model.graph.node) == 3
    assert results(model, x=[10, 20]) == {"a": [9, 18], "b": [18, 36]}
    assert results(slicer.model_up_to("y"), x=[10, 20]) == {"y": [4, 13]}


def test_the_sliced_model_is_unchanged(slicer: Slicer) -> None:
    model = net()
    before = model.SerializeToString()
    sliced = Slicer(model, NET_TYPES)
    sliced.model_of([sliced.slice(name, "abc") for name in "abcy"], "abc")
    assert model.SerializeToString() == before


def test_a_prefix_of_nothing_keeps_the_names(slicer: Slicer) -> None:
    model = slicer.model_of([slicer.slice("b", "a")], "a", prefix="")
    assert results(model, a=[1, 2]) == {"b": [2, 4]}


TYPES = {name: TensorSpec(name, "float32", (10,)) for name in "xabcd"}
CHAIN = [Slice(made, (), (read,)) for made, read in zip("abcd", "xabc", strict=True)]

ONE = 40
"""Bytes of a tensor."""
COMPARED = 10 * 3 * 8
"""Bytes of both sides and their difference, of ten elements in float64."""


def sizes(memory: int) -> list[str]:
    return ["".join(part.value for part in chunk) for chunk in chunks(CHAIN, TYPES, memory)]


@pytest.mark.parametrize(
    ("memory", "expected"),
    [
        (3 * ONE + COMPARED, ["a", "b", "c", "d"]),  # x and a of PyTorch's, a of ONNX Runtime's
        (5 * ONE + COMPARED - 1, ["a", "b", "c", "d"]),
        (5 * ONE + COMPARED, ["ab", "cd"]),  # x, a, b; a, b: what b reads is a, held already
        (7 * ONE + COMPARED, ["abc", "d"]),
        (9 * ONE + COMPARED, ["abcd"]),
    ],
)
def test_a_chunk_holds_what_fits(memory: int, expected: list[str]) -> None:
    assert sizes(memory) == expected


def test_one_that_does_not_fit_alone_is_refused() -> None:
    with pytest.raises(UsageError, match="comparing 'a' holds 360 bytes, --memory allows 359; allow more"):
        sizes(3 * ONE + COMPARED - 1)


def test_the_comparison_may_take_the_most_memory() -> None:
    types = {**TYPES, "b": TensorSpec("b", "float16", (20,))}
    # x, a, b of PyTorch's and a, b of ONNX Runtime's take 40 bytes each, comparing b 20 x 24
    held = 5 * ONE + 20 * 24
    for memory, expected in ((held, ["ab"]), (held - 1, ["a", "b"])):
        assert ["".join(p.value for p in chunk) for chunk in chunks(CHAIN[:2], types, memory)] == expected
