"""Reductions, scans and pooling: one elementwise op per element that is reduced.

For n elements that is n - 1 adds and the divide of a mean, or n compares with a running maximum. A pooling
window is a reduction over its kernel, padded positions included.
"""

from __future__ import annotations

from math import prod

from onnxlens.profile.count.rules.work import NOTHING, SPECIAL, VECTOR, Rule, RuleTable, Work, each_input
from onnxlens.profile.graph.node_view import NodeView, Shape


def reduction(before: Work = NOTHING, after: Work = NOTHING) -> Rule:
    """The rule ``(before + 1) * input elements + after * output elements``.

    ``before`` is applied to every element (the square of ReduceL2), ``after`` to every result (its root).
    """

    def rule(node: NodeView) -> Work:
        per_input = before if _reduces_nothing(node) else before + VECTOR
        work = per_input * prod(node.input_shape(0))
        return work if after == NOTHING else work + after * prod(node.output_shape(0))

    return rule


def _reduces_nothing(node: NodeView) -> bool:
    """Whether ``noop_with_empty_axes`` is set and there are no axes."""
    if not node.attribute("noop_with_empty_axes", 0):
        return False
    has_axes = node.has_input(1) and node.input(1).elements > 0
    return not has_axes and not node.attribute("axes")


def lp_norm(node: NodeView) -> tuple[Work, Work]:
    """The cost of the norm of degree ``p`` per element, the sum included, and per result.

    p = 1 takes absolute values, p = 2 squares and a root, any other p absolute values, powers and a root.
    """
    degree = node.attribute("p", 2)
    if degree == 1:
        return 2 * VECTOR, NOTHING
    return (2 * VECTOR if degree == 2 else 2 * VECTOR + SPECIAL), SPECIAL


def lp_pooling(node: NodeView) -> Work:
    """The norm of each window: prod(kernel) * output elements, and a root per output element."""
    per_input, per_output = lp_norm(node)
    kernel: Shape = node.attribute("kernel_shape")
    return (per_input * prod(kernel) + per_output) * prod(node.output_shape(0))


def global_lp_pooling(node: NodeView) -> Work:
    """The norm of each channel: one window as large as the image."""
    per_input, per_output = lp_norm(node)
    shape = node.input_shape(0)
    return per_input * prod(shape) + per_output * prod(shape[:2])


def pooling(node: NodeView) -> Work:
    """prod(kernel) * output elements."""
    kernel: Shape = node.attribute("kernel_shape")
    return VECTOR * (prod(kernel) * prod(node.output_shape(0)))


RULES: RuleTable = {
    "": {
        **dict.fromkeys(("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd"), reduction()),
        "ReduceL1": reduction(before=VECTOR),  # abs
        "ReduceL2": reduction(before=VECTOR, after=SPECIAL),  # square; sqrt
        "ReduceSumSquare": reduction(before=VECTOR),  # square
        "ReduceLogSum": reduction(after=SPECIAL),  # log
        "ReduceLogSumExp": reduction(before=SPECIAL, after=SPECIAL),  # exp; log
        **dict.fromkeys(("ArgMax", "ArgMin", "TopK", "NonZero", "Unique"), each_input(VECTOR)),
        **dict.fromkeys(("CumSum", "CumProd", "GlobalMaxPool", "GlobalAveragePool"), each_input(VECTOR)),
        "MaxPool": pooling,
        "AveragePool": pooling,
        "LpPool": lp_pooling,
        "GlobalLpPool": global_lp_pooling,
    },
}
