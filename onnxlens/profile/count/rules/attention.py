"""Attention as one operator (opset 23 on), and the rotary embedding that stands before it.

Operators on probation (``ai.onnx.preview``): attention whose scores a graph of its own may change.

Attention over a running state instead of scores, and the convolution that stands before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from onnxlens.profile.count.rules.elementwise import PER_ELEMENT
from onnxlens.profile.count.rules.matrix import conv_macs
from onnxlens.profile.count.rules.work import NOTHING, SPECIAL, VECTOR, RuleTable, Work
from onnxlens.profile.graph.node_view import NodeView, NotCountable, Shape

SCORE_SOFTMAX = 4 * VECTOR + SPECIAL
SCORE_SOFTCAP = 2 * VECTOR + SPECIAL
ROTATION = 3 * VECTOR  # per element of a pair: four multiplies, a subtract and an add for two
KEY_INPUT, VALUE_INPUT, MASK_INPUT, PAST_KEY_INPUT, LENGTHS_INPUT = 1, 2, 3, 4, 6


@dataclass(frozen=True, slots=True)
class AttentionSizes:
    """The sizes of one attention: ``heads`` are the query's, ``keys`` count the past ones too."""

    batch: int
    heads: int
    queries: int
    keys: int
    key_width: int
    value_width: int

    @property
    def scores(self) -> int:
        """B * H_q * S_q * S_kv: the elements of the score matrix, masked ones too."""
        return self.batch * self.heads * self.queries * self.keys


def attention_sizes(node: NodeView) -> AttentionSizes:
    """Read the sizes from (B, H, S, D) or (B, S, H * D) inputs; a past key lengthens the sequence."""
    batch, heads, queries, key_width = _by_head(node.input_shape(0), node.attribute("q_num_heads"))
    value_width = _by_head(node.input_shape(VALUE_INPUT), node.attribute("kv_num_heads"))[3]
    keys = node.input_shape(KEY_INPUT)[-2]
    past = node.input_shape(PAST_KEY_INPUT)[-2] if node.has_input(PAST_KEY_INPUT) else 0
    return AttentionSizes(batch, heads, queries, past + keys, key_width, value_width)


def _by_head(shape: Shape, heads: int) -> Shape:
    """(B, S, H * D) as (B, H, S, D); a shape of four dimensions is that already."""
    if len(shape) == 4:
        return shape
    batch, length, width = shape
    return batch, heads, length, width // heads


def scores_work(sizes: AttentionSizes, per_score: Work) -> Work:
    """B * H_q * S_q * S_kv * (D_qk + D_v) MACs, and per score a softmax and ``per_score``.

    Both products count in full, masked or not. Keys and values that several query heads share (grouped
    queries) are multiplied once for each of them.
    """
    macs = sizes.scores * (sizes.key_width + sizes.value_width)
    return Work(macs=macs) + (SCORE_SOFTMAX + per_score) * sizes.scores


def attention(node: NodeView) -> Work:
    """MACs, and what the function body does around the two products.

    Per element of Q and of K, the latter repeated for each query head: one multiply by the root of the scale.
    Per score: one add when a mask, lengths, causality or a window limits it; divide, tanh, multiply when
    there is a softcap; softmax. Not counted: making the mask, and the guard for rows that it hides whole.
    """
    sizes = attention_sizes(node)
    scaled = sizes.batch * sizes.heads * (sizes.queries + sizes.keys) * sizes.key_width
    limits = VECTOR if _is_limited(node) else NOTHING
    return VECTOR * scaled + scores_work(sizes, limits + softcap(node))


def softcap(node: NodeView) -> Work:
    """Per score divide, tanh, multiply, where the node has a softcap."""
    return SCORE_SOFTCAP if node.attribute("softcap", 0.0) else NOTHING


def _is_limited(node: NodeView) -> bool:
    """Whether something is added to the scores: a mask, lengths of padded keys, causality or a window."""
    windows = (node.attribute("left_window_size", -1), node.attribute("right_window_size", -1))
    masked = node.has_input(MASK_INPUT) or node.has_input(LENGTHS_INPUT)
    return masked or bool(node.attribute("is_causal", 0)) or max(windows) >= 0


def rotary_embedding(node: NodeView) -> Work:
    """3 vector operations per rotated element: a pair takes four multiplies, one subtract and one add.

    ``rotary_embedding_dim`` elements of each head are rotated; 0, the default, means all of them. An input of
    three dimensions holds ``num_heads`` heads side by side.
    """
    shape = node.input_shape(0)
    heads = node.attribute("num_heads") if len(shape) == 3 else 1
    return rotation(node, heads)


def rotation(node: NodeView, heads: int) -> Work:
    """As ``rotary_embedding``, with ``heads`` side by side in the last dimension of the input."""
    shape = node.input_shape(0)
    rotated = node.attribute("rotary_embedding_dim", 0) * heads or shape[-1]
    return ROTATION * (prod(shape[:-1]) * rotated)


def flex_attention(node: NodeView) -> Work:
    """As Attention without a mask: both products, the scale on Q and K, and the softmax.

    Raises:
        NotCountable: a graph of its own changes the scores or the probabilities.
    """
    for modifier in ("score_mod", "prob_mod"):
        if node.attribute(modifier) is not None:
            raise NotCountable(f"{node.op_type}: what the graph in its {modifier} computes is not counted")
    return attention(node)


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


RULES: RuleTable = {
    "": {
        "Attention": attention,
        "RotaryEmbedding": rotary_embedding,
        "LinearAttention": linear_attention,
        "CausalConvWithState": causal_convolution,
    },
    "ai.onnx.preview": {
        "FlexAttention": flex_attention,
    },
}
