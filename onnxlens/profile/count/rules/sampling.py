"""Random numbers: a draw is one vector operation, and what is made of it comes on top."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from onnxlens.profile.count.rules.normalization import SOFTMAX
from onnxlens.profile.count.rules.work import NOTHING, SPECIAL, VECTOR, Rule, Work, each_output
from onnxlens.profile.graph.node_view import NodeView

DRAW = VECTOR
FROM_UNIFORM_TO_NORMAL = 2 * VECTOR + 2 * SPECIAL  # Box-Muller, half of a pair: mul, mul; log, sqrt, sin, cos
SCALE_AND_SHIFT = 2 * VECTOR


def uniform(node: NodeView) -> Work:
    """A draw per output element; 2 more where the range is not 0 to 1."""
    default = (node.attribute("low", 0.0), node.attribute("high", 1.0)) == (0.0, 1.0)
    return (DRAW + (NOTHING if default else SCALE_AND_SHIFT)) * prod(node.output_shape(0))


def normal(node: NodeView) -> Work:
    """A draw per output element, 2 vector and 2 special operations; 2 more where it is not the standard one.

    After Box and Muller: two uniform numbers give two normal ones by a logarithm, a root, a sine, a cosine
    and four multiplies.
    """
    standard = (node.attribute("mean", 0.0), node.attribute("scale", 1.0)) == (0.0, 1.0)
    per_number = DRAW + FROM_UNIFORM_TO_NORMAL + (NOTHING if standard else SCALE_AND_SHIFT)
    return per_number * prod(node.output_shape(0))


def multinomial(node: NodeView) -> Work:
    """The softmax of each row, and its running sum; per sample a draw, and a compare with every class."""
    batch, classes = node.input_shape(0)
    return (SOFTMAX + VECTOR) * (batch * classes) + (DRAW + VECTOR * classes) * prod(node.output_shape(0))


RULES: Mapping[str, Rule] = {
    "RandomUniform": uniform,
    "RandomUniformLike": uniform,
    "RandomNormal": normal,
    "RandomNormalLike": normal,
    "Bernoulli": each_output(DRAW + VECTOR),  # a compare with the probability
    "Multinomial": multinomial,
}
