"""Recurrent layers: LSTM, GRU and RNN, by the equations of their ONNX specification.

Every sequence counts in full, whatever ``sequence_lens`` says. The two bias vectors of a gate are weights,
whose sum is constant-folded; adding it is one op per gate element.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

from onnxlens.profile.count.rules.elementwise import PER_ELEMENT
from onnxlens.profile.count.rules.work import SPECIAL, VECTOR, RuleTable, Work
from onnxlens.profile.graph.node_view import NodeView, NotCountable

BIAS_INPUT, PEEPHOLE_INPUT = 3, 7
CLIP = 4 * VECTOR

ACTIVATIONS: Mapping[str, Work] = {
    **{name.lower(): cost for name, cost in PER_ELEMENT.items()},
    "affine": 2 * VECTOR,
    "scaledtanh": 2 * VECTOR + SPECIAL,
}
"""The cost of an activation per element: that of the operator of its name; two are not operators of ONNX."""


def recurrent_macs(node: NodeView) -> int:
    """Steps * N * directions * gates * H * (I + H).

    X is (steps, N, I), or (N, steps, I) with ``layout`` 1. W is (directions, gates * H, I) and R is
    (directions, gates * H, H): each is multiplied once per step.
    """
    steps, batch = node.input_shape(0)[:2]
    return steps * batch * (prod(node.input_shape(1)) + prod(node.input_shape(2)))


def state_elements(node: NodeView) -> int:
    """Steps * N * directions * H: the elements of one gate over all steps.

    R is (directions, gates * H, H), or transposed, so that H is the smaller of its last two dimensions.
    """
    steps, batch = node.input_shape(0)[:2]
    directions, *matrix = node.input_shape(2)
    return steps * batch * directions * min(matrix)


def lstm(node: NodeView) -> Work:
    """MACs; per state element 8 elementwise ops, 4 more with a bias, 6 with peepholes; the activations.

    Each of the 4 gates adds its two products; the cell is f * C + i * c (3), the output o * h(C) (1).
    Activations: f on the gates i, o and f, then g and h once each.
    """
    per_element = VECTOR * (8 + 4 * node.has_input(BIAS_INPUT) + 6 * node.has_input(PEEPHOLE_INPUT))
    return _layer(node, per_element, [("Sigmoid", 3), ("Tanh", 1), ("Tanh", 1)])


def gru(node: NodeView) -> Work:
    """MACs; per state element 8 elementwise ops, 3 more with a bias (4 if linear before reset); activations.

    Each of the 3 gates adds its two products; the reset gate multiplies the state (1); (1 - z) * h + z * H is
    4. Activations: f on the gates z and r, then g once.
    """
    biases = 4 if node.attribute("linear_before_reset", 0) else 3
    per_element = VECTOR * (8 + biases * node.has_input(BIAS_INPUT))
    return _layer(node, per_element, [("Sigmoid", 2), ("Tanh", 1)])


def rnn(node: NodeView) -> Work:
    """MACs; per state element 1 elementwise op, 1 more with a bias; the activation f."""
    per_element = VECTOR * (1 + node.has_input(BIAS_INPUT))
    return _layer(node, per_element, [("Tanh", 1)])


def _layer(node: NodeView, per_element: Work, activations: Sequence[tuple[str, int]]) -> Work:
    """MACs, ``per_element`` for each state element, and the activations.

    ``activations`` pairs each default with how often it is applied to an element. The attribute of that name
    replaces the defaults, direction by direction; ``clip`` is two compares and two selects before each.
    """
    directions = node.input_shape(2)[0]
    if directions not in (1, 2):
        raise NotCountable(f"{node.op_type}: its weights have {directions:,} directions, not 1 or 2")
    elements = state_elements(node)
    names = node.attribute("activations") or [name for name, _ in activations] * directions
    passes = [times for _, times in activations] * directions
    clip = CLIP * (node.attribute("clip") is not None)
    work = Work(macs=recurrent_macs(node)) + per_element * elements
    for name, times in zip(names, passes, strict=False):
        work += (ACTIVATIONS[name.lower()] + clip) * (times * elements // directions)
    return work


RULES: RuleTable = {
    "": {"LSTM": lstm, "GRU": gru, "RNN": rnn},
    "com.amd.quark": {"ExtendedLSTM": lstm},
    "com.vai.quantize": {"VitisLSTM": lstm},
}
