"""What operators with caches say of dimensions: widths are heads of a size, present is past and new."""

from __future__ import annotations

from collections.abc import Mapping

from onnxlens.profile.graph.loading.dimensions.operation import Made, Operation, Rule, Shape, product, total
from onnxlens.profile.graph.loading.dimensions.polynomials import Size, quotient
from onnxlens.profile.graph.loading.dimensions.rules import MICROSOFT

WIDTH = "its width is heads times head size"
SEQUENCES = "all it reads has as many sequences"
GROWN = "the present is the past and what is new"


def _head(op: Operation, width: Size | None, heads: int, cached: Size | None) -> Size | None:
    """The size of a head: that of the cache, which is the width's share."""
    share = None if width is None or not heads else quotient(width, heads)
    if cached is not None and width is not None:
        op.equal(product([cached, heads]), width, WIDTH)
    return cached if share is None else share


def _dim(shape: Shape | None, axis: int) -> Size | None:
    return None if shape is None else shape[axis]


def _cache(op: Operation, past: Shape | None, batch: Size | None, heads: int, head: Size | None) -> None:
    """A cache of (B, H, P, D)."""
    if past is not None:
        op.cached(past[0], past[2])
        op.equal(past[0], batch, SEQUENCES)
        op.equal(past[1], heads or None, "its cache has as many heads")
        op.equal(past[3], head, WIDTH)


def _grown(past: Shape | None, new: Size | None, fresh: Shape) -> Shape:
    return fresh if past is None else (*past[:-2], total([past[-2], new]), past[-1])


def _grouped(op: Operation) -> tuple[Shape, Shape | None, Shape] | None:
    """Of Q (B, S, H * D), or with K and V packed behind: the output, the past, the present without one."""
    query, key, past = op.shape(0, 3), op.shape(1, 3), op.shape(3, 4)
    heads, shared = op.attribute("num_heads", 0), op.attribute("kv_num_heads", 0)
    if query is None:
        return None
    parts = 2 if op.attribute("kv_cache_bit_width", 0) == 4 else 1  # two values to an element
    cached = None if past is None else product([past[3], parts])
    head = _head(op, query[2], heads if op.has(1) else heads + 2 * shared, cached)
    for other in (key, op.shape(2, 3)):
        op.alike(other, (query[0], _dim(key, 1), product([head, shared])), WIDTH)
    for cache in (past, op.shape(4, 4)):
        _cache(op, cache, query[0], shared, None)
        op.alike(cache, past, "keys and values are cached alike")
    new = key[1] if key is not None else query[1]
    return (query[0], query[1], product([head, heads])), past, (query[0], shared, new, head)


def grouped_query(op: Operation) -> Made:
    """GroupQueryAttention, with caches of (B, H_kv, P, D).

    One that the file returns with the past's own length is a buffer, and so is that of a sliding window,
    which holds at least the window.
    """
    made = _grouped(op)
    if made is None:
        return []
    output, past, fresh = made
    op.alike(op.shape(5, 1), output[:1], SEQUENCES)
    if past is not None and op.attribute("sliding_window_cache", 0):
        op.at_least(past[2], op.attribute("local_window_size", 0), "its buffer holds the window")
        return [output, past, past]
    if past is not None and op.returned_length() == past[2]:
        return [output, past, past]
    present = _grown(past, fresh[2], fresh)
    length = (op.vector(6) or (None,))[0]
    if not isinstance(length, int):  # a number may be less than a buffer holds
        op.equal(length, present[2], GROWN)
    _biased(op, 10, output[1], present[2])
    return [output, present, present]


def in_place(op: Operation) -> Made:
    """SparseAttention: as grouped queries; its caches are buffers."""
    made = _grouped(op)
    return [] if made is None else [made[0], made[1], op.shape(4, 4)]


def _biased(op: Operation, index: int, queries: Size | None, keys: Size | None) -> None:
    bias = op.shape(index, 4)
    op.alike(bias and bias[2:], (queries, keys), "its bias is of queries by keys")


def paged(op: Operation) -> Made:
    """PagedAttention: tokens of all sequences in a row; caches in blocks (blocks, block size, H_kv, D)."""
    query, cache, table = op.shape(0, 2), op.shape(3, 4), op.shape(7, 2)
    heads, shared = op.attribute("num_heads", 0), op.attribute("kv_num_heads", 0)
    op.cached(_dim(table, 0))
    if table is not None:
        op.alike(op.shape(6, 1), table[:1], SEQUENCES)
        op.alike(op.shape(5, 1), (total([table[0], 1]),), "lengths are summed up from 0")
    if query is None or cache is None or op.attribute("kv_cache_layout", "") == "LATENT":
        return [None, cache, op.shape(4, 4)]
    plain = not op.attribute("k_cache_dtype", "")  # else two values may be in an element
    head = _head(op, query[1], heads if op.has(1) else heads + 2 * shared, _dim(cache if plain else None, 3))
    op.equal(cache[2], shared or None, "its cache has as many heads")
    op.alike(op.shape(4, 4), cache, "keys and values are cached alike")
    return [(query[0], product([head, heads])), cache, op.shape(4, 4)]


def multi_head(past_at: int, length_at: int, bias_at: int) -> Rule:
    """MultiHeadAttention and the decoder's: Q (B, S, H * D), K and V alike or of another sequence."""

    def rule(op: Operation) -> Made:
        query, key, value = op.shape(0, 3), op.shape(1), op.shape(2)
        past, past_value = op.shape(past_at, 4), op.shape(past_at + 1, 4)
        if query is None:
            return []
        if key is not None and len(key) == 4:
            return _crossed(op, query, key, value)
        heads = op.attribute("num_heads", 0)
        new = key[1] if key is not None else None if op.has(1) else query[1]
        width = value[2] if value is not None and len(value) == 3 else None
        if past_value is not None and width is None:
            width = product([past_value[3], heads])
        head = _head(op, query[2], heads, _dim(past, 3))
        other = _head(op, width, heads, _dim(past_value, 3))
        if key is not None and len(key) == 3:
            op.alike(key, (query[0], new, query[2]), WIDTH)
        if value is not None and len(value) == 3:
            op.alike(value, (query[0], new, None), "keys and values are of one sequence")
        for cache in (past, past_value):
            _cache(op, cache, query[0], heads, None)
            op.alike(cache and cache[:3], past, "keys and values are cached alike")
        output = (*query[:2], width)
        if op.has(length_at) or op.attribute("past_present_share_buffer", 0):
            return [output, past, past_value]
        if past is not None and op.returned_length() == past[2]:
            return [output, past, past_value]
        present = _grown(past, new, (query[0], heads, new, head))
        _biased(op, bias_at, query[1], present[2])
        return [output, present, _grown(past_value, new, (query[0], heads, new, other))]

    return rule


def _crossed(op: Operation, query: Shape, key: Shape, value: Shape | None) -> Made:
    """Keys (B, H, L, D) and values of another sequence, which are cached and do not grow."""
    heads = op.attribute("num_heads", 0)
    _cache(op, key, query[0], heads, _head(op, query[2], heads, key[3]))
    op.alike(value, (*key[:3], None), "keys and values are of one sequence")
    width = value[3] if value is not None and len(value) == 4 else key[3]
    return [(*query[:2], product([width, heads])), key, value]


def projected(op: Operation) -> Made:
    """Attention: the projection of (B, S, I) to three widths; one cache of (2, B, H, P, D)."""
    source, weight, past = op.shape(0, 3), op.shape(1, 2), op.shape(4, 5)
    if source is None or weight is None:
        return []
    heads, widths = op.attribute("num_heads", 0), op.attribute("qkv_hidden_sizes")
    op.equal(source[2], weight[0], "columns of its input are rows of its weight")
    width = widths[2] if widths else None if weight[1] is None else quotient(weight[1], 3)
    head = _head(op, widths[1] if widths else width, heads, _dim(past, 4))
    if past is not None:
        op.cached(past[1], past[3])
        op.alike(past[:3], (2, source[0], heads), SEQUENCES)
    keys = total([past[3], source[1]]) if past else source[1]
    present: Shape = (2, source[0], heads, keys, head)
    if past and op.attribute("past_present_share_buffer", 0):
        present = past
    else:
        mask = op.shape(3, 2)
        op.alike(mask, (source[0], keys), "its mask is of sequences by keys")
    return [(*source[:2], width), present]


def standard(op: Operation) -> Made:
    """ONNX's Attention: (B, H, S, D), or (B, S, H * D) with the numbers of heads as attributes."""
    query, key, value = op.shape(0), op.shape(1), op.shape(2)
    if query is None or key is None or value is None or not len(query) == len(key) == len(value):
        return []
    past, past_value = op.shape(4, 4), op.shape(5, 4)
    op.alike(key[:1], query[:1], SEQUENCES)
    op.alike(value[:1], query[:1], SEQUENCES)
    if len(query) == 4:
        heads, shared, new = query[1], key[1], key[2]
        op.alike(value[1:3], key[1:3], "keys and values are of one sequence")
        op.equal(query[3], key[3], WIDTH)
        head, other = key[3], value[3]
        output: Shape = (*query[:3], value[3])
    else:
        heads, shared, new = op.attribute("q_num_heads", 0), op.attribute("kv_num_heads", 0), key[1]
        op.equal(value[1], new, "keys and values are of one sequence")
        head = _head(op, key[2], shared, _dim(past, 3))
        op.equal(query[2], product([head, heads]), WIDTH)
        other = _head(op, value[2], shared, _dim(past_value, 3))
        output = (*query[:2], product([other, heads]))
    for held, size in ((past, head), (past_value, other)):
        if held is not None:
            op.cached(held[0], held[2])
            op.alike(held, (query[0], shared, _dim(past, 2), size), SEQUENCES)
    return [
        output,
        _grown(past, new, (query[0], shared, new, head)),
        _grown(past_value, new, (query[0], shared, new, other)),
    ]


def rotary(positions: int, cosines: int) -> Rule:
    """RotaryEmbedding: (B, S, H * D) or (B, H, S, D), and a table of half of the columns that are turned."""

    def rule(op: Operation) -> Made:
        source, table = op.shape(0), op.shape(cosines)
        if source is not None and table is not None and not op.attribute("rotary_embedding_dim", 0):
            turned = product([table[-1], 2])
            heads = op.attribute("num_heads", 0)
            if len(source) == 4:
                op.equal(source[3], turned, "its table has half of a head's columns")
            elif heads:
                op.equal(source[2], product([turned, heads]), "its table has half of a head's columns")
        order = source and ((source[0], source[2]) if len(source) == 4 else source[:2])
        op.alike(op.shape(positions, 2), order, "every token has a position")
        return [source]

    return rule


def convolved(op: Operation) -> Made:
    """CausalConvWithState: (B, C, L) by (C, 1, K), with a state of (B, C, K - 1)."""
    source, weight, state = op.shape(0, 3), op.shape(1, 3), op.shape(3, 3)
    if op.attribute("channels_last", 0) or op.attribute("ndim", 1) != 1:
        return [op.shape(0), op.shape(3)]
    if source is not None and weight is not None:
        back = product([total([weight[2], -1]), op.attribute("dilation", 1)])
        op.equal(source[1], weight[0], "every channel has a filter")
        op.alike(state, (source[0], source[1], back), "its state is as long as a filter reaches back")
    if state is not None:
        op.cached(state[0])
    return [source, op.shape(3)]


def linear(op: Operation) -> Made:
    """LinearAttention: (B, S, H * D) with a state of (B, H_kv, D_k, D_v) that does not grow."""
    query, key, value, state = op.shape(0, 3), op.shape(1, 3), op.shape(2, 3), op.shape(3, 4)
    heads, shared = op.attribute("q_num_heads", 0), op.attribute("kv_num_heads", 0)
    narrow = None if query is None else _head(op, query[2], heads, _dim(state, 2))
    wide = None if value is None else _head(op, value[2], shared, _dim(state, 3))
    if query is None:
        return [None, op.shape(3)]
    op.alike(key, (query[0], query[1], product([narrow, shared])), WIDTH)
    op.alike(value, query[:2], SEQUENCES)
    if state is not None:
        op.cached(state[0])
        op.alike(state[:2], (query[0], shared), SEQUENCES)
    return [(*query[:2], product([wide, max(heads, shared)])), op.shape(3)]


def scattered(op: Operation) -> Made:
    """TensorScatter: a cache in place."""
    cache, new = op.shape(0), op.shape(1)
    op.returns_caches = True
    if cache is not None and new is not None:
        axis = op.axis(len(cache), -2)
        others = (*new[:axis], None, *new[axis + 1 :])
        op.alike(cache, others, "what is written is as wide as the cache")
    return [cache]


ATTENTION: Mapping[tuple[str, str], Rule] = {
    ("", "Attention"): standard,
    ("", "RotaryEmbedding"): rotary(3, 1),
    ("", "TensorScatter"): scattered,
    (MICROSOFT, "Attention"): projected,
    (MICROSOFT, "DecoderMaskedSelfAttention"): projected,
    (MICROSOFT, "MultiHeadAttention"): multi_head(past_at=6, length_at=8, bias_at=5),
    (MICROSOFT, "DecoderMaskedMultiHeadAttention"): multi_head(past_at=5, length_at=7, bias_at=4),
    (MICROSOFT, "GroupQueryAttention"): grouped_query,
    (MICROSOFT, "SparseAttention"): in_place,
    (MICROSOFT, "PagedAttention"): paged,
    (MICROSOFT, "RotaryEmbedding"): rotary(1, 2),
    **dict.fromkeys([("", "CausalConvWithState"), (MICROSOFT, "CausalConvWithState")], convolved),
    **dict.fromkeys([("", "LinearAttention"), (MICROSOFT, "LinearAttention")], linear),
}
"""By domain and operator."""
