"""Normalizations of ONNX Runtime, and ONNX's operators in other layouts."""

from __future__ import annotations

from functools import partial

from tests.profile.count.rules.nodes import Case, case

microsoft = partial(case, domain="com.microsoft")
blocks = partial(case, domain="com.microsoft.nchwc")
channels_last = partial(case, domain="com.ms.internal.nhwc")

TEXT = (2, 3, 8)  # 6 rows of 8: 48 elements
ROWS = 3 * 6  # a layer norm's three operations for each row, and a root
NORMALIZATIONS: tuple[Case, ...] = (
    # the skip, then 6 of the layer; beta and the bias are one more each
    microsoft("SkipLayerNormalization", [TEXT, TEXT, (8,)], [TEXT], vector=7 * 48 + ROWS, special=6),
    microsoft("SkipLayerNormalization", [TEXT, TEXT, (8,), (8,), (8,)], [TEXT, None, None, TEXT],
              vector=9 * 48 + ROWS, special=6),
    microsoft("SkipLayerNormalization", [TEXT, TEXT, (8,), None, (8,)], [TEXT, None, (2, 3, 1)],
              vector=8 * 48 + ROWS + 6, special=6),
    # the skip, square, mean, divide, scale; an add for each row
    microsoft("SkipSimplifiedLayerNormalization", [TEXT, TEXT, (8,)], [TEXT], vector=5 * 48 + 6, special=6),
    microsoft("SkipSimplifiedLayerNormalization", [TEXT, TEXT, (8,), (8,)], [TEXT, None, (2, 3, 1)],
              vector=6 * 48 + 2 * 6, special=6),
    # two embeddings added, then 7 of the layer; a third one and a mask of 2 x 3
    microsoft("EmbedLayerNormalization", [(2, 3), None, (99, 8), (50, 8), None, (8,), (8,)], [TEXT],
              vector=8 * 48 + ROWS, special=6),
    microsoft("EmbedLayerNormalization", [(2, 3), (2, 3), (99, 8), (50, 8), (2, 8), (8,), (8,), (2, 3)],
              [TEXT, (2,)], vector=9 * 48 + ROWS + 6, special=6),
    # each gathered element is dequantized: 2 for two tables, or three
    microsoft("QEmbedLayerNormalization", [(2, 3), None, (99, 8), (50, 8), None, (8,), (8,)], [TEXT, (2,)],
              vector=(8 + 4) * 48 + ROWS, special=6),
    microsoft("QEmbedLayerNormalization",
              [(2, 3), (2, 3), (99, 8), (50, 8), (2, 8), (8,), (8,), (2, 3)], [TEXT, (2,)],
              vector=(9 + 6) * 48 + ROWS + 6, special=6),
    # 7 for each of 240 elements, 3 and a root for 2 x 3 groups; SiLU: sigmoid and a multiply
    microsoft("GroupNorm", [(2, 4, 5, 6), (6,), (6,)], [(2, 4, 5, 6)], groups=3, activation=0,
              vector=7 * 240 + 18, special=6),
    microsoft("GroupNorm", [(2, 4, 5, 6), (6,), (6,)], [(2, 4, 5, 6)], groups=3, activation=1,
              vector=8 * 240 + 18, special=6 + 240),
    microsoft("SkipGroupNorm", [(2, 4, 5, 6), (6,), (6,), (2, 4, 5, 6)], [(2, 4, 5, 6)], groups=3,
              activation=0, vector=8 * 240 + 18, special=6),
    microsoft("SkipGroupNorm", [(2, 4, 5, 6), (6,), (6,), (2, 6), (6,)], [(2, 4, 5, 6)], groups=3,
              activation=1, vector=10 * 240 + 18, special=6 + 240),
    # 2 x 3 rows of 8, or two branches of 4 in each
    microsoft("BranchwiseRMSNorm", [TEXT], [TEXT], num_branches=0, vector=3 * 48 + 6, special=6),
    microsoft("BranchwiseRMSNorm", [TEXT, (8,)], [TEXT], num_branches=2, vector=4 * 48 + 12, special=12),
    # rows as long as the scale; SiLU of the gate and its product; or a sigmoid
    microsoft("GatedRMSNorm", [TEXT, (4,), TEXT], [TEXT], vector=(3 + 1 + 1 + 1) * 48 + 12, special=12 + 48),
    microsoft("GatedRMSNorm", [TEXT, (8,), TEXT], [TEXT], activation="sigmoid",
              vector=(3 + 1 + 1) * 48 + 6, special=6 + 48),
    # scaled, normalized, quantized
    microsoft("QOrderedLayerNormalization", [TEXT, (), (8,), (8,), ()], [TEXT],
              vector=(1 + 7 + 4) * 48 + ROWS, special=6),
    microsoft("QOrderedLayerNormalization", [TEXT, (), (8,), None, ()], [TEXT],
              vector=(1 + 6 + 4) * 48 + ROWS, special=6),
)  # fmt: skip

LAYOUTS: tuple[Case, ...] = (
    # 10 channels fill a block of 16 up: all 16 are computed, from 8 channels x 9 taps
    blocks("Conv", [(1, 8, 6, 6), (16, 8, 3, 3), (16,)], [(1, 16, 4, 4)], activation="Relu",
           macs=256 * 72, vector=2 * 256),
    blocks("Conv", [(1, 8, 4, 4), (8, 8, 1, 1), None, (1, 8, 4, 4)], [(1, 8, 4, 4)],
           macs=128 * 8, vector=128),
    *(blocks(op_type, [(1, 8, 4, 6)], [(1, 8, 2, 2)], kernel_shape=(2, 3), strides=(2, 3), vector=6 * 32)
      for op_type in ("MaxPool", "AveragePool")),
    *(blocks(op_type, [(1, 8, 4, 6)], [(1, 8, 1, 1)], vector=192)
      for op_type in ("GlobalMaxPool", "GlobalAveragePool")),
    blocks("Upsample", [(1, 8, 4, 6)], [(1, 8, 8, 12)], mode="linear", vector=7 * 768),
    blocks("Upsample", [(1, 8, 4, 6)], [(1, 8, 8, 12)]),
    blocks("ReorderInput", [(1, 10, 4, 6)], [(1, 16, 4, 6)]),
    blocks("ReorderOutput", [(1, 16, 4, 6)], [(1, 10, 4, 6)], channels=10),
    channels_last("Conv", [(1, 4, 4, 3), (5, 3, 1, 1), (5,)], [(1, 4, 4, 5)], macs=80 * 3, vector=80),
    # 3 channels x 4 positions, each multiplied into 5 channels x 2 taps
    channels_last("ConvTranspose", [(1, 4, 3), (3, 5, 2), (5,)], [(1, 8, 5)], macs=12 * 10, vector=40),
    channels_last("QLinearConv", [(1, 4, 4, 3), (), (), (5, 3, 1, 1), (), (), (), ()], [(1, 4, 4, 5)],
                  weights={3, 5}, macs=240, vector=48 + 5 * 80),
    channels_last("QLinearConvTranspose", [(1, 4, 3), (), (), (3, 5, 2), (), (), (), (), (5,)], [(1, 8, 5)],
                  weights={3, 5}, macs=12 * 10, vector=12 + 6 * 40),
    channels_last("QLinearAveragePool", [(1, 4, 10, 6), (), (), (), ()], [(1, 2, 5, 6)], kernel_shape=(2, 2),
                  strides=(2, 2), vector=2 * 240 + 4 * 60 + 5 * 60),
    *(channels_last(op_type, [(1, 4, 6, 8)], [(1, 2, 2, 8)], kernel_shape=(2, 3), strides=(2, 3),
                    vector=6 * 32)
      for op_type in ("MaxPool", "AveragePool")),
    *(channels_last(op_type, [(1, 4, 6, 8)], [(1, 1, 1, 8)], vector=192)
      for op_type in ("GlobalMaxPool", "GlobalAveragePool")),
    channels_last("BatchNormalization", [(2, 4, 5, 6), *[(6,)] * 4], [(2, 4, 5, 6)], weights={1, 2, 3, 4},
                  vector=4 * 240),
    # a row for each of 2 images x 6 channels, the last axis
    channels_last("InstanceNormalization", [(2, 4, 5, 6), (6,), (6,)], [(2, 4, 5, 6)],
                  vector=7 * 240 + 3 * 12, special=12),
    channels_last("LRN", [(2, 4, 5, 6)], [(2, 4, 5, 6)], size=5, vector=9 * 240, special=240),
    channels_last("Resize", [(1, 4, 5, 3)], [(1, 8, 10, 3)], mode="linear", vector=7 * 240),
    channels_last("DepthToSpace", [(1, 2, 2, 8)], [(1, 4, 4, 2)]),
    channels_last("SpaceToDepth", [(1, 4, 4, 2)], [(1, 2, 2, 8)]),
)  # fmt: skip

NORMALIZATION_CASES = NORMALIZATIONS + LAYOUTS
