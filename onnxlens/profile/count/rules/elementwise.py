"""Elementwise operators: a cost per output element, in primitives of the operator's ONNX function body."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from onnxlens.profile.count.rules.work import SPECIAL, VECTOR, RuleTable, Work, each_output
from onnxlens.profile.graph.node_view import NodeView

PER_ELEMENT: Mapping[str, Work] = {
    **dict.fromkeys((
        # arithmetic
        "Add", "Sub", "Mul", "Div", "Mod", "Neg", "Abs", "Sign", "Reciprocal", "Floor", "Ceil", "Round",
        # comparison, logic, bits
        "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "IsNaN", "IsInf", "And", "Or", "Xor",
        "Not", "BitShift", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "BitwiseNot", "Where",
    ), VECTOR),
    # a power is one transcendental op whatever its exponent
    **dict.fromkeys((
        "Exp", "Log", "Sqrt", "Pow", "Erf", "Sigmoid", "Sin", "Cos", "Tan", "Asin", "Acos", "Atan", "Sinh",
        "Cosh", "Tanh", "Asinh", "Acosh", "Atanh",
    ), SPECIAL),
    # activations, by function body
    "Relu": VECTOR,  # max(x, 0)
    "ThresholdedRelu": 2 * VECTOR,  # less, where
    "LeakyRelu": 3 * VECTOR,  # less, mul, where
    "PRelu": 3 * VECTOR,  # less, mul, where
    "Softsign": 3 * VECTOR,  # abs, add, div
    "HardSigmoid": 4 * VECTOR,  # mul, add, min, max
    "HardSwish": 5 * VECTOR,  # HardSigmoid, mul
    "Shrink": 6 * VECTOR,  # less, less, add, sub, where, where
    "Elu": 4 * VECTOR + SPECIAL,  # less, exp, sub, mul, where
    "Celu": 6 * VECTOR + SPECIAL,  # div, Elu, mul
    "Selu": 6 * VECTOR + SPECIAL,  # exp, mul, sub, mul, mul, less, where
    "Softplus": VECTOR + 2 * SPECIAL,  # exp, add, log
    "Mish": 2 * VECTOR + 3 * SPECIAL,  # Softplus, tanh, mul
    "Swish": 2 * VECTOR + SPECIAL,  # mul by alpha, sigmoid, mul
    "SwiGLU": 3 * VECTOR + SPECIAL,  # Swish, mul
}  # fmt: skip
"""The cost of each operator per output element, whatever its inputs and attributes."""

GELU_ERF = 4 * VECTOR + SPECIAL  # div, erf, add, mul, mul
GELU_TANH = 6 * VECTOR + 2 * SPECIAL  # pow, mul, add, mul, tanh, add, mul, mul
BOUND = 2 * VECTOR  # less, where


def gelu(node: NodeView) -> Work:
    """Per element x / sqrt(2), erf, + 1, * x / 2: 4 and 1 transcendental; the tanh approximation 6 and 2.

    Hendrycks and Gimpel (2016). The square roots of constants are constant-folded.
    """
    approximate = node.attribute("approximate", "none") == "tanh"
    return (GELU_TANH if approximate else GELU_ERF) * prod(node.output_shape(0))


def clip(node: NodeView) -> Work:
    """2 elementwise ops (compare, select) per element and bound.

    A bound is an input, or before opset 11 an attribute.
    """
    inputs = sum(node.has_input(index) for index in (1, 2))
    attributes = sum(node.attribute(name) is not None for name in ("min", "max"))
    return BOUND * ((inputs + attributes) * prod(node.output_shape(0)))


def fold(node: NodeView) -> Work:
    """(inputs - 1) * elements: Sum, Max and Min combine their inputs pairwise."""
    return VECTOR * ((len(node.inputs) - 1) * prod(node.output_shape(0)))


def mean(node: NodeView) -> Work:
    """Inputs * elements: the sum of the inputs and one divide."""
    return VECTOR * (len(node.inputs) * prod(node.output_shape(0)))


RULES: RuleTable = {
    "": {
        **{op_type: each_output(cost) for op_type, cost in PER_ELEMENT.items()},
        "Gelu": gelu,
        "Clip": clip,
        "Sum": fold,
        "Max": fold,
        "Min": fold,
        "Mean": mean,
    },
}
