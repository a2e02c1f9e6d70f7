"""The domain com.ms.internal.nhwc: ONNX's operators over activations whose channels come last."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from onnxlens.profile.count.rules import (
    matrix,
    movement,
    normalization,
    quantized,
    reduction_pooling,
    resizing,
)
from onnxlens.profile.count.rules.microsoft import quantized as microsoft_quantized
from onnxlens.profile.count.rules.work import Rule, Work
from onnxlens.profile.graph.node_view import NodeView


def instance_normalization(node: NodeView) -> Work:
    """As ONNX's, with the channels last."""
    return normalization.by_group(node, node.input_shape(0)[-1])


def qlinear_conv_transpose(node: NodeView) -> Work:
    """The MACs of ConvTranspose, and what QLinearConv does beside its own."""
    macs = prod(node.input_shape(0)) * prod(node.input_shape(3)[1:])
    return Work(macs=macs) + quantized.around_convolution(node)


RULES: Mapping[str, Rule] = {
    "Conv": matrix.RULES["Conv"],
    "ConvTranspose": matrix.RULES["ConvTranspose"],
    "QLinearConv": quantized.RULES["QLinearConv"],
    "QLinearConvTranspose": qlinear_conv_transpose,
    "QLinearAveragePool": microsoft_quantized.RULES["QLinearAveragePool"],
    "MaxPool": reduction_pooling.RULES["MaxPool"],
    "AveragePool": reduction_pooling.RULES["AveragePool"],
    "GlobalMaxPool": reduction_pooling.RULES["GlobalMaxPool"],
    "GlobalAveragePool": reduction_pooling.RULES["GlobalAveragePool"],
    "BatchNormalization": normalization.RULES["BatchNormalization"],
    "InstanceNormalization": instance_normalization,
    "LRN": normalization.RULES["LRN"],
    "Resize": resizing.RULES["Resize"],
    "DepthToSpace": movement.RULES["DepthToSpace"],
    "SpaceToDepth": movement.RULES["SpaceToDepth"],
}
