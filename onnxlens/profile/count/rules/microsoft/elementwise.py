"""Element-wise operators of ONNX Runtime, those that join a bias to one, and reductions and samplings."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from onnxlens.profile.count.rules.elementwise import GELU_ERF, GELU_TANH
from onnxlens.profile.count.rules.microsoft.fused import ACTIVATIONS
from onnxlens.profile.count.rules.movement import DROP, may_train
from onnxlens.profile.count.rules.normalization import SOFTMAX
from onnxlens.profile.count.rules.reduction_pooling import pooling
from onnxlens.profile.count.rules.resizing import TAPS_PER_AXIS, mixed
from onnxlens.profile.count.rules.sampling import DRAW
from onnxlens.profile.count.rules.vision import grid_sample
from onnxlens.profile.count.rules.work import NOTHING, SPECIAL, VECTOR, Rule, Work, each_input, each_output
from onnxlens.profile.graph.node_view import NodeView, NotCountable

PER_ELEMENT: Mapping[str, Work] = {
    "GatedAdd": 2 * VECTOR,  # mul, add
    "BiasAdd": 2 * VECTOR,  # the bias, the residual
    "ComplexMul": 3 * VECTOR,  # four multiplies, a subtract and an add for a pair
    "ComplexMulConj": 3 * VECTOR,
    "Gelu": GELU_ERF,
    "BiasGelu": VECTOR + GELU_ERF,
    "BiasSoftmax": VECTOR + SOFTMAX,
    "QuickGelu": 2 * VECTOR + SPECIAL,  # mul by alpha, sigmoid, mul
    "ScaledSiLU": 2 * VECTOR + SPECIAL,
}
"""What each operator costs per output element, whatever its inputs and attributes."""


def fast_gelu(node: NodeView) -> Work:
    """Per element an add where there is a bias, and a Gelu by tanh."""
    return (GELU_TANH + (VECTOR if node.has_input(1) else NOTHING)) * prod(node.output_shape(0))


def bias_split_gelu(node: NodeView) -> Work:
    """Per input element the bias; per output element, of half as many, the Gelu and a multiply."""
    return VECTOR * prod(node.input_shape(0)) + (GELU_ERF + VECTOR) * prod(node.output_shape(0))


def bias_dropout(node: NodeView) -> Work:
    """Per element the bias, the residual where given, and a Dropout."""
    residual = VECTOR if node.has_input(2) else NOTHING
    drop = DRAW + DROP if may_train(node, mode=4) else NOTHING
    return (VECTOR + residual + drop) * prod(node.output_shape(0))


def linear_attention_gate(node: NodeView) -> Work:
    """Per element of the decay add, softplus, multiply; per element of the update rate a sigmoid."""
    decay = 2 * VECTOR + ACTIVATIONS["softplus"]
    rate = SPECIAL * prod(node.output_shape(1)) if node.has_output(1) else NOTHING
    return decay * prod(node.output_shape(0)) + rate


def hyper_connection_pre_mix(node: NodeView) -> Work:
    """Per stream element multiply and sum; per output element the scale, where it is not 1."""
    scale = VECTOR if node.attribute("reduction_scale", 1.0) != 1.0 else NOTHING
    return 2 * VECTOR * prod(node.input_shape(0)) + scale * prod(node.output_shape(0))


def hyper_connection_post_mix(node: NodeView) -> Work:
    """Per stream element multiply and add; C MACs too, where a (C, C) matrix mixes the streams."""
    streams = prod(node.input_shape(0))
    macs = node.input_shape(3)[-1] * streams if node.has_input(3) else 0
    return Work(macs=macs) + 2 * VECTOR * streams


def pairwise_distance(node: NodeView) -> Work:
    """Per pair of rows, subtract, square and sum for each column; a root, where the metric has one.

    Raises:
        NotCountable: another metric than the Euclidean ones.
    """
    metric = node.attribute("metric", "sqeuclidean")
    if metric not in ("sqeuclidean", "euclidean"):
        raise NotCountable(f"CDist by {metric!r} has no rule; those by (sq)euclidean have")
    root = SPECIAL if metric == "euclidean" else NOTHING
    return (3 * node.input_shape(0)[1] * VECTOR + root) * prod(node.output_shape(0))


def all_finite(node: NodeView) -> Work:
    """Per element of each input a test, and one operation that joins it to the answer."""
    return 2 * VECTOR * sum(node.input(index).elements for index in range(len(node.inputs)))


def crop_and_resize(node: NodeView) -> Work:
    """As Resize along both axes of the image; where the samples lie is not counted."""
    return mixed(TAPS_PER_AXIS[node.attribute("mode", "bilinear")] ** 2) * prod(node.output_shape(0))


RULES: Mapping[str, Rule] = {
    **{op_type: each_output(cost) for op_type, cost in PER_ELEMENT.items()},
    "FastGelu": fast_gelu,
    "BiasSplitGelu": bias_split_gelu,
    "BiasDropout": bias_dropout,
    "LinearAttentionGate": linear_attention_gate,
    "HyperConnectionPreMix": hyper_connection_pre_mix,
    "HyperConnectionPostMix": hyper_connection_post_mix,
    "CDist": pairwise_distance,
    "IsAllFinite": all_finite,
    "ReduceSumInteger": each_input(VECTOR),
    "Unique": each_input(VECTOR),
    "NhwcMaxPool": pooling,
    "GridSample": grid_sample,
    "CropAndResize": crop_and_resize,
}
