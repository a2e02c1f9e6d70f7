"""Losses of a classifier, by their function bodies."""

from __future__ import annotations

from collections.abc import Mapping

from onnxlens.profile.count.rules.normalization import SOFTMAX
from onnxlens.profile.count.rules.work import NOTHING, SPECIAL, VECTOR, Rule, Work
from onnxlens.profile.graph.node_view import NodeView

IGNORE = 5 * VECTOR  # the mask: sub, compare; selected target, score and weight


def negative_log_likelihood(node: NodeView) -> Work:
    """Per target: neg; mul where it is weighted; 6 in all more where an index is ignored; the reduction.

    Weighted are targets with a weight input, and those of which some are ignored. A sum is one operation per
    target, and so is a mean; of weighted targets the mean sums the weights too, and divides once.
    """
    targets = node.input(1).elements
    ignores = node.attribute("ignore_index") is not None
    weighted = node.has_input(2) or ignores
    per_target = VECTOR + (VECTOR if weighted else NOTHING) + (IGNORE if ignores else NOTHING)
    reduction = node.attribute("reduction", "mean")
    if reduction != "none":
        per_target += VECTOR
    if reduction != "mean" or not weighted:
        return per_target * targets
    return (per_target + VECTOR) * targets + VECTOR


def softmax_cross_entropy(node: NodeView) -> Work:
    """The log-softmax of the scores, each target's a row, and the negative log-likelihood."""
    rows = SPECIAL * node.input(1).elements
    return SOFTMAX * node.input(0).elements + rows + negative_log_likelihood(node)


RULES: Mapping[str, Rule] = {
    "NegativeLogLikelihoodLoss": negative_log_likelihood,
    "SoftmaxCrossEntropyLoss": softmax_cross_entropy,
}
