"""What ONNX Runtime's attention operators make, by their own definition: the present is past plus new.

ONNX Runtime's symbolic inference gives some of them the shape of the past, which is right only where both
share one buffer. An operator says that by an attribute, by an input with the length of the past, or never.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from onnxlens.profile.graph.loading.inference.containers import Inputs, Rule
from onnxlens.profile.graph.loading.inference.facts import NO_FACT, Fact, at
from onnxlens.profile.graph.loading.protobuf import FileNode
from onnxlens.profile.graph.loading.value_types import ValueType
from onnxlens.specs.tensor import Dim

DOMAIN = "com.microsoft"

Shape = tuple[Dim, ...] | None


def _shape(inputs: Inputs, index: int) -> Shape:
    return (at(inputs, index) or NO_FACT).type.shape


def _sum(first: Dim, second: Dim) -> Dim:
    if isinstance(first, int) and isinstance(second, int):
        return first + second
    return "?" if "?" in (first, second) else f"{first} + {second}"


def _share(width: Dim, parts: int) -> Dim:
    return width // parts if isinstance(width, int) and parts else "?"


def _times(width: Dim, number: int) -> Dim:
    return width * number if isinstance(width, int) else "?"


def _facts(inputs: Inputs, *shapes: Shape) -> Sequence[Fact]:
    dtype = (at(inputs, 0) or NO_FACT).type.dtype
    return [Fact(ValueType(dtype, shape)) for shape in shapes]


def _grown(past: Shape, new: Dim, fresh: Shape) -> Shape:
    """The present: the past and the new keys; ``fresh`` where there is no past."""
    if past is None or len(past) < 2:
        return fresh
    return (*past[:-2], _sum(past[-2], new), past[-1])


def grouped_query(node: FileNode, inputs: Inputs, length: int = 6) -> Sequence[Fact] | None:
    """GroupQueryAttention: (B, S, H * D) out; keys (B, H_kv, P + S, D); scores (B, H, S, P + S).

    A total length that is known and no longer than the past says that the past is a buffer that all fits in.
    A window's buffer stays as it is. A cache of four bits has two of them in a byte.
    """
    query, past = _shape(inputs, 0), _shape(inputs, 3)
    if query is None or len(query) != 3:
        return None
    heads, shared = node.attributes.get("num_heads", 0), node.attributes.get("kv_num_heads", 0)
    separate = at(inputs, 1) is not None
    head = _share(query[2], heads if separate else heads + 2 * shared)
    output = query if separate else (*query[:2], _times(head, heads))
    new = _new_keys(inputs, query)
    total = (at(inputs, length) or NO_FACT).scalar
    present = _grown(past, new, (query[0], shared, new, head))
    if past is not None and node.attributes.get("sliding_window_cache", 0):
        present = past
    elif past is not None and total is not None and isinstance(past[2], int):
        present = (*past[:2], max(total, past[2]), past[3])
    keys: Dim = present[2] if present is not None and total is None else "?" if total is None else total
    output_fact, *states, scores = _facts(inputs, output, present, present, (query[0], heads, query[1], keys))
    cache = (at(inputs, 3) or NO_FACT).type.dtype
    held = [Fact(ValueType(cache or fact.type.dtype, fact.type.shape)) for fact in states]
    return [output_fact, *held, scores]


def paged(node: FileNode, inputs: Inputs) -> Sequence[Fact] | None:
    """PagedAttention: (tokens, H * D_v) out; the blocks of the caches come back as they were."""
    query = _shape(inputs, 0)
    if query is None or len(query) != 2:
        return None
    heads, shared = node.attributes.get("num_heads", 0), node.attributes.get("kv_num_heads", 0)
    width: Dim = query[1]
    if at(inputs, 1) is None:
        width = _times(_share(width, heads + 2 * shared), heads)
    width = node.attributes.get("v_head_size", 0) * heads or width
    return [*_facts(inputs, (query[0], width)), *(at(inputs, index) or NO_FACT for index in (3, 4))]


def cached_sequence(node: FileNode, inputs: Inputs) -> Sequence[Fact] | None:
    """DecoderAttention: as large as its (S, B, H * D) query; caches (B, H, keys, D).

    Flags that are inputs say whether keys are those of another sequence, and whether there are earlier ones.
    """
    query, key, cache = (_shape(inputs, index) for index in (0, 1, 6))
    static, used = ((at(inputs, index) or NO_FACT).scalar for index in (8, 9))
    if query is None or len(query) != 3:
        return None
    heads = node.attributes.get("num_heads", 0)
    length: Dim = "?"
    if used is not None and static is not None:
        own = key[0] if static and key is not None else query[0]
        length = own if not used or cache is None else cache[2] if static else _sum(cache[2], own)
    state = (query[1], heads, length, _share(query[2], heads))
    return _facts(inputs, query, state, state)


def causal_convolution(node: FileNode, inputs: Inputs) -> Sequence[Fact] | None:
    """CausalConvWithState: as large as its input; a state as it came, or of the taps before a token."""
    source, weight = _shape(inputs, 0), _shape(inputs, 1)
    state = _shape(inputs, 3)
    if source is None or weight is None or node.attributes.get("channels_last", 0):
        return None
    if state is None and len(source) == 3 and isinstance(weight[-1], int):
        state = (*source[:2], (weight[-1] - 1) * node.attributes.get("dilation", 1))
    return _facts(inputs, source, state)


def linear_attention(node: FileNode, inputs: Inputs) -> Sequence[Fact] | None:
    """LinearAttention: an output for every head of the more numerous; a state (B, H_kv, D_k, D_v)."""
    query, value, state = _shape(inputs, 0), _shape(inputs, 2), _shape(inputs, 3)
    heads, shared = node.attributes.get("q_num_heads", 0), node.attributes.get("kv_num_heads", 0)
    if query is None or value is None or len(query) != 3 or len(value) != 3:
        return None
    width = _share(value[2], shared)
    if state is None:
        state = (query[0], shared, _share(query[2], heads), width)
    return _facts(inputs, (*query[:2], _times(width, max(heads, shared))), state)


def _new_keys(inputs: Inputs, query: tuple[Dim, ...]) -> Dim:
    key = _shape(inputs, 1)
    return key[1] if key is not None and len(key) > 1 else query[1]


def in_place(output: Rule, *caches: int) -> Rule:
    """Caches of a fixed size, which are returned as they came."""

    def rule(node: FileNode, inputs: Inputs) -> Sequence[Fact] | None:
        made = output(node, inputs)
        return None if made is None else [made[0], *(at(inputs, index) or NO_FACT for index in caches)]

    return rule


def multi_head(past: int, length: int) -> Rule:
    """MultiHeadAttention and the decoder's: Q, K, V apart, or packed in (B, S, H, 3, D) and (B, S, H, 2, D).

    Args:
        past: the input with the past keys.
        length: that with the length of the past, which is there where past and present share a buffer.
    """

    def rule(node: FileNode, inputs: Inputs) -> Sequence[Fact] | None:
        query, key, value = (_shape(inputs, index) for index in range(3))
        if query is None or len(query) not in (3, 5):
            return None
        heads = node.attributes.get("num_heads", 0)
        head = query[4] if len(query) == 5 else _share(query[2], heads)
        state: Shape
        another: Shape
        cached, cached_value, batch = _shape(inputs, past), _shape(inputs, past + 1), query[0]
        if len(query) == 3 and value is None:  # not known, or packed with the query: only the past may tell
            value = cached_value
        output = (*query[:2], _value_width(query, value, heads))
        before = (at(inputs, length) or NO_FACT).scalar
        keys: Dim
        if key is not None and len(key) == 4:  # those of another sequence, which do not grow
            state = another = key if cached is None else cached
            keys = state[2]
        elif at(inputs, length) is not None or node.attributes.get("past_present_share_buffer", 0):
            state, another = cached, cached_value
            keys = "?" if before is None else _sum(before, _new_keys(inputs, query))
        else:
            new = _new_keys(inputs, query)
            state = _grown(cached, new, (batch, heads, new, head))
            another = _grown(cached_value, new, (batch, heads, new, _share(output[2], heads)))
            keys = state[2] if state is not None else "?"
        return _facts(inputs, output, state, another, (batch, heads, query[1], keys))

    return rule


def _value_width(query: tuple[Dim, ...], value: Shape, heads: int) -> Dim:
    """H * D_v, where a value of rank 4 has (B, H, S, D_v)."""
    if value is not None and len(value) in (3, 4):
        return value[2] if len(value) == 3 else _times(value[3], heads)
    if len(query) == 5:
        return _times(query[4], heads)
    return "?"


def projected(weights: int, past: int | None) -> Rule:
    """Attention: the projection of (B, S, I) to three widths; keys and values (2, B, H, P + S, D) as one."""

    def rule(node: FileNode, inputs: Inputs) -> Sequence[Fact] | None:
        source, weight = _shape(inputs, 0), _shape(inputs, weights)
        if source is None or weight is None or len(weight) != 2:
            return None
        widths = node.attributes.get("qkv_hidden_sizes")
        width = widths[2] if widths else _share(weight[1], 3)
        output = (*source[:-1], width)
        if past is None or len(source) != 3:
            return _facts(inputs, output)
        heads = node.attributes.get("num_heads", 0)
        cached = _shape(inputs, past)
        key_width = widths[1] if widths else width
        present = _grown(cached, source[1], (2, source[0], heads, source[1], _share(key_width, heads)))
        if cached is not None and node.attributes.get("past_present_share_buffer", 0):
            present = cached
        return _facts(inputs, output, present)

    return rule


LENGTHS: Mapping[tuple[str, str], Sequence[int]] = {
    ("", "Attention"): (6,),
    (DOMAIN, "Attention"): (6,),
    (DOMAIN, "DecoderMaskedSelfAttention"): (6,),
    (DOMAIN, "MultiHeadAttention"): (8,),
    (DOMAIN, "DecoderMaskedMultiHeadAttention"): (7,),
    (DOMAIN, "GroupQueryAttention"): (5, 6),
    (DOMAIN, "SparseAttention"): (7, 8),
    **dict.fromkeys(((DOMAIN, "PagedAttention"), (DOMAIN, "SparsePagedAttention")), (5, 6)),
    (DOMAIN, "DynamicSparseAttention"): (9, 10),
    (DOMAIN, "DecoderAttention"): (8, 9),
}
"""The inputs whose values say how many keys there are, whatever the shapes."""


def takes_lengths(node: FileNode) -> bool:
    """Whether the node has such an input: its value is wanted where all types are known, too."""
    indices = LENGTHS.get((node.domain, node.op_type), ())
    return any(index < len(node.inputs) and node.inputs[index] for index in indices)


ATTENTION: Mapping[tuple[str, str], Rule] = {
    (DOMAIN, "Attention"): projected(1, 4),
    (DOMAIN, "DecoderMaskedSelfAttention"): projected(1, 4),
    (DOMAIN, "PackedAttention"): projected(1, None),
    (DOMAIN, "MultiHeadAttention"): multi_head(past=6, length=8),
    (DOMAIN, "DecoderMaskedMultiHeadAttention"): multi_head(past=5, length=7),
    (DOMAIN, "GroupQueryAttention"): grouped_query,
    (DOMAIN, "SparseAttention"): in_place(grouped_query, 3, 4),
    (DOMAIN, "DynamicSparseAttention"): partial(grouped_query, length=10),
    **dict.fromkeys(((DOMAIN, "PagedAttention"), (DOMAIN, "SparsePagedAttention")), paged),
    (DOMAIN, "DecoderAttention"): cached_sequence,
    (DOMAIN, "CausalConvWithState"): causal_convolution,
    (DOMAIN, "LinearAttention"): linear_attention,
}
"""By operator, what it makes."""
