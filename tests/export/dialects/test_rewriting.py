"""What is written in other operators has equal numbers, equal MACs, and stays where it was."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

import onnxlens
from onnxlens.errors import UsageError
from onnxlens.export.dialects.dialect import Dialect, Rewriting, rewrite
from onnxlens.export.dialects.k230 import K230, TAKES
from onnxlens.export.dialects.lookup import dialect_named
from onnxlens.export.dialects.parts import SOURCE_KEY

Shape = Sequence[int]


def one_node(
    node: onnx.NodeProto,
    inputs: Sequence[Shape],
    outputs: Sequence[Shape],
    weights: Sequence[Shape],
    opset: int,
) -> onnx.ModelProto:
    """A model of one node, whose inputs are ``x0, x1, ...``, its weights ``w0, w1, ...``."""
    rng = np.random.default_rng(7)
    taken = [
        helper.make_tensor_value_info(f"x{i}", TensorProto.FLOAT, shape) for i, shape in enumerate(inputs)
    ]
    made = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in zip(node.output, outputs, strict=True)
    ]
    held = [
        numpy_helper.from_array(rng.standard_normal(shape).astype(np.float32), f"w{i}")
        for i, shape in enumerate(weights)
    ]
    graph = helper.make_graph([node], "g", taken, made, held)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def run(model: onnx.ModelProto) -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    session = ort.InferenceSession(model.SerializeToString(), options)
    inputs = {each.name: rng.standard_normal(each.shape).astype(np.float32) for each in session.get_inputs()}
    return list(session.run(None, inputs))


def in_dialect(model: onnx.ModelProto, dialect: Dialect = K230) -> tuple[onnx.ModelProto, Rewriting]:
    held = ir.from_proto(model)
    done = rewrite(held, dialect)
    proto = ir.to_proto(held)
    onnx.checker.check_model(proto, full_check=True)
    return proto, done


def macs(model: onnx.ModelProto, path: Path) -> int:
    path.write_bytes(model.SerializeToString())
    return onnxlens.profile_graph(path).totals.macs


def node(operator: str, inputs: str, outputs: str = "y", **attributes: object) -> onnx.NodeProto:
    return helper.make_node(operator, inputs.split(), outputs.split(), name="layer", **attributes)


X, CHANNELS = (2, 8, 5, 3), [(8,), (8,)]
CASES = {
    "layer norm": (node("LayerNormalization", "x0 w0 w1", axis=-1), [(2, 5, 8)], [(2, 5, 8)], CHANNELS, 18),
    "layer norm of two axes": (
        node("LayerNormalization", "x0 w0", axis=1, epsilon=0.1),
        [(2, 5, 8)],
        [(2, 5, 8)],
        [(5, 8)],
        17,
    ),
    "rms norm": (node("RMSNormalization", "x0 w0"), [(2, 5, 8)], [(2, 5, 8)], [(8,)], 23),
    "group norm by group": (node("GroupNormalization", "x0 w0 w1", num_groups=4), [X], [X], [(4,), (4,)], 18),
    "group norm by channel": (node("GroupNormalization", "x0 w0 w1", num_groups=4), [X], [X], CHANNELS, 21),
    "gelu": (node("Gelu", "x0"), [X], [X], [], 20),
    "gelu by tanh": (node("Gelu", "x0", approximate="tanh"), [X], [X], [], 20),
    "mish": (node("Mish", "x0"), [X], [X], [], 18),
    "reciprocal": (node("Reciprocal", "x0"), [X], [X], [], 18),
    "tangent": (node("Tan", "x0"), [X], [X], [], 18),
    "mean of three": (node("Mean", "x0 x1 x2"), [X, X, X], [X], [], 18),
    "maximum of three": (node("Max", "x0 x1 x2"), [X, (1,), X], [X], [], 18),
    "sum of one": (node("Sum", "x0"), [X], [X], [], 18),
    "defined by ONNX: mean variance": (
        node("MeanVarianceNormalization", "x0", axes=[0, 2, 3]),
        [X],
        [X],
        [],
        18,
    ),
    "defined by ONNX, with a default": (node("ThresholdedRelu", "x0"), [X], [X], [], 18),
    "attention": (node("Attention", "x0 x1 x2"), [(2, 3, 4, 8)] * 3, [(2, 3, 4, 8)], [], 23),
    "causal attention, scaled": (
        node("Attention", "x0 x1 x2", is_causal=1, scale=0.5),
        [(2, 3, 4, 8)] * 3,
        [(2, 3, 4, 8)],
        [],
        23,
    ),
    "uneven split": (node("Split", "x0", "y z", axis=1, num_outputs=2), [(2, 7)], [(2, 4), (2, 3)], [], 18),
    "even split": (node("Split", "x0", "y z", axis=-1), [(2, 6)], [(2, 3), (2, 3)], [], 13),
    "scores": (
        node("Einsum", "x0 x1", equation="bhid, bhjd -> bhij"),
        [(2, 3, 4, 5), (2, 3, 6, 5)],
        [(2, 3, 4, 6)],
        [],
        18,
    ),
    "three operands": (
        node("Einsum", "x0 x1 x2", equation="ij,jk,kl->li"),
        [(2, 3), (3, 6), (6, 7)],
        [(7, 2)],
        [],
        18,
    ),
    "no arrow, a label summed": (
        node("Einsum", "x0 x1", equation="zij,jk"),
        [(4, 2, 3), (3, 5)],
        [(2, 5, 4)],
        [],
        18,
    ),
    "outer": (node("Einsum", "x0 x1", equation="i,j->ji"), [(3,), (4,)], [(4, 3)], [], 18),
    "one operand": (node("Einsum", "x0", equation="abc->ca"), [(2, 3, 4)], [(4, 2)], [], 18),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_node_in_other_operators_has_equal_numbers_and_macs(case: tuple, tmp_path: Path) -> None:
    model = one_node(*case)
    written, done = in_dialect(model)
    assert (done.replaced, dict(done.left)) == (1, {})
    assert {each.op_type for each in written.graph.node} <= TAKES
    for got, expected in zip(run(written), run(model), strict=True):
        assert got.shape == expected.shape
        assert np.linalg.norm(got - expected) <= 1e-6 * np.linalg.norm(expected)
    assert macs(written, tmp_path / "new.onnx") == macs(model, tmp_path / "old.onnx")


def with_shape(shape: Sequence[int], **attributes: int) -> onnx.ModelProto:
    model = one_node(node("Reshape", "x0 shape", **attributes), [(2, 7)], [(7, 2)], [], 18)
    model.graph.initializer.append(numpy_helper.from_array(np.array(shape, np.int64), "shape"))
    return model


def test_a_reshape_has_no_allowzero_and_a_zero_in_its_shape_is_not_misread() -> None:
    written, done = in_dialect(with_shape([7, 2], allowzero=1))
    assert done.replaced == 1 and not written.graph.node[0].attribute
    kept, done = in_dialect(with_shape([-1, 2]))
    assert done.replaced == 0 and kept.graph.node[0].input[1] == "shape"


def test_the_last_part_has_the_name_and_all_say_of_which_node_they_are() -> None:
    model = one_node(node("Gelu", "x0"), [X], [X], [], 20)
    model.graph.node[0].metadata_props.add(key="pkg.torch.onnx.name_scopes", value="['', 'act', 'gelu']")
    written, _ = in_dialect(model)
    assert [each.name for each in written.graph.node] == [
        "layer_Div",
        "layer_Erf",
        "layer_Add",
        "layer_Mul",
        "layer",
    ]
    for each in written.graph.node:
        kept = {entry.key: entry.value for entry in each.metadata_props}
        assert kept == {SOURCE_KEY: "layer", "pkg.torch.onnx.name_scopes": "['', 'act', 'gelu']"}
    assert [value.name for value in written.graph.output] == ["y"]


def test_names_that_are_taken_are_not_given_twice() -> None:
    model = one_node(node("Gelu", "x0"), [X], [X], [], 20)
    model.graph.node[0].output[0] = "between"
    model.graph.node.append(helper.make_node("Erf", ["between"], ["y"], name="layer_Erf"))
    written, _ = in_dialect(model)
    names = [each.name for each in written.graph.node]
    assert len(set(names)) == len(names) and names[-1] == "layer_Erf"


def test_what_has_no_other_form_is_told_and_left() -> None:
    model = one_node(node("Det", "x0"), [(3, 3)], [()], [], 18)
    written, done = in_dialect(model)
    assert (done.replaced, dict(done.left)) == (0, {"layer": "Det"})
    assert [each.op_type for each in written.graph.node] == ["Det"]


def test_an_operator_of_another_domain_is_left() -> None:
    model = one_node(node("Gelu", "x0"), [X], [X], [], 18)
    model.graph.node[0].domain = "com.microsoft"
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    held = ir.from_proto(model)
    assert dict(rewrite(held, K230).left) == {"layer": "Gelu"}


def test_an_einsum_with_an_ellipsis_is_left() -> None:
    model = one_node(
        node("Einsum", "x0 x1", equation="...ij,...jk->...ik"), [(2, 3), (3, 4)], [(2, 4)], [], 18
    )
    _, done = in_dialect(model)
    assert done.replaced == 0


def test_there_are_no_other_dialects() -> None:
    assert dialect_named("k230") is K230
    with pytest.raises(UsageError, match="there is no dialect 'rknn'; there is k230"):
        dialect_named("rknn")


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ("Conv:x0,w0:c Add:c,x1:y", ["Conv", "Expand", "Add"]),
        ("Conv:x0,w0:c Relu:c:r Mul:x1,r:y", ["Conv", "Relu", "Expand", "Mul"]),
        ("Conv:x0,w0:c Add:c,w1:y", ["Conv", "Add"]),
        ("Conv:x0,w0:c Sqrt:w1:s Div:c,s:y", ["Conv", "Sqrt", "Div"]),
        ("Conv:x0,w0:c MaxPool:c:p Sub:p,x1:y", ["Conv", "MaxPool", "Sub"]),
        ("Relu:x0:r Mul:r,x1:y", ["Relu", "Mul"]),
    ],
)
def test_a_smaller_computed_value_is_expanded_behind_a_convolution(nodes: str, expected: list[str]) -> None:
    model = one_node(
        node("Identity", "x0"), [(1, 4, 5, 5), (1, 4, 1, 1)], [(1, 4, 5, 5)], [(4, 4, 1, 1), (4, 1, 1)], 18
    )
    del model.graph.node[:]
    for text in nodes.split():
        operator, inputs, output = text.split(":")
        attributes = {"kernel_shape": [1, 1]} if operator == "MaxPool" else {}
        model.graph.node.append(helper.make_node(operator, inputs.split(","), [output], **attributes))
    model = onnx.shape_inference.infer_shapes(model)
    written, _ = in_dialect(model)
    assert [each.op_type for each in written.graph.node] == expected
    np.testing.assert_array_equal(run(written)[0], run(model)[0])


def test_a_deep_network_is_written_without_deep_recursion() -> None:
    model = one_node(node("Identity", "x0"), [(1, 2, 3, 3), (1, 2, 1, 1)], [(1, 2, 3, 3)], [(2, 2, 1, 1)], 18)
    del model.graph.node[:]
    for index in range(1500):
        read = f"v{index}" if index else "x0"
        model.graph.node.append(helper.make_node("Relu", [read], [f"v{index + 1}"]))
    model.graph.node.append(helper.make_node("Conv", ["v1500", "w0"], ["c"]))
    model.graph.node.append(helper.make_node("Add", ["c", "x1"], ["y"]))
    written, done = in_dialect(onnx.shape_inference.infer_shapes(model))
    assert (done.replaced, written.graph.node[-2].op_type) == (1, "Expand")


@pytest.mark.parametrize("value", ["", "w0"])
def test_a_pad_of_some_axes_is_one_of_all(value: str) -> None:
    weights = [()] if value else []
    model = one_node(node("Pad", "x0 pads"), [(2, 3, 4)], [(2, 6, 5)], weights, 18)
    model.graph.node[0].input.extend([value, "axes"])
    for name, numbers in (("pads", [1, 0, 0, 3]), ("axes", [-1, 1])):
        model.graph.initializer.append(numpy_helper.from_array(np.array(numbers, np.int64), name))
    written, done = in_dialect(model)
    # the last axis 1 before and none behind; the second 3 behind
    assert done.replaced == 1 and len(written.graph.node[0].input) == 2 + bool(value)
    np.testing.assert_array_equal(run(written)[0], run(model)[0])
