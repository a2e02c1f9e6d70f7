"""The unit in which the rules account: MACs, vector operations and special operations."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

from onnxlens.profile.graph.node_view import NodeView, NotCountable
from onnxlens.specs.record import record


@record(frozen=True, slots=True)
class Work:
    """What one execution of a node computes.

    It adds and scales, so that a rule reads like its formula: ``(4 * VECTOR + SPECIAL) * elements``.

    Attributes:
        macs: multiply-accumulates of matrix work.
        vector_ops: one per primitive (add, multiply, divide, compare, select, round, ...) per element.
        special_ops: one per transcendental primitive (exp, erf, tanh, sqrt, pow, sin, ...) per element.
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


def no_work(node: NodeView) -> Work:
    """0 of everything: the operator may move bytes, but computes nothing from them."""
    return NOTHING


def refused(why: str) -> Rule:
    """The rule that counts nothing: the file does not hold what the operator's work depends on."""

    def rule(node: NodeView) -> Work:
        raise NotCountable(f"{node.op_type}: {why}")

    return rule


def each_output(cost: Work) -> Rule:
    """The rule ``cost * output elements``: an element-wise operator, its inputs broadcast to the output."""

    def rule(node: NodeView) -> Work:
        return cost * prod(node.output_shape(0))

    return rule


def each_input(cost: Work) -> Rule:
    """The rule ``cost * elements of the first input``."""

    def rule(node: NodeView) -> Work:
        return cost * prod(node.input_shape(0))

    return rule
