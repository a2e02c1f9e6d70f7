"""Convolutions, matrix products and element-wise operators that ONNX Runtime joins to others."""

from __future__ import annotations

from functools import partial

from tests.profile.count.rules.nodes import Case, case

microsoft = partial(case, domain="com.microsoft")

# what an activation costs for one element: (vector, special), as the operator of that name
ACTIVATIONS = {
    "Relu": (1, 0),
    "LeakyRelu": (3, 0),
    "HardSigmoid": (4, 0),
    "Tanh": (0, 1),
    "Clip": (4, 0),  # two bounds, a compare and a select each
    "Softmax": (4, 1),
    "Gelu": (4, 1),
    "silu": (1, 1),  # sigmoid, mul
    "swish": (1, 1),
    "none": (0, 0),
    "identity": (0, 0),
}

CONVOLUTIONS: tuple[Case, ...] = (
    # 2 images x 10 channels x 81 positions, 3 channels x 15 taps each; no activation named: none
    microsoft("FusedConv", [(2, 6, 11, 13), (10, 3, 3, 5)], [(2, 10, 9, 9)], macs=1620 * 45),
    # a bias, a sum and an activation: three operations for each output
    microsoft(
        "FusedConv", [(1, 3, 4, 4), (5, 3, 1, 1), (5,), (1, 5, 4, 4)], [(1, 5, 4, 4)], activation="Relu",
        macs=80 * 3, vector=3 * 80,
    ),
    # channels last: the weight still has its kernel last
    microsoft("NhwcConv", [(1, 4, 4, 3), (5, 3, 1, 1), (5,)], [(1, 4, 4, 5)], macs=80 * 3, vector=80),
    microsoft("NhwcConv", [(1, 4, 4, 3), (5, 3, 1, 1)], [(1, 4, 4, 5)], macs=80 * 3),
    microsoft(
        "NhwcFusedConv", [(1, 4, 4, 3), (5, 3, 1, 1), None, (1, 4, 4, 5)], [(1, 4, 4, 5)],
        activation="Sigmoid", macs=80 * 3, vector=80, special=80,
    ),
    # 3 channels x 4 positions, each multiplied into 5 channels x 2 taps; the bias comes fourth
    microsoft(
        "ConvTransposeWithDynamicPads", [(1, 3, 4), (3, 5, 2), (2,), (5,)], [(1, 5, 8)],
        macs=3 * 4 * (5 * 2), vector=5 * 8,
    ),
    microsoft("ConvTransposeWithDynamicPads", [(1, 3, 4), (3, 5, 2), (2,)], [(1, 5, 8)], macs=120),
    # depthwise over a sequence: 4 taps for each of 2 x 6 x 7
    microsoft(
        "CausalConvWithState", [(2, 6, 7), (6, 1, 4), (6,), (2, 6, 3)], [(2, 6, 7), (2, 6, 3)],
        activation="silu", macs=84 * 4, vector=84 + 84, special=84,
    ),
    microsoft("CausalConvWithState", [(2, 6, 7), (6, 1, 4), None, (2, 6, 3)], [(2, 6, 7), (2, 6, 3)],
              macs=84 * 4),
    # packed tokens: the third input is where sequences start, the fourth the bias
    microsoft(
        "VarlenCausalConvWithState", [(14, 6), (6, 1, 4), (3,), (6,), (2, 6, 3)], [(14, 6), (2, 6, 3)],
        activation="swish", macs=84 * 4, vector=84 + 84, special=84,
    ),
    microsoft(
        "VarlenCausalConvWithState", [(14, 6), (6, 1, 4), (3,), None, (2, 6, 3)], [(14, 6), (2, 6, 3)],
        macs=84 * 4,
    ),
)  # fmt: skip

PRODUCTS: tuple[Case, ...] = (
    *(
        microsoft("FusedGemm", [(3, 7), (7, 5)], [(3, 5)], activation=name, macs=105, vector=15 * vector,
                  special=15 * special)
        for name, (vector, special) in ACTIVATIONS.items()
    ),
    microsoft("FusedGemm", [(7, 3), (5, 7), (5,)], [(3, 5)], transA=1, transB=1, alpha=0.5, activation="Relu",
              macs=105, vector=15 + 15 + 15),
    # the sum over the last axis of A; transposed the last but one; a batch transposed in between, the first
    microsoft("FusedMatMul", [(2, 4, 3, 7), (2, 4, 7, 5)], [(2, 4, 3, 5)], macs=120 * 7),
    microsoft("FusedMatMul", [(2, 4, 7, 3), (2, 4, 5, 7)], [(2, 4, 3, 5)], transA=1, transB=1, macs=120 * 7),
    microsoft("FusedMatMul", [(3, 2, 4, 7), (5, 2, 4, 7)], [(2, 4, 3, 5)], transBatchA=1, transBatchB=1,
              transB=1, alpha=0.125, macs=120 * 7, vector=120),
    microsoft("FusedMatMul", [(7, 2, 4, 3), (2, 4, 7, 5)], [(2, 4, 3, 5)], transBatchA=1, transA=1,
              macs=120 * 7),
    microsoft("TransposeMatMul", [(2, 7, 3), (2, 7, 5)], [(2, 3, 5)], transA=1, alpha=2.0, macs=210,
              vector=30),
    microsoft("FusedMatMulActivation", [(2, 3, 7), (2, 7, 5)], [(2, 3, 5)], activation="Relu", alpha=0.5,
              macs=210, vector=2 * 30),
    microsoft("GemmFastGelu", [(2, 3, 7), (7, 5)], [(2, 3, 5)], macs=210, vector=6 * 30, special=2 * 30),
    microsoft("GemmFastGelu", [(2, 3, 7), (7, 5), (5,)], [(2, 3, 5)], macs=210, vector=7 * 30, special=60),
    microsoft("MatMulInteger16", [(3, 7), (7, 5)], [(3, 5)], macs=105),
    # the scales of the operands are one multiply, the output's another, then the activation; C without beta
    # is not added
    microsoft("GemmFloat8", [(3, 7), (5, 7), (3, 5), (), (), ()], [(3, 5)], transB=1, activation="RELU",
              macs=105, vector=3 * 15),
    microsoft("GemmFloat8", [(3, 7), (5, 7), (3, 5), None, ()], [(3, 5)], transB=1, beta=1.0, alpha=0.5,
              macs=105, vector=3 * 15),
    microsoft("GemmFloat8", [(7, 3), (7, 5), None, ()], [(3, 5)], transA=1, beta=1.0, macs=105, vector=15),
    microsoft("GemmFloat8", [(3, 7), (7, 5), None, None, None, ()], [(3, 5)], macs=105, vector=15),
)  # fmt: skip

ELEMENTWISE: tuple[Case, ...] = (
    microsoft("GatedAdd", [(4, 3), (4, 3), (4, 1)], [(4, 3)], vector=2 * 12),
    microsoft("BiasAdd", [(2, 4, 3), (3,), (2, 4, 3)], [(2, 4, 3)], vector=2 * 24),
    # 6 complex numbers: four multiplies, a subtract and an add each
    microsoft("ComplexMul", [(6, 2), (6, 2)], [(6, 2)], vector=6 * 6),
    microsoft("ComplexMulConj", [(6, 2), (6, 2)], [(6, 2)], vector=6 * 6),
    microsoft("Gelu", [(5, 2)], [(5, 2)], vector=4 * 10, special=10),
    microsoft("BiasGelu", [(5, 2), (2,)], [(5, 2)], vector=5 * 10, special=10),
    microsoft("BiasSoftmax", [(5, 2), (5, 2)], [(5, 2)], vector=5 * 10, special=10),
    microsoft("QuickGelu", [(5, 2)], [(5, 2)], vector=2 * 10, special=10),
    microsoft("ScaledSiLU", [(5, 2)], [(5, 2)], vector=2 * 10, special=10),
    microsoft("FastGelu", [(5, 2)], [(5, 2)], vector=6 * 10, special=2 * 10),
    microsoft("FastGelu", [(5, 2), (2,)], [(5, 2)], vector=7 * 10, special=2 * 10),
    # a bias on 2 x 4 x 6; a Gelu and a multiply on half of that
    microsoft("BiasSplitGelu", [(2, 4, 6), (6,)], [(2, 4, 3)], vector=48 + 5 * 24, special=24),
    microsoft("BiasDropout", [(4, 3), (3,)], [(4, 3)], vector=12),
    microsoft("BiasDropout", [(4, 3), (3,), None, ()], [(4, 3)], vector=12),
    microsoft("BiasDropout", [(4, 3), (3,), (4, 3), (), ()], [(4, 3)], constants={4: False}, vector=2 * 12),
    # in training a draw, a compare, a mask and a scale more
    microsoft("BiasDropout", [(4, 3), (3,), None, (), ()], [(4, 3)], constants={4: True}, vector=5 * 12),
    # add, exp, add, log, multiply; the second output a sigmoid
    microsoft("LinearAttentionGate", [(2, 3, 4), (4,), (4,)], [(2, 3, 4)], vector=3 * 24, special=2 * 24),
    microsoft("LinearAttentionGate", [(2, 3, 4), (4,), (4,), (2, 3, 4)], [(2, 3, 4), (2, 3, 4)],
              vector=3 * 24, special=3 * 24),
    # 5 rows of 4 streams of 6: multiply and sum, a scale of the 5 x 6 that are left
    microsoft("HyperConnectionPreMix", [(5, 4, 6), (5, 4)], [(5, 6)], vector=2 * 120),
    microsoft("HyperConnectionPreMix", [(5, 4, 6), (5, 4)], [(5, 6)], reduction_scale=0.5,
              vector=2 * 120 + 30),
    # each stream is a sum over 4; the gate is a multiply and an add
    microsoft("HyperConnectionPostMix", [(2, 5, 4, 6), (2, 5, 6), (2, 5, 4, 1), (2, 5, 4, 4)],
              [(2, 5, 4, 6)], macs=240 * 4, vector=2 * 240),
    microsoft("HyperConnectionPostMix", [(5, 4, 6), (5, 6), (5, 4)], [(5, 4, 6)], vector=2 * 120),
    # 3 x 5 pairs of rows of 7: subtract, square, sum
    microsoft("CDist", [(3, 7), (5, 7)], [(3, 5)], vector=15 * 21),
    microsoft("CDist", [(3, 7), (5, 7)], [(3, 5)], metric="euclidean", vector=15 * 21, special=15),
    microsoft("IsAllFinite", [(4, 3), (5,)], [()], vector=2 * (12 + 5)),
    microsoft("ReduceSumInteger", [(2, 3, 5)], [(2, 3, 1)], vector=30),
    # a 2 x 3 window over each of 2 x 2 x 8
    microsoft("NhwcMaxPool", [(1, 4, 6, 8)], [(1, 2, 2, 8)], kernel_shape=(2, 3),
              strides=(2, 3), vector=6 * 32),
    microsoft("Unique", [(9,)], [(4,), (9,), (4,)], vector=9),
    # 2 for each of 80 coordinates; 2 x 2 taps: 4 multiplies, 3 adds; 4 x 4: 16 and 15; the nearest is a copy
    microsoft("GridSample", [(2, 3, 8, 8), (2, 4, 5, 2)], [(2, 3, 4, 5)], vector=160 + 7 * 120),
    microsoft(
        "GridSample", [(2, 3, 8, 8), (2, 4, 5, 2)], [(2, 3, 4, 5)], mode="bicubic", vector=160 + 31 * 120
    ),
    microsoft("GridSample", [(2, 3, 8, 8), (2, 4, 5, 2)], [(2, 3, 4, 5)], mode="nearest", vector=160),
    microsoft("CropAndResize", [(1, 3, 8, 8), (6, 4), (6,), (2,)], [(6, 3, 2, 2)], vector=7 * 72),
    microsoft("CropAndResize", [(1, 3, 8, 8), (6, 4), (6,), (2,)], [(6, 3, 2, 2)], mode="nearest"),
)  # fmt: skip

COMPUTES_NOTHING = (
    "ExpandDims GatherND Pad Trilu UnfoldTensor TorchEmbedding RemovePadding RestorePadding".split()
)

MOVEMENT: tuple[Case, ...] = (
    *(microsoft(op_type, [(4, 3), (3,)], [(4, 3)]) for op_type in COMPUTES_NOTHING),
    microsoft("RelativePositionBias", [(32, 8), (), ()], [(1, 8, 6, 6)]),
    microsoft("Range", [(), (), ()], [(9,)], vector=9),
    # 2 rows of 16 are gathered: zero point and scale for each element; floats have a scale alone
    microsoft("GatherBlockQuantized", [(9, 8), (2,), (9, 1)], [(2, 16)], dtypes={"x0": "uint8"},
              vector=2 * 32),
    microsoft("GatherBlockQuantized", [(9, 16), (2,), (9, 1)], [(2, 16)], dtypes={"x0": "float8e4m3fn"},
              vector=32),
)  # fmt: skip

# what ONNX Runtime adds to ONNX's own domain
UNLISTED: tuple[Case, ...] = (
    # square, mean, divide, scale for 60 elements; an add and a root for 12 rows; a reciprocal if asked for
    case("SimplifiedLayerNormalization", [(4, 3, 5), (5,)], [(4, 3, 5)], vector=4 * 60 + 12, special=12),
    case("SimplifiedLayerNormalization", [(4, 3, 5), (3, 5)], [(4, 3, 5), (4, 1, 1)], axis=1,
         vector=4 * 60 + 4 + 4, special=4),
    case("SimplifiedLayerNormalization", [(4, 3, 5), (5,)], [(4, 3, 5), (4, 3, 1)],
         vector=4 * 60 + 12 + 12, special=12),
    case("Affine", [(5, 2)], [(5, 2)], vector=2 * 10),
    case("ScaledTanh", [(5, 2)], [(5, 2)], vector=2 * 10, special=10),
    case("ParametricSoftplus", [(5, 2)], [(5, 2)], vector=3 * 10, special=2 * 10),
    case("Scale", [(5, 2)], [(5, 2)], vector=10),
    case("ImageScaler", [(1, 3, 2, 2)], [(1, 3, 2, 2)], vector=2 * 12),
    *(case(op_type, [(4, 3)], [(4, 3)])
      for op_type in ("Crop", "DynamicSlice", "GivenTensorFill", "MemcpyFromHost", "MemcpyToHost")),
)  # fmt: skip

FUSED_CASES = CONVOLUTIONS + PRODUCTS + ELEMENTWISE + MOVEMENT + UNLISTED
