"""Integer and quantized operators: the MACs of their float forms, and the ops on scales and zero points."""

from __future__ import annotations

from math import prod

from onnxlens.profile.count.rules.matrix import conv_macs, matmul
from onnxlens.profile.count.rules.work import NOTHING, VECTOR, RuleTable, Work
from onnxlens.profile.graph.node_view import NodeView

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


RULES: RuleTable = {
    "": {
        "MatMulInteger": matmul_integer,
        "ConvInteger": conv_integer,
        "QLinearConv": qlinear_conv,
        "QLinearMatMul": qlinear_matmul,
        "QuantizeLinear": quantize_linear,
        "DequantizeLinear": dequantize_linear,
        "DynamicQuantizeLinear": dynamic_quantize_linear,
    },
}
