"""Memory traffic of ONNX Runtime's operators: rows of tables, experts in use, caches in place."""

from __future__ import annotations

from functools import partial

import pytest

from onnxlens.profile.count.rules import Traffic, is_view, traffic_of
from onnxlens.profile.graph.node_view import NodeView
from tests.profile.count.rules.nodes import node

microsoft = partial(node, domain="com.microsoft")
INT32, INT64, BYTE = "int32", "int64", "uint8"
CACHE, KEPT = (2, 2, 10, 8), 4 * 320  # 2 x 2 heads of 10 keys, 8 wide, and their bytes
EARLIER = 4 * 288  # of the 9 keys before the new one
HEADS = {"num_heads": 4, "kv_num_heads": 2}

CASES: dict[str, tuple[NodeView, Traffic]] = {
    "a packed weight, as it is stored": (
        microsoft("MatMulNBits", [(3, 64), (32, 2, 16), (32, 2)], [(3, 32)], weights={1, 2},
                  dtypes={"x1": BYTE}, K=64, N=32, bits=4, block_size=32),
        Traffic(weight_read_bytes=64 * 32 // 2 + 4 * 64, read_bytes=4 * 192, write_bytes=4 * 96),
    ),
    "GatherND": (
        microsoft("GatherND", [(9, 5), (2, 1)], [(2, 5)], dtypes={"x1": INT64}),
        Traffic(read_bytes=40 + 16, write_bytes=40),
    ),
    "TorchEmbedding": (
        microsoft("TorchEmbedding", [(99, 8), (6,)], [(6, 8)], weights={0}, dtypes={"x1": INT64}),
        Traffic(weight_read_bytes=4 * 48, read_bytes=48, write_bytes=4 * 48),
    ),
    # 3 of 9 rows: 16 bytes of four-bit data, a scale and a byte of zero points in each
    "rows of quantized blocks": (
        microsoft("GatherBlockQuantized", [(9, 16), (3,), (9, 1), (9, 1)], [(3, 32)], weights={0, 2, 3},
                  dtypes={"x0": BYTE, "x1": INT64, "x3": BYTE}),
        Traffic(weight_read_bytes=3 * (16 + 4 + 1), read_bytes=24, write_bytes=4 * 96),
    ),
    # 3 of 9 columns of 16 rows, which share their scales
    "columns of quantized blocks": (
        microsoft("GatherBlockQuantized", [(16, 9), (3,), (1, 9)], [(16, 3)], weights={0, 2}, gather_axis=1,
                  dtypes={"x0": "int8", "x1": INT64}),
        Traffic(weight_read_bytes=3 * 16 + 3 * 4, read_bytes=24, write_bytes=4 * 48),
    ),
    # a row of 8 for each of 6 tokens, from three tables
    "embeddings": (
        microsoft("EmbedLayerNormalization", [(2, 3), (2, 3), (99, 8), (50, 8), (2, 8), (8,), (8,)],
                  [(2, 3, 8)], weights={2, 3, 4, 5, 6}, dtypes={"x0": INT32, "x1": INT32}),
        Traffic(weight_read_bytes=4 * (3 * 48 + 16), read_bytes=4 * 12, write_bytes=4 * 48),
    ),
    "quantized embeddings without segments": (
        microsoft("QEmbedLayerNormalization", [(2, 3), None, (99, 8), (50, 8), None, (8,), (8,)], [(2, 3, 8)],
                  weights={2, 3, 5, 6},
                  dtypes={"x0": INT32, "x2": BYTE, "x3": BYTE, "x5": BYTE, "x6": BYTE}),
        Traffic(weight_read_bytes=2 * 48 + 16, read_bytes=4 * 6, write_bytes=4 * 48),
    ),
    "12 positions of 50": (
        microsoft("RotaryEmbedding", [(2, 4, 6, 8), (2, 6), (50, 4), (50, 4)], [(2, 4, 6, 8)], weights={2, 3},
                  dtypes={"x1": INT64}),
        Traffic(weight_read_bytes=2 * 4 * 12 * 4, read_bytes=4 * 384 + 8 * 12, write_bytes=4 * 384),
    ),
    "6 positions from a first one on": (
        microsoft("RotaryEmbedding", [(2, 6, 32), (1,), (50, 4), (50, 4)], [(2, 6, 32)], weights={2, 3},
                  dtypes={"x1": INT64}),
        Traffic(weight_read_bytes=2 * 4 * 6 * 4, read_bytes=4 * 384 + 8, write_bytes=4 * 384),
    ),
    "three positions for each token": (
        microsoft("MRotaryEmbedding", [(2, 6, 32), (3, 2, 6), (50, 4), (50, 4)], [(2, 6, 32)], weights={2, 3},
                  dtypes={"x1": INT64}),
        Traffic(weight_read_bytes=2 * 4 * 36 * 4, read_bytes=4 * 384 + 8 * 36, write_bytes=4 * 384),
    ),
    # 2 tokens reach at most 4 of 8 experts, of 2 x 96 weights and 12 + 8 biases each
    "experts that the tokens can reach": (
        microsoft("MoE", [(2, 8), (2, 8), (8, 12, 8), (8, 12), (8, 8, 12), (8, 8)], [(2, 8)], k=2,
                  weights={2, 3, 4, 5}),
        Traffic(weight_read_bytes=4 * 4 * (192 + 20), read_bytes=4 * 32, write_bytes=4 * 16),
    ),
    "all experts, packed": (
        microsoft("QMoE", [(9, 8), (9, 8), (8, 12, 4), (8, 12), None, (8, 8, 6), (8, 8)], [(9, 8)],
                  weights={2, 3, 5, 6}, dtypes={"x2": BYTE, "x5": BYTE}),
        Traffic(weight_read_bytes=8 * 96 + 4 * 8 * 20, read_bytes=4 * 144, write_bytes=4 * 72),
    ),
    # one new key for each of 2 x 2 heads is written where the past ones are
    "a cache in place": (
        microsoft("GroupQueryAttention", [(2, 1, 64), None, None, CACHE, CACHE, (2,), ()],
                  [(2, 1, 32), CACHE, CACHE], dtypes={"x5": INT32, "x6": INT32}, **HEADS),
        Traffic(read_bytes=4 * 128 + 2 * EARLIER + 8 + 4, write_bytes=4 * 64 + 2 * 4 * 4 * 8),
    ),
    # 2 tokens take a row each of 50 in both tables
    "cosines and sines of the new tokens": (
        microsoft("GroupQueryAttention", [(2, 1, 64), None, None, CACHE, CACHE, (2,), (), (50, 4), (50, 4)],
                  [(2, 1, 32), CACHE, CACHE], weights={7, 8}, dtypes={"x5": INT32, "x6": INT32}, **HEADS),
        Traffic(
            weight_read_bytes=2 * 2 * 4 * 4,
            read_bytes=4 * 128 + 2 * EARLIER + 8 + 4,
            write_bytes=4 * 64 + 2 * 4 * 4 * 8,
        ),
    ),
    "cosines and sines with a sparse layout": (
        microsoft("SparseAttention",
                  [(2, 1, 64), None, None, CACHE, CACHE, (1, 4), (1, 2), (), (2,), (50, 4), (50, 4)],
                  [(2, 1, 32), CACHE, CACHE], weights={9, 10},
                  dtypes={f"x{index}": INT32 for index in (5, 6, 7, 8)}, **HEADS),
        Traffic(
            weight_read_bytes=2 * 2 * 4 * 4,
            read_bytes=4 * 128 + 2 * EARLIER + 4 * (4 + 2 + 1 + 2),
            write_bytes=4 * 64 + 2 * 4 * 4 * 8,
        ),
    ),
    "a cache that grows": (
        microsoft("GroupQueryAttention", [(2, 1, 64), None, None, (2, 2, 9, 8), (2, 2, 9, 8), (2,), ()],
                  [(2, 1, 32), CACHE, CACHE], dtypes={"x5": INT32, "x6": INT32}, **HEADS),
        Traffic(read_bytes=4 * 128 + 2 * EARLIER + 12, write_bytes=4 * 64 + 2 * 4 * 4 * 8),
    ),
    "a cache that is new": (
        microsoft("MultiHeadAttention", [(2, 10, 16)] * 3, [(2, 10, 16), CACHE, CACHE], num_heads=2),
        Traffic(read_bytes=3 * KEPT, write_bytes=3 * KEPT),
    ),
    "keys and values in one buffer": (
        microsoft("Attention", [(2, 1, 16), (16, 48), None, None, (2, *CACHE)], [(2, 1, 16), (2, *CACHE)],
                  weights={1}, num_heads=2),
        Traffic(weight_read_bytes=4 * 768, read_bytes=4 * 32 + 2 * EARLIER, write_bytes=4 * 32 + 2 * 4 * 32),
    ),
    "an empty cache": (
        microsoft("MultiHeadAttention", [(2, 0, 16)] * 3 + [None] * 3 + [(2, 2, 0, 8)] * 2,
                  [(2, 0, 16), (2, 2, 0, 8), (2, 2, 0, 8)], num_heads=2),
        Traffic(),
    ),
}  # fmt: skip


OF_ONNX: dict[str, tuple[NodeView, Traffic]] = {
    # 3 rows of 2 x 4 heads: read, and written into the buffer of 20
    "rows that are scattered": (
        node("TensorScatter", [(2, 4, 20, 8), (2, 4, 3, 8), (2,)], [(2, 4, 20, 8)], dtypes={"x2": INT64}),
        Traffic(read_bytes=4 * 192 + 16, write_bytes=4 * 192),
    ),
    # of each of two buffers of 20 rows 9 and 5 are read
    "buffers with lengths": (
        node("Attention", [(2, 4, 1, 8), (2, 4, 20, 8), (2, 4, 20, 8), None, None, None, (2,)],
             [(2, 4, 1, 8)], constants={6: [9, 5]}, dtypes={"x6": INT64}),
        Traffic(weight_read_bytes=16, read_bytes=4 * 64 + 2 * 4 * 4 * 8 * 14, write_bytes=4 * 64),
    ),
    "one new row behind 9": (
        node("Attention", [(2, 2, 1, 8)] * 3 + [None, (2, 2, 9, 8), (2, 2, 9, 8)],
             [(2, 2, 1, 8), CACHE, CACHE]),
        Traffic(read_bytes=4 * 3 * 32 + 2 * EARLIER, write_bytes=3 * 4 * 32),
    ),
    # blocks of 16 rows: 9 rows are read, one is written; a row of 8 cosines and sines
    "blocks": (
        microsoft("PagedAttention",
                  [(1, 64), None, None, *[(4, 16, 2, 8)] * 2, (2,), (1,), (1, 2), (50, 4), (50, 4)],
                  [(1, 32), *[(4, 16, 2, 8)] * 2], constants={6: [9]}, weights={8, 9},
                  dtypes={"x5": INT32, "x6": INT32, "x7": INT32}, **HEADS),
        Traffic(weight_read_bytes=4 + 2 * 16, read_bytes=4 * 64 + 2 * 9 * 64 + 8 + 8,
                write_bytes=4 * 32 + 2 * 64),
    ),
}  # fmt: skip
CASES |= OF_ONNX


@pytest.mark.parametrize("what", CASES)
def test_memory_traffic(what: str) -> None:
    node_view, expected = CASES[what]
    assert traffic_of(node_view) == expected


@pytest.mark.parametrize(
    ("op_type", "past"),
    [
        ("DecoderMaskedSelfAttention", (4,)),
        ("QAttention", (8,)),
        ("MultiHeadAttention", (6, 7)),
        ("DecoderMaskedMultiHeadAttention", (5, 6)),
        ("SparseAttention", (3, 4)),
    ],
)
def test_every_attention_writes_its_buffers_in_place(op_type: str, past: tuple[int, ...]) -> None:
    inputs: list[tuple[int, ...] | None] = [(2, 1, 16), *[None] * 8]
    for index in past:
        inputs[index] = CACHE
    traffic = traffic_of(microsoft(op_type, inputs, [(2, 1, 16), *[CACHE] * len(past)]))
    assert traffic == Traffic(
        read_bytes=4 * 32 + len(past) * EARLIER, write_bytes=4 * 32 + len(past) * 4 * 2 * 2 * 8
    )


def test_expand_dims_is_a_view() -> None:
    view = microsoft("ExpandDims", [(4, 6), ()], [(4, 1, 6)], dtypes={"x1": INT32})
    assert is_view(view)
    assert traffic_of(view) == Traffic()
