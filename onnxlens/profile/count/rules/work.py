"""The unit in which rules count: MACs, elementwise ops and transcendental ops."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import TYPE_CHECKING

from onnxlens.profile.graph.node_view import NodeView, NotCountable
from onnxlens.specs.record import record

if TYPE_CHECKING:
    import numpy as np


@record(frozen=True, slots=True)
class Work:
    """What one execution of a node computes.

    It adds and scales, so that a rule reads like its formula: ``(4 * VECTOR + SPECIAL) * elements``.

    Attributes:
        macs: multiply-accumulates of matrix work.
        vector_ops: elementwise ops, one per primitive (add, multiply, divide, compare, select, round, ...)
            and element.
        special_ops: transcendental ops, one per primitive (exp, erf, tanh, sqrt, pow, sin, ...) and element.
    """

    macs: int = 0
    vector_ops: int = 0
    special_ops: int = 0

    def __add__(self, other: Work) -> Work:
        return Work(
            self.macs + other.macs,
            self.vector_ops + other.vector_ops,
            self.special_ops + other.special_ops,
        )

    def __mul__(self, times: int) -> Work:
        return Work(self.macs * times, self.vector_ops * times, self.special_ops * times)

    __rmul__ = __mul__


NOTHING = Work()
VECTOR = Work(vector_ops=1)
SPECIAL = Work(special_ops=1)

Rule = Callable[[NodeView], Work]
"""A pure function: what one execution of the node computes. It raises NotCountable where it cannot know."""

RuleTable = Mapping[str, Mapping[str, Rule]]
"""Rules by domain ("" for ONNX's own operators) and operator type."""


def no_work(node: NodeView) -> Work:
    """0 of everything: the operator may move bytes, but computes nothing."""
    return NOTHING


def refused(why: str) -> Rule:
    """The rule of an operator whose work depends on what the file does not hold: it raises NotCountable."""

    def rule(node: NodeView) -> Work:
        raise NotCountable(f"{node.op_type}: {why}")

    return rule


def each_output(cost: Work) -> Rule:
    """The rule ``cost * output elements``: an elementwise operator, its inputs broadcast to the output."""
    return lambda node: cost * prod(node.output_shape(0))


def each_input(cost: Work) -> Rule:
    """The rule ``cost * elements of the first input``."""
    return lambda node: cost * prod(node.input_shape(0))


def constant_input(node: NodeView, index: int) -> np.ndarray | None:
    """The value of an input that the file holds; None where it is left out or computed at run time."""
    read = node.input(index).read_constant if node.has_input(index) else None
    return read() if read is not None else None
