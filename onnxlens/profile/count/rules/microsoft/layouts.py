"""ONNX's operators over other memory layouts, in domains of ONNX Runtime's own.

com.microsoft.nchwc holds channels in blocks as wide as a vector register, com.ms.internal.nhwc holds them
last. A layout changes where an element is stored, not what is computed. The channels that pad the last block
of nchwc are computed, are part of the shapes, and count.
"""

from __future__ import annotations

from collections.abc import Mapping

from onnxlens.profile.count.rules.elementwise import pooling
from onnxlens.profile.count.rules.matrix import conv, conv_transpose, conv_transpose_macs
from onnxlens.profile.count.rules.microsoft.fused import fused_conv
from onnxlens.profile.count.rules.microsoft.quantized import qlinear_average_pool
from onnxlens.profile.count.rules.normalization import (
    batch_normalization,
    by_group,
    local_response_normalization,
)
from onnxlens.profile.count.rules.quantized import around_convolution, qlinear_conv
from onnxlens.profile.count.rules.vision import resize
from onnxlens.profile.count.rules.work import VECTOR, Rule, RuleTable, Work, each_input, no_work
from onnxlens.profile.graph.node_view import NodeView


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
