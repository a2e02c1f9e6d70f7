"""Attention as one operator (opset 23 on), linear attention, and what precedes them in a block.

That is the rotary embedding, and the causal convolution before linear attention. FlexAttention is an operator
of ai.onnx.preview.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from onnxlens.profile.count.rules.attention_reach import Reaches, reaches_of
from onnxlens.profile.count.rules.elementwise import SILU
from onnxlens.profile.count.rules.matrix import conv_macs
from onnxlens.profile.count.rules.work import NOTHING, SPECIAL, VECTOR, RuleTable, Work
from onnxlens.profile.graph.node_view import NodeView, NotCountable, Shape
from onnxlens.specs.record import record

SCORE_SOFTMAX = 4 * VECTOR + SPECIAL
SCORE_SOFTCAP = 2 * VECTOR + SPECIAL
ROTATION = 3 * VECTOR  # per element of a pair: four multiplies, a subtract and an add for two
VALUE_INPUT, MASK_INPUT, LENGTHS_INPUT = 2, 3, 6


@record(frozen=True, slots=True)
class AttentionSizes:
    """The sizes of sequences that are alike: ``heads`` are of queries, ``keys`` those that a query sees."""

    batch: int
    heads: int
    queries: int
    keys: int
    key_width: int
    value_width: int

    @property
    def scores(self) -> int:
        """B * H_q * S_q * S_kv: the elements of the score matrix, masked ones included."""
        return self.batch * self.heads * self.queries * self.keys


Sizes = Sequence[AttentionSizes]


def sizes_of(reaches: Reaches, heads: int, key_width: int, value_width: int) -> Sizes:
    """The sizes of one attention, by what its sequences see."""
    return [
        AttentionSizes(times, heads, reach.queries, reach.keys, key_width, value_width)
        for times, reach in reaches
    ]


def attention_sizes(node: NodeView) -> Sizes:
    """The sizes of (B, H, S, D) or (B, S, H * D) inputs; the past key lengthens the sequence."""
    heads, key_width = _by_head(node.input_shape(0), node.attribute("q_num_heads"))
    _, value_width = _by_head(node.input_shape(VALUE_INPUT), node.attribute("kv_num_heads"))
    return sizes_of(reaches_of(node), heads, key_width, value_width)


def _by_head(shape: Shape, heads: int) -> tuple[int, int]:
    """The heads of (B, H, S, D) or (B, S, H * D), and their width."""
    return (shape[1], shape[3]) if len(shape) == 4 else (heads, shape[2] // heads)


def scores_work(sizes: Sizes, per_score: Work) -> Work:
    """B * H_q * S_q * S_kv * (D_qk + D_v) MACs; per score a softmax and ``per_score``.

    softmax(Q K^T) V (Vaswani et al., 2017): both products count in full, masked or not. Keys and values that
    query heads share (grouped queries) are multiplied once per query head.
    """
    macs = sum(each.scores * (each.key_width + each.value_width) for each in sizes)
    return Work(macs=macs) + (SCORE_SOFTMAX + per_score) * sum(each.scores for each in sizes)


def attention(node: NodeView) -> Work:
    """The two products, and the elementwise ops of the function body.

    Per element of Q and of K (repeated for each query head): one multiply by the square root of the scale.
    Per score: softmax; one add where a mask, lengths, causality or a window limits it; divide, tanh, multiply
    where there is a softcap. Not counted: making the mask, and the guard for rows that are masked whole.
    """
    sizes = attention_sizes(node)
    vectors = sum(times * (reach.queries + reach.seen) for times, reach in reaches_of(node))
    scaled = vectors * sizes[0].heads * sizes[0].key_width
    return VECTOR * scaled + scores_work(sizes, VECTOR * _is_limited(node) + softcap(node))


def softcap(node: NodeView) -> Work:
    """Per score divide, tanh, multiply where the node has a softcap."""
    return SCORE_SOFTCAP if node.attribute("softcap", 0.0) else NOTHING


def _is_limited(node: NodeView) -> bool:
    """Whether the scores are limited by a mask, lengths of padded keys, causality or a window."""
    windows = (node.attribute("left_window_size", -1), node.attribute("right_window_size", -1))
    masked = node.has_input(MASK_INPUT) or node.has_input(LENGTHS_INPUT)
    return masked or bool(node.attribute("is_causal", 0)) or max(windows) >= 0


def rotary_embedding(node: NodeView) -> Work:
    """3 elementwise ops per rotated element: a pair takes four multiplies, one subtract and one add.

    RoFormer (Su et al., 2021). ``rotary_embedding_dim`` elements of each head are rotated; 0, the default,
    means all. The last dimension of a 3-D input holds ``num_heads`` heads.
    """
    shape = node.input_shape(0)
    return rotation(node, node.attribute("num_heads") if len(shape) == 3 else 1)


def rotation(node: NodeView, heads: int) -> Work:
    """As ``rotary_embedding``, with ``heads`` heads in the last dimension of the input."""
    shape = node.input_shape(0)
    rotated = node.attribute("rotary_embedding_dim", 0) * heads or shape[-1]
    return ROTATION * (prod(shape[:-1]) * rotated)


def flex_attention(node: NodeView) -> Work:
    """As Attention without a mask; NotCountable where a subgraph modifies the scores or probabilities."""
    for modifier in ("score_mod", "prob_mod"):
        if node.attribute(modifier) is not None:
            raise NotCountable(f"{node.op_type}: what the subgraph {modifier} computes is not counted")
    return attention(node)


DECAY_INPUT = 4


def linear_attention(node: NodeView) -> Work:
    """The recurrence of the ONNX specification, token by token, over a (D_k, D_v) state per key head.

    MACs: per token and key head the outer product of key and value, and in the delta rules the read of the
    state by the key; per query head the read of the state by the query. Each is D_k * D_v.
    Elementwise ops: per state element and token one add, and one multiply where the state decays; in the
    delta rules a subtract and a multiply per value element; the scale, one multiply per output element.
    Transcendental ops: one exponential per element of the decay.
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
    """The MACs of a depthwise Conv; per output element an add where there is a bias, and the activation.

    ``silu``, or ``swish``, is a sigmoid and a multiply.
    """
    activated = node.attribute("activation", "none") != "none"
    per_output = VECTOR * node.has_input(2) + (SILU if activated else NOTHING)
    return Work(macs=conv_macs(node)) + per_output * prod(node.output_shape(0))


RULES: RuleTable = {
    "": {
        "Attention": attention,
        "RotaryEmbedding": rotary_embedding,
        "LinearAttention": linear_attention,
        "CausalConvWithState": causal_convolution,
    },
    "ai.onnx.preview": {"FlexAttention": flex_attention},
}
