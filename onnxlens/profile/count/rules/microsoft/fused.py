"""Convolutions and matrix products with scales, sums and activations fused in; other memory layouts.

com.microsoft.nchwc holds channels in blocks as wide as a vector register, com.ms.internal.nhwc holds them
last. A layout changes where an element is stored, not what is computed. The channels that pad the last block
of nchwc are computed, are part of the shapes, and count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

from onnxlens.profile.count.rules.elementwise import BOUND, GELU_ERF, GELU_TANH, PER_ELEMENT, SILU, pooling
from onnxlens.profile.count.rules.matrix import (
    conv,
    conv_macs,
    conv_transpose,
    conv_transpose_macs,
    gemm,
    gemm_macs,
    matmul,
    matmul_macs,
    with_bias,
)
from onnxlens.profile.count.rules.normalization import (
    SOFTMAX,
    batch_normalization,
    by_group,
    local_response_normalization,
)
from onnxlens.profile.count.rules.quantized import around_convolution, qlinear_average_pool, qlinear_conv
from onnxlens.profile.count.rules.vision import resize
from onnxlens.profile.count.rules.work import NOTHING, VECTOR, Rule, RuleTable, Work, each_input, no_work
from onnxlens.profile.graph.node_view import NodeView

ACTIVATIONS: Mapping[str, Work] = {
    **{name.lower(): cost for name, cost in PER_ELEMENT.items()},
    "clip": 2 * BOUND,
    "softmax": SOFTMAX,
    "gelu": GELU_ERF,
    "silu": SILU,
    "swish": SILU,
    "none": NOTHING,
    "identity": NOTHING,
}
"""The cost of a fused activation per element: that of its operator, whose parameters are constants here."""


def activation(node: NodeView, name: str = "activation", default: str = "none") -> Work:
    """The cost per element of the activation in the attribute ``name``."""
    return ACTIVATIONS[node.attribute(name, default).lower()]


def activated(rule: Rule) -> Rule:
    """``rule``, and the activation of each output element."""
    return lambda node: rule(node) + activation(node) * prod(node.output_shape(0))


def conv_and_sum(node: NodeView) -> Work:
    """Conv, and per output element an add where Z is given."""
    return conv(node) + VECTOR * (node.has_input(3) * prod(node.output_shape(0)))


fused_conv = activated(conv_and_sum)


def gemm_float8(node: NodeView) -> Work:
    """The MACs of Gemm; per output element a multiply each for alpha, operand scales and output scale.

    C is added where beta is not 0, its default; the scales of both operands are one factor.
    """
    factors: Sequence[bool] = [
        node.attribute("alpha", 1.0) != 1.0,
        node.has_input(3) or node.has_input(4),
        node.has_input(5),
        node.has_input(2) and node.attribute("beta", 0.0) != 0.0,
    ]
    return Work(macs=gemm_macs(node)) + VECTOR * (sum(factors) * prod(node.output_shape(0)))


def fused_matmul(node: NodeView) -> Work:
    """prod(output) * K MACs; per output element one multiply where alpha is not 1.

    K is the last axis of A, with ``transA`` the second to last, with ``transBatchA`` as well the first.
    """
    summed_axis = -1
    if node.attribute("transA", 0):
        summed_axis = 0 if node.attribute("transBatchA", 0) else -2
    terms = node.input_shape(0)[summed_axis]
    return Work(macs=terms, vector_ops=node.attribute("alpha", 1.0) != 1.0) * prod(node.output_shape(0))


def gemm_fast_gelu(node: NodeView) -> Work:
    """MatMul; per output element an add where there is a bias, and Gelu's tanh approximation."""
    return with_bias(matmul_macs, bias=2)(node) + GELU_TANH * prod(node.output_shape(0))


def instance_normalization(node: NodeView) -> Work:
    """As ONNX's InstanceNormalization, with the channels last."""
    return by_group(node, node.input_shape(0)[-1])


def qlinear_conv_transpose(node: NodeView) -> Work:
    """The MACs of ConvTranspose, and the elementwise ops of QLinearConv."""
    return Work(macs=conv_transpose_macs(node, weight=3)) + around_convolution(node)


POOLING: Mapping[str, Rule] = {
    **dict.fromkeys(("MaxPool", "AveragePool"), pooling),
    **dict.fromkeys(("GlobalMaxPool", "GlobalAveragePool"), each_input(VECTOR)),
}

RULES: RuleTable = {
    "com.microsoft": {
        "FusedConv": fused_conv,
        "NhwcConv": conv,
        "NhwcFusedConv": fused_conv,
        "ConvTransposeWithDynamicPads": with_bias(conv_transpose_macs, bias=3),
        "CausalConvWithState": activated(conv),
        "VarlenCausalConvWithState": activated(with_bias(conv_macs, bias=3)),
        "FusedGemm": activated(gemm),
        "GemmFloat8": activated(gemm_float8),
        "FusedMatMul": fused_matmul,
        "FusedMatMulActivation": activated(fused_matmul),
        "TransposeMatMul": fused_matmul,
        "GemmFastGelu": gemm_fast_gelu,
        "MatMulInteger16": matmul,
    },
    "com.microsoft.nchwc": {
        **POOLING,
        "Conv": fused_conv,
        "Upsample": resize,
        **dict.fromkeys(("ReorderInput", "ReorderOutput"), no_work),
    },
    "com.ms.internal.nhwc": {
        **POOLING,
        "Conv": conv,
        "ConvTranspose": conv_transpose,
        "QLinearConv": qlinear_conv,
        "QLinearConvTranspose": qlinear_conv_transpose,
        "QLinearAveragePool": qlinear_average_pool,
        "BatchNormalization": batch_normalization,
        "InstanceNormalization": instance_normalization,
        "LRN": local_response_normalization,
        "Resize": resize,
        **dict.fromkeys(("DepthToSpace", "SpaceToDepth"), no_work),
    },
}
