"""Stand-ins: for every one a node whose types are known by hand, and by ONNX Runtime where it runs there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import ModelProto, ValueInfoProto, helper, numpy_helper
from onnxruntime.capi import onnxruntime_pybind11_state as runtime

from onnxlens.profile.loading import load_graph
from onnxlens.profile.loading.stand_ins import BLOCKED, MICROSOFT, NHWC, STAND_INS
from tests.profile.models import IR_VERSION
from tests.profile.stand_in_cases import CASES, Case

DTYPES = {
    "f": "float32", "h": "float16", "u": "uint8", "s": "int8", "w": "uint32", "i": "int32", "l": "int64",
    "b": "bool",
}  # fmt: skip

Types = Sequence[tuple[str, tuple[int, ...]] | None]


def types(text: str) -> Types:
    """What a case says of its inputs or outputs: None for one that is left out."""
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


def named(case: Case) -> str:
    return f"{case.op_type}({case.inputs})"


def found(model: ModelProto, folder: Path) -> Mapping[str, tuple[str | None, object]]:
    """What loading finds, by the value's name."""
    path = folder / "graph.onnx"
    onnx.save(model, path)
    graph = load_graph(path)
    outputs = (value for node in graph.nodes for value in node.view.outputs if value is not None)
    return {value.name: (value.dtype, value.shape) for value in outputs}


def run(model: ModelProto, feeds: Mapping[str, np.ndarray]) -> Mapping[str, tuple[str, object]]:
    """What every value is in ONNX Runtime, as the file says it, without optimisations."""
    copy = ModelProto()
    copy.CopyFrom(model)
    del copy.graph.output[:]
    made = (name for node in copy.graph.node for name in node.output if name)
    copy.graph.output.extend(ValueInfoProto(name=name) for name in made)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = ort.InferenceSession(copy.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    values = session.run(names, dict(feeds))
    return {name: (str(value.dtype), value.shape) for name, value in zip(names, values, strict=True)}


def test_every_stand_in_has_a_case_and_is_an_operator_of_onnx_runtime() -> None:
    assert {(case.domain, case.op_type) for case in CASES} == set(STAND_INS)
    known = {(schema.domain, schema.name) for schema in runtime.get_all_operator_schema()}
    assert set(STAND_INS) <= known


@pytest.mark.parametrize("case", CASES, ids=named)
def test_a_stand_in_has_the_types_of_its_node(case: Case, tmp_path: Path) -> None:
    expected = {f"out{index}": kind for index, kind in enumerate(types(case.outputs)) if kind is not None}
    assert found(model_of(case), tmp_path) == expected


@pytest.mark.parametrize("case", [case for case in CASES if case.runs], ids=named)
def test_onnx_runtime_makes_what_the_case_says(case: Case) -> None:
    model = model_of(case)
    expected = {f"out{index}": kind for index, kind in enumerate(types(case.outputs)) if kind is not None}
    assert run(model, {"in0": inputs_of(case)["in0"]}) == expected
