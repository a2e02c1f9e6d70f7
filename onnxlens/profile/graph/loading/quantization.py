"""What quantized weights are stored as, and which initializers are their scales and zero points."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from onnxlens.profile.graph.node_view import NodeView, NotCountable, ValueView

Operator = tuple[str, str]

DEQUANTIZERS = frozenset({("", "DequantizeLinear"), ("com.microsoft", "DequantizeLinear")})

REARRANGERS = frozenset(
    ("", op_type) for op_type in ("Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose")
)
"""Operators after which the same numbers are stored."""

SCALES_AND_ZERO_POINTS: Mapping[Operator, Sequence[int]] = {
    ("", "DequantizeLinear"): (1, 2),
    ("", "QuantizeLinear"): (1, 2),
    ("", "ConvInteger"): (2, 3),
    ("", "MatMulInteger"): (2, 3),
    ("", "QLinearConv"): (1, 2, 4, 5, 6, 7),
    ("", "QLinearMatMul"): (1, 2, 4, 5, 6, 7),
    ("com.microsoft", "DequantizeLinear"): (1, 2),
    ("com.microsoft", "QuantizeLinear"): (1, 2),
    ("com.microsoft", "QLinearConv"): (1, 2, 4, 5, 6, 7),
    ("com.microsoft", "QGemm"): (1, 2, 4, 5, 7, 8),
    ("com.microsoft", "QAttention"): (3, 4, 6, 7),
    ("com.microsoft", "DynamicQuantizeMatMul"): (2, 3),
    ("com.microsoft", "DynamicQuantizeLSTM"): (8, 9, 10, 11),
    ("com.microsoft", "MatMulIntegerToFloat"): (2, 3, 4, 5),
    ("com.microsoft", "MatMulNBits"): (2, 3),
}
"""By operator, the inputs that say what the integers mean: they are not parameters of the model."""

QUANTIZED_WEIGHTS: Mapping[Operator, Sequence[int]] = {
    ("", "DequantizeLinear"): (0,),
    ("", "QLinearConv"): (3, 8),
    ("com.microsoft", "DequantizeLinear"): (0,),
    ("com.microsoft", "QLinearConv"): (3, 8),
    ("com.microsoft", "QGemm"): (3, 6),
}
"""By operator, the inputs that hold a weight or a bias of any integer type, int32 too.

Each of these operators is also in SCALES_AND_ZERO_POINTS.
"""


def stored_bytes(operator: Operator, inputs: Sequence[ValueView | None]) -> int | None:
    """What the result of an constant-folded node takes where it is stored, if that is not the result itself.

    A weight behind a DequantizeLinear stays the integers that it is in the file, with their scales and zero
    points: the pair says what the numbers mean, and nobody stores the floats.
    """
    given = [value for value in inputs if value is not None]
    if operator in DEQUANTIZERS:
        try:
            return sum(value.size_bytes for value in given)
        except NotCountable:
            return None
    return given[0].stored_bytes if operator in REARRANGERS and given else None


def scales_and_weights(nodes: Iterable[NodeView]) -> tuple[frozenset[str], frozenset[str]]:
    """The names of all scales and zero points, and of all weights that are stored as integers."""
    scales: set[str] = set()
    weights: set[str] = set()
    for node in nodes:
        operator = (node.domain, node.op_type)
        if operator in SCALES_AND_ZERO_POINTS:
            scales |= _names(node, SCALES_AND_ZERO_POINTS[operator])
            weights |= _names(node, QUANTIZED_WEIGHTS.get(operator, ()))
    return frozenset(scales), frozenset(weights)


def _names(node: NodeView, indices: Sequence[int]) -> set[str]:
    return {node.input(index).name for index in indices if node.has_input(index)}
