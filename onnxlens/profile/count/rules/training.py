"""Steps of an optimiser (``ai.onnx.preview.training``), as their specification writes them out.

Every term is counted, also those that a coefficient of 0 makes vain.
"""

from __future__ import annotations

from collections.abc import Mapping

from onnxlens.profile.count.rules.work import SPECIAL, VECTOR, Rule, Work, refused
from onnxlens.profile.graph.node_view import NodeView

RATE_AND_COUNT = 2
"""The inputs before the tensors: R and T."""

REGULARIZE = 2 * VECTOR  # mul, add
ADAGRAD_STEP = REGULARIZE + 6 * VECTOR + SPECIAL  # mul, add; sqrt, add; mul, div, sub
ADAGRAD_RATE = 3 * VECTOR  # mul, add, div
ADAM_STEP = REGULARIZE + 12 * VECTOR + SPECIAL  # 3 and 4 for the averages; sqrt, add; mul, div, sub; mul
ADAM_RATE = 6 * VECTOR + 3 * SPECIAL  # two powers, a root; sub, sub, mul, div; compare, select
MOMENTUM_STEP = REGULARIZE + 5 * VECTOR  # mul, mul, add; mul, sub
NESTEROV = 2 * VECTOR  # mul, add
MOMENTUM_RATE = 2 * VECTOR  # compare, select


def optimized(node: NodeView, kinds: int) -> int:
    """The elements of all tensors that are optimised: the first of ``kinds`` equal parts of the inputs."""
    tensors = node.inputs[RATE_AND_COUNT:]
    return sum(value.elements for value in tensors[: len(tensors) // kinds] if value is not None)


def adagrad(node: NodeView) -> Work:
    """8 vector and 1 special operation per element of X, given (X, G, H); 3 for the rate."""
    return ADAGRAD_STEP * optimized(node, kinds=3) + ADAGRAD_RATE


def adam(node: NodeView) -> Work:
    """14 vector and 1 special operation per element of X, given (X, G, V, H); 6 and 3 for the rate."""
    return ADAM_STEP * optimized(node, kinds=4) + ADAM_RATE


def momentum(node: NodeView) -> Work:
    """7 vector operations per element of X, given (X, G, V), 9 in Nesterov's form; 2 for the coefficient."""
    step = MOMENTUM_STEP
    if node.attribute("mode") == "nesterov":
        step += NESTEROV
    return step * optimized(node, kinds=3) + MOMENTUM_RATE


RULES: Mapping[str, Rule] = {
    "Adagrad": adagrad,
    "Adam": adam,
    "Momentum": momentum,
    "Gradient": refused("it names a derivative, and the file does not hold the computation of it"),
}
