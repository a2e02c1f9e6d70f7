"""Attention as ONNX Runtime fuses it: with the projections before it, a bias, a cache of keys and values.

There is no function body. They count as softmax(scale * Q K^T + mask) V: the scale is one op per score, and
so are the mask (padding, causality and window together) and a bias added to the scores; the products and the
softmax are those of ONNX's Attention. How many keys there are is found in ``attention_reach``.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from math import prod

from onnxlens.profile.count.rules.attention import (
    ROTATION,
    Sizes,
    rotation,
    scores_work,
    sizes_of,
    softcap,
)
from onnxlens.profile.count.rules.attention_reach import LOCAL_TOO, Reach, Reaches, numbers, reaches_of
from onnxlens.profile.count.rules.normalization import root_mean_square
from onnxlens.profile.count.rules.quantized import QUANTIZE, zero_point_work
from onnxlens.profile.count.rules.work import NOTHING, SPECIAL, VECTOR, Rule, RuleTable, Work
from onnxlens.profile.graph.node_view import NodeView
from onnxlens.specs.record import record

SCALE = VECTOR
SINK = VECTOR + SPECIAL  # one more exponential in the sum of each row


@record(frozen=True, slots=True)
class Inputs:
    """The indices of optional inputs: a mask, and a bias of the scores."""

    mask: int
    score_bias: int


ATTENTION = Inputs(mask=3, score_bias=5)
QUANTIZED = Inputs(mask=5, score_bias=9)
ORDERED = Inputs(mask=17, score_bias=19)
MULTI_HEAD = Inputs(mask=4, score_bias=5)
DECODER = Inputs(mask=3, score_bias=4)


def per_score(node: NodeView, inputs: Inputs) -> Work:
    """The scale; one add for a mask or causality; one for a bias of the scores."""
    limited = node.has_input(inputs.mask) or node.attribute("unidirectional", 0)
    return SCALE * (1 + bool(limited) + node.has_input(inputs.score_bias))


def attention(node: NodeView, inputs: Inputs = ATTENTION) -> Work:
    """The projection of the input to Q, K and V as one Gemm; both products; Q and K rotated.

    The rotation takes 3 ops per rotated element of the new queries and keys.
    """
    batch, length, _ = node.input_shape(0)
    sizes = projected_sizes(node, reaches_of(node))
    work = projection(node) + scores_work(sizes, per_score(node, inputs))
    if node.attribute("do_rotary", 0):
        width = node.attribute("rotary_embedding_dim", 0) or sizes[0].key_width
        work += ROTATION * (2 * batch * sizes[0].heads * length * width)
    return work


def projection(node: NodeView) -> Work:
    """prod(input) * (columns of the weights of Q, K and V together); an add per element for a bias."""
    width, _ = node.input_shape(1)
    return Work(macs=width, vector_ops=node.has_input(2)) * projected_elements(node)


def projected_elements(node: NodeView) -> int:
    """The elements of Q, K and V together."""
    _, columns = node.input_shape(1)
    return prod(node.input_shape(0)[:-1]) * columns


def projected_sizes(node: NodeView, reaches: Reaches) -> Sizes:
    """The sizes after a projection to ``qkv_hidden_sizes``, or to three equal parts."""
    heads = node.attribute("num_heads")
    _, columns = node.input_shape(1)
    key_width, _, value_width = node.attribute("qkv_hidden_sizes") or [columns // 3] * 3
    return sizes_of(reaches, heads, key_width // heads, value_width // heads)


def quantized_attention(node: NodeView) -> Work:
    """As Attention; zero points subtracted from input and weights; each projected element is scaled."""
    zero_points = zero_point_work(node, 0, 6) + zero_point_work(node, 1, 7)
    return attention(node, QUANTIZED) + zero_points + VECTOR * projected_elements(node)


def ordered_attention(node: NodeView) -> Work:
    """As Attention, with three weights; requantized after each product and after the softmax."""
    batch, length, width = node.input_shape(0)
    heads = node.attribute("num_heads")
    queries, keys, values = (node.input_shape(index)[1] for index in (5, 6, 7))
    projected = batch * length * (queries + keys + values)
    sizes = sizes_of(reaches_of(node), heads, queries // heads, values // heads)
    again = QUANTIZE * (node.has_input(14) + node.has_input(15))
    work = Work(macs=projected * width) + (VECTOR + QUANTIZE) * projected
    return work + scores_work(sizes, per_score(node, ORDERED) + again) + QUANTIZE * prod(node.output_shape(0))


def packed_attention(node: NodeView) -> Work:
    """The projection of the tokens that exist; both products of each sequence."""
    sizes = projected_sizes(node, packed_reaches(node, 3))
    return projection(node) + scores_work(sizes, SCALE * (1 + node.has_input(5)))


def packed_reaches(node: NodeView, offsets: int) -> Reaches:
    """The lengths of the sequences; where they are known at run time only, each as if it were the longest."""
    batch, length = node.input_shape(offsets)
    ends = numbers(node, offsets + 1)
    if ends is None:
        return [(batch, Reach(length, 0, length))]
    return [(1, Reach(after - before, 0, after - before)) for before, after in pairwise(ends)]


def packed_multi_head_attention(node: NodeView) -> Work:
    """An add per element of Q, K and V for a bias; both products of each sequence."""
    heads: int = node.attribute("num_heads")
    tokens, *packed, width = node.input_shape(0)
    key_width = width if packed else width // heads
    value_width = node.output_shape(0)[1] // heads
    biased = node.has_input(3) * tokens * heads * (2 * key_width + value_width)
    sizes = sizes_of(packed_reaches(node, 4), heads, key_width, value_width)
    return VECTOR * biased + scores_work(sizes, SCALE * (1 + node.has_input(6)))


def multi_head(inputs: Inputs, bias: int) -> Rule:
    """The rule for Q, K and V that are projected already; an add per new element of them for a bias.

    The query may hold all three, the key also the value. 4-D keys (B, H, S, D) are those of another sequence
    (cross attention), with their bias added already.
    """

    def rule(node: NodeView) -> Work:
        sizes = multi_head_sizes(node)
        biased = node.has_input(bias) * sum(
            times * (reach.queries * each.key_width + _own_keys(node) * (each.key_width + each.value_width))
            for (times, reach), each in zip(reaches_of(node), sizes, strict=True)
        )
        return VECTOR * (biased * sizes[0].heads) + scores_work(sizes, per_score(node, inputs))

    return rule


def _own_keys(node: NodeView) -> int:
    """The number of keys that a bias is still to be added to: none in cross attention."""
    key = node.input_shape(1 if node.has_input(1) else 0)
    return 0 if len(key) == 4 else key[1]


def multi_head_sizes(node: NodeView) -> Sizes:
    """The sizes of projected queries, keys and values."""
    heads: int = node.attribute("num_heads")
    value_width = node.output_shape(0)[-1] // heads
    return sizes_of(reaches_of(node), heads, _key_width(node, heads, value_width), value_width)


def decoder_attention(node: NodeView) -> Work:
    """The projections of (S, B, I) to Q, and to K and V where they are not in a cache; both products.

    Per projected element its bias.
    """
    _, _, width = node.input_shape(0)
    projected = width * sum(times * (reach.queries + 2 * reach.new) for times, reach in reaches_of(node))
    work = Work(macs=width, vector_ops=1) * projected
    return work + scores_work(decoder_sizes(node), SCALE * (1 + node.has_input(5)))


def decoder_sizes(node: NodeView) -> Sizes:
    """The sizes of (S, B, H * D) queries."""
    heads: int = node.attribute("num_heads")
    width = node.input_shape(0)[2] // heads
    return sizes_of(reaches_of(node), heads, width, width)


def _key_width(node: NodeView, heads: int, value_width: int) -> int:
    """From a query (B, S, H, 3, D), (B, S, H * D), or (B, S, H * (2 D + D_v)) where there is no key."""
    shape = node.input_shape(0)
    if len(shape) == 5:
        return shape[-1]
    width = shape[-1] // heads
    return width if node.has_input(1) else (width - value_width) // 2


@record(frozen=True, slots=True)
class Grouped:
    """The sizes of query heads that share keys, and how many vectors of heads are new.

    Attributes:
        shared: the key/value heads.
        vectors: queries and keys.
        cached: cached keys that are read, and new ones, of all key/value heads.
    """

    sizes: Sizes
    shared: int
    vectors: int
    cached: tuple[int, int]


def grouped_sizes(node: NodeView) -> Grouped:
    """Of queries, keys and values apart, or all three in the query."""
    heads: int = node.attribute("num_heads")
    shared: int = node.attribute("kv_num_heads")
    width = node.input_shape(0)[-1]
    head = width // heads if node.has_input(1) else width // (heads + 2 * shared)
    reaches = reaches_of(node)
    queries = sum(times * reach.queries for times, reach in reaches)
    new = shared * sum(times * reach.new for times, reach in reaches)
    read = shared * sum(times * reach.cached for times, reach in reaches)
    sizes = sizes_of(reaches, heads, head, node.attribute("v_head_size", 0) or head)
    return Grouped(sizes, shared, heads * queries + new, (read, new))


@record(frozen=True, slots=True)
class GroupedInputs:
    """The indices of optional inputs: cosines, the weight of a norm, a sink."""

    cosines: int
    norm: int
    sink: int


GROUPED = GroupedInputs(cosines=7, norm=14, sink=11)
PAGED = GroupedInputs(cosines=8, norm=12, sink=11)
SELECTED = GroupedInputs(cosines=11, norm=14, sink=16)
SELECTED_PAGED = GroupedInputs(cosines=14, norm=17, sink=16)


def group_query_attention(node: NodeView) -> Work:
    """Both products for every query head; rotary embedding, norm and quantization of new queries and keys.

    A quantized cache costs a multiply per element, and 4 ops per new element. Grouped-query attention:
    Ainslie et al., 2023.
    """
    score = SCALE * ((node.attribute("causal", 1) != 0) + node.has_input(10))
    return _grouped_work(node, grouped_sizes(node), GROUPED, score)


def paged_attention(node: NodeView) -> Work:
    """As GroupQueryAttention, with sequences one behind the other; in a latent cache the values are keys."""
    return _grouped_work(node, grouped_sizes(node), PAGED, SCALE * (node.attribute("is_causal", 1) != 0))


def selected(indices: int, inputs: GroupedInputs) -> Rule:
    """As GroupQueryAttention over the keys that others selected, as many as there is room for in ``indices``.

    Where the node says so, those of a local window too. How many are selected is data: the room is the upper
    bound.
    """

    def rule(node: NodeView) -> Work:
        _, most = node.input_shape(indices)
        is_local = node.attribute("attention_mode") == LOCAL_TOO
        found = grouped_sizes(node)
        kept = [
            replace(each, keys=each.keys + most if is_local else min(each.keys, most)) for each in found.sizes
        ]
        return _grouped_work(node, replace(found, sizes=kept), inputs, SCALE)

    return rule


def _grouped_work(node: NodeView, sizes: Grouped, inputs: GroupedInputs, per_score: Work) -> Work:
    key_width = sizes.sizes[0].key_width
    work = scores_work(sizes.sizes, SCALE + per_score + softcap(node)) + _rotated(
        node, sizes.vectors, inputs.cosines
    )
    if node.has_input(inputs.norm):
        elements = sizes.vectors * key_width
        work += root_mean_square(elements, sizes.vectors) + VECTOR * elements
    if node.has_input(inputs.sink) or node.attribute("smooth_softmax", 0) == 1:
        work += SINK * sum(each.batch * each.heads * each.queries for each in sizes.sizes)
    caches: int = sum(node.attribute(name, "NONE") != "NONE" for name in ("k_quant_type", "v_quant_type"))
    read, new = sizes.cached
    return work + (VECTOR * (read + new) + QUANTIZE * new) * (caches * key_width)


def _rotated(node: NodeView, vectors: int, cosines: int) -> Work:
    """The rotary embedding of ``vectors`` head vectors, in each of which 2 * cosines elements are rotated."""
    if not node.attribute("do_rotary", 0):
        return NOTHING
    _, pairs = node.input_shape(cosines)
    return ROTATION * (vectors * 2 * pairs)


def sparse_attention(node: NodeView) -> Work:
    """Both products for the blocks of the sparse layout, at most as many as it has column indices.

    All scores are the upper bound. The rotary embedding is that of GroupQueryAttention.
    """
    sizes = grouped_sizes(node)
    in_blocks = node.input_shape(6)[1] * node.attribute("sparse_block_size") ** 2
    kept = [replace(each, queries=1, keys=min(each.queries * each.keys, in_blocks)) for each in sizes.sizes]
    return scores_work(kept, SCALE + VECTOR) + _rotated(node, sizes.vectors, cosines=9)


def rotary_embedding(node: NodeView) -> Work:
    """As ONNX's RotaryEmbedding; ``num_heads`` may be left out of a 3-D input where all of it is rotated."""
    is_3d = len(node.input_shape(0)) == 3
    return rotation(node, node.attribute("num_heads", 0) if is_3d else 1)


def gemma_rotary_embedding(node: NodeView) -> Work:
    """Per angle a sine and a cosine; per element of Q and K two multiplies and an add."""
    rotated = node.input(1).elements + node.input(3).elements
    return 2 * SPECIAL * node.input(0).elements + ROTATION * rotated


def gated_relative_position_bias(node: NodeView) -> Work:
    """The product of every query with the (D, W) weight of the gates, and the factor that is made of it.

    Per query element its bias; per gate element its bias and a sum; per head and query two sigmoids and four
    elementwise ops; per output element a multiply.
    """
    batch, heads, length, keys = node.output_shape(0)
    head, gates = node.input_shape(3)
    rows = batch * heads * length
    vectors = rows * (head + 2 * gates + 4 + keys)
    return Work(macs=rows * head * gates, vector_ops=vectors, special_ops=2 * rows)


RULES: RuleTable = {
    "com.microsoft": {
        **dict.fromkeys(("Attention", "DecoderMaskedSelfAttention"), attention),
        "QAttention": quantized_attention,
        "QOrderedAttention": ordered_attention,
        "PackedAttention": packed_attention,
        "PackedMultiHeadAttention": packed_multi_head_attention,
        "MultiHeadAttention": multi_head(MULTI_HEAD, bias=3),
        "DecoderMaskedMultiHeadAttention": multi_head(DECODER, bias=10),
        "DecoderAttention": decoder_attention,
        "GroupQueryAttention": group_query_attention,
        "PagedAttention": paged_attention,
        "SparseAttention": sparse_attention,
        "DynamicSparseAttention": selected(7, SELECTED),
        "SparsePagedAttention": selected(9, SELECTED_PAGED),
        **dict.fromkeys(("RotaryEmbedding", "MRotaryEmbedding"), rotary_embedding),
        "GemmaRotaryEmbedding": gemma_rotary_embedding,
        "GatedRelativePositionBias": gated_relative_position_bias,
    },
}
