"""Normalizations, softmax among them: a cost per element, and one per row.

A row is a set of elements that are normalized together. The stages are those of the ONNX function bodies.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import prod

from onnxlens.profile.count.rules.work import SPECIAL, VECTOR, RuleTable, Work, each_input
from onnxlens.profile.graph.node_view import NodeView, Shape

SOFTMAX = 4 * VECTOR + SPECIAL  # max, sub, exp, sum, div
STANDARDIZE = 5 * VECTOR  # mean, square, mean of squares, sub, div
VARIANCE = 3 * VECTOR + SPECIAL  # square of the mean, sub, add epsilon, sqrt
AFFINE = 2 * VECTOR  # scale, bias
DEVIATION = VECTOR + SPECIAL  # add epsilon, sqrt
RUNNING_STATISTIC = 3 * VECTOR  # mul, mul, add


def log_softmax(node: NodeView) -> Work:
    """Per element max, sub, exp, sum, sub; per row one log.

    A row runs along ``axis``; before opset 13 it spans all dimensions from ``axis`` (by default 1) on.
    """
    shape = node.input_shape(0)
    if node.version < 13:
        rows = prod(shape[: node.attribute("axis", 1)])
    else:
        rows = _rows(shape, along=[node.attribute("axis", -1)])
    return SOFTMAX * prod(shape) + SPECIAL * rows


def _rows(shape: Shape, along: Iterable[int]) -> int:
    """The number of rows that run along the given axes."""
    reduced = {axis % len(shape) for axis in along}
    return prod(size for axis, size in enumerate(shape) if axis not in reduced)


def layer_normalization(node: NodeView, bias: int = 2, deviation: int = 2) -> Work:
    """Per element mean, square, mean, sub, div, scale, and bias where given; per row ``VARIANCE``.

    A row spans the dimensions from ``axis`` on. The inverse standard deviation, where it is an output, is a
    reciprocal per row. ``bias`` is the index of an input, ``deviation`` of an output.
    """
    shape = node.input_shape(0)
    rows = prod(shape[: node.attribute("axis", -1)])
    per_element = STANDARDIZE + VECTOR * (1 + node.has_input(bias))
    per_row = VARIANCE + VECTOR * node.has_output(deviation)
    return per_element * prod(shape) + per_row * rows


def rms_normalization(node: NodeView) -> Work:
    """Per element square, mean, div, scale; per row an add and a root.

    Zhang and Sennrich (2019). A row spans the dimensions from ``axis`` on.
    """
    shape = node.input_shape(0)
    rows = prod(shape[: node.attribute("axis", -1)])
    return root_mean_square(prod(shape), rows) + VECTOR * prod(shape)


def root_mean_square(elements: int, rows: int) -> Work:
    """RMSNormalization without a scale: per element square, mean, div; per row an add and a root."""
    return 3 * VECTOR * elements + (VECTOR + SPECIAL) * rows


def group_normalization(node: NodeView) -> Work:
    """Per element mean, square, mean, sub, div, scale, bias; per image and group ``VARIANCE``."""
    return by_group(node, node.attribute("num_groups"))


def by_group(node: NodeView, groups: int) -> Work:
    """As ``group_normalization``, with ``groups`` per image, whichever axis the channels are on."""
    shape = node.input_shape(0)
    return (STANDARDIZE + AFFINE) * prod(shape) + VARIANCE * (shape[0] * groups)


def instance_normalization(node: NodeView) -> Work:
    """As GroupNormalization with one channel per group."""
    return by_group(node, node.input_shape(0)[1])


def batch_normalization(node: NodeView) -> Work:
    """Per element sub, div, scale, bias; in training 3 more for mean and variance.

    The standard deviation is one add and one root per channel, constant-folded where the variance is a
    weight. In training it is the batch's, and the running mean and variance take 3 ops each per channel.
    """
    elements, variance = prod(node.input_shape(0)), node.input(4)
    if is_training(node):
        per_channel = DEVIATION + 2 * RUNNING_STATISTIC
        return (STANDARDIZE + AFFINE) * elements + per_channel * variance.elements
    deviations = 0 if variance.is_weight else variance.elements
    return (2 * VECTOR + AFFINE) * elements + DEVIATION * deviations


def is_training(node: NodeView) -> bool:
    """Whether a BatchNormalization is in training mode.

    From opset 14 on ``training_mode`` says so, before opset 7 ``is_test``; between them it is in training if
    its statistics are outputs.
    """
    if node.version >= 14:
        return bool(node.attribute("training_mode", 0))
    if node.version < 7:
        return not node.attribute("is_test", 0)
    return any(output is not None for output in node.outputs[1:])


def mean_variance_normalization(node: NodeView) -> Work:
    """Per element mean, pow, mean, sub, div; per row pow, sub, sqrt, add. A row runs along ``axes``."""
    shape = node.input_shape(0)
    rows = _rows(shape, along=node.attribute("axes", (0, 2, 3)))
    return (4 * VECTOR + SPECIAL) * prod(shape) + (2 * VECTOR + 2 * SPECIAL) * rows


def lp_normalization(node: NodeView) -> Work:
    """Per element square (or abs, with p = 1), sum, div; with p = 2 a root per row along ``axis``."""
    shape = node.input_shape(0)
    rows = _rows(shape, along=[node.attribute("axis", -1)]) if node.attribute("p", 2) == 2 else 0
    return 3 * VECTOR * prod(shape) + SPECIAL * rows


def local_response_normalization(node: NodeView) -> Work:
    """Per element square, a sum over ``size`` channels (in full at the edges), mul, add, pow, div."""
    window: int = node.attribute("size")
    return ((window + 4) * VECTOR + SPECIAL) * prod(node.input_shape(0))


RULES: RuleTable = {
    "": {
        "Softmax": each_input(SOFTMAX),
        "LogSoftmax": log_softmax,
        "Hardmax": each_input(VECTOR),
        "LayerNormalization": layer_normalization,
        "RMSNormalization": rms_normalization,
        "GroupNormalization": group_normalization,
        "InstanceNormalization": instance_normalization,
        "BatchNormalization": batch_normalization,
        "MeanVarianceNormalization": mean_variance_normalization,
        "LpNormalization": lp_normalization,
        "LRN": local_response_normalization,
    },
    "com.amd.quark": {"ExtendedInstanceNormalization": instance_normalization},
    "com.vai.quantize": {"VitisInstanceNormalization": instance_normalization},
}
