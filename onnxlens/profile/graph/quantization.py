"""What quantized weights are stored as, and which initializers are their scales and zero points."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import product

from onnxlens.profile.graph.node_view import NodeView, NotCountable, ValueView
from onnxlens.specs.record import record

Operator = tuple[str, str]

QUARK = ("com.amd.quark", "com.vai.quantize")
"""AMD's quantizer, and the domain that it had before."""

AIMET = ("aimet.customop.cpu", "aimet.customop.cuda", "aimet.customop")
QONNX = ("qonnx.custom_op.general", "onnx.brevitas", "finn.custom_op.general")
"""The domains of qonnx's operators: its own, that in which brevitas writes them, and the one before."""

TENSORRT = "trt"


def _in(domains: Iterable[str], *op_types: str) -> frozenset[Operator]:
    return frozenset(product(domains, op_types))


DEQUANTIZERS = frozenset({
    *_in(("", "com.microsoft", TENSORRT), "DequantizeLinear"),
    *_in(QUARK, "ExtendedDequantizeLinear", "VitisDequantizeLinear"),
    *_in((TENSORRT,), "TRT_FP8DequantizeLinear", "TRT_INT4DequantizeLinear", "TRT_MXFP8DequantizeLinear"),
})  # fmt: skip
"""From (x, scale, zero point): numbers out of what is stored."""

QUANTIZERS = frozenset({
    *_in(("", "com.microsoft", TENSORRT), "QuantizeLinear"),
    *_in(QUARK, "ExtendedQuantizeLinear", "VitisQuantizeLinear"),
    *_in((TENSORRT,), "TRT_FP8QuantizeLinear", "TRT_INT4QuantizeLinear", "TRT_MXFP8QuantizeLinear"),
})  # fmt: skip


@record(frozen=True, slots=True)
class FakeQuantizer:
    """An operator that rounds floats to those that a narrow type has: quantizes and dequantizes in one.

    Attributes:
        meaning: the inputs that say what the narrow numbers mean: scale, zero point, bit widths, range.
        widths: those among them whose sum is the bits of a number; -1 is the last one. Without any, and
            without a sign, the file does not say how wide the numbers are.
        sign: bits that a number has besides.
    """

    meaning: Sequence[int] = ()
    widths: Sequence[int] = ()
    sign: int = 0


FAKE_QUANTIZERS: Mapping[Operator, FakeQuantizer] = {
    **dict.fromkeys(_in(QONNX, "Quant", "IntQuant"), FakeQuantizer((1, 2, 3), widths=(3,))),
    **dict.fromkeys(_in(QONNX, "Trunc"), FakeQuantizer((1, 2, 3, 4, 5, 6), widths=(-1,))),
    **dict.fromkeys(_in(QONNX, "BipolarQuant"), FakeQuantizer((1,), sign=1)),
    **dict.fromkeys(_in(QONNX, "FloatQuant"), FakeQuantizer((1, 2, 3, 4, 5), widths=(2, 3), sign=1)),
    **dict.fromkeys(_in(AIMET, "QcQuantizeOp"), FakeQuantizer()),
    **dict.fromkeys(
        _in(
            QUARK, "BFPQuantizeDequantize", "MXQuantizeDequantize", "BFPFixNeuron", "MXFixNeuron", "FixNeuron"
        ),
        FakeQuantizer(),
    ),
    **dict.fromkeys(_in(QONNX, "MultiThreshold"), FakeQuantizer((1,))),
    (TENSORRT, "TRT_FP4QDQ"): FakeQuantizer(),
    ("org.openvinotoolkit", "FakeQuantize"): FakeQuantizer((1, 2, 3, 4)),
}
"""Those whose one output has the shape and the type of their first input."""

BLOCK_QUANTIZERS: Mapping[Operator, tuple[str, str]] = {
    (TENSORRT, "TRT_MXFP8DynamicQuantize"): ("float8e4m3fn", "float8e8m0"),
    (TENSORRT, "TRT_FP4DynamicQuantize"): ("float4e2m1", "float8e4m3fn"),
}
"""Quantizers at run time, with a scale for each block: the types of the numbers and of the scales."""

REARRANGERS = frozenset(
    ("", op_type) for op_type in ("Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose")
)
"""Operators after which the same numbers are stored."""

SCALES_AND_ZERO_POINTS: Mapping[Operator, Sequence[int]] = {
    **dict.fromkeys(DEQUANTIZERS | QUANTIZERS, (1, 2)),
    **{operator: kind.meaning for operator, kind in FAKE_QUANTIZERS.items()},
    ("", "ConvInteger"): (2, 3),
    ("", "MatMulInteger"): (2, 3),
    ("", "QLinearConv"): (1, 2, 4, 5, 6, 7),
    ("", "QLinearMatMul"): (1, 2, 4, 5, 6, 7),
    ("com.microsoft", "QLinearConv"): (1, 2, 4, 5, 6, 7),
    ("com.microsoft", "QGemm"): (1, 2, 4, 5, 7, 8),
    ("com.microsoft", "QAttention"): (3, 4, 6, 7),
    ("com.microsoft", "DynamicQuantizeMatMul"): (2, 3),
    ("com.microsoft", "DynamicQuantizeLSTM"): (8, 9, 10, 11),
    ("com.microsoft", "MatMulIntegerToFloat"): (2, 3, 4, 5),
    ("com.microsoft", "MatMulNBits"): (2, 3),
    ("com.microsoft", "MatMulNBitsMlp"): (4, 7),
    ("com.microsoft", "MatMulNBitsQkv"): (4, 7, 10),
    ("com.microsoft", "MatMulBnb4"): (2,),
    ("com.microsoft", "MatMulBlockQuantizedFp4Weight"): (2, 3, 4),
    ("com.microsoft", "MatMulBlockQuantizedFp8Weight"): (2, 3),
    ("com.microsoft", "GatherBlockQuantized"): (2, 3),
    ("com.microsoft", "QMoE"): (3, 6, 9, 11, 12, 13, *range(15, 21)),
}
"""By operator, the inputs that say what the integers mean: they are not parameters of the model."""

QUANTIZED_WEIGHTS: Mapping[Operator, Sequence[int]] = {
    **dict.fromkeys(DEQUANTIZERS, (0,)),
    ("", "QLinearConv"): (3, 8),
    ("com.microsoft", "QLinearConv"): (3, 8),
    ("com.microsoft", "QGemm"): (3, 6),
}
"""By operator, the inputs that hold a weight or a bias of any integer type, int32 too.

Each of these operators is also in SCALES_AND_ZERO_POINTS.
"""


QUANTIZING = DEQUANTIZERS | QUANTIZERS | FAKE_QUANTIZERS.keys() | BLOCK_QUANTIZERS.keys()
"""Operators whose first output holds the numbers of their first input in another type, or rounded to one."""


def stored_bytes(operator: Operator, inputs: Sequence[ValueView | None]) -> int | None:
    """What the result of a constant-folded node takes where it is stored, if that is not the result itself.

    A weight behind a DequantizeLinear stays the integers that it is in the file, with their scales and zero
    points: the pair says what the numbers mean, and nobody stores the floats. So does one behind a fake
    quantizer whose bit widths the file holds.
    """
    given = [value for value in inputs if value is not None]
    try:
        if operator in DEQUANTIZERS:
            return sum(value.size_bytes for value in given)
        if operator in FAKE_QUANTIZERS and given:
            return _narrow_bytes(FAKE_QUANTIZERS[operator], given)
    except NotCountable:
        return None
    return given[0].stored_bytes if operator in REARRANGERS and given else None


def _narrow_bytes(kind: FakeQuantizer, given: Sequence[ValueView]) -> int | None:
    """The bytes of the first input's numbers in as many bits as the file says, and of scales and zero points.

    One number of a width may be for a channel: it holds for as many elements as the others.
    """
    elements = given[0].elements
    bits = kind.sign * elements
    for index in kind.widths:
        width = given[index].read_constant if index < len(given) else None
        held = width() if width is not None else None
        if held is None or not held.size or elements % held.size:
            return None
        bits += int(held.sum()) * (elements // held.size)
    widths = {index % len(given) for index in kind.widths}
    scales = [value for index, value in enumerate(given) if index in (1, 2) and index not in widths]
    return -(-bits // 8) + sum(value.size_bytes for value in scales) if bits else None


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
