"""Slices of a model made by hand, run in ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxlens.profile.parity.slices import HANDED, Cutter, Slice
from onnxlens.profile.runtime.session import SessionRequest, open_session, run
from onnxlens.specs.tensor import TensorSpec

TYPES = {name: TensorSpec(name, "float32", (2,)) for name in "xabcy"} | {"t": TensorSpec("t", "bool", ())}


def net() -> onnx.ModelProto:
    """A chain a = x + w, b = 2a, c = b or a by x's sign, y = c - v; w is a weight made of another, v one."""
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
def cutter() -> Cutter:
    return Cutter(net(), TYPES)


def results(model: onnx.ModelProto, **inputs: list[float]) -> dict[str, list[float]]:
    onnx.checker.check_model(model)
    session = open_session(Path("net.onnx"), request=SessionRequest(model=model.SerializeToString()))
    arrays = {name.replace("pytorch_", HANDED): np.array(value, np.float32) for name, value in inputs.items()}
    return {name: value.tolist() for name, value in run(session, arrays).items()}


def test_a_slice_goes_back_to_what_is_known(cutter: Cutter) -> None:
    assert cutter.slice("a", "ab") == Slice("a", (0, 1), ("x",))
    assert cutter.slice("b", "ab") == Slice("b", (2,), ("a",))
    assert cutter.slice("y", "y") == Slice("y", (0, 1, 2, 3, 4, 5, 6), ("x",))
    assert [node.op_type for node in cutter.operators(cutter.slice("y", "c"))] == ["Sub"]


def test_what_a_branch_reads_from_outside_belongs_to_the_slice(cutter: Cutter) -> None:
    part = cutter.slice("c", "ab")
    assert part.nodes == (3, 4, 5)
    assert sorted(part.inputs) == ["a", "b", "x"]


def test_slices_run_side_by_side_each_on_what_it_is_handed(cutter: Cutter) -> None:
    model = cutter.side_by_side([cutter.slice(name, "abc") for name in "aby"], "abc")
    assert [value.name for value in model.graph.input] == ["x", "pytorch/a", "pytorch/c"]
    assert [tensor.name for tensor in model.graph.initializer] == ["u", "v"]
    got = results(model, x=[10, 20], pytorch_a=[100, 200], pytorch_c=[7, 8])
    # a is x - u; b twice the a that is handed in, and not the one that is made; y the c handed in less v
    assert got == {"a": [9, 18], "b": [200, 400], "y": [2, 3]}


@pytest.mark.parametrize(("sign", "expected"), [(1, [100, 200]), (-1, [-7, -8])])
def test_branches_are_handed_values_too(cutter: Cutter, sign: int, expected: list[float]) -> None:
    model = cutter.side_by_side([cutter.slice("c", "ab")], "ab")
    got = results(model, x=[sign, sign], pytorch_a=[100, 200], pytorch_b=[7, 8])
    assert got == {"c": expected}


def test_a_model_up_to_some_values_leaves_the_rest_out(cutter: Cutter) -> None:
    model = cutter.up_to(["a", "b"])
    assert len(model.graph.node) == 3
    assert results(model, x=[10, 20]) == {"a": [9, 18], "b": [18, 36]}
    assert results(cutter.up_to("y"), x=[10, 20]) == {"y": [4, 13]}


def test_the_model_that_is_cut_stays_as_it_is(cutter: Cutter) -> None:
    model = net()
    before = model.SerializeToString()
    cut = Cutter(model, TYPES)
    cut.side_by_side([cut.slice(name, "abc") for name in "abcy"], "abc")
    assert model.SerializeToString() == before


def test_a_prefix_of_nothing_keeps_the_names(cutter: Cutter) -> None:
    model = cutter.side_by_side([cutter.slice("b", "a")], "a", prefix="")
    assert results(model, a=[1, 2]) == {"b": [2, 4]}
