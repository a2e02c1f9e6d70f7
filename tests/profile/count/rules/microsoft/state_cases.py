"""Attention without scores, as ONNX Runtime has it."""

from __future__ import annotations

from functools import partial

from tests.profile.count.rules.nodes import Case, case

microsoft = partial(case, domain="com.microsoft")

# 2 x 6 tokens, 4 query heads of 8, 2 states of 8 x 16: a state is 128 MACs for each token
STATE_CASES: tuple[Case, ...] = (
    # an update for each state, a read for each query head, which is scaled
    microsoft("LinearAttention", [(2, 6, 32), (2, 6, 16), (2, 6, 32)], [(2, 6, 64), (2, 2, 8, 16)],
              q_num_heads=4, kv_num_heads=2, update_rule="linear",
              macs=12 * (2 + 4) * 128, vector=12 * 4 * 16),
    # a decay per state: a multiply for each of its elements, an exponential for each of 2 x 6 x 2
    microsoft("LinearAttention", [(2, 6, 32), (2, 6, 16), (2, 6, 32), None, (2, 6, 2)],
              [(2, 6, 64), (2, 2, 8, 16)], q_num_heads=4, kv_num_heads=2, update_rule="gated",
              macs=12 * 6 * 128, vector=12 * 64 + 12 * 2 * 128, special=24),
    # the delta rule reads the state once more, and takes 2 for each of its 16 values
    microsoft("LinearAttention", [(2, 6, 32), (2, 6, 16), (2, 6, 32), None, None, (2, 6, 2)],
              [(2, 6, 64), (2, 2, 8, 16)], q_num_heads=4, kv_num_heads=2, update_rule="delta",
              macs=12 * (4 + 4) * 128, vector=12 * 64 + 2 * 12 * 2 * 16),
    # both, the default; 2 queries for 4 states: an output for each state
    microsoft("LinearAttention", [(2, 6, 16), (2, 6, 32), (2, 6, 64), None, (2, 6, 4), (2, 6, 4)],
              [(2, 6, 64), (2, 4, 8, 16)], q_num_heads=2, kv_num_heads=4,
              macs=12 * (8 + 4) * 128, vector=12 * 64 + 2 * 12 * 4 * 16 + 12 * 4 * 128, special=48),
    # 12 tokens, 2 queries and keys of 8, 4 values of 16
    microsoft("GatedDeltaNet", [(12, 2, 8), (12, 2, 8), (12, 4, 16), None, (12, 4), (12, 4)], [(12, 4, 16)],
              macs=12 * (8 + 4) * 128, vector=12 * 64 + 2 * 12 * 4 * 16 + 12 * 4 * 128, special=48),
    # packed, (2 x 2 x 8 + 4 x 16) wide; unit lengths for 2 x 12 x 2 vectors; a sigmoid for each of 48 rates,
    # an add, a softplus and a multiply for each of 48 x 8 decays
    microsoft("GatedDeltaNet", [(2, 6, 96), None, None, None, (2, 6, 4, 8), (2, 6, 4), (2, 4, 16, 8)],
              [(2, 6, 4, 16)],
              qk_l2_norm=1, beta_activation="sigmoid", gate_activation="qwen",
              macs=12 * (8 + 4) * 128,
              vector=12 * 64 + 2 * 12 * 4 * 16 + 12 * 4 * 128 + 3 * 48 * 8 + 3 * 384,
              special=384 + 48 + 48 + 2 * 384),
)  # fmt: skip
