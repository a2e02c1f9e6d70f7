"""What single operators make of what is known of their inputs, where ONNX's inference does not say it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from onnxlens.profile.graph.loading.inference.attention_rules import ATTENTION
from onnxlens.profile.graph.loading.inference.classical import CLASSICAL
from onnxlens.profile.graph.loading.inference.containers import CONTAINERS, Inputs, Rule
from onnxlens.profile.graph.loading.inference.facts import NO_FACT, Fact, at
from onnxlens.profile.graph.loading.protobuf import FileNode
from onnxlens.profile.graph.loading.value_types import ValueType
from onnxlens.specs.tensor import Dim


def _recurrent(node: FileNode, inputs: Inputs) -> Sequence[Fact] | None:
    """RNN, GRU and LSTM: (T, directions, B, H) of all steps, (directions, B, H) of the last one.

    H is an attribute that may be left out: R, (directions, gates * H, H), says it too.
    """
    source, recurrence = (at(inputs, index) or NO_FACT for index in (0, 2))
    if source.type.shape is None or len(source.type.shape) != 3:
        return None
    weight = recurrence.type.shape
    last_axis = 1 if node.domain else 2  # ONNX Runtime's quantized one has R transposed
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


OPERATORS: Mapping[tuple[str, str], Rule] = {
    **CONTAINERS,
    **CLASSICAL,
    **ATTENTION,
    ("", "GroupNormalization"): _like_first,  # at opset 18 ONNX's inference does not know it
    **dict.fromkeys([("", "RNN"), ("", "GRU"), ("", "LSTM")], _recurrent),
    ("com.microsoft", "DynamicQuantizeLSTM"): _recurrent,
}
"""By domain and operator."""
