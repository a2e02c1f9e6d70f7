"""ONNX's operators over other memory layouts, in domains of ONNX Runtime's own.

com.microsoft.nchwc holds channels in blocks as wide as a vector register, com.ms.internal.nhwc holds them
last. A layout changes where an element is stored, not what is computed. The channels that pad the last block
of nchwc are computed, are part of the shapes, and count.
"""

from __future__ import annotations

from math import prod

from onnxlens.profile.count.rules.matrix import conv, conv_transpose
from onnxlens.profile.count.rules.microsoft.fused import fused_conv
from onnxlens.profile.count.rules.microsoft.quantized import qlinear_average_pool
from onnxlens.profile.count.rules.normalization import (
    batch_normalization,
    by_group,
    local_response_normalization,
)
from onnxlens.profile.count.rules.quantized import around_convolution, qlinear_conv
from onnxlens.profile.count.rules.reduction_pooling import pooling
from onnxlens.profile.count.rules.vision import resize
from onnxlens.profile.count.rules.work import VECTOR, RuleTable, Work, each_input, no_work
from onnxlens.profile.graph.node_view import NodeView


def instance_normalization(node: NodeView) -> Work:
    """As ONNX's InstanceNormalization, with the channels last."""
    return by_group(node, node.input_shape(0)[-1])


def qlinear_conv_transpose(node: NodeView) -> Work:
    """The MACs of ConvTranspose, and the elementwise ops of QLinearConv."""
    macs = prod(node.input_shape(0)) * prod(node.input_shape(3)[1:])
    return Work(macs=macs) + around_convolution(node)


RULES: RuleTable = {
    "com.microsoft.nchwc": {
        "Conv": fused_conv,
        "MaxPool": pooling,
        "AveragePool": pooling,
        "GlobalMaxPool": each_input(VECTOR),
        "GlobalAveragePool": each_input(VECTOR),
        "Upsample": resize,
        "ReorderInput": no_work,
        "ReorderOutput": no_work,
    },
    "com.ms.internal.nhwc": {
        "Conv": conv,
        "ConvTranspose": conv_transpose,
        "QLinearConv": qlinear_conv,
        "QLinearConvTranspose": qlinear_conv_transpose,
        "QLinearAveragePool": qlinear_average_pool,
        "MaxPool": pooling,
        "AveragePool": pooling,
        "GlobalMaxPool": each_input(VECTOR),
        "GlobalAveragePool": each_input(VECTOR),
        "BatchNormalization": batch_normalization,
        "InstanceNormalization": instance_normalization,
        "LRN": local_response_normalization,
        "Resize": resize,
        "DepthToSpace": no_work,
        "SpaceToDepth": no_work,
    },
}
