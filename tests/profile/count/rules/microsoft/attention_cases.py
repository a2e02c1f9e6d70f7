"""Attention as ONNX Runtime fuses it, rotations, and attention without scores."""

from __future__ import annotations

from functools import partial

from tests.profile.count.rules.microsoft.state_cases import STATE_CASES
from tests.profile.count.rules.nodes import Case, case

microsoft = partial(case, domain="com.microsoft")

# 2 x 6 tokens of 10; 4 heads, of 8 in Q and K and 16 in V: 32 + 32 + 64 columns
PROJECTED = 2 * 6 * 128
PROJECTION = PROJECTED * 10
OWN = 2 * 4 * 6 * 6
WITH_PAST = 2 * 4 * 6 * 13
UNEVEN = {"num_heads": 4, "qkv_hidden_sizes": (32, 32, 64)}

PROJECTING: tuple[Case, ...] = (
    # 24 MACs for each score; the scale and 4 of the softmax, an exponential
    microsoft("Attention", [(2, 6, 10), (10, 128)], [(2, 6, 64)], **UNEVEN,
              macs=PROJECTION + OWN * 24, vector=5 * OWN, special=OWN),
    # equal parts: 32 columns each; a bias of the projection, a mask, a bias of the scores
    microsoft("Attention", [(2, 6, 10), (10, 96), (96,), (2, 6), None, (1, 4, 6, 6)], [(2, 6, 32)],
              num_heads=4,
              macs=12 * 96 * 10 + OWN * 16, vector=12 * 96 + 7 * OWN, special=OWN),
    # 7 past keys before the 6 new ones, causal; in the present keys they are together
    microsoft("Attention", [(2, 6, 10), (10, 96), None, None, (2, 2, 4, 7, 8)], [(2, 6, 32)], num_heads=4,
              unidirectional=1, macs=12 * 96 * 10 + WITH_PAST * 16, vector=6 * WITH_PAST, special=WITH_PAST),
    # a buffer of 50: whatever it holds, all of it counts
    microsoft("Attention", [(2, 6, 10), (10, 96), None, None, (2, 2, 4, 50, 8)],
              [(2, 6, 32), (2, 2, 4, 50, 8)], num_heads=4, past_present_share_buffer=1,
              macs=12 * 96 * 10 + 2 * 4 * 6 * 50 * 16, vector=5 * 2400, special=2400),
    # 4 of the buffer's keys are in use before the 6 new ones: 2 x 4 x 6 x 10 scores
    microsoft("Attention", [(2, 6, 10), (10, 96), None, None, (2, 2, 4, 50, 8), None, (1,)],
              [(2, 6, 32), (2, 2, 4, 50, 8)], num_heads=4, past_present_share_buffer=1, constants={6: [4]},
              macs=12 * 96 * 10 + 480 * 16, vector=5 * 480, special=480),
    # Q and K rotated: 3 for each of their 2 x 2 x 4 x 6 x 8 elements; or for 6 of the 8
    microsoft("Attention", [(2, 6, 10), (10, 96)], [(2, 6, 32)], num_heads=4, do_rotary=1,
              macs=12 * 96 * 10 + OWN * 16, vector=3 * 768 + 5 * OWN, special=OWN),
    microsoft("Attention", [(2, 6, 10), (10, 96)], [(2, 6, 32)], num_heads=4, do_rotary=1,
              rotary_embedding_dim=6, macs=12 * 96 * 10 + OWN * 16, vector=3 * 576 + 5 * OWN, special=OWN),
    microsoft("Attention", [(1, 6, 10), (10, 96)], [(1, 6, 32)], num_heads=4, do_rotary=1,
              macs=6 * 96 * 10 + 144 * 16, vector=3 * 384 + 5 * 144, special=144),
    microsoft("DecoderMaskedSelfAttention", [(2, 1, 10), (10, 96), (96,), None, (2, 2, 4, 7, 8)],
              [(2, 1, 32), (2, 2, 4, 8, 8)], num_heads=4,
              macs=2 * 96 * 10 + 2 * 4 * 8 * 16, vector=2 * 96 + 5 * 64, special=64),
    # bias and scale for each of 12 x 96 projected elements; a zero point for the input's 120
    microsoft("QAttention", [(2, 6, 10), (10, 96), (96,), (), (), (2,), (), ()], [(2, 6, 32)], num_heads=4,
              weights={1, 7}, macs=12 * 96 * 10 + OWN * 16, vector=2 * 1152 + 120 + 6 * OWN, special=OWN),
    microsoft("QAttention",
              [(2, 6, 10), (10, 96), (96,), (), (), None, None, (), (2, 2, 4, 7, 8)], [(2, 6, 32)],
              num_heads=4, do_rotary=1, macs=12 * 96 * 10 + WITH_PAST * 16,
              vector=2 * 1152 + 960 + 3 * 768 + 5 * WITH_PAST, special=WITH_PAST),
    # zero points of input and weights, no mask
    microsoft("QAttention", [(2, 6, 10), (10, 96), (96,), (), (), None, (), ()], [(2, 6, 32)], num_heads=4,
              macs=12 * 96 * 10 + OWN * 16, vector=2 * 1152 + 120 + 960 + 5 * OWN, special=OWN),
    # three weights, V's wider: a bias and 4 to quantize each of 12 x 128; 4 after QK^T, 4 after the softmax
    microsoft("QOrderedAttention",
              [(2, 6, 10), *[()] * 4, (10, 32), (10, 32), (10, 64), *[()] * 3, (32,), (32,), (64,), (), (),
               ()],
              [(2, 6, 64)], num_heads=4, macs=PROJECTION + OWN * 24,
              vector=5 * PROJECTED + (5 + 8) * OWN + 4 * 2 * 6 * 64, special=OWN),
    # neither; a mask, a past of 7, a bias of the scores
    microsoft("QOrderedAttention",
              [(2, 6, 10), *[()] * 4, (10, 32), (10, 32), (10, 64), *[()] * 3, (32,), (32,), (64,), None,
               None,
               (), (2, 13), (2, 2, 4, 7, 8), (1, 4, 6, 13)],
              [(2, 6, 64)], num_heads=4, macs=PROJECTION + WITH_PAST * 24,
              vector=5 * PROJECTED + 7 * WITH_PAST + 4 * 2 * 6 * 64, special=WITH_PAST),
    # quantized after QK^T only; a past of 7 and nothing else
    microsoft("QOrderedAttention",
              [(2, 6, 10), *[()] * 4, (10, 32), (10, 32), (10, 64), *[()] * 3, (32,), (32,), (64,), (), None,
               (), None, (2, 2, 4, 7, 8)],
              [(2, 6, 64)], num_heads=4, macs=PROJECTION + WITH_PAST * 24,
              vector=5 * PROJECTED + (5 + 4) * WITH_PAST + 4 * 2 * 6 * 64, special=WITH_PAST),
    # 9 tokens of at most 2 x 6: they alone are projected, all 6 x 6 scores count
    microsoft("PackedAttention", [(9, 10), (10, 128), (128,), (2, 6), (3,), (1, 4, 6, 6)], [(9, 64)],
              **UNEVEN,
              macs=9 * 128 * 10 + OWN * 24, vector=9 * 128 + 6 * OWN, special=OWN),
    microsoft("PackedAttention", [(9, 10), (10, 96), None, (2, 6), (3,)], [(9, 32)], num_heads=4,
              macs=9 * 96 * 10 + OWN * 16, vector=5 * OWN, special=OWN),
)  # fmt: skip

SCORES = 2 * 4 * 6 * 10
MULTI_HEAD: tuple[Case, ...] = (
    # cross-attention of 6 queries over 10 keys
    microsoft("MultiHeadAttention", [(2, 6, 32), (2, 10, 32), (2, 10, 64)], [(2, 6, 64)], num_heads=4,
              macs=SCORES * 24, vector=5 * SCORES, special=SCORES),
    # biases on 2 x 4 heads of 6 x 8 queries and 10 x (8 + 16) keys and values; mask and bias of the scores
    microsoft("MultiHeadAttention",
              [(2, 6, 32), (2, 10, 32), (2, 10, 64), (128,), (2, 10), (2, 4, 6, 10)], [(2, 6, 64)],
              num_heads=4,
              macs=SCORES * 24, vector=8 * (48 + 240) + 7 * SCORES, special=SCORES),
    # a mask alone, a bias of the scores alone
    microsoft("MultiHeadAttention", [(2, 6, 32), (2, 10, 32), (2, 10, 64), None, (2, 10)], [(2, 6, 64)],
              num_heads=4, macs=SCORES * 24, vector=6 * SCORES, special=SCORES),
    microsoft("MultiHeadAttention", [(2, 6, 32), (2, 10, 32), (2, 10, 64), None, None, (2, 4, 6, 10)],
              [(2, 6, 64)], num_heads=4, macs=SCORES * 24, vector=6 * SCORES, special=SCORES),
    # keys made before, (B, H, S, D): the bias is for the queries alone; masks of both kinds are one
    microsoft("MultiHeadAttention",
              [(2, 6, 32), (2, 4, 10, 8), (2, 4, 10, 16), (128,), (2, 10)], [(2, 6, 64)], num_heads=4,
              unidirectional=1, macs=SCORES * 24, vector=8 * 48 + 6 * SCORES, special=SCORES),
    # 7 past keys and 3 new ones
    microsoft("MultiHeadAttention",
              [(2, 6, 32), (2, 3, 32), (2, 3, 64), None, None, None, (2, 4, 7, 8), (2, 4, 7, 16)],
              [(2, 6, 64)],
              num_heads=4, macs=SCORES * 24, vector=5 * SCORES, special=SCORES),
    # a buffer of 10, of which 4 are in use before the 3 new ones: 2 x 4 x 6 x 7 scores; all of it otherwise
    microsoft("MultiHeadAttention",
              [(2, 6, 32), (2, 3, 32), (2, 3, 64), None, None, None, (2, 4, 10, 8), (2, 4, 10, 16), (1,)],
              [(2, 6, 64), (2, 4, 10, 8), (2, 4, 10, 16)], constants={8: [4]},
              num_heads=4, macs=336 * 24, vector=5 * 336, special=336),
    microsoft("MultiHeadAttention",
              [(2, 6, 32), (2, 3, 32), (2, 3, 64), None, None, None, (2, 4, 10, 8), (2, 4, 10, 16), (1,)],
              [(2, 6, 64), (2, 4, 10, 8), (2, 4, 10, 16)],
              num_heads=4, macs=SCORES * 24, vector=5 * SCORES, special=SCORES),
    # lengths of several sequences are no length of all
    microsoft("MultiHeadAttention",
              [(2, 6, 32), (2, 3, 32), (2, 3, 64), None, None, None, (2, 4, 10, 8), (2, 4, 10, 16), (2,)],
              [(2, 6, 64), (2, 4, 10, 8), (2, 4, 10, 16)], constants={8: [4, 5]},
              num_heads=4, macs=SCORES * 24, vector=5 * SCORES, special=SCORES),
    # a mask over 7 keys says that the other 3 of the buffer are not in use: 2 x 4 x 6 x 7 scores
    microsoft("MultiHeadAttention",
              [(2, 6, 32), (2, 3, 32), (2, 3, 64), None, (2, 7), None, (2, 4, 10, 8), (2, 4, 10, 16), (1,)],
              [(2, 6, 64), (2, 4, 10, 8), (2, 4, 10, 16)],
              num_heads=4, macs=336 * 24, vector=6 * 336, special=336),
    # packed Q, K and V, and packed K and V
    microsoft("MultiHeadAttention", [(2, 6, 4, 3, 8)], [(2, 6, 32)], num_heads=4,
              macs=OWN * 16, vector=5 * OWN, special=OWN),
    microsoft("MultiHeadAttention", [(2, 6, 32), (2, 10, 4, 2, 8)], [(2, 6, 32)], num_heads=4,
              macs=SCORES * 16, vector=5 * SCORES, special=SCORES),
    # one query over 7 past keys and its own; 4 x (8 + 8 + 24) wide; biases of 1 x 8 and 1 x 32 per head
    microsoft("DecoderMaskedMultiHeadAttention",
              [(2, 1, 160), None, None, (2, 8), (2, 4, 1, 8), (2, 4, 7, 8), (2, 4, 7, 24), None, None, None,
               (160,)],
              [(2, 1, 96)], num_heads=4, macs=64 * 32, vector=8 * (8 + 32) + 7 * 64, special=64),
    # 3 keys of a buffer of 10 are in use, and its own: 2 x 4 x 4 scores
    microsoft("DecoderMaskedMultiHeadAttention",
              [(2, 1, 32), (2, 1, 32), (2, 1, 32), None, None, (2, 4, 10, 8), (2, 4, 10, 8), (1,)],
              [(2, 1, 32), (2, 4, 10, 8), (2, 4, 10, 8)], constants={7: [3]},
              num_heads=4, macs=32 * 16, vector=5 * 32, special=32),
    microsoft("DecoderMaskedMultiHeadAttention", [(2, 1, 32), (2, 4, 10, 8), (2, 4, 10, 16)], [(2, 1, 64)],
              num_heads=4, macs=80 * 24, vector=5 * 80, special=80),
    microsoft("DecoderMaskedMultiHeadAttention", [(2, 1, 32), (2, 4, 10, 8), (2, 4, 10, 16), (2, 10)],
              [(2, 1, 64)], num_heads=4, macs=80 * 24, vector=6 * 80, special=80),
    microsoft("DecoderMaskedMultiHeadAttention",
              [(2, 1, 32), (2, 4, 10, 8), (2, 4, 10, 16), None, (2, 4, 1, 10)], [(2, 1, 64)], num_heads=4,
              macs=80 * 24, vector=6 * 80, special=80),
    # 4 tokens and 5, as the file says: 4 x (16 + 25) scores
    microsoft("PackedMultiHeadAttention", [(9, 32), (9, 32), (9, 64), None, (2, 6), (3,)], [(9, 64)],
              num_heads=4, constants={5: [0, 4, 9]}, macs=164 * 24, vector=5 * 164, special=164),
    # 9 tokens; biases on 4 x (8 + 8 + 16) elements of each
    microsoft("PackedMultiHeadAttention",
              [(9, 32), (9, 32), (9, 64), (128,), (2, 6), (3,), (1, 4, 6, 6)], [(9, 64)], num_heads=4,
              macs=OWN * 24, vector=9 * 4 * 32 + 6 * OWN, special=OWN),
    microsoft("PackedMultiHeadAttention", [(9, 32), (9, 32), (9, 64), None, (2, 6), (3,)], [(9, 64)],
              num_heads=4, macs=OWN * 24, vector=5 * OWN, special=OWN),
    microsoft("PackedMultiHeadAttention", [(9, 4, 3, 8), None, None, None, (2, 6), (3,)], [(9, 32)],
              num_heads=4, macs=OWN * 16, vector=5 * OWN, special=OWN),
)  # fmt: skip

# 4 query heads on 2 shared ones, 8 wide
GROUPED = {"num_heads": 4, "kv_num_heads": 2}
PAST = [(2, 2, 7, 8), (2, 2, 7, 8)]
LENGTHS = [(2,), ()]
KEPT = [(2, 2, 10, 8), (2, 2, 10, 8)]
PAGES, PLACES = [(4, 16, 2, 8), (4, 16, 2, 8)], [(3,), (2,), (2, 2)]
GROUPED_QUERIES: tuple[Case, ...] = (
    # 3 queries over 7 past and 3 new keys, causal
    microsoft("GroupQueryAttention", [(2, 3, 32), (2, 3, 16), (2, 3, 16), *PAST, *LENGTHS], [(2, 3, 32)],
              **GROUPED, macs=240 * 16, vector=6 * 240, special=240),
    # a present of 10 keys; not causal, a bias of the scores, a softcap
    microsoft("GroupQueryAttention",
              [(2, 3, 32), (2, 3, 16), (2, 3, 16), *KEPT, *LENGTHS, None, None, None, (1, 4, 3, 10)],
              [(2, 3, 32), *KEPT], **GROUPED, causal=0, softcap=30.0,
              macs=240 * 16, vector=(6 + 2) * 240, special=2 * 240),
    # all three in the query, (4 + 2 + 2) x 8 wide; rotated by 3 cosines, so 6 of 8, in 2 x (12 + 6) vectors
    microsoft("GroupQueryAttention", [(2, 3, 64), None, None, *PAST, *LENGTHS, (50, 3), (50, 3)],
              [(2, 3, 32)],
              **GROUPED, do_rotary=1, macs=240 * 16, vector=6 * 240 + 3 * 36 * 6, special=240),
    # queries and keys normalized: 4 for each of 36 x 8, an add and a root for each vector; a sink per row
    microsoft("GroupQueryAttention",
              [(2, 3, 64), None, None, *PAST, *LENGTHS, *[None] * 4, (4,), None, None, (8,), (8,)],
              [(2, 3, 32)], **GROUPED,
              macs=240 * 16, vector=6 * 240 + 4 * 288 + 36 + 24, special=240 + 36 + 24),
    microsoft("GroupQueryAttention", [(2, 3, 64), None, None, *PAST, *LENGTHS], [(2, 3, 32)], **GROUPED,
              smooth_softmax=1, macs=240 * 16, vector=6 * 240 + 24, special=240 + 24),
    # both caches quantized: one multiply for 2 x 2 x 10 x 8 elements of each, 4 for the new 2 x 2 x 3 x 8
    microsoft("GroupQueryAttention", [(2, 3, 64), None, None, *PAST, *LENGTHS], [(2, 3, 32)], **GROUPED,
              k_quant_type="PER_TENSOR", v_quant_type="PER_CHANNEL",
              macs=240 * 16, vector=6 * 240 + 2 * (320 + 4 * 96), special=240),
    # one shared head: (4 + 1 + 1) x 8 wide
    microsoft("GroupQueryAttention", [(2, 3, 48), None, None, (2, 1, 7, 8), (2, 1, 7, 8), *LENGTHS],
              [(2, 3, 32)], num_heads=4, kv_num_heads=1, macs=240 * 16, vector=6 * 240, special=240),
    # other new keys than queries: 2 x (3 x 4 + 5 x 2) vectors to rotate
    microsoft("GroupQueryAttention",
              [(2, 3, 32), (2, 5, 16), (2, 5, 16), None, None, *LENGTHS, (50, 4), (50, 4)], [(2, 3, 32)],
              **GROUPED, do_rotary=1, macs=120 * 16, vector=6 * 120 + 3 * 44 * 8, special=120),
    # a prompt with an empty past: 3 keys, whatever somebody takes the present for
    microsoft("GroupQueryAttention",
              [(2, 3, 32), (2, 3, 16), (2, 3, 16), (2, 2, 0, 8), (2, 2, 0, 8), *LENGTHS],
              [(2, 3, 32), (2, 2, 0, 8), (2, 2, 0, 8)], **GROUPED, macs=72 * 16, vector=6 * 72, special=72),
    # a buffer that the 3 new keys fill
    microsoft("GroupQueryAttention",
              [(2, 3, 32), (2, 3, 16), (2, 3, 16), (2, 2, 3, 8), (2, 2, 3, 8), *LENGTHS],
              [(2, 3, 32), (2, 2, 3, 8), (2, 2, 3, 8)], **GROUPED, macs=72 * 16, vector=6 * 72, special=72),
    # a present that is longer than the past: 7 + 3 keys
    microsoft("GroupQueryAttention", [(2, 3, 32), (2, 3, 16), (2, 3, 16), *PAST, *LENGTHS],
              [(2, 3, 32), *KEPT], **GROUPED, macs=240 * 16, vector=6 * 240, special=240),
    # 5 keys of a buffer of 10 are in use, as the total length says: 2 x 4 x 3 x 5 scores
    microsoft("GroupQueryAttention", [(2, 3, 32), (2, 3, 16), (2, 3, 16), *KEPT, *LENGTHS],
              [(2, 3, 32), *KEPT], constants={6: 5}, **GROUPED, macs=120 * 16, vector=6 * 120, special=120),
    # causal, and a bias of the scores
    microsoft("GroupQueryAttention",
              [(2, 3, 32), (2, 3, 16), (2, 3, 16), *PAST, *LENGTHS, None, None, None, (1, 4, 3, 10)],
              [(2, 3, 32), *KEPT], **GROUPED, macs=240 * 16, vector=7 * 240, special=240),
    # 3 past keys of one sequence and 6 of the other, a length each: 4 x 3 x (6 + 9) scores
    microsoft("GroupQueryAttention", [(2, 3, 32), (2, 3, 16), (2, 3, 16), *KEPT, *LENGTHS],
              [(2, 3, 32), *KEPT], constants={5: [5, 8], 6: 9}, **GROUPED,
              macs=180 * 16, vector=6 * 180, special=180),
    # a window of 4 in front of 10 keys: 2 x 4 x 3 x 4 scores; both caches quantized, 3 past rows are read
    microsoft("GroupQueryAttention", [(2, 3, 64), None, None, *PAST, *LENGTHS], [(2, 3, 32), *KEPT],
              **GROUPED, local_window_size=4, k_quant_type="PER_TENSOR", v_quant_type="PER_CHANNEL",
              macs=96 * 16, vector=6 * 96 + 2 * (2 * 2 * 6 * 8 + 4 * 96), special=96),
    # a prompt that is shorter than the padded queries: 2 keys
    microsoft("GroupQueryAttention", [(1, 3, 64), None, None, None, None, (1,), ()], [(1, 3, 32)],
              constants={5: [1]}, **GROUPED, macs=24 * 16, vector=6 * 24, special=24),
    # 2 new tokens after 4 and 3 after 5, 16 wide: (2 x 6 + 3 x 8) x 4 scores; not causal
    microsoft("PagedAttention", [(5, 32), (5, 16), (5, 16), *PAGES, *PLACES], [(5, 32)],
              constants={5: [0, 2, 5], 6: [4, 5]}, is_causal=0, **GROUPED,
              macs=144 * 16, vector=5 * 144, special=144),
    # one sequence of 5 after 7, packed, rotated by 3 cosines, with a softcap; norms of 5 x 6 vectors; sinks
    microsoft("PagedAttention",
              [(5, 64), None, None, *PAGES, (2,), (1,), (1, 2), (50, 3), (50, 3), None, (4,), (8,), (8,)],
              [(5, 32)], constants={6: [7]}, do_rotary=1, softcap=30.0, **GROUPED,
              macs=240 * 16, vector=(6 + 2) * 240 + 3 * 30 * 6 + 4 * 240 + 30 + 20,
              special=2 * 240 + 30 + 20),
    # one shared head, (4 + 1 + 1) x 8 wide, and sinks
    microsoft("PagedAttention",
              [(1, 48), None, None, *[(4, 16, 1, 8)] * 2, (2,), (1,), (1, 2), None, None, None, (4,)],
              [(1, 32)], constants={6: [7]}, num_heads=4, kv_num_heads=1,
              macs=32 * 16, vector=6 * 32 + 4, special=32 + 4),
    # a window of 3 on 12 keys: 4 x 5 x 3; without causality 2 past keys and all 5 new ones
    microsoft("PagedAttention", [(5, 64), None, None, *PAGES, (2,), (1,), (1, 2)], [(5, 32)],
              constants={6: [7]}, local_window_size=3, k_quant_type="PER_TENSOR", **GROUPED,
              macs=60 * 16, vector=6 * 60 + 2 * 8 * (2 + 5 * 5), special=60),
    microsoft("PagedAttention", [(5, 64), None, None, *PAGES, (2,), (1,), (1, 2)], [(5, 32)],
              constants={6: [7]}, local_window_size=3, is_causal=0, **GROUPED,
              macs=140 * 16, vector=5 * 140, special=140),
    # keys and values in one row of 24, of which 16 are values
    microsoft("PagedAttention", [(1, 96), (1, 24), None, (2, 16, 1, 24), None, (2,), (1,), (1, 2)],
              [(1, 64)], constants={6: [7]}, num_heads=4, kv_num_heads=1, v_head_size=16,
              kv_cache_layout="LATENT", macs=32 * 40, vector=6 * 32, special=32),
    # room for 5 of 10 keys: 2 x 4 x 3 x 5 scores; rotated by 3 cosines; norms of 2 x (12 + 6) vectors, sinks
    microsoft("DynamicSparseAttention",
              [(2, 3, 64), None, None, *PAST, None, None, (6, 5), (6,), *LENGTHS, (50, 3), (50, 3), None,
               (8,), (8,), (4,)],
              [(2, 3, 32), *KEPT], attention_mode="selected_only", do_rotary=1, **GROUPED,
              macs=120 * 16, vector=6 * 120 + 3 * 36 * 6 + 4 * 288 + 36 + 24, special=120 + 36 + 24),
    # no more than there are
    microsoft("DynamicSparseAttention", [(2, 3, 64), None, None, *PAST, None, None, (6, 50), (6,), *LENGTHS],
              [(2, 3, 32), *KEPT], attention_mode="selected_only", **GROUPED,
              macs=240 * 16, vector=6 * 240, special=240),
    # a window of 4 and 5 others beside it
    microsoft("DynamicSparseAttention",
              [(2, 3, 64), None, None, *PAST, (2, 2, 9, 8), (2, 2, 9, 8), (6, 5), (6,), *LENGTHS],
              [(2, 3, 32), *KEPT], attention_mode="local_plus_selected", local_window_size=4, **GROUPED,
              macs=216 * 16, vector=6 * 216, special=216),
    # norms alone, sinks alone
    microsoft("DynamicSparseAttention",
              [(2, 3, 64), None, None, *PAST, None, None, (6, 5), (6,), *LENGTHS, *[None] * 3, (8,), (8,)],
              [(2, 3, 32), *KEPT], **GROUPED,
              macs=120 * 16, vector=6 * 120 + 4 * 288 + 36, special=120 + 36),
    microsoft("SparsePagedAttention",
              [(5, 64), None, None, *PAGES, (2,), (1,), (1, 2), None, (5, 6), (5,), *[None] * 5, (4,)],
              [(5, 32)], constants={6: [7]}, **GROUPED, macs=120 * 16, vector=6 * 120 + 20,
              special=120 + 20),
    microsoft("SparsePagedAttention",
              [(5, 64), None, None, *PAGES, (2,), (1,), (1, 2), None, (5, 6), (5,), *[None] * 6, (8,), (8,)],
              [(5, 32)], constants={6: [7]}, **GROUPED, macs=120 * 16, vector=6 * 120 + 4 * 240 + 30,
              special=120 + 30),
    # one sequence of 5 tokens after 7, room for 6 of 12 keys
    microsoft("SparsePagedAttention",
              [(5, 64), None, None, *PAGES, (2,), (1,), (1, 2), None, (5, 6), (5,), None, None, None, (50, 4),
               (50, 4), (4,), (8,), (8,)],
              [(5, 32)], constants={6: [7]}, attention_mode="selected_only", do_rotary=1, **GROUPED,
              macs=120 * 16, vector=6 * 120 + 3 * 30 * 8 + 4 * 240 + 30 + 20, special=120 + 30 + 20),
    # 2 blocks of 4 x 4 in each head's layout are 32 scores, of 6 x 10; rotated as above
    microsoft("SparseAttention",
              [(2, 6, 32), (2, 6, 16), (2, 6, 16), *KEPT, (1, 4), (1, 2), (), (2,), (50, 4), (50, 4)],
              [(2, 6, 32), *KEPT], **GROUPED, sparse_block_size=4, do_rotary=1,
              macs=2 * 4 * 32 * 16, vector=6 * 256 + 3 * 72 * 8, special=256),
    # 7 keys of the buffer are in use: 2 x 4 x 6 x 7 scores, fewer than the blocks have
    microsoft("SparseAttention",
              [(2, 6, 64), None, None, *KEPT, (1, 4), (1, 9), (), (2,)], [(2, 6, 32), *KEPT], **GROUPED,
              constants={7: 7}, sparse_block_size=4, macs=2 * 4 * 42 * 16, vector=6 * 336, special=336),
    # 9 blocks would be 144: more than there are
    microsoft("SparseAttention",
              [(2, 6, 64), None, None, *KEPT, (1, 4), (1, 9), (), (2,)],
              [(2, 6, 32), *KEPT], **GROUPED, sparse_block_size=4,
              macs=2 * 4 * 60 * 16, vector=6 * 480, special=480),
)  # fmt: skip

FLAGS: list[tuple[int, ...]] = [(), (), (), ()]
DECODER: tuple[Case, ...] = (
    # 3 queries of 2 sequences over 5 other tokens: 3 x 2 x 32 elements of Q, 5 x 2 x 64 of K and V
    microsoft("DecoderAttention",
              [(3, 2, 32), (5, 2, 32), (32, 32), (32, 64), (96,), (2, 5), None, None, *FLAGS], [(3, 2, 32)],
              constants={8: True, 9: False}, num_heads=4,
              macs=(192 + 640) * 32 + 120 * 16, vector=832 + 6 * 120, special=120),
    # their keys and values from a cache of 7
    microsoft("DecoderAttention",
              [(3, 2, 32), (5, 2, 32), (32, 32), (32, 64), (96,), None, *[(2, 4, 7, 8)] * 2, *FLAGS],
              [(3, 2, 32)], constants={8: True, 9: True}, num_heads=4,
              macs=192 * 32 + 168 * 16, vector=192 + 5 * 168, special=168),
    # its own 3 behind 7 earlier ones
    microsoft("DecoderAttention",
              [(3, 2, 32), (5, 2, 32), (32, 32), (32, 64), (96,), None, *[(2, 4, 7, 8)] * 2, *FLAGS],
              [(3, 2, 32)], constants={8: False, 9: True}, num_heads=4,
              macs=(192 + 384) * 32 + 240 * 16, vector=576 + 5 * 240, special=240),
)  # fmt: skip

ROTATIONS: tuple[Case, ...] = (
    microsoft("RotaryEmbedding", [(2, 4, 6, 8), (2, 6), (50, 4), (50, 4)], [(2, 4, 6, 8)], vector=3 * 384),
    microsoft("RotaryEmbedding", [(2, 6, 32), (1,), (50, 4), (50, 4)], [(2, 6, 32)], vector=3 * 384),
    # 6 of the 8 elements of each head
    microsoft("RotaryEmbedding", [(2, 6, 32), (2, 6), (50, 3), (50, 3)], [(2, 6, 32)], num_heads=4,
              rotary_embedding_dim=6, vector=3 * 288),
    microsoft("RotaryEmbedding", [(2, 4, 6, 8), (2, 6), (50, 3), (50, 3)], [(2, 4, 6, 8)], num_heads=4,
              rotary_embedding_dim=6, vector=3 * 288),
    microsoft("MRotaryEmbedding", [(2, 6, 32), (3, 2, 6), (50, 4), (50, 4)], [(2, 6, 32)], vector=3 * 384),
    # sine and cosine of 2 x 6 x 8 angles; 4 query heads and 2 key heads, 3 for each element
    microsoft("GemmaRotaryEmbedding",
              [(2, 6, 8), (2, 4, 6, 8), (2, 4, 6, 8), (2, 2, 6, 8), (2, 2, 6, 8)],
              [(2, 4, 6, 8), (2, 2, 6, 8)], vector=3 * (384 + 192), special=2 * 96),
    # 2 x 4 x 6 rows of 8, to 10 gates: a bias each, a sum of the gates, 4 for the factor, 6 results
    microsoft("GatedRelativePositionBias", [(2, 6, 32), (32,), (1, 4, 6, 6), (8, 10), (10,), (1, 4, 1, 1)],
              [(2, 4, 6, 6)], num_heads=4, macs=48 * 8 * 10, vector=48 * (8 + 10 + 10 + 4 + 6),
              special=2 * 48),
)  # fmt: skip

ATTENTION_CASES = PROJECTING + MULTI_HEAD + GROUPED_QUERIES + DECODER + ROTATIONS + STATE_CASES
