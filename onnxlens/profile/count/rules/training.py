"""What training needs: random numbers, Dropout, losses and the steps of optimizers.

A random number is one elementwise op; transforming it to a distribution comes on top. The losses follow their
ONNX function bodies. Optimizer steps (ai.onnx.preview.training) follow the equations of their specification;
every term counts, even where a coefficient is 0.
"""

from __future__ import annotations

from math import prod

from onnxlens.profile.count.rules.normalization import SOFTMAX
from onnxlens.profile.count.rules.work import (
    NOTHING,
    SPECIAL,
    VECTOR,
    RuleTable,
    Work,
    constant_input,
    each_output,
    refused,
)
from onnxlens.profile.graph.node_view import NodeView

DRAW = VECTOR
FROM_UNIFORM_TO_NORMAL = 2 * VECTOR + 2 * SPECIAL  # Box-Muller, half of a pair: mul, mul; log, sqrt, sin, cos
SCALE_AND_SHIFT = 2 * VECTOR
DROP = 3 * VECTOR  # compare with the ratio, mask, scale
IGNORE = 5 * VECTOR  # the mask: sub, compare; selected target, score and weight


def uniform(node: NodeView) -> Work:
    """Per output element one random number; scale and shift (2) where the range is not 0 to 1."""
    default = (node.attribute("low", 0.0), node.attribute("high", 1.0)) == (0.0, 1.0)
    return (DRAW + (NOTHING if default else SCALE_AND_SHIFT)) * prod(node.output_shape(0))


def normal(node: NodeView) -> Work:
    """Per output element one random number and Box-Muller; scale and shift (2) unless N(0, 1) is asked for.

    The Box-Muller transform makes two normal numbers of two uniform ones by a logarithm, a square root, a
    sine, a cosine and four multiplies: 2 elementwise and 2 transcendental ops for each.
    """
    standard = (node.attribute("mean", 0.0), node.attribute("scale", 1.0)) == (0.0, 1.0)
    per_number = DRAW + FROM_UNIFORM_TO_NORMAL + (NOTHING if standard else SCALE_AND_SHIFT)
    return per_number * prod(node.output_shape(0))


def multinomial(node: NodeView) -> Work:
    """Softmax and cumulative sum of each row; per sample one random number, compared with every class."""
    batch, classes = node.input_shape(0)
    return (SOFTMAX + VECTOR) * (batch * classes) + (DRAW + VECTOR * classes) * prod(node.output_shape(0))


def may_train(node: NodeView, mode: int) -> bool:
    """Whether the input ``mode`` asks for training: it is given and not known to hold False."""
    if not node.has_input(mode):
        return False
    training = constant_input(node, mode)
    return training is None or bool(training.any())


def may_drop(node: NodeView) -> bool:
    """Whether a Dropout may be in training mode, by its third input.

    Before opset 7 the attribute ``is_test`` decides (default 0); opsets 7 to 11 have no training mode.
    """
    return not node.attribute("is_test", 0) if node.version < 7 else may_train(node, mode=2)


def dropout(node: NodeView) -> Work:
    """0 in inference, where it is the identity; in training random number, compare, mask, scale.

    A mode that is known only at run time counts as training.
    """
    return (DRAW + DROP) * prod(node.input_shape(0)) if may_drop(node) else NOTHING


def negative_log_likelihood(node: NodeView) -> Work:
    """Per target: neg; mul where weighted; the mask (5) where an index is ignored; the reduction.

    Targets are weighted where the weight input is given or an index is ignored. A sum or a mean is one op per
    target; the mean of weighted targets also sums the weights, and divides once.
    """
    targets = node.input(1).elements
    ignores = node.attribute("ignore_index") is not None
    weighted = node.has_input(2) or ignores
    reduction: str = node.attribute("reduction", "mean")
    per_target = VECTOR * (1 + weighted + (reduction != "none")) + IGNORE * ignores
    if reduction != "mean" or not weighted:
        return per_target * targets
    return (per_target + VECTOR) * targets + VECTOR


def softmax_cross_entropy(node: NodeView) -> Work:
    """LogSoftmax of the scores, one row per target, and the negative log-likelihood."""
    rows = SPECIAL * node.input(1).elements
    return SOFTMAX * node.input(0).elements + rows + negative_log_likelihood(node)


RATE_AND_COUNT = 2
"""The inputs before the tensors: the learning rate R and the update count T."""

REGULARIZE = 2 * VECTOR  # mul, add
ADAGRAD_STEP = REGULARIZE + 6 * VECTOR + SPECIAL  # mul, add; sqrt, add; mul, div, sub
ADAGRAD_RATE = 3 * VECTOR  # mul, add, div
ADAM_STEP = REGULARIZE + 12 * VECTOR + SPECIAL  # 3 and 4 for the averages; sqrt, add; mul, div, sub; mul
ADAM_RATE = 6 * VECTOR + 3 * SPECIAL  # two powers, a root; sub, sub, mul, div; compare, select
MOMENTUM_STEP = REGULARIZE + 5 * VECTOR  # mul, mul, add; mul, sub
NESTEROV = 2 * VECTOR  # mul, add
MOMENTUM_RATE = 2 * VECTOR  # compare, select


def updated_elements(node: NodeView, kinds: int) -> int:
    """Elements of all optimized tensors X: the first of ``kinds`` equal parts of the inputs after R and T."""
    tensors = node.inputs[RATE_AND_COUNT:]
    return sum(value.elements for value in tensors[: len(tensors) // kinds] if value is not None)


def adagrad(node: NodeView) -> Work:
    """8 elementwise and 1 transcendental op per element of X, inputs (X, G, H); 3 for the rate."""
    return ADAGRAD_STEP * updated_elements(node, kinds=3) + ADAGRAD_RATE


def adam(node: NodeView) -> Work:
    """14 elementwise and 1 transcendental op per element of X, inputs (X, G, V, H); 6 and 3 for the rate."""
    return ADAM_STEP * updated_elements(node, kinds=4) + ADAM_RATE


def momentum(node: NodeView) -> Work:
    """7 elementwise ops per element of X, inputs (X, G, V), 9 in Nesterov's form; 2 for the coefficient."""
    step = MOMENTUM_STEP + (NESTEROV if node.attribute("mode") == "nesterov" else NOTHING)
    return step * updated_elements(node, kinds=3) + MOMENTUM_RATE


RULES: RuleTable = {
    "": {
        **dict.fromkeys(("RandomUniform", "RandomUniformLike"), uniform),
        **dict.fromkeys(("RandomNormal", "RandomNormalLike"), normal),
        "Bernoulli": each_output(DRAW + VECTOR),  # a compare with the probability
        "Multinomial": multinomial,
        "Dropout": dropout,
        "NegativeLogLikelihoodLoss": negative_log_likelihood,
        "SoftmaxCrossEntropyLoss": softmax_cross_entropy,
    },
    "ai.onnx.preview.training": {
        "Adagrad": adagrad,
        "Adam": adam,
        "Momentum": momentum,
        "Gradient": refused("it names a derivative, and the file does not hold its computation"),
    },
}
