"""Activations and arithmetic of one element each, in simpler operators."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import pi, sqrt

import onnx_ir as ir

from onnxlens.export.dialects.parts import Parts, Rule

Formula = Callable[[Parts, ir.Value, ir.Node], ir.Value]


def unary(formula: Formula) -> Rule:
    """The rule that writes a function of the first input."""

    def rule(node: ir.Node, parts: Parts) -> Sequence[ir.Value] | None:
        return None if node.inputs[0] is None else [formula(parts, node.inputs[0], node)]

    return rule


def in_pairs(op_type: str) -> Rule:
    """The rule that takes an operator of any number of inputs two at a time, from the left."""

    def rule(node: ir.Node, parts: Parts) -> Sequence[ir.Value] | None:
        values = [value for value in node.inputs if value is not None]
        if len(values) == 2 and node.op_type == op_type:
            return None
        result = _chained(parts, op_type, values)
        return [result]

    return rule


def mean(node: ir.Node, parts: Parts) -> Sequence[ir.Value]:
    """The sum of the inputs over their number."""
    values = [value for value in node.inputs if value is not None]
    return [parts.op("Div", _chained(parts, "Add", values), parts.number(len(values), values[0]))]


def _chained(parts: Parts, op_type: str, values: Sequence[ir.Value]) -> ir.Value:
    if len(values) == 1:
        return parts.op("Identity", values[0])
    result = values[0]
    for value in values[1:]:
        result = parts.op(op_type, result, value)
    return result


def gelu(parts: Parts, x: ir.Value, node: ir.Node) -> ir.Value:
    """Half of x times (1 + erf(x / sqrt(2))), or the tanh form: https://arxiv.org/abs/1606.08415."""
    if node.attributes.get_string("approximate", "none") == "tanh":
        cube = parts.op("Mul", parts.op("Mul", x, x), x)
        bent = parts.op("Add", x, parts.op("Mul", cube, parts.number(0.044715, x)))
        turned = parts.op("Tanh", parts.op("Mul", bent, parts.number(sqrt(2 / pi), x)))
    else:
        turned = parts.op("Erf", parts.op("Div", x, parts.number(sqrt(2), x)))
    raised = parts.op("Add", turned, parts.number(1, x))
    return parts.op("Mul", parts.op("Mul", x, raised), parts.number(0.5, x))


def swish(parts: Parts, x: ir.Value, node: ir.Node) -> ir.Value:
    """X * sigmoid(alpha * x)."""
    alpha = node.attributes.get_float("alpha", 1.0)
    scaled = x if alpha == 1.0 else parts.op("Mul", x, parts.number(alpha, x))
    return parts.op("Mul", x, parts.op("Sigmoid", scaled))


def mish(parts: Parts, x: ir.Value, node: ir.Node) -> ir.Value:
    """X * tanh(softplus(x))."""
    return parts.op("Mul", x, parts.op("Tanh", parts.op("Softplus", x)))


def reciprocal(parts: Parts, x: ir.Value, node: ir.Node) -> ir.Value:
    """1 / x."""
    return parts.op("Div", parts.number(1, x), x)


def tangent(parts: Parts, x: ir.Value, node: ir.Node) -> ir.Value:
    """sin(x) / cos(x)."""
    return parts.op("Div", parts.op("Sin", x), parts.op("Cos", x))
