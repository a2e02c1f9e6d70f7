"""Normalizations of ONNX Runtime, fused with the sum or embedding before them, a gate or an activation."""

from __future__ import annotations

from math import prod

from onnxlens.profile.count.rules.elementwise import SILU
from onnxlens.profile.count.rules.microsoft.fused import activation
from onnxlens.profile.count.rules.normalization import (
    AFFINE,
    STANDARDIZE,
    VARIANCE,
    by_group,
    layer_normalization,
    root_mean_square,
)
from onnxlens.profile.count.rules.quantized import DEQUANTIZE, QUANTIZE
from onnxlens.profile.count.rules.work import NOTHING, VECTOR, RuleTable, Work
from onnxlens.profile.graph.node_view import NodeView

GROUP_ACTIVATIONS = (NOTHING, SILU)


def skip_layer_normalization(node: NodeView) -> Work:
    """LayerNormalization of the sum of input, skip and, where given, bias; each an add per element."""
    return skipped(node, bias=4) + layer_normalization(node, bias=3)


def skip_simplified_layer_normalization(node: NodeView) -> Work:
    """RMSNormalization, over the last axis, of the sum of input, skip and, where given, bias."""
    shape = node.input_shape(0)
    rows = prod(shape[:-1])
    scales_and_deviations = VECTOR * (prod(shape) + node.has_output(2) * rows)
    return skipped(node, bias=3) + root_mean_square(prod(shape), rows) + scales_and_deviations


def skipped(node: NodeView, bias: int) -> Work:
    """Adding the skip connection, and the bias where given, to each input element."""
    return (1 + node.has_input(bias)) * VECTOR * prod(node.input_shape(0))


def embed_layer_normalization(node: NodeView) -> Work:
    """Per output element the sum of two embeddings, or three; LayerNormalization; per mask element an add.

    QEmbedLayerNormalization also dequantizes each gathered element, by a subtract and a multiply.
    """
    shape = node.output_shape(0)
    tables = 2 + node.has_input(4)
    mask = VECTOR * node.input(7).elements if node.has_input(7) else NOTHING
    per_gathered = DEQUANTIZE if node.op_type == "QEmbedLayerNormalization" else NOTHING
    per_element = per_gathered * tables + VECTOR * (tables - 1) + STANDARDIZE + AFFINE
    return per_element * prod(shape) + VARIANCE * prod(shape[:-1]) + mask


def group_norm(node: NodeView) -> Work:
    """GroupNormalization, and per element the activation: 0 is none, 1 is SiLU."""
    cost = GROUP_ACTIVATIONS[node.attribute("activation")]
    return by_group(node, node.attribute("groups")) + cost * prod(node.input_shape(0))


def skip_group_norm(node: NodeView) -> Work:
    """GroupNorm of the sum of input, skip connection and, where given, bias."""
    return skipped(node, bias=4) + group_norm(node)


def branchwise_rms_norm(node: NodeView) -> Work:
    """RMSNormalization of each branch; without a scale one op less per element.

    The branches are an axis, or ``num_branches`` equal parts of the last axis.
    """
    shape = node.input_shape(0)
    rows = prod(shape[:-1]) * (node.attribute("num_branches", 0) or 1)
    return root_mean_square(prod(shape), rows) + VECTOR * (node.has_input(1) * prod(shape))


def gated_rms_norm(node: NodeView) -> Work:
    """RMSNormalization of rows as long as the scale; the activation of the gate, and the product with it."""
    elements = prod(node.input_shape(0))
    rows = elements // node.input(1).elements
    per_element = 2 * VECTOR + activation(node, default="silu")
    return root_mean_square(elements, rows) + per_element * elements


def qordered_layer_normalization(node: NodeView) -> Work:
    """LayerNormalization between a dequantization and a quantization without zero points."""
    return layer_normalization(node, bias=3, deviation=1) + (VECTOR + QUANTIZE) * prod(node.input_shape(0))


RULES: RuleTable = {
    "com.microsoft": {
        "SkipLayerNormalization": skip_layer_normalization,
        "SkipSimplifiedLayerNormalization": skip_simplified_layer_normalization,
        "EmbedLayerNormalization": embed_layer_normalization,
        "QEmbedLayerNormalization": embed_layer_normalization,
        "GroupNorm": group_norm,
        "SkipGroupNorm": skip_group_norm,
        "BranchwiseRMSNorm": branchwise_rms_norm,
        "GatedRMSNorm": gated_rms_norm,
        "QOrderedLayerNormalization": qordered_layer_normalization,
    },
}
