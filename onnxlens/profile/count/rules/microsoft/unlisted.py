"""What ONNX Runtime registers in ONNX's own domain, though ONNX does not list it."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from onnxlens.profile.count.rules.normalization import rms_normalization
from onnxlens.profile.count.rules.recurrent import ACTIVATIONS
from onnxlens.profile.count.rules.work import NOTHING, SPECIAL, VECTOR, Rule, Work, each_output, no_work
from onnxlens.profile.graph.node_view import NodeView


def simplified_layer_normalization(node: NodeView) -> Work:
    """As RMSNormalization; an inverse deviation, if an output, is a reciprocal per row."""
    rows = prod(node.input_shape(0)[: node.attribute("axis", -1)])
    return rms_normalization(node) + (VECTOR * rows if node.has_output(1) else NOTHING)


RULES: Mapping[str, Rule] = {
    "SimplifiedLayerNormalization": simplified_layer_normalization,
    "Affine": each_output(ACTIVATIONS["affine"]),
    "ScaledTanh": each_output(ACTIVATIONS["scaledtanh"]),
    "ParametricSoftplus": each_output(3 * VECTOR + 2 * SPECIAL),  # mul by beta, Softplus, mul by alpha
    "Scale": each_output(VECTOR),
    "ImageScaler": each_output(2 * VECTOR),  # scale, bias
    "Crop": no_work,
    "DynamicSlice": no_work,
    "GivenTensorFill": no_work,
    "MemcpyFromHost": no_work,
    "MemcpyToHost": no_work,
}
