"""Attention over a running state instead of scores, and the convolution that stands before it."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from onnxlens.profile.count.rules.elementwise import PER_ELEMENT
from onnxlens.profile.count.rules.matrix import conv_macs
from onnxlens.profile.count.rules.work import NOTHING, SPECIAL, VECTOR, Rule, Work
from onnxlens.profile.graph.node_view import NodeView

SILU = VECTOR + PER_ELEMENT["Sigmoid"]
DECAY_INPUT = 4


def linear_attention(node: NodeView) -> Work:
    """The recurrence as it is defined, token by token, over a state of D_k * D_v for each key head.

    MACs: per token and key head the state takes up the outer product of key and value, and in the delta rules
    is asked first for what it holds under the key; per query head it is asked for the output.
    Vector operations: one add per state element and token, one multiply more where it decays; in the delta
    rules a subtract and a multiply per value element; the scale, one multiply per output element.
    Special operations: one exponential per element of the decay.
    """
    batch, tokens, query_width = node.input_shape(0)
    query_heads: int = node.attribute("q_num_heads")
    heads: int = node.attribute("kv_num_heads")
    rule = node.attribute("update_rule", "gated_delta")
    values = node.input(2).elements
    state = batch * tokens * (query_width // query_heads) * (node.input_shape(2)[2] // heads)
    work = Work(macs=state * (heads + query_heads)) + VECTOR * (state * heads + prod(node.output_shape(0)))
    if rule in ("gated", "gated_delta"):
        work += VECTOR * (state * heads) + SPECIAL * node.input(DECAY_INPUT).elements
    if rule in ("delta", "gated_delta"):
        work += Work(macs=state * heads) + 2 * VECTOR * values
    return work


def causal_convolution(node: NodeView) -> Work:
    """The MACs of Conv, one kernel to a channel; per output element an add with a bias, and the activation.

    ``silu``, or ``swish``, is a sigmoid and a multiply.
    """
    per_output = VECTOR if node.has_input(2) else NOTHING
    per_output += SILU if node.attribute("activation", "none") != "none" else NOTHING
    return Work(macs=conv_macs(node)) + per_output * prod(node.output_shape(0))


RULES: Mapping[str, Rule] = {
    "LinearAttention": linear_attention,
    "CausalConvWithState": causal_convolution,
}
