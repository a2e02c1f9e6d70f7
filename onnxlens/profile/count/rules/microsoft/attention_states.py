"""Attention without scores, as ONNX Runtime has it.

Linear attention has a state per head instead of scores, which every token updates and every query reads:

    S = decay * S + k (v - S^T k)^T,   o = S^T q

``update_rule`` selects the terms (gated delta networks: Yang et al., 2024). Each product with the (D_k, D_v)
state is D_k * D_v MACs, token by token, although kernels may process the tokens in chunks.
"""

from __future__ import annotations

from math import prod

from onnxlens.profile.count.rules.microsoft.fused import ACTIVATIONS
from onnxlens.profile.count.rules.work import SPECIAL, VECTOR, RuleTable, Work
from onnxlens.profile.graph.node_view import NodeView
from onnxlens.specs.record import record

UPDATE_RATE = 2 * VECTOR  # sub, mul by beta
UNIT_LENGTH = 3 * VECTOR  # square, sum, div
QWEN_GATE = 2 * VECTOR + ACTIVATIONS["softplus"]  # add, softplus, mul by the exponential of a_log


@record(frozen=True, slots=True)
class StateSizes:
    """``queries`` and ``states`` are numbers of heads, either of which may be a multiple of the other."""

    tokens: int
    queries: int
    states: int
    key_width: int
    value_width: int


def linear_attention(node: NodeView) -> Work:
    """The recurrence over (B, T, heads * width) inputs."""
    batch, length, width = node.input_shape(0)
    queries, states = node.attribute("q_num_heads"), node.attribute("kv_num_heads")
    value_width = node.input_shape(2)[-1] // states
    return _recurrence(node, StateSizes(batch * length, queries, states, width // queries, value_width))


def gated_delta_net(node: NodeView) -> Work:
    """The recurrence over (tokens, heads, width) inputs, or packed ones, whose heads are those of the state.

    Before it, where asked for: queries and keys scaled to unit length, 3 per element and a root per head; a
    sigmoid per update rate; for the Qwen gate an add, a softplus and a multiply per decay.
    """
    sizes = _token_major(node)
    vectors = 2 * sizes.tokens * sizes.queries
    work = _recurrence(node, sizes)
    if node.attribute("qk_l2_norm", 0):
        work += (UNIT_LENGTH * sizes.key_width + SPECIAL) * vectors
    if node.attribute("beta_activation", "none") == "sigmoid":
        work += SPECIAL * node.input(5).elements
    if node.attribute("gate_activation", "none") == "qwen":
        work += QWEN_GATE * node.input(4).elements
    return work


def _token_major(node: NodeView) -> StateSizes:
    shape = node.input_shape(0)
    if node.has_input(1):
        *tokens, queries, key_width = shape
        states, value_width = node.input_shape(2)[-2:]
        return StateSizes(prod(tokens), queries, states, key_width, value_width)
    states, value_width, key_width = node.input_shape(6)[1:]
    queries = (shape[-1] - states * value_width) // (2 * key_width)
    return StateSizes(prod(shape[:-1]), queries, states, key_width, value_width)


def _recurrence(node: NodeView, sizes: StateSizes) -> Work:
    """Per token and state D_k * D_v MACs for the update; in the delta rules as many to read it by the key.

    As many for each output head; there are max(queries, states) of them. Each output element is scaled; the
    decay is a multiply per state element and an exponential per decay value.
    """
    rule = node.attribute("update_rule", "gated_delta")
    state = sizes.key_width * sizes.value_width
    products = sizes.states * (2 if "delta" in rule else 1)
    outputs = max(sizes.queries, sizes.states)
    work = Work(macs=sizes.tokens * (products + outputs) * state)
    work += VECTOR * (sizes.tokens * outputs * sizes.value_width)
    if "delta" in rule:
        work += UPDATE_RATE * (sizes.tokens * sizes.states * sizes.value_width)
    if "gated" in rule:
        work += VECTOR * (sizes.tokens * sizes.states * state) + SPECIAL * node.input(4).elements
    return work


RULES: RuleTable = {
    "com.microsoft": {"LinearAttention": linear_attention, "GatedDeltaNet": gated_delta_net},
}
