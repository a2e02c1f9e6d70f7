"""ONNX Runtime's elementwise operators, reductions, samplings and movement.

Some of them it adds to ONNX's own domain.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from onnxlens.profile.count.rules.elementwise import GELU_ERF, GELU_TANH, SILU, pooling
from onnxlens.profile.count.rules.microsoft.fused import ACTIVATIONS
from onnxlens.profile.count.rules.normalization import SOFTMAX, rms_normalization
from onnxlens.profile.count.rules.training import DRAW, DROP, may_train
from onnxlens.profile.count.rules.vision import TAPS_PER_AXIS, grid_sample, mixed
from onnxlens.profile.count.rules.work import (
    SPECIAL,
    VECTOR,
    RuleTable,
    Work,
    each_input,
    each_output,
    no_work,
)
from onnxlens.profile.graph.node_view import NodeView, NotCountable

PER_ELEMENT: Mapping[str, Work] = {
    "GatedAdd": 2 * VECTOR,  # mul, add
    "BiasAdd": 2 * VECTOR,  # the bias, the residual
    "ComplexMul": 3 * VECTOR,  # four multiplies, a subtract and an add for a pair
    "ComplexMulConj": 3 * VECTOR,
    "Gelu": GELU_ERF,
    "BiasGelu": VECTOR + GELU_ERF,
    "BiasSoftmax": VECTOR + SOFTMAX,
    "QuickGelu": VECTOR + SILU,  # mul by alpha
    "ScaledSiLU": VECTOR + SILU,
}
"""What each operator costs per output element, whatever its inputs and attributes."""


def fast_gelu(node: NodeView) -> Work:
    """Per element an add where there is a bias, and Gelu's tanh approximation."""
    return (GELU_TANH + VECTOR * node.has_input(1)) * prod(node.output_shape(0))


def bias_split_gelu(node: NodeView) -> Work:
    """Per input element the bias; per output element (half as many) Gelu and a multiply."""
    return VECTOR * prod(node.input_shape(0)) + (GELU_ERF + VECTOR) * prod(node.output_shape(0))


def bias_dropout(node: NodeView) -> Work:
    """Per element the bias, the residual where given, and Dropout."""
    drop = (DRAW + DROP) * may_train(node, mode=4)
    return (VECTOR * (1 + node.has_input(2)) + drop) * prod(node.output_shape(0))


def linear_attention_gate(node: NodeView) -> Work:
    """Per decay element add, softplus, multiply; per update-rate element a sigmoid."""
    decay = 2 * VECTOR + ACTIVATIONS["softplus"]
    rates = prod(node.output_shape(1)) if node.has_output(1) else 0
    return decay * prod(node.output_shape(0)) + SPECIAL * rates


def hyper_connection_pre_mix(node: NodeView) -> Work:
    """Per element of the streams multiply and sum; per output element the scale, where it is not 1."""
    is_scaled: bool = node.attribute("reduction_scale", 1.0) != 1.0
    return 2 * VECTOR * prod(node.input_shape(0)) + VECTOR * is_scaled * prod(node.output_shape(0))


def hyper_connection_post_mix(node: NodeView) -> Work:
    """Per element of the streams multiply and add, and C MACs where a (C, C) matrix mixes the streams."""
    streams = prod(node.input_shape(0))
    macs = node.input_shape(3)[-1] * streams if node.has_input(3) else 0
    return Work(macs=macs) + 2 * VECTOR * streams


def pairwise_distance(node: NodeView) -> Work:
    """Per pair of rows subtract, square and sum for each column; a root for the metric euclidean.

    Raises NotCountable where the metric is neither euclidean nor sqeuclidean.
    """
    metric: str = node.attribute("metric", "sqeuclidean")
    if metric not in ("sqeuclidean", "euclidean"):
        raise NotCountable(f"CDist by {metric!r} has no rule; those by (sq)euclidean have")
    root = SPECIAL * (metric == "euclidean")
    return (3 * node.input_shape(0)[1] * VECTOR + root) * prod(node.output_shape(0))


def all_finite(node: NodeView) -> Work:
    """Per element of each input a test, and one op that combines it with the answer."""
    return 2 * VECTOR * sum(node.input(index).elements for index in range(len(node.inputs)))


def crop_and_resize(node: NodeView) -> Work:
    """As Resize along both axes of the image; the positions of the samples are not counted."""
    return mixed(TAPS_PER_AXIS[node.attribute("mode", "bilinear")] ** 2) * prod(node.output_shape(0))


def gather_block_quantized(node: NodeView) -> Work:
    """Per gathered element a subtract and a multiply; no subtract for a float type."""
    per_element = 1 if str(node.input(0).dtype).startswith("float") else 2
    return per_element * VECTOR * prod(node.output_shape(0))


def simplified_layer_normalization(node: NodeView) -> Work:
    """As RMSNormalization; the inverse standard deviation, where it is an output, is a reciprocal per row."""
    rows = prod(node.input_shape(0)[: node.attribute("axis", -1)])
    return rms_normalization(node) + VECTOR * (node.has_output(1) * rows)


MOVEMENT = (
    "ExpandDims", "GatherND", "Pad", "Trilu", "UnfoldTensor", "TorchEmbedding", "RemovePadding",
    "RestorePadding", "RelativePositionBias",
)  # fmt: skip

OWN_MOVEMENT = ("Crop", "DynamicSlice", "GivenTensorFill", "MemcpyFromHost", "MemcpyToHost")

RULES: RuleTable = {
    "com.microsoft": {
        **{op_type: each_output(cost) for op_type, cost in PER_ELEMENT.items()},
        "FastGelu": fast_gelu,
        "BiasSplitGelu": bias_split_gelu,
        "BiasDropout": bias_dropout,
        "LinearAttentionGate": linear_attention_gate,
        "HyperConnectionPreMix": hyper_connection_pre_mix,
        "HyperConnectionPostMix": hyper_connection_post_mix,
        "CDist": pairwise_distance,
        "IsAllFinite": all_finite,
        **dict.fromkeys(("ReduceSumInteger", "Unique"), each_input(VECTOR)),
        "NhwcMaxPool": pooling,
        "GridSample": grid_sample,
        "CropAndResize": crop_and_resize,
        **dict.fromkeys(MOVEMENT, no_work),
        "Range": each_output(VECTOR),
        "GatherBlockQuantized": gather_block_quantized,
    },
    "": {
        "SimplifiedLayerNormalization": simplified_layer_normalization,
        "Affine": each_output(2 * VECTOR),  # mul, add
        "ScaledTanh": each_output(2 * VECTOR + SPECIAL),  # mul, tanh, mul
        "ParametricSoftplus": each_output(3 * VECTOR + 2 * SPECIAL),  # mul by beta, Softplus, mul by alpha
        "Scale": each_output(VECTOR),
        "ImageScaler": each_output(2 * VECTOR),  # scale, bias
        **dict.fromkeys(OWN_MOVEMENT, no_work),
    },
}
