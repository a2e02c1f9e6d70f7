"""What other tools' quantizers make: shapes and types by hand, one node each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from onnx import TensorProto, helper

from onnxlens.profile.graph.loading.inference.facts import NO_FACT, Fact
from onnxlens.profile.graph.loading.inference.operators import OPERATORS
from onnxlens.profile.graph.loading.protobuf import read_graph
from onnxlens.profile.graph.loading.value_types import ValueType
from onnxlens.profile.graph.quantization import BLOCK_QUANTIZERS, FAKE_QUANTIZERS

QUARK = "com.amd.quark"
X, SCALE = ValueType("float16", ("batch", 64)), ValueType("float32", ())


def made(domain: str, op_type: str, inputs: Sequence[ValueType | None], **attributes: Any) -> list[ValueType]:
    names = [f"x{index}" for index in range(len(inputs))]
    node = helper.make_node(op_type, names, ["y", "s"], domain=domain, **attributes)
    (read,) = read_graph(helper.make_graph([node], "one", [], [])).nodes
    facts = OPERATORS[domain, op_type](read, [kind and Fact(kind) for kind in inputs])
    assert facts is not None
    return [fact.type for fact in facts]


@pytest.mark.parametrize(("domain", "op_type"), sorted(FAKE_QUANTIZERS), ids=str)
def test_a_fake_quantizer_keeps_shape_and_type(domain: str, op_type: str) -> None:
    assert made(domain, op_type, [X, SCALE, SCALE]) == [X]
    assert made(domain, op_type, []) == [ValueType()]


TYPED: Mapping[str, tuple[str, str, Sequence[ValueType | None], Mapping[str, Any], str | None]] = {
    "a zero point's": (QUARK, "ExtendedQuantizeLinear", [X, SCALE, ValueType("int16", ())], {}, "int16"),
    "none without it": (QUARK, "ExtendedQuantizeLinear", [X, SCALE], {}, None),
    "that of the operator": ("trt", "TRT_FP8QuantizeLinear", [X, SCALE], {}, "float8e4m3fn"),
    "four bits": ("trt", "TRT_INT4QuantizeLinear", [X, SCALE], {}, "int4"),
    "blocks": ("trt", "TRT_MXFP8QuantizeLinear", [X, SCALE], {}, "float8e4m3fn"),
    "the scale's": ("trt", "TRT_INT4DequantizeLinear", [X, SCALE], {}, "float32"),
    "what it is told": (
        "trt", "TRT_MXFP8DequantizeLinear", [X, SCALE], {"output_dtype": TensorProto.BFLOAT16}, "bfloat16",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TYPED)
def test_numbers_keep_their_shape_in_the_type(name: str) -> None:
    domain, op_type, inputs, attributes, dtype = TYPED[name]
    assert made(domain, op_type, inputs, **attributes) == [ValueType(dtype, ("batch", 64))]
    assert made(domain, op_type, [None, *inputs[1:]], **attributes) == [ValueType(dtype, None)]


@pytest.mark.parametrize(
    ("shape", "attributes", "scales"),
    [
        (("batch", 64), {"block_size": 32}, ("batch", 2)),
        ((3, 70), {"block_size": 32, "axis": -1}, (3, 3)),  # the last block is short
        ((33, 70), {"block_size": 32, "axis": 0}, (2, 70)),
        (("batch", 70), {"block_size": 32, "axis": -2}, ("?", 70)),
    ],
)
@pytest.mark.parametrize(("domain", "op_type"), BLOCK_QUANTIZERS)
def test_a_block_along_the_axis_has_a_scale(
    domain: str, op_type: str, shape: Any, attributes: Mapping[str, int], scales: Any
) -> None:
    numbers, blocks = BLOCK_QUANTIZERS[domain, op_type]
    kinds = made(domain, op_type, [ValueType("float16", shape)], **attributes)
    assert kinds == [ValueType(numbers, shape), ValueType(blocks, scales)]


@pytest.mark.parametrize(
    ("shape", "attributes"),
    [(None, {"block_size": 32}), ((64,), {}), ((64,), {"block_size": 8, "axis": 1}),
     ((64,), {"block_size": 8, "axis": -2})],
)  # fmt: skip
def test_scales_are_unknown_where_nothing_says_the_blocks(shape: Any, attributes: Mapping[str, int]) -> None:
    kinds = made("trt", "TRT_FP4DynamicQuantize", [ValueType("float16", shape)], **attributes)
    assert kinds == [ValueType("float4e2m1", shape)]


@pytest.mark.parametrize(
    ("domain", "op_type", "recurrence"),
    [(QUARK, "ExtendedLSTM", (1, 20, 5)), ("com.vai.quantize", "VitisLSTM", (1, 20, 5)),
     ("com.microsoft", "DynamicQuantizeLSTM", (1, 5, 20))],
)  # fmt: skip
def test_a_state_is_as_wide_as_the_recurrence_says(domain: str, op_type: str, recurrence: Any) -> None:
    """4 gates of 5: ONNX Runtime's alone has them last."""
    source, weight = ValueType("float32", (7, 2, 3)), ValueType("float32", (1, 20, 3))
    kinds = made(domain, op_type, [source, weight, ValueType("float32", recurrence)])
    assert [kind.shape for kind in kinds[:2]] == [(7, 1, 2, 5), (1, 2, 5)]


def test_an_input_that_is_left_out_says_nothing() -> None:
    assert made("trt", "TRT_FP4DynamicQuantize", [None]) == [ValueType("float4e2m1", NO_FACT.type.shape)]
