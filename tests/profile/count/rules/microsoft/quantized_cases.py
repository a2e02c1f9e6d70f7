"""Quantized operators, packed weights and mixtures of experts of ONNX Runtime."""

from __future__ import annotations

from functools import partial

from tests.profile.count.rules.nodes import Case, case

microsoft = partial(case, domain="com.microsoft")

# a tensor of 12 with scale and zero point takes 2 for each element, 1 without zero point; quantizing 5, or 4
AROUND = 2 * 12 + 5 * 12
ELEMENTWISE: tuple[Case, ...] = (
    microsoft("QuantizeLinear", [(4, 3), (), ()], [(4, 3)], vector=5 * 12),
    microsoft("DequantizeLinear", [(4, 3), (), ()], [(4, 3)], vector=2 * 12),
    microsoft("QuantizeWithOrder", [(4, 3), ()], [(4, 3)], vector=4 * 12),
    microsoft("DequantizeWithOrder", [(4, 3), ()], [(4, 3)], vector=12),
    microsoft("QOrderedGelu", [(4, 3), (), ()], [(4, 3)], vector=12 + 4 * 12 + 4 * 12, special=12),
    # (4, 3) and (3,): 12 and 3 elements in, 12 adds
    microsoft("QLinearAdd", [(4, 3), (), (), (3,), (), (), (), ()], [(4, 3)], vector=AROUND + 2 * 3 + 12),
    # no zero points; the second operand is a weight, its scaling is constant-folded
    microsoft("QLinearAdd", [(4, 3), (), None, (3,), (), None, ()], [(4, 3)], weights={3},
              vector=12 + 12 + 4 * 12),
    microsoft("QLinearAdd", [(4, 3), (), (), (3,), (), None, ()], [(4, 3)], vector=24 + 3 + 12 + 4 * 12),
    microsoft("QLinearWhere", [(4, 1), (4, 3), (), (), (3,), (), (), (), ()], [(4, 3)],
              vector=AROUND + 2 * 3 + 12),
    microsoft("QLinearWhere", [(4, 1), (4, 3), (), None, (3,), (), (), ()], [(4, 3)],
              vector=12 + 2 * 3 + 12 + 4 * 12),
    microsoft("QLinearWhere", [(4, 1), (4, 3), (), (), (3,), (), None, (), ()], [(4, 3)],
              vector=AROUND + 3 + 12),
    microsoft("QLinearLeakyRelu", [(4, 3), (), (), (), ()], [(4, 3)], vector=AROUND + 3 * 12),
    microsoft("QLinearLeakyRelu", [(4, 3), (), None, ()], [(4, 3)], vector=12 + 4 * 12 + 3 * 12),
    microsoft("QLinearSigmoid", [(4, 3), (), (), (), ()], [(4, 3)], vector=AROUND, special=12),
    microsoft("QLinearSigmoid", [(4, 3), (), None, ()], [(4, 3)], vector=12 + 4 * 12, special=12),
    microsoft("QLinearSoftmax", [(4, 3), (), (), (), ()], [(4, 3)], vector=AROUND + 4 * 12, special=12),
    microsoft("QLinearSoftmax", [(4, 3), (), None, ()], [(4, 3)], vector=12 + 4 * 12 + 4 * 12, special=12),
    # 240 in, 6 or 60 out, 2 x 2 in a window
    microsoft("QLinearReduceMean", [(2, 3, 40), (), (), (), ()], [(2, 3)], vector=3 * 240 + 5 * 6),
    microsoft("QLinearReduceMean", [(2, 3, 40), (), None, ()], [(2, 3)], vector=2 * 240 + 4 * 6),
    microsoft("QLinearGlobalAveragePool", [(2, 3, 40), (), (), (), ()], [(2, 3, 1)], vector=3 * 240 + 5 * 6),
    microsoft("QLinearGlobalAveragePool", [(2, 3, 40), (), None, ()], [(2, 3, 1)], vector=2 * 240 + 4 * 6),
    microsoft("QLinearAveragePool", [(1, 6, 4, 10), (), (), (), ()], [(1, 6, 2, 5)], kernel_shape=(2, 2),
              strides=(2, 2), vector=2 * 240 + 4 * 60 + 5 * 60),
    microsoft("QLinearAveragePool", [(1, 6, 4, 10), (), None, ()], [(1, 6, 2, 5)], kernel_shape=(2, 2),
              strides=(2, 2), vector=240 + 4 * 60 + 4 * 60),
    # 12 with a zero point and 6 without
    microsoft("QLinearConcat", [(), (), (4, 3), (), (), (2, 3), (), None], [(6, 3)],
              vector=2 * 12 + 6 + 5 * 18),
    microsoft("QLinearConcat", [(), None, (2, 3), (), ()], [(2, 3)], vector=2 * 6 + 4 * 6),
    # centered, multiplied, quantized by one factor; an operand with its zero point as weights is centered
    microsoft("QLinearMul", [(4, 3), (), (), (3,), (), (), (), ()], [(4, 3)], vector=12 + 3 + 12 + 5 * 12),
    microsoft("QLinearMul", [(4, 3), (), (), (3,), (), (), ()], [(4, 3)], weights={0, 2},
              vector=3 + 12 + 4 * 12),
    microsoft("QLinearMul", [(4, 3), (), (), (3,), (), (), ()], [(4, 3)], weights={3, 5},
              vector=12 + 12 + 4 * 12),
    microsoft("MulInteger", [(4, 3), (), (3,), ()], [(4, 3)], vector=12 + 3 + 12),
    microsoft("MulInteger", [(4, 3), None, (3,)], [(4, 3)], vector=12),
    microsoft("MulInteger", [(4, 3), (), (3,), ()], [(4, 3)], weights={0, 1}, vector=3 + 12),
    microsoft("MulInteger", [(4, 3), (), (3,), ()], [(4, 3)], weights={2, 3}, vector=12 + 12),
)  # fmt: skip

PRODUCTS: tuple[Case, ...] = (
    microsoft("QLinearConv", [(1, 6, 6, 6), (), (), (8, 3, 3, 3), (), (), (), ()], [(1, 8, 4, 4)], group=2,
              weights={3, 5}, macs=8 * 16 * 27, vector=216 + 5 * 128),
    # the scale for each of 15; a bias; A's 21 centered, B's 35 too where they are no weights
    microsoft("MatMulIntegerToFloat", [(3, 7), (7, 5), (), (), (), ()], [(3, 5)], weights={1, 5},
              macs=105, vector=21 + 15),
    microsoft("MatMulIntegerToFloat", [(3, 7), (7, 5), (), (), (), (), (5,)], [(3, 5)],
              macs=105, vector=21 + 35 + 2 * 15),
    microsoft("MatMulIntegerToFloat", [(3, 7), (7, 5), (), (), (), ()], [(3, 5)], weights={0, 4},
              macs=105, vector=35 + 15),
    # A at run time: 7 each, 11 for the scale, 1 to center
    microsoft("DynamicQuantizeMatMul", [(3, 7), (7, 5), ()], [(3, 5)], macs=105, vector=8 * 21 + 11 + 15),
    microsoft("DynamicQuantizeMatMul", [(3, 7), (7, 5), (), (), (5,)], [(3, 5)],
              macs=105, vector=8 * 21 + 11 + 35 + 2 * 15),
    microsoft("DynamicQuantizeMatMul", [(3, 7), (7, 5), (), None, (5,)], [(3, 5)],
              macs=105, vector=8 * 21 + 11 + 2 * 15),
    microsoft("DynamicQuantizeMatMul", [(3, 7), (7, 5), (), ()], [(3, 5)], weights={1, 3},
              macs=105, vector=8 * 21 + 11 + 15),
    # a scale; or 5 to quantize; C one more
    microsoft("QGemm", [(3, 7), (), (), (7, 5), (), ()], [(3, 5)], weights={3, 5}, macs=105, vector=21 + 15),
    microsoft("QGemm", [(7, 3), (), (), (5, 7), (), (), (5,), (), ()], [(3, 5)], transA=1, transB=1,
              macs=105, vector=21 + 35 + 6 * 15),
    microsoft("QGemm", [(3, 7), (), (), (7, 5), (), (), None, ()], [(3, 5)], weights={0, 2},
              macs=105, vector=35 + 4 * 15),
    microsoft("QOrderedMatMul", [(2, 3, 7), (), (7, 5), (), ()], [(2, 3, 5)], macs=210, vector=4 * 30),
    microsoft("QOrderedMatMul", [(2, 3, 7), (), (7, 5), (), (), (5,)], [(2, 3, 5)], macs=210, vector=5 * 30),
    microsoft("QOrderedMatMul", [(2, 3, 7), (), (7, 5), (), (), None, (2, 3, 5), ()], [(2, 3, 5)],
              macs=210, vector=6 * 30),
    # 7 steps x 2 sequences, 5 in, 3 hidden: LSTM's 8 for each of 42 state elements, 8 to scale the products;
    # the 70 inputs 8 each and a scale's 11; the state the same with a scale for each of 7 steps
    microsoft("DynamicQuantizeLSTM",
              [(7, 2, 5), (1, 5, 12), (1, 3, 12), *[None] * 5, (1,), (1,), (1,), (1,)], [(7, 1, 2, 3)],
              weights={1, 2, 9, 11}, hidden_size=3, macs=14 * 12 * 8,
              vector=(8 + 8) * 42 + 8 * 70 + 11 + 8 * 42 + 11 * 7, special=5 * 42),
    # both directions, a bias (4) and weights of the run, whose 2 x 60 and 2 x 36 are centered
    microsoft("DynamicQuantizeLSTM",
              [(7, 2, 5), (2, 5, 12), (2, 3, 12), (2, 24), *[None] * 4, (2,), (2,), (2,), (2,)],
              [(7, 2, 2, 3)], direction="bidirectional", hidden_size=3, macs=2 * 14 * 12 * 8,
              vector=(8 + 8 + 4) * 84 + 8 * 70 + 11 + 8 * 84 + 11 * 14 + 120 + 72, special=5 * 84),
)  # fmt: skip

# 2 x 3 rows of 64 by a weight of 64 x 32, packed into two blocks of 16 bytes for each column
PACKED = [(2, 3, 64), (32, 2, 16), (32, 2)]
MACS, WEIGHTS, RESULTS = 6 * 64 * 32, 64 * 32, 6 * 32
BLOCKWISE: tuple[Case, ...] = (
    microsoft("MatMulNBits", PACKED, [(2, 3, 32)], K=64, N=32, bits=4, macs=MACS, vector=2 * WEIGHTS),
    # zero points or not: the default is one too
    microsoft("MatMulNBits", [*PACKED, (32, 1), None, (32,)], [(2, 3, 32)], K=64, N=32,
              macs=MACS, vector=2 * WEIGHTS + RESULTS),
    microsoft("MatMulBnb4", [(2, 3, 64), (1024,), (32,)], [(2, 3, 32)], K=64, N=32, macs=MACS,
              vector=WEIGHTS),
    microsoft("MatMulFpQ4", [(2, 3, 64), (1280,), (2,)], [(2, 3, 32)], macs=MACS, vector=2 * WEIGHTS),
    microsoft("MatMulFpQ4", [(2, 3, 64), (1280,), (2,)], [(2, 3, 32)], blk_quant_type=0,
              macs=MACS, vector=WEIGHTS),
    microsoft("MatMulFpQ4", [(2, 3, 64), (1280,), (2,)], [(2, 3, 32)], blk_quant_type=2,
              macs=MACS, vector=WEIGHTS),
    microsoft("MatMulBlockQuantizedFp4Weight", [(2, 3, 64), (32, 32), (32, 4), (), ()], [(2, 3, 32)],
              macs=MACS, vector=WEIGHTS),
    microsoft("MatMulBlockQuantizedFp4Weight", [(2, 3, 64), (32, 32), (32, 4), (), (), (32,)], [(2, 3, 32)],
              macs=MACS, vector=WEIGHTS + RESULTS),
    # a scale for A: its 384 elements quantized (4) and scaled back
    microsoft("MatMulBlockQuantizedFp8Weight", [(2, 3, 64), (32, 64), (32, 1), ()], [(2, 3, 32)],
              macs=MACS, vector=WEIGHTS + 5 * 384),
    microsoft("MatMulBlockQuantizedFp8Weight", [(2, 3, 64), (32, 64), (32, 1), None, (32,)], [(2, 3, 32)],
              macs=MACS, vector=WEIGHTS + RESULTS),
    # two projections, one activated (3) and multiplied by the other
    microsoft("MatMulNBitsMlp",
              [(2, 3, 64), None, None, (32, 2, 16), (32, 2), None, (32, 2, 16), (32, 2)], [(2, 3, 32)],
              K=64, N=32, activation="LeakyRelu", macs=2 * MACS, vector=4 * WEIGHTS + 4 * RESULTS),
    # a skip (1), a norm (4 each, an add and a root for 6 rows), two biases
    microsoft("MatMulNBitsMlp",
              [(2, 3, 64), (2, 3, 64), (64,), (32, 2, 16), (32, 2), (32,), (32, 2, 16), (32, 2), (32,)],
              [(2, 3, 32)], K=64, N=32, activation="silu", macs=2 * MACS,
              vector=4 * WEIGHTS + (2 + 2) * RESULTS + 5 * 384 + 6, special=RESULTS + 6),
    # one bias of each alone
    microsoft("MatMulNBitsMlp",
              [(2, 3, 64), None, None, (32, 2, 16), (32, 2), (32,), (32, 2, 16), (32, 2)], [(2, 3, 32)],
              K=64, N=32, activation="identity", macs=2 * MACS, vector=4 * WEIGHTS + 2 * RESULTS),
    # 64 to 32, 16 and 16, with a bias each; a norm
    microsoft("MatMulNBitsQkv",
              [(2, 3, 64), None, (64,), (32, 2, 16), (32, 2), (32,), (16, 2, 16), (16, 2), (16,), (16, 2, 16),
               (16, 2), (16,)],
              [(2, 3, 32), (2, 3, 16), (2, 3, 16)], K=64, Nq=32, Nkv=16,
              macs=2 * MACS, vector=4 * WEIGHTS + 2 * RESULTS + 4 * 384 + 6, special=6),
    microsoft("MatMulNBitsQkv",
              [(2, 3, 64), (2, 3, 64), (64,), (32, 2, 16), (32, 2), (32,), (16, 2, 16), (16, 2), None,
               (16, 2, 16), (16, 2)],
              [(2, 3, 32), (2, 3, 16), (2, 3, 16)], K=64, Nq=32, Nkv=16,
              macs=2 * MACS, vector=4 * WEIGHTS + RESULTS + 5 * 384 + 6, special=6),
    microsoft("MatMulNBitsQkv",
              [(2, 3, 64), None, (64,), (32, 2, 16), (32, 2), None, (16, 2, 16), (16, 2), (16,), (16, 2, 16),
               (16, 2)],
              [(2, 3, 32), (2, 3, 16), (2, 3, 16)], K=64, Nq=32, Nkv=16,
              macs=2 * MACS, vector=4 * WEIGHTS + RESULTS // 2 + 4 * 384 + 6, special=6),
)  # fmt: skip

# 2 x 3 tokens of 8, 5 experts of 8 -> 12 -> 8: two matrices of 96
ROUTER = 6 * 5 * (4 + 1)  # a softmax and a compare for each token and expert
EXPERTS: tuple[Case, ...] = (
    # one expert for each token: a Relu of 12; a multiply and an add for 8 results
    microsoft("MoE", [(2, 3, 8), (6, 5), (5, 12, 8), None, (5, 8, 12)], [(2, 3, 8)],
              macs=6 * 2 * 96, vector=ROUTER + 6 * (12 + 2 * 8), special=30),
    # two experts, weights normalized (2 each), biases of 12 and 8, a third matrix of 12 with its bias
    microsoft("MoE", [(2, 3, 8), (6, 5), (5, 12, 8), (5, 12), (5, 8, 12), (5, 8), (5, 12, 8), (5, 12)],
              [(2, 3, 8)], k=2, activation_type="silu", normalize_routing_weights=1,
              macs=12 * 3 * 96, vector=ROUTER + 2 * 12 + 12 * ((1 + 1) * 12 + 12 + 8 + 12 + 2 * 8),
              special=30 + 12 * 12),
    # a third matrix without a bias
    microsoft("MoE", [(2, 3, 8), (6, 5), (5, 12, 8), None, (5, 8, 12), None, (5, 12, 8)], [(2, 3, 8)],
              macs=6 * 3 * 96, vector=ROUTER + 6 * (2 * 12 + 16), special=30),
    # both halves in one matrix of 24 x 8; SwiGLU is 4 and a sigmoid, its limits 3 bounds of 2 each
    microsoft("MoE", [(2, 3, 8), (6, 5), (5, 24, 8), None, (5, 8, 12)], [(2, 3, 8)], k=2, swiglu_fusion=1,
              activation_type="swiglu", macs=12 * 3 * 96, vector=ROUTER + 12 * (4 * 12 + 16),
              special=30 + 12 * 12),
    microsoft("MoE", [(2, 3, 8), (6, 5), (5, 24, 8), None, (5, 8, 12)], [(2, 3, 8)], k=2, swiglu_fusion=1,
              activation_type="swiglu", swiglu_limit=7.0, macs=12 * 3 * 96,
              vector=ROUTER + 12 * (10 * 12 + 16), special=30 + 12 * 12),
    # four bits: 4 bytes a row of 8, 6 a row of 12; all 5 experts dequantized, 2 for each of 192 weights
    microsoft("QMoE", [(2, 3, 8), (6, 5), (5, 12, 4), (5, 12), None, (5, 8, 6), (5, 8)], [(2, 3, 8)],
              dtypes={"x2": "uint8", "x5": "uint8"}, macs=6 * 2 * 96,
              vector=ROUTER + 6 * 28 + 2 * 5 * 192, special=30),
    # 2 tokens to one expert each reach 2 of 5; eight bits, but four in the second matrix; biases of 12 and 8
    microsoft("QMoE", [(2, 8), (2, 5), (5, 12, 8), (5, 12), (5, 12), (5, 8, 6), (5, 8), (5, 8)], [(2, 8)],
              expert_weight_bits=8, fc2_expert_weight_bits=4, dtypes={"x2": "uint8", "x5": "uint8"},
              macs=2 * 2 * 96, vector=2 * 5 * 5 + 2 * (12 + 20 + 16) + 2 * 2 * 192, special=10),
    # floats of eight bits, one operation each; a third matrix with a bias of 12, two experts
    microsoft("QMoE",
              [(1, 8), (1, 5), (5, 12, 8), None, None, (5, 8, 12), None, None, (5, 12, 8), None, (5, 12)],
              [(1, 8)], k=2, quant_type="fp8", activation_type="identity",
              dtypes={"x2": "float8e4m3fn", "x5": "float8e4m3fn", "x8": "float8e4m3fn"},
              macs=2 * 3 * 96, vector=5 * 5 + 2 * (12 + 12 + 16) + 2 * 288, special=5),
)  # fmt: skip

QUANTIZED_CASES = ELEMENTWISE + PRODUCTS + BLOCKWISE + EXPERTS
