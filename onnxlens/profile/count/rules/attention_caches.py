"""What is read and written of caches and states that a node takes from run to run.

Of a cache of keys and values the earlier rows that some query sees are read, and the new rows are written,
whether past and present share a buffer or not: what is copied besides is the runtime's affair. A recurrent
state is read and written whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from onnxlens.profile.count.rules.attention_reach import (
    LOCAL_TOO,
    Reach,
    is_shared,
    onnx_tokens,
    reaches_of,
)
from onnxlens.profile.graph.node_view import NodeView, NotCountable, ValueView
from onnxlens.specs.record import record
from onnxlens.specs.tensor import storage_bytes


@record(frozen=True, slots=True)
class CacheUse:
    """What a node reads and writes of a cache.

    Attributes:
        past: the input that holds it; None for one that begins here.
        present: the output that holds it afterwards; None where it does not change, or is not asked for.
    """

    past: int | None
    present: int | None
    read_bytes: int
    write_bytes: int


def row_bytes(value: ValueView) -> int:
    """The bytes of one key of one sequence in a cache (B, H, S, D), or (2, B, H, S, D) with its value."""
    shape = value.sizes()
    both = shape[0] if len(shape) == 5 else 1
    return _stored(value, both * shape[-3] * shape[-1])


def _stored(value: ValueView, elements: int) -> int:
    size = storage_bytes(value.dtype or "", elements)
    if size is None:
        raise NotCountable(f"the element size of {value.name!r} ({value.dtype}) is unknown")
    return size


def block_row_bytes(value: ValueView) -> int:
    """The same where a cache is in blocks, (blocks, rows, H, D)."""
    return _stored(value, value.sizes()[2] * value.sizes()[3])


def caches_of(node: NodeView) -> Sequence[CacheUse]:
    """What a node reads and writes of caches and states; nothing where it has none, or has no such.

    Raises:
        NotCountable: a shape or a length is unknown.
    """
    find = RULES.get(node.domain, {}).get(node.op_type)
    return () if find is None else tuple(find(node))


Find = Callable[[NodeView], Iterator[CacheUse]]


def _grown(*pasts: int, row: Callable[[ValueView], int] = row_bytes) -> Find:
    """Keys and values: the earlier rows that are seen, and the new ones."""

    def find(node: NodeView) -> Iterator[CacheUse]:
        reaches = reaches_of(node)
        read = sum(times * reach.cached for times, reach in reaches)
        written = sum(times * reach.new for times, reach in reaches)
        for present, past in enumerate(pasts, 1):
            held, made = node.has_input(past), node.has_output(present)
            if held or made:
                each = row(node.input(past) if held else node.output(present))
                yield CacheUse(
                    past if held else None,
                    present if made else None,
                    read * each,
                    made * written * each,
                )

    return find


def _multi_head(*pasts: int) -> Find:
    """As ``_grown``; those of another sequence, (B, H, S, D), stay as they are and are read whole."""
    grown = _grown(*pasts)

    def find(node: NodeView) -> Iterator[CacheUse]:
        yield from grown(node)
        for index in (1, 2):
            if node.has_input(index) and len(node.input_shape(index)) == 4:
                yield CacheUse(index, None, node.input(index).size_bytes, 0)

    return find


def _selected(
    op_type: str, indices: int, auxiliary: int, row: Callable[[ValueView], int] = row_bytes
) -> Find:
    """As ``_grown``, of the earlier rows at most those that are selected, or those of another sequence."""

    def find(node: NodeView) -> Iterator[CacheUse]:
        _, most = node.input_shape(indices)
        beside = node.attribute("attention_mode") == LOCAL_TOO
        reaches = reaches_of(node)
        limit = sum(times * min(reach.past, reach.queries * most) for times, reach in reaches)
        for use in _grown(*PASTS["com.microsoft", op_type], row=row)(node):
            if not beside and use.past is not None:
                use = replace(use, read_bytes=limit * row(node.input(use.past)))
            yield use
        for index in (auxiliary, auxiliary + 1):
            if node.has_input(index):
                chosen = sum(times * reach.queries * most for times, reach in reaches)
                held = node.input(index)
                yield CacheUse(index, None, min(held.size_bytes, chosen * row_bytes(held)), 0)

    return find


def _onnx(node: NodeView) -> Iterator[CacheUse]:
    """As ``_grown``; where the keys are a buffer with lengths apart, it reads what queries see of that."""
    yield from _grown(*PASTS["", "Attention"])(node)
    if node.has_input(6):
        batch, _, length = onnx_tokens(node)
        seen = sum(times * _seen(reach) for times, reach in reaches_of(node))
        for index in (1, 2):
            size = node.input(index).size_bytes
            yield CacheUse(index, None, size * seen // max(batch * length, 1), 0)


def _seen(reach: Reach) -> int:
    """How many keys some query sees, where its own are among them."""
    return reach.total if reach.left is None else min(reach.total, reach.left + reach.queries)


def _state(past: int, present: int = 1) -> Find:
    """A state that is read and written whole; of a window of states the last is read."""

    def find(node: NodeView) -> Iterator[CacheUse]:
        held, made = node.has_input(past), node.has_output(present)
        if held or made:
            states = max(node.attribute("state_window", 0), 1)
            read = node.input(past).size_bytes // states if held else 0
            written = node.output(present).size_bytes if made else 0
            yield CacheUse(past if held else None, present if made else None, read, written)

    return find


def _scattered(node: NodeView) -> Iterator[CacheUse]:
    """TensorScatter: the new rows are written where they belong."""
    yield CacheUse(0, 0, 0, node.input(1).size_bytes)


PASTS: Mapping[tuple[str, str], Sequence[int]] = {
    ("", "Attention"): (4, 5),
    ("com.microsoft", "Attention"): (4,),
    ("com.microsoft", "DecoderMaskedSelfAttention"): (4,),
    ("com.microsoft", "QAttention"): (8,),
    ("com.microsoft", "QOrderedAttention"): (18,),
    ("com.microsoft", "GroupQueryAttention"): (3, 4),
    ("com.microsoft", "SparseAttention"): (3, 4),
    ("com.microsoft", "DynamicSparseAttention"): (3, 4),
    ("com.microsoft", "SparsePagedAttention"): (3, 4),
    ("com.microsoft", "MultiHeadAttention"): (6, 7),
    ("com.microsoft", "DecoderMaskedMultiHeadAttention"): (5, 6),
    ("com.microsoft", "PagedAttention"): (3, 4),
    ("com.microsoft", "DecoderAttention"): (6, 7),
}
"""The inputs with earlier keys and values; what becomes of them are the outputs from 1 on."""


def buffers_of(node: NodeView) -> Iterator[tuple[ValueView, ValueView]]:
    """The outputs that are in the memory of an input, which is a buffer of a cache, each with that."""
    operator = (node.domain, node.op_type)
    pairs = ((0, 0),) if operator == ("", "TensorScatter") else enumerate(PASTS.get(operator, ()), 1)
    for present, past in pairs:
        if is_shared(node, past, present):
            yield node.output(present), node.input(past)


STATES: Mapping[str, Find] = {"LinearAttention": _state(3), "CausalConvWithState": _state(3)}
RULES: Mapping[str, Mapping[str, Find]] = {
    "": {**STATES, "Attention": _onnx, "TensorScatter": _scattered},
    "com.microsoft": {
        **STATES,
        **{op_type: _multi_head(*pasts) for (domain, op_type), pasts in PASTS.items() if domain},
        "PagedAttention": _grown(*PASTS["com.microsoft", "PagedAttention"], row=block_row_bytes),
        "DynamicSparseAttention": _selected("DynamicSparseAttention", 7, auxiliary=5),
        "SparsePagedAttention": _selected("SparsePagedAttention", 9, auxiliary=11, row=block_row_bytes),
        "VarlenCausalConvWithState": _state(4),
        "GatedDeltaNet": _state(6),
    },
}
"""Operators that keep something from run to run, by domain and type."""
