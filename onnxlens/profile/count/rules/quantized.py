"""Integer and quantized operators: the MACs of their float forms, and the ops on scales and zero points.

Those of ONNX Runtime too: mostly the float form between dequantized inputs and a quantized output. Then those
of other quantizers. A fake quantizer, which quantizes and dequantizes in one, costs what dequantizing does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

from onnxlens.profile.count.rules.elementwise import GELU_ERF, PER_ELEMENT, pooling
from onnxlens.profile.count.rules.matrix import conv_macs, gemm_macs, matmul
from onnxlens.profile.count.rules.normalization import SOFTMAX
from onnxlens.profile.count.rules.recurrent import lstm, state_elements
from onnxlens.profile.count.rules.work import (
    NOTHING,
    VECTOR,
    Rule,
    RuleTable,
    Work,
    each_input,
    each_output,
    no_work,
)
from onnxlens.profile.graph.node_view import NodeView
from onnxlens.profile.graph.quantization import (
    BLOCK_QUANTIZERS,
    DEQUANTIZERS,
    FAKE_QUANTIZERS,
    QUANTIZERS,
    Operator,
)

QUANTIZE = 4 * VECTOR  # scale, round, and two compares to saturate
RANGE_TO_SCALE = 11 * VECTOR  # min, max, sub, div, div, sub, clip (two compares, two selects), round
REQUANTIZE = QUANTIZE + VECTOR  # and the zero point
DEQUANTIZE = 2 * VECTOR  # zero point, scale


def zero_point_work(node: NodeView, tensor: int, zero_point: int) -> Work:
    """One subtract per element of a tensor with a zero point; constant-folded where both are weights."""
    if not node.has_input(zero_point):
        return NOTHING
    folded = node.input(tensor).is_weight and node.input(zero_point).is_weight
    return NOTHING if folded else VECTOR * node.input(tensor).elements


def matmul_integer(node: NodeView) -> Work:
    """The MACs of MatMul; one subtract per element of each operand that has a zero point."""
    return matmul(node) + zero_point_work(node, 0, 2) + zero_point_work(node, 1, 3)


def conv_integer(node: NodeView) -> Work:
    """The MACs of Conv; one subtract per element of input and weight where they have a zero point."""
    return Work(macs=conv_macs(node)) + zero_point_work(node, 0, 2) + zero_point_work(node, 1, 3)


def qlinear_conv(node: NodeView) -> Work:
    """The MACs of Conv; zero points subtracted; per output element 5 to requantize, and 1 for a bias.

    Its inputs are (x, scale, zero point, w, scale, zero point, scale, zero point, B).
    """
    return Work(macs=conv_macs(node, weight=3)) + around_convolution(node)


def around_convolution(node: NodeView) -> Work:
    """The elementwise ops of ``qlinear_conv``."""
    per_output = REQUANTIZE + VECTOR * node.has_input(8)
    return zero_point_work(node, 0, 2) + zero_point_work(node, 3, 5) + per_output * prod(node.output_shape(0))


def qlinear_matmul(node: NodeView) -> Work:
    """The MACs of MatMul; zero points subtracted, inputs as in QLinearConv; per output 5 to requantize."""
    zero_points = zero_point_work(node, 0, 2) + zero_point_work(node, 3, 5)
    return matmul(node) + zero_points + REQUANTIZE * prod(node.output_shape(0))


def quantize_linear(node: NodeView) -> Work:
    """Per element divide, round, two compares to saturate, and an add where there is a zero point."""
    return (REQUANTIZE if node.has_input(2) else QUANTIZE) * prod(node.output_shape(0))


def dequantize_linear(node: NodeView) -> Work:
    """Per element a multiply, and a subtract where there is a zero point."""
    return (DEQUANTIZE if node.has_input(2) else VECTOR) * prod(node.output_shape(0))


def dynamic_quantize_linear(node: NodeView) -> Work:
    """7 per element (minimum and maximum, then QuantizeLinear), 11 for the scale and the zero point."""
    return dynamically_quantized(prod(node.input_shape(0)))


def dynamically_quantized(elements: int) -> Work:
    """As ``dynamic_quantize_linear``, of ``elements`` that share a scale."""
    return (2 * VECTOR + REQUANTIZE) * elements + RANGE_TO_SCALE


Operands = Sequence[tuple[int, int]]
"""Indices of quantized inputs, each with that of its zero point."""


def dequantized(node: NodeView, tensor: int, zero_point: int) -> Work:
    """Per element a multiply, and a subtract where there is a zero point; constant-folded for a weight."""
    if node.input(tensor).is_weight:
        return Work()
    return VECTOR * ((1 + node.has_input(zero_point)) * node.input(tensor).elements)


def between_scales(rule: Rule, operands: Operands, zero_point: int) -> Rule:
    """The rule that dequantizes the operands, computes the float form ``rule`` and quantizes the result."""

    def around(node: NodeView) -> Work:
        before = sum((dequantized(node, *operand) for operand in operands), Work())
        after = REQUANTIZE if node.has_input(zero_point) else QUANTIZE
        return before + rule(node) + after * prod(node.output_shape(0))

    return around


def qlinear_concat(node: NodeView) -> Work:
    """Inputs dequantized, the result quantized; (tensor, scale, zero point) from the third input on."""
    operands = [(tensor, tensor + 2) for tensor in range(2, len(node.inputs), 3)]
    return between_scales(no_work, operands, zero_point=1)(node)


def qlinear_mul(node: NodeView) -> Work:
    """Zero points subtracted; per output element a multiply, and quantizing by all three scales at once."""
    per_output = VECTOR + (REQUANTIZE if node.has_input(7) else QUANTIZE)
    return zero_point_work(node, 0, 2) + zero_point_work(node, 3, 5) + per_output * prod(node.output_shape(0))


def mul_integer(node: NodeView) -> Work:
    """Zero points subtracted; per output element a multiply."""
    return zero_point_work(node, 0, 1) + zero_point_work(node, 2, 3) + VECTOR * prod(node.output_shape(0))


def matmul_integer_to_float(node: NodeView) -> Work:
    """The MACs of MatMul; zero points subtracted; per output element the scale, and a bias where given."""
    per_output = (1 + node.has_input(6)) * VECTOR
    zero_points = zero_point_work(node, 0, 4) + zero_point_work(node, 1, 5)
    return matmul(node) + zero_points + per_output * prod(node.output_shape(0))


def dynamic_quantize_matmul(node: NodeView) -> Work:
    """A is quantized at run time and its zero point subtracted; the rest as MatMulIntegerToFloat."""
    elements = prod(node.input_shape(0))
    per_output = (1 + node.has_input(4)) * VECTOR
    operands = dynamically_quantized(elements) + VECTOR * elements + zero_point_work(node, 1, 3)
    return matmul(node) + operands + per_output * prod(node.output_shape(0))


def dynamic_quantize_lstm(node: NodeView) -> Work:
    """LSTM; input and, at each step, state are quantized at run time; the products are scaled back.

    Quantizing takes 7 ops per element and 11 per scale, subtracting the zero point 1; each of the four gates
    has two products to scale.
    """
    steps, state = node.input_shape(0)[0], state_elements(node)
    directions = node.input_shape(2)[0]
    scales = steps * directions
    inputs = dynamically_quantized(prod(node.input_shape(0))) + VECTOR * prod(node.input_shape(0))
    states = dynamically_quantized(state // scales) * scales + VECTOR * state
    weights = zero_point_work(node, 1, 9) + zero_point_work(node, 2, 11)
    return lstm(node) + inputs + states + weights + 8 * VECTOR * state


def qgemm(node: NodeView) -> Work:
    """The MACs of Gemm; zero points subtracted; per output element the scale or the quantization, and C."""
    per_output = (REQUANTIZE if node.has_input(8) else QUANTIZE) if node.has_input(7) else VECTOR
    per_output += VECTOR * node.has_input(6)
    zero_points = zero_point_work(node, 0, 2) + zero_point_work(node, 3, 5)
    return Work(macs=gemm_macs(node)) + zero_points + per_output * prod(node.output_shape(0))


def qordered_matmul(node: NodeView) -> Work:
    """The MACs of MatMul; per output element the quantization, a bias where given, and C scaled and added."""
    per_output = QUANTIZE + node.has_input(5) * VECTOR + 2 * node.has_input(6) * VECTOR
    return matmul(node) + per_output * prod(node.output_shape(0))


BLOCK_RANGE = 2 * VECTOR  # abs and max; what a block takes once, for its scale, is not counted


def multi_threshold(node: NodeView) -> Work:
    """Each element compared with the T thresholds of its channel, and counted; a scale and a bias, if any."""
    _, thresholds = node.input_shape(1)
    scaled: int = (node.attribute("out_scale", 1.0) != 1) + (node.attribute("out_bias", 0) != 0)
    return VECTOR * (prod(node.output_shape(0)) * (2 * thresholds + scaled))


FAKE_RULES: Mapping[str, Rule] = {
    **dict.fromkeys(
        ("Quant", "IntQuant", "QcQuantizeOp", "FakeQuantize", "Trunc"), each_output(DEQUANTIZE)
    ),
    **dict.fromkeys(
        ("BipolarQuant", "FloatQuant", "FixNeuron", "BFPQuantizeDequantize", "MXQuantizeDequantize",
         "BFPFixNeuron", "MXFixNeuron", "TRT_FP4QDQ"), each_output(VECTOR)
    ),
    "MultiThreshold": multi_threshold,
}  # fmt: skip
"""Of the fake quantizers, which some tools have in several domains: what it takes to dequantize.

A device holds the tensor quantized; that it is rounded here is the simulation's.
"""

QUANTIZER_RULES: Mapping[Operator, Rule] = {
    **dict.fromkeys(QUANTIZERS, quantize_linear),
    **dict.fromkeys(DEQUANTIZERS, dequantize_linear),
    **dict.fromkeys(BLOCK_QUANTIZERS, each_input(BLOCK_RANGE + QUANTIZE)),
    **{(domain, op_type): FAKE_RULES[op_type] for domain, op_type in FAKE_QUANTIZERS},
}


def _of_quantizers(domain: str) -> Mapping[str, Rule]:
    return {op_type: rule for (other, op_type), rule in QUANTIZER_RULES.items() if other == domain}


qlinear_average_pool = between_scales(pooling, [(0, 2)], zero_point=4)

RULES: RuleTable = {
    **{domain: _of_quantizers(domain) for domain, _ in QUANTIZER_RULES},
    "": {
        "MatMulInteger": matmul_integer,
        "ConvInteger": conv_integer,
        "QLinearConv": qlinear_conv,
        "QLinearMatMul": qlinear_matmul,
        **_of_quantizers(""),
        "DynamicQuantizeLinear": dynamic_quantize_linear,
    },
    "com.microsoft": {
        **_of_quantizers("com.microsoft"),
        "QuantizeWithOrder": each_output(QUANTIZE),
        "DequantizeWithOrder": each_output(VECTOR),
        "QLinearConv": qlinear_conv,
        "QLinearAdd": between_scales(each_output(VECTOR), [(0, 2), (3, 5)], zero_point=7),
        "QLinearWhere": between_scales(each_output(VECTOR), [(1, 3), (4, 6)], zero_point=8),
        "QLinearLeakyRelu": between_scales(each_output(PER_ELEMENT["LeakyRelu"]), [(0, 2)], zero_point=4),
        "QLinearSigmoid": between_scales(each_output(PER_ELEMENT["Sigmoid"]), [(0, 2)], zero_point=4),
        "QLinearSoftmax": between_scales(each_output(SOFTMAX), [(0, 2)], zero_point=4),
        "QLinearReduceMean": between_scales(each_input(VECTOR), [(0, 2)], zero_point=4),
        "QLinearGlobalAveragePool": between_scales(each_input(VECTOR), [(0, 2)], zero_point=4),
        "QLinearAveragePool": qlinear_average_pool,
        "QLinearConcat": qlinear_concat,
        "QLinearMul": qlinear_mul,
        "MulInteger": mul_integer,
        "MatMulIntegerToFloat": matmul_integer_to_float,
        "DynamicQuantizeMatMul": dynamic_quantize_matmul,
        "DynamicQuantizeLSTM": dynamic_quantize_lstm,
        "QGemm": qgemm,
        "QOrderedMatMul": qordered_matmul,
        "QOrderedGelu": each_output(VECTOR + GELU_ERF + QUANTIZE),
    },
}
