"""What single operators make of what is known of their inputs, where ONNX's inference does not say it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from onnxlens.profile.graph.loading.inference.attention_rules import ATTENTION
from onnxlens.profile.graph.loading.inference.classical import CLASSICAL
from onnxlens.profile.graph.loading.inference.containers import CONTAINERS, Inputs, Rule
from onnxlens.profile.graph.loading.inference.facts import NO_FACT, Fact, at
from onnxlens.profile.graph.loading.protobuf import FileNode
from onnxlens.profile.graph.loading.value_types import DTYPES, ValueType
from onnxlens.profile.graph.quantization import (
    BLOCK_QUANTIZERS,
    DEQUANTIZERS,
    FAKE_QUANTIZERS,
    QUANTIZERS,
)
from onnxlens.specs.tensor import Dim


def _recurrent(node: FileNode, inputs: Inputs) -> Sequence[Fact] | None:
    """RNN, GRU and LSTM: (T, directions, B, H) of all steps, (directions, B, H) of the last one.

    H is an attribute that may be left out: R, (directions, gates * H, H), says it too.
    """
    source, recurrence = (at(inputs, index) or NO_FACT for index in (0, 2))
    if source.type.shape is None or len(source.type.shape) != 3:
        return None
    weight = recurrence.type.shape
    last_axis = 1 if node.op_type == "DynamicQuantizeLSTM" else 2  # which has R transposed
    hidden = node.attributes.get("hidden_size") or (weight[last_axis] if weight and len(weight) == 3 else "?")
    directions = 2 if node.attributes.get("direction") == "bidirectional" else 1
    first, second, _ = source.type.shape
    last: tuple[Dim, ...] = (directions, second, hidden)
    steps: tuple[Dim, ...] = (first, *last)
    if node.attributes.get("layout", 0):  # the batch in front
        steps, last = (first, second, directions, hidden), (first, directions, hidden)
    dtype = source.type.dtype
    return [Fact(ValueType(dtype, steps)), Fact(ValueType(dtype, last)), Fact(ValueType(dtype, last))]


def _like_first(node: FileNode, inputs: Inputs) -> Sequence[Fact]:
    """As large as the first input, and of its type."""
    return [Fact((at(inputs, 0) or NO_FACT).type)]


def _typed_as(index: int) -> Rule:
    """As large as the first input; of the type that ``output_dtype`` says, or of that input's."""

    def rule(node: FileNode, inputs: Inputs) -> Sequence[Fact]:
        dtype = DTYPES.get(node.attributes.get("output_dtype", 0)) or NARROW.get(node.op_type)
        known = (at(inputs, 0) or NO_FACT).type, (at(inputs, index) or NO_FACT).type
        return [Fact(ValueType(dtype or known[1].dtype, known[0].shape))]

    return rule


NARROW: Mapping[str, str] = {
    "TRT_FP8QuantizeLinear": "float8e4m3fn",
    "TRT_MXFP8QuantizeLinear": "float8e4m3fn",
    "TRT_INT4QuantizeLinear": "int4",
}
"""What TensorRT's quantizers make; those of others have a zero point to say it."""


def _blocks(node: FileNode, inputs: Inputs) -> Sequence[Fact]:
    """As large as the first input, in a narrow type, and a scale for each block along the axis."""
    numbers, scales = BLOCK_QUANTIZERS[node.domain, node.op_type]
    shape = (at(inputs, 0) or NO_FACT).type.shape
    axis, size = node.attributes.get("axis", -1), node.attributes.get("block_size", 0)
    if shape is None or not -len(shape) <= axis < len(shape) or size < 1:
        return [Fact(ValueType(numbers, shape))]
    dims, long = list(shape), shape[axis]
    dims[axis] = -(-long // size) if isinstance(long, int) else "?"
    return [Fact(ValueType(numbers, shape)), Fact(ValueType(scales, tuple(dims)))]


KNOWN = ("", "com.microsoft")
"""Domains whose quantizers ONNX's inference and surrogates know."""

OPERATORS: Mapping[tuple[str, str], Rule] = {
    **CONTAINERS,
    **CLASSICAL,
    **ATTENTION,
    **{operator: _typed_as(2) for operator in QUANTIZERS if operator[0] not in KNOWN},
    **{operator: _typed_as(1) for operator in DEQUANTIZERS if operator[0] not in KNOWN},
    **dict.fromkeys(FAKE_QUANTIZERS, _like_first),
    **dict.fromkeys(BLOCK_QUANTIZERS, _blocks),
    ("", "GroupNormalization"): _like_first,  # at opset 18 ONNX's inference does not know it
    **dict.fromkeys([("", "RNN"), ("", "GRU"), ("", "LSTM")], _recurrent),
    ("com.microsoft", "DynamicQuantizeLSTM"): _recurrent,
    **dict.fromkeys([("com.amd.quark", "ExtendedLSTM"), ("com.vai.quantize", "VitisLSTM")], _recurrent),
    ("com.amd.quark", "ExtendedInstanceNormalization"): _like_first,
    ("com.vai.quantize", "VitisInstanceNormalization"): _like_first,
}
"""By domain and operator."""
