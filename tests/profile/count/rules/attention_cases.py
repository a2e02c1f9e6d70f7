"""Attention whose queries share keys, or that projects: what queries see, what moves of caches, by hand."""

from __future__ import annotations

from functools import partial
from typing import Any

from onnxlens.profile.count.rules.attention_caches import CacheUse
from onnxlens.profile.count.rules.attention_reach import Reach, Reaches
from onnxlens.profile.graph.node_view import NodeView
from tests.profile.count.rules.nodes import node

microsoft = partial(node, domain="com.microsoft")
HEADS = {"num_heads": 4, "kv_num_heads": 2}
Q, KV = (2, 3, 32), (2, 3, 16)  # 3 new tokens of 2 sequences; 4 heads of 8 on 2
PAST, PRESENT, BUFFER = (2, 2, 7, 8), (2, 2, 10, 8), (2, 2, 20, 8)
LENGTHS: list[Any] = [(2,), ()]
ROW = 2 * 8 * 4  # the bytes of one key in 2 heads of 8
PAIR = 2 * 4 * 8 * 4  # of a key and its value in 4 heads


def grouped(past: Any, present: Any, **rest: Any) -> NodeView:
    caches, made = ([past] * 2, [present] * 2)
    return microsoft("GroupQueryAttention", [Q, KV, KV, *caches, *LENGTHS], [Q, *made], **HEADS, **rest)


def both(past: int | None, present: int | None, read: int, written: int) -> tuple[CacheUse, ...]:
    """The same of keys and values, whose inputs and outputs are neighbors."""
    return tuple(
        CacheUse(
            None if past is None else past + more, None if present is None else present + more, read, written
        )
        for more in (0, 1)
    )


Q4, MADE = (2, 4, 3, 8), (2, 4, 10, 8)  # ONNX's layout
TOKENS = (5, 32)
BLOCKS, ENDS = (4, 16, 2, 8), (3,)

GROUPED_CASES: dict[str, tuple[NodeView, Reaches, tuple[CacheUse, ...]]] = {
    "a cache that grows": (
        grouped(PAST, PRESENT), ((2, Reach(3, 7, 3)),), both(3, 1, 2 * 7 * ROW, 2 * 3 * ROW),
    ),
    "a prompt": (
        grouped((2, 2, 0, 8), (2, 2, 3, 8)), ((2, Reach(3, 0, 3)),), both(3, 1, 0, 2 * 3 * ROW),
    ),
    "a prompt without a past": (
        grouped(None, (2, 2, 3, 8)), ((2, Reach(3, 0, 3)),), both(None, 1, 0, 2 * 3 * ROW),
    ),
    "a present that nobody asks for": (
        grouped(PAST, None), ((2, Reach(3, 7, 3)),), both(3, None, 2 * 7 * ROW, 0),
    ),
    "a buffer of which nothing is known": (
        grouped(BUFFER, BUFFER), ((2, Reach(3, 17, 3)),), both(3, 1, 2 * 17 * ROW, 2 * 3 * ROW),
    ),
    "a buffer with a length": (
        grouped(BUFFER, BUFFER, constants={6: 9}), ((2, Reach(3, 6, 3)),),
        both(3, 1, 2 * 6 * ROW, 2 * 3 * ROW),
    ),
    "a buffer with two lengths": (
        grouped(BUFFER, BUFFER, constants={5: [8, 4], 6: 9}), ((1, Reach(3, 6, 3)), (1, Reach(3, 2, 3))),
        both(3, 1, 8 * ROW, 6 * ROW),
    ),
    "a number of lengths that is not that of the sequences": (
        grouped(BUFFER, BUFFER, constants={5: [8]}), ((2, Reach(3, 17, 3)),),
        both(3, 1, 2 * 17 * ROW, 2 * 3 * ROW),
    ),
    "a prompt that is padded": (
        grouped(BUFFER, BUFFER, constants={5: [1, 1]}), ((2, Reach(3, 0, 2)),), both(3, 1, 0, 4 * ROW),
    ),
    "a buffer that the bias of the scores measures": (
        microsoft(
            "GroupQueryAttention", [Q, KV, KV, BUFFER, BUFFER, *LENGTHS, None, None, None, (1, 1, 3, 9)],
            [Q, BUFFER, BUFFER], **HEADS,
        ),
        ((2, Reach(3, 6, 3)),), both(3, 1, 2 * 6 * ROW, 2 * 3 * ROW),
    ),
    "a bias of one column measures nothing": (
        microsoft(
            "GroupQueryAttention", [Q, KV, KV, BUFFER, BUFFER, *LENGTHS, None, None, None, (1, 1, 3, 1)],
            [Q, BUFFER, BUFFER], **HEADS,
        ),
        ((2, Reach(3, 17, 3)),), both(3, 1, 2 * 17 * ROW, 2 * 3 * ROW),
    ),
    # a query sees 4 keys, the first of them 3 before its own
    "a window": (
        grouped(PAST, PRESENT, local_window_size=4), ((2, Reach(3, 7, 3, 3, 0)),),
        both(3, 1, 2 * 3 * ROW, 2 * 3 * ROW),
    ),
    "a window of one": (
        grouped(PAST, PRESENT, local_window_size=1), ((2, Reach(3, 7, 3, 0, 0)),), both(3, 1, 0, 2 * 3 * ROW),
    ),
    "no window": (
        grouped(PAST, PRESENT, local_window_size=0), ((2, Reach(3, 7, 3)),),
        both(3, 1, 2 * 7 * ROW, 2 * 3 * ROW),
    ),
    "a window's buffer": (
        grouped(PAST, PAST, local_window_size=4, sliding_window_cache=1, constants={6: 50}),
        ((2, Reach(3, 47, 3, 3, 0)),), both(3, 1, 2 * 3 * ROW, 2 * 3 * ROW),
    ),
    "a cache of eight bits": (
        grouped(PAST, PRESENT, dtypes={"x3": "int8", "x4": "int8", "y1": "int8", "y2": "int8"}),
        ((2, Reach(3, 7, 3)),), both(3, 1, 2 * 7 * ROW // 4, 2 * 3 * ROW // 4),
    ),
    "two of four bits in a byte": (
        grouped((2, 2, 7, 4), (2, 2, 10, 4), dtypes=dict.fromkeys(("x3", "x4", "y1", "y2"), "uint8")),
        ((2, Reach(3, 7, 3)),), both(3, 1, 2 * 7 * ROW // 8, 2 * 3 * ROW // 8),
    ),
    "packed": (
        microsoft("GroupQueryAttention", [(2, 3, 64), None, None, PAST, PAST, *LENGTHS],
                  [Q, PRESENT, PRESENT], **HEADS),
        ((2, Reach(3, 7, 3)),), both(3, 1, 2 * 7 * ROW, 2 * 3 * ROW),
    ),
    "a sparse layout": (
        microsoft("SparseAttention", [Q, KV, KV, BUFFER, BUFFER, (1, 5), (1, 9), (), (2,)],
                  [Q, BUFFER, BUFFER], constants={7: 9}, **HEADS),
        ((2, Reach(3, 6, 3)),), both(3, 1, 2 * 6 * ROW, 2 * 3 * ROW),
    ),
    "a sparse layout in a buffer of which nothing is known": (
        microsoft("SparseAttention", [Q, KV, KV, BUFFER, BUFFER, (1, 5), (1, 9), (), (2,)],
                  [Q, BUFFER, BUFFER], **HEADS),
        ((2, Reach(3, 17, 3)),), both(3, 1, 2 * 17 * ROW, 2 * 3 * ROW),
    ),
    "a sparse layout with lengths": (
        microsoft("SparseAttention", [Q, KV, KV, BUFFER, BUFFER, (1, 5), (1, 9), (), (2,)],
                  [Q, BUFFER, BUFFER], constants={7: 9, 8: [9, 5]}, **HEADS),
        ((1, Reach(3, 6, 3)), (1, Reach(3, 2, 3))), both(3, 1, 8 * ROW, 6 * ROW),
    ),
    # 3 queries select at most 2 of 7 earlier keys each
    "selected keys": (
        microsoft("DynamicSparseAttention", [Q, KV, KV, PAST, PAST, None, None, (6, 2), (6,), *LENGTHS],
                  [Q, PRESENT, PRESENT], attention_mode="selected_only", local_window_size=4, **HEADS),
        ((2, Reach(3, 7, 3)),), both(3, 1, 2 * 6 * ROW, 2 * 3 * ROW),
    ),
    "selected keys of a prompt": (
        microsoft("DynamicSparseAttention", [Q, KV, KV, None, None, None, None, (6, 2), (6,), *LENGTHS],
                  [Q, (2, 2, 3, 8), (2, 2, 3, 8)], attention_mode="selected_only", **HEADS),
        ((2, Reach(3, 0, 3)),), both(None, 1, 0, 2 * 3 * ROW),
    ),
    "selected keys of a buffer": (
        microsoft("DynamicSparseAttention", [Q, KV, KV, BUFFER, BUFFER, None, None, (6, 50), (6,), *LENGTHS],
                  [Q, BUFFER, BUFFER], attention_mode="selected_only", constants={9: [8, 4], 10: 9}, **HEADS),
        ((1, Reach(3, 6, 3)), (1, Reach(3, 2, 3))), both(3, 1, 8 * ROW, 6 * ROW),
    ),
    "selected keys of a buffer with one length": (
        microsoft("DynamicSparseAttention", [Q, KV, KV, BUFFER, BUFFER, None, None, (6, 50), (6,), *LENGTHS],
                  [Q, BUFFER, None], attention_mode="selected_only", constants={10: 9}, **HEADS),
        ((2, Reach(3, 6, 3)),),
        (CacheUse(3, 1, 2 * 6 * ROW, 2 * 3 * ROW), CacheUse(4, None, 2 * 6 * ROW, 0)),
    ),
    # a window, and 3 x 2 of 9 other keys of each sequence
    "selected keys beside a window": (
        microsoft("DynamicSparseAttention",
                  [Q, KV, KV, PAST, PAST, (2, 2, 9, 8), (2, 2, 9, 8), (6, 2), (6,), *LENGTHS],
                  [Q, PRESENT, PRESENT], attention_mode="local_plus_selected", local_window_size=4, **HEADS),
        ((2, Reach(3, 7, 3, 3, 0)),),
        (*both(3, 1, 2 * 3 * ROW, 2 * 3 * ROW), *both(5, None, 2 * 6 * ROW, 0)),
    ),
    "more room than other keys": (
        microsoft("DynamicSparseAttention",
                  [Q, KV, KV, None, None, (2, 2, 9, 8), None, (6, 50), (6,), *LENGTHS],
                  [Q, (2, 2, 3, 8), (2, 2, 3, 8)], attention_mode="local_plus_selected", local_window_size=4,
                  **HEADS),
        ((2, Reach(3, 0, 3, 3, 0)),), (*both(None, 1, 0, 2 * 3 * ROW), CacheUse(5, None, 2 * 9 * ROW, 0)),
    ),
    "selected keys in blocks": (
        microsoft("SparsePagedAttention",
                  [TOKENS, (5, 16), (5, 16), BLOCKS, BLOCKS, ENDS, (2,), (2, 2), None, (5, 3), (5,),
                   (2, 2, 9, 8), (2, 2, 9, 8)],
                  [TOKENS, BLOCKS, BLOCKS], constants={5: [0, 2, 5], 6: [4, 20]},
                  attention_mode="selected_only", **HEADS),
        ((1, Reach(2, 4, 2)), (1, Reach(3, 20, 3))),
        (*both(3, 1, (4 + 9) * ROW, 5 * ROW), *both(11, None, 15 * ROW, 0)),
    ),
    "keys and values in one": (
        microsoft("Attention", [(2, 3, 10), (10, 96), None, None, (2, 2, 4, 7, 8)],
                  [Q, (2, 2, 4, 10, 8)], num_heads=4),
        ((2, Reach(3, 7, 3)),), (CacheUse(4, 1, 2 * 7 * PAIR, 2 * 3 * PAIR),),
    ),
    "keys and values in one buffer, a length before": (
        microsoft("DecoderMaskedSelfAttention",
                  [(2, 1, 10), (10, 96), (96,), None, (2, 2, 4, 20, 8), None, (1,)],
                  [(2, 1, 32), (2, 2, 4, 20, 8)], constants={6: 7}, num_heads=4),
        ((2, Reach(1, 7, 1)),), (CacheUse(4, 1, 2 * 7 * PAIR, 2 * PAIR),),
    ),
    "a buffer that a mask measures": (
        microsoft("Attention", [(2, 3, 10), (10, 96), None, (2, 9), (2, 2, 4, 20, 8)],
                  [Q, (2, 2, 4, 20, 8)], num_heads=4),
        ((2, Reach(3, 6, 3)),), (CacheUse(4, 1, 2 * 6 * PAIR, 2 * 3 * PAIR),),
    ),
    "or a bias": (
        microsoft("Attention", [(2, 3, 10), (10, 96), None, None, (2, 2, 4, 20, 8), (1, 1, 3, 9)],
                  [Q, (2, 2, 4, 20, 8)], num_heads=4),
        ((2, Reach(3, 6, 3)),), (CacheUse(4, 1, 2 * 6 * PAIR, 2 * 3 * PAIR),),
    ),
    "a quantized projection": (
        microsoft("QAttention", [(2, 3, 10), *[()] * 4, (2, 9), None, None, (2, 2, 4, 20, 8)],
                  [Q, (2, 2, 4, 20, 8)], num_heads=4),
        ((2, Reach(3, 6, 3)),), (CacheUse(8, 1, 2 * 6 * PAIR, 2 * 3 * PAIR),),
    ),
    "ordered by columns": (
        microsoft("QOrderedAttention", [(2, 3, 10), *[()] * 16, (2, 9), (2, 2, 4, 20, 8)],
                  [Q, (2, 2, 4, 20, 8)], num_heads=4),
        ((2, Reach(3, 6, 3)),), (CacheUse(18, 1, 2 * 6 * PAIR, 2 * 3 * PAIR),),
    ),
    "ordered by columns, with a bias": (
        microsoft("QOrderedAttention", [(2, 3, 10), *[()] * 16, None, (2, 2, 4, 20, 8), (1, 1, 3, 9)],
                  [Q, (2, 2, 4, 20, 8)], num_heads=4),
        ((2, Reach(3, 6, 3)),), (CacheUse(18, 1, 2 * 6 * PAIR, 2 * 3 * PAIR),),
    ),
    "keys and values of three sequences in one": (
        microsoft("Attention", [(3, 3, 10), (10, 96), None, None, (2, 3, 4, 7, 8)], [(3, 3, 32)],
                  num_heads=4),
        ((3, Reach(3, 7, 3)),), (CacheUse(4, None, 3 * 7 * PAIR, 0),),
    ),
    "other new keys than queries": (
        microsoft("GroupQueryAttention", [Q, (2, 5, 16), (2, 5, 16), PAST, PAST, *LENGTHS], [Q], **HEADS),
        ((2, Reach(3, 7, 5)),), both(3, None, 2 * 7 * ROW, 0),
    ),
    "a buffer that the new keys fill": (
        grouped((2, 2, 3, 8), (2, 2, 3, 8)), ((2, Reach(3, 0, 3)),), both(3, 1, 0, 2 * 3 * ROW),
    ),
    "no token": (
        microsoft("MultiHeadAttention", [(2, 0, 32)] * 3 + [None] * 3 + [(2, 4, 0, 8)] * 2,
                  [(2, 0, 32), (2, 4, 0, 8), (2, 4, 0, 8)], num_heads=4),
        ((2, Reach(0, 0, 0)),), both(6, 1, 0, 0),
    ),
    "a graph in the scores": (
        node("FlexAttention", [Q4, (2, 4, 9, 8), (2, 4, 9, 8)], [Q4], domain="ai.onnx.preview"),
        ((2, Reach(3, 0, 9)),), (),
    ),
}  # fmt: skip
