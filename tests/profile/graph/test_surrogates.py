"""Surrogates: for every one a node whose types are known by hand, and by ONNX Runtime where it runs there."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from onnx import ModelProto, NodeProto, ValueInfoProto, helper, numpy_helper
from onnxruntime.capi import onnxruntime_pybind11_state as runtime

from onnxlens.profile.graph.loading import load_graph
from onnxlens.profile.graph.loading.inference.surrogates import (
    BLOCKED,
    MICROSOFT,
    NHWC,
    SURROGATES,
    put_surrogates,
)
from onnxlens.profile.graph.loading.inference.walk import Walk
from onnxlens.profile.graph.loading.protobuf import read_graph, versions
from onnxlens.profile.graph.loading.value_types import LEFT_OUT, ValueType
from tests.profile.graph.real_types import found, run
from tests.profile.graph.surrogate_cases import CASES, Case
from tests.profile.models import IR_VERSION, integers, op, save, value, weight

DTYPES = {
    "f": "float32", "h": "float16", "u": "uint8", "s": "int8", "w": "uint32", "i": "int32", "l": "int64",
    "b": "bool",
}  # fmt: skip

Types = Sequence[tuple[str, tuple[int, ...]] | None]


def types(text: str) -> Types:
    """Types and shapes of a case's inputs or outputs; None for one that is left out."""
    parts = (None if part == "-" else part.split(":") for part in text.split())
    return [
        part and (DTYPES[part[0]], tuple(int(size) for size in part[1].split(",") if size)) for part in parts
    ]


def array(dtype: str, shape: tuple[int, ...], given: Sequence[int] | None = None) -> np.ndarray:
    """Halves and ones: scales that divide, indices that exist."""
    values = given or [0.5 if "float" in dtype else 1] * prod(shape)
    return np.array(values, dtype).reshape(shape)


def inputs_of(case: Case) -> Mapping[str, np.ndarray]:
    known = case.values or {}
    return {
        f"in{index}": array(*kind, known.get(index))
        for index, kind in enumerate(types(case.inputs))
        if kind is not None
    }


def model_of(case: Case) -> ModelProto:
    """The node alone; its outputs' types are left to be found."""
    arrays = inputs_of(case)
    ins = ["" if kind is None else f"in{index}" for index, kind in enumerate(types(case.inputs))]
    outs = ["" if kind is None else f"out{index}" for index, kind in enumerate(types(case.outputs))]
    node = helper.make_node(case.op_type, ins, outs, domain=case.domain, **case.attributes)
    first = arrays["in0"]
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info("in0", helper.np_dtype_to_tensor_dtype(first.dtype), first.shape)],
        [ValueInfoProto(name=name) for name in outs if name],
        [numpy_helper.from_array(held, name) for name, held in arrays.items() if name != "in0"],
    )
    domains = {"": case.opset, **{domain: 1 for domain in (MICROSOFT, BLOCKED)}, NHWC: case.opset}
    opsets = [helper.make_opsetid(*pair) for pair in domains.items()]
    return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)


def expected(case: Case) -> Mapping[str, tuple[str, tuple[int, ...]]]:
    return {f"out{index}": kind for index, kind in enumerate(types(case.outputs)) if kind is not None}


def named(case: Case) -> str:
    return f"{case.op_type}({case.inputs})"


def test_every_surrogate_has_a_case_and_is_an_operator_of_onnx_runtime() -> None:
    assert {(case.domain, case.op_type) for case in CASES} == set(SURROGATES)
    known = {(schema.domain, schema.name) for schema in runtime.get_all_operator_schema()}
    assert set(SURROGATES) <= known


@pytest.mark.parametrize("case", CASES, ids=named)
def test_a_surrogate_has_the_types_of_its_node(case: Case, tmp_path: Path) -> None:
    assert found(model_of(case), tmp_path) == expected(case)


@pytest.mark.parametrize("case", [case for case in CASES if case.domain != BLOCKED], ids=named)
def test_a_surrogate_has_them_node_by_node_too(case: Case) -> None:
    """There operands that ONNX cannot combine are an error, and a node's opset is that of its own domain."""
    model = model_of(case)
    given = {f"in{index}": ValueType(*kind) for index, kind in enumerate(types(case.inputs)) if kind}
    walk = Walk(read_graph(model.graph), given, versions(model), Path())
    facts = {name: walk.record.facts[name].type for name in expected(case)}
    assert {name: (fact.dtype, fact.shape) for name, fact in facts.items()} == expected(case)
    assert not walk.misfits


@pytest.mark.parametrize("case", [case for case in CASES if case.runs], ids=named)
def test_onnx_runtime_makes_what_the_case_says(case: Case) -> None:
    model = model_of(case)
    assert run(model, {"in0": inputs_of(case)["in0"]}) == expected(case)


NOT_INFERRED = {"AttnLSTM", "ComplexMul", "ComplexMulConj", "QLinearConvTranspose"}
"""Operators whose shapes ONNX Runtime does not infer."""

NOT_ACCEPTED = {"MulInteger", "MatMulFpQ4", "MatMulBlockQuantizedFp8Weight"}
"""Operators whose case ONNX Runtime rejects: numpy or the case lacks the weight's type or size."""


@pytest.mark.parametrize(
    "case",
    [case for case in CASES if not case.runs and case.op_type not in NOT_INFERRED | NOT_ACCEPTED],
    ids=named,
)
def test_onnx_runtime_infers_what_the_case_says_without_a_kernel(
    case: Case, capfd: pytest.CaptureFixture[str]
) -> None:
    """ONNX Runtime warns of a shape that differs from the inferred one, and prints the latter."""
    model = model_of(case)
    shapes = {name: shape for name, (_, shape) in expected(case).items()}
    for output in model.graph.output:
        kind = np.dtype(expected(case)[output.name][0])
        wrong = [size + 1 for size in shapes[output.name]]
        output.CopyFrom(
            helper.make_tensor_value_info(output.name, helper.np_dtype_to_tensor_dtype(kind), wrong)
        )
    options = ort.SessionOptions()
    options.log_severity_level = 2
    with pytest.raises((runtime.NotImplemented, runtime.InvalidGraph)):
        ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    warned = re.findall(r"'(\w+)' source:{([\d,]*)}", capfd.readouterr().err)
    assert {name: tuple(map(int, sizes.split(","))) for name, sizes in warned} == shapes


def shape_of(folder: Path, nodes: Sequence[NodeProto], name: str, **more: Any) -> object:
    """The shape that loading finds for a value of nodes over x, (1, 20, 8, 6) and without types."""
    opsets = {"": more.pop("opset", 17), "com.microsoft": 1, BLOCKED: 1}
    inputs = [value("x", more.pop("x", (1, 20, 8, 6)))]
    path = save(folder, nodes, inputs, [ValueInfoProto(name="y")], more.pop("held", ()), opsets=opsets)
    graph = load_graph(path)
    outputs = (output for node in graph.nodes for output in node.view.outputs if output is not None)
    return {output.name: output.shape for output in outputs}[name]


@pytest.mark.parametrize("padded", [24, 32])
def test_channels_are_padded_as_the_blocked_weight_is(tmp_path: Path, padded: int) -> None:
    """Twenty channels in blocks of 8, and of 16."""
    nodes = [
        op("ReorderInput", "x", "blocks", domain=BLOCKED),
        op("Conv", "blocks w", "made", domain=BLOCKED, kernel_shape=[1, 1]),
        op("ReorderOutput", "made", "y", domain=BLOCKED, channels=36),
    ]
    held = [weight("w", 48, padded, 1, 1)]
    assert shape_of(tmp_path, nodes, "blocks", held=held) == (1, padded, 8, 6)
    assert shape_of(tmp_path, nodes, "made", held=held) == (1, 48, 8, 6)
    assert shape_of(tmp_path, nodes, "y", held=held) == (1, 36, 8, 6)


def test_channels_of_a_depthwise_weight_are_its_groups(tmp_path: Path) -> None:
    nodes = [
        op("ReorderInput", "x", "blocks", domain=BLOCKED),
        op("Conv", "blocks w", "y", domain=BLOCKED, group=24, kernel_shape=[3, 3]),
    ]
    assert shape_of(tmp_path, nodes, "blocks", held=[weight("w", 24, 1, 3, 3)]) == (1, 24, 8, 6)


def test_the_values_of_a_surrogate_are_not_constants(tmp_path: Path) -> None:
    """The lower left of 2 3 / 4 6 is 0 in truth, and 4 in an Identity: 15 elements would be wrong."""
    nodes = [
        op("Trilu", "square", "upper", domain=MICROSOFT),
        op("ReduceSum", "upper", "sum", keepdims=0),
        op("Unsqueeze", "sum zero", "size"),
        op("Expand", "one size", "y"),
    ]
    held = [integers("square", [[2, 3], [4, 6]]), integers("zero", [0]), integers("one", [1])]
    shape = shape_of(tmp_path, nodes, "y", held=held)
    assert isinstance(shape, tuple)
    assert not isinstance(shape[0], int)


def test_a_surrogate_inside_a_branch_takes_a_weight_from_outside(tmp_path: Path) -> None:
    inside = [
        op("ReorderInput", "x", "blocks", domain=BLOCKED),
        op("Conv", "blocks w", "out", domain=BLOCKED, kernel_shape=[1, 1]),
    ]
    branch = helper.make_graph(inside, "inside", [], [ValueInfoProto(name="out")])
    condition = numpy_helper.from_array(np.array(True), "flag")
    nodes = [op("If", "flag", "y", then_branch=branch, else_branch=branch)]
    held = [weight("w", 16, 32, 1, 1), condition]
    assert shape_of(tmp_path, nodes, "y/then_branch/blocks", held=held) == (1, 32, 8, 6)
    assert shape_of(tmp_path, nodes, "y", held=held) == (1, 16, 8, 6)


def test_both_inferences_go_through_surrogates(tmp_path: Path) -> None:
    """UnfoldTensor is inferred by ONNX Runtime; one product comes before it, and another after."""
    nodes = [
        op("FusedMatMul", "x w", "wide", domain=MICROSOFT, transB=1),
        op("UnfoldTensor", "wide", "mixed", domain=MICROSOFT, dim=1, size=3, step=1),
        op("FusedMatMul", "mixed mixed", "y", domain=MICROSOFT, transB=1),
    ]
    held = [weight("w", 16, 8)]
    assert shape_of(tmp_path, nodes, "mixed", x=(2, 3, 8), held=held) == (2, 1, 16, 3)
    assert shape_of(tmp_path, nodes, "y", x=(2, 3, 8), held=held) == (2, 1, 16, 16)


@pytest.mark.parametrize("opset", [9, 10, 11, 12])
def test_an_operand_is_transposed_where_the_opset_has_no_einsum_too(tmp_path: Path, opset: int) -> None:
    nodes = [op("FusedMatMul", "x w", "y", domain=MICROSOFT, transA=1)]
    assert shape_of(tmp_path, nodes, "y", x=(5, 8), held=[weight("w", 5, 7)], opset=opset) == (8, 7)


KEPT = {
    "statistics are requested": op("SkipLayerNormalization", "x x g", "y mean", domain=MICROSOFT),
    "a mask is requested": op("BiasDropout", "x g", "y mask", domain=MICROSOFT),
    "a backward pass": op("MatMulBnb4", "x g g", "y", domain=MICROSOFT, transB=0, K=4, N=4),
    "no kernel's shape": op("NhwcConv", "x g", "y", domain=MICROSOFT),
    "the table is unknown": op("GatherBlockQuantized", "x x g", "y", domain=MICROSOFT),
    "no input": helper.make_node("MoE", [], ["y"], domain=MICROSOFT),
    "no channels": op("ReorderOutput", "x", "y", domain=BLOCKED),
    "too many channels": op("ReorderOutput", "x", "y", domain=BLOCKED, channels=10**12),
    "no whole bits": op("GatherBlockQuantized", "bytes x g", "y", domain=MICROSOFT, bits=0),
    "ONNX has it": op("LayerNormalization", "x g", "y"),
}


@pytest.mark.parametrize("node", KEPT.values(), ids=KEPT)
def test_a_node_stays_where_no_surrogate_fits(node: NodeProto) -> None:
    table = numpy_helper.from_array(np.ones((3, 2), np.uint8), "bytes")
    graph = helper.make_graph([node], "one", [], [], [weight("g", 4), table])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    put_surrogates(model)
    assert list(model.graph.node) == [node]


def test_the_operators_in_onnxs_own_domain_that_have_surrogates_are_known_without_loading_them() -> None:
    assert {op_type for domain, op_type in SURROGATES if not domain} == LEFT_OUT
