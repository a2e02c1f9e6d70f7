"""An operator that ONNX Runtime fuses has the counts of its parts."""

from __future__ import annotations

from functools import partial

import pytest

from onnxlens.profile.count.rules import Work, work_of
from onnxlens.profile.graph.node_view import NodeView
from tests.profile.count.rules.nodes import node

microsoft = partial(node, domain="com.microsoft")

TEXT, WIDE = (2, 6, 32), (2, 6, 128)  # 2 sequences of 6 tokens
IMAGE, KERNEL = (1, 8, 6, 6), (8, 8, 3, 3)
HEADS, KEYS, SCORES = (2, 4, 6, 8), (2, 4, 8, 6), (2, 4, 6, 6)  # 4 heads of 8
SOFTMAX_OF_SCORES = [
    node("MatMul", [HEADS, KEYS], [SCORES]),
    node("Mul", [SCORES, ()], [SCORES]),
    node("Softmax", [SCORES], [SCORES]),
    node("MatMul", [SCORES, HEADS], [HEADS]),
]
MASK = node("Add", [SCORES, (2, 1, 1, 6)], [SCORES])
SKIP = node("Add", [TEXT, TEXT], [TEXT])
BIAS = node("Add", [TEXT, (32,)], [TEXT])
NORM = node("LayerNormalization", [TEXT, (32,), (32,)], [TEXT])
RMS_NORM = node("RMSNormalization", [TEXT, (32,)], [TEXT], version=23)


FUSED: dict[str, tuple[NodeView, list[NodeView]]] = {
    "attention, from its input": (
        microsoft("Attention", [TEXT, (32, 96), (96,), (2, 6)], [TEXT], num_heads=4),
        [node("MatMul", [TEXT, (32, 96)], [(2, 6, 96)]), node("Add", [(2, 6, 96), (96,)], [(2, 6, 96)]),
         MASK, *SOFTMAX_OF_SCORES],
    ),
    "attention, from Q, K and V with their biases": (
        microsoft("MultiHeadAttention", [TEXT, TEXT, TEXT, (96,)], [TEXT], num_heads=4),
        [BIAS, BIAS, BIAS, *SOFTMAX_OF_SCORES],
    ),
    "attention of grouped queries, causal, with keys repeated for them": (
        microsoft("GroupQueryAttention", [TEXT, (2, 6, 16), (2, 6, 16), None, None, (2,), ()], [TEXT],
                  num_heads=4, kv_num_heads=2),
        [MASK, *SOFTMAX_OF_SCORES],
    ),
    "attention whose projection is of integers": (
        microsoft("QAttention", [TEXT, (32, 96), (96,), (), ()], [TEXT], num_heads=4),
        [microsoft("MatMulIntegerToFloat", [TEXT, (32, 96), (), (), None, None, (96,)], [(2, 6, 96)]),
         *SOFTMAX_OF_SCORES],
    ),
    "a product of transposed keys, scaled": (
        microsoft("FusedMatMul", [HEADS, HEADS], [SCORES], transB=1, alpha=0.25), SOFTMAX_OF_SCORES[:2],
    ),
    "a convolution, a sum and an activation": (
        microsoft("FusedConv", [IMAGE, KERNEL, (8,), (1, 8, 4, 4)], [(1, 8, 4, 4)], activation="HardSwish"),
        [node("Conv", [IMAGE, KERNEL, (8,)], [(1, 8, 4, 4)]), node("Add", [(1, 8, 4, 4)] * 2, [(1, 8, 4, 4)]),
         node("HardSwish", [(1, 8, 4, 4)], [(1, 8, 4, 4)])],
    ),
    "a convolution in blocks": (
        node("Conv", [IMAGE, KERNEL, (8,)], [(1, 8, 4, 4)], domain="com.microsoft.nchwc"),
        [node("Conv", [IMAGE, KERNEL, (8,)], [(1, 8, 4, 4)])],
    ),
    "a clipped convolution": (
        microsoft("FusedConv", [IMAGE, KERNEL], [(1, 8, 4, 4)], activation="Clip"),
        [node("Conv", [IMAGE, KERNEL], [(1, 8, 4, 4)]), node("Clip", [(1, 8, 4, 4), (), ()], [(1, 8, 4, 4)])],
    ),
    "a Gemm and its activation": (
        microsoft("FusedGemm", [(3, 7), (7, 5), (5,)], [(3, 5)], activation="Tanh"),
        [node("Gemm", [(3, 7), (7, 5), (5,)], [(3, 5)]), node("Tanh", [(3, 5)], [(3, 5)])],
    ),
    "bias and Gelu": (
        microsoft("BiasGelu", [TEXT, (32,)], [TEXT]), [BIAS, node("Gelu", [TEXT], [TEXT])],
    ),
    "bias and Gelu by tanh": (
        microsoft("FastGelu", [TEXT, (32,)], [TEXT]),
        [BIAS, node("Gelu", [TEXT], [TEXT], approximate="tanh")],
    ),
    "a product by its own sigmoid": (
        microsoft("QuickGelu", [TEXT], [TEXT]), [node("Swish", [TEXT], [TEXT])],
    ),
    "bias, split, Gelu of a half": (
        microsoft("BiasSplitGelu", [WIDE, (128,)], [(2, 6, 64)]),
        [node("Add", [WIDE, (128,)], [WIDE]), node("Gelu", [(2, 6, 64)], [(2, 6, 64)]),
         node("Mul", [(2, 6, 64)] * 2, [(2, 6, 64)])],
    ),
    "skip, bias, layer norm": (
        microsoft("SkipLayerNormalization", [TEXT, TEXT, (32,), (32,), (32,)], [TEXT]), [SKIP, BIAS, NORM],
    ),
    "skip and root mean square": (
        microsoft("SkipSimplifiedLayerNormalization", [TEXT, TEXT, (32,)], [TEXT]), [SKIP, RMS_NORM],
    ),
    "root mean square, as the optimizer calls it": (
        node("SimplifiedLayerNormalization", [TEXT, (32,)], [TEXT]), [RMS_NORM],
    ),
    "three embeddings, their sum, layer norm": (
        microsoft("EmbedLayerNormalization",
                  [(2, 6), (2, 6), (99, 32), (50, 32), (2, 32), (32,), (32,)], [TEXT]),
        [node("Gather", [(99, 32), (2, 6)], [TEXT]), SKIP, SKIP, NORM],
    ),
    "group norm and SiLU": (
        microsoft("GroupNorm", [IMAGE, (6,), (6,)], [IMAGE], groups=2, activation=1),
        [node("GroupNormalization", [IMAGE, (8,), (8,)], [IMAGE], num_groups=2, version=21),
         node("Sigmoid", [IMAGE], [IMAGE]), node("Mul", [IMAGE, IMAGE], [IMAGE])],
    ),
    "a packed weight": (
        microsoft("MatMulNBits", [TEXT, (64, 1, 16), (64, 1), (64, 1)], [(2, 6, 64)], K=32, N=64),
        [node("DequantizeLinear", [(32, 64), (1, 64), (1, 64)], [(32, 64)]),
         node("MatMul", [TEXT, (32, 64)], [(2, 6, 64)])],
    ),
    "three packed weights behind a norm": (
        microsoft("MatMulNBitsQkv",
                  [TEXT, None, (32,), (32, 1, 16), (32, 1), None, (16, 1, 16), (16, 1), None, (16, 1, 16),
                   (16, 1)],
                  [TEXT, (2, 6, 16), (2, 6, 16)], K=32, Nq=32, Nkv=16),
        [RMS_NORM,
         *(microsoft("MatMulNBits", [TEXT, (width, 1, 16), (width, 1)], [(2, 6, width)], K=32, N=width)
           for width in (32, 16, 16))],
    ),
    "a sum of quantized tensors": (
        microsoft("QLinearAdd", [TEXT, (), (), TEXT, (), (), (), ()], [TEXT]),
        [node("DequantizeLinear", [TEXT, (), ()], [TEXT])] * 2
        + [SKIP, node("QuantizeLinear", [TEXT, (), ()], [TEXT])],
    ),
    "a product quantized at run time": (
        microsoft("DynamicQuantizeMatMul", [(3, 7), (7, 5), (), ()], [(3, 5)]),
        [node("DynamicQuantizeLinear", [(3, 7)], [(3, 7), (), ()]),
         node("MatMulInteger", [(3, 7), (7, 5), (), ()], [(3, 5)]), node("Mul", [(3, 5), ()], [(3, 5)])],
    ),
    "two experts of eight": (
        microsoft("MoE", [(6, 8), (6, 4), (4, 12, 8), (4, 12), (4, 8, 12), (4, 8)], [(6, 8)], k=2),
        [node("Softmax", [(6, 4)], [(6, 4)]), node("TopK", [(6, 4), (1,)], [(6, 2), (6, 2)]),
         node("Gemm", [(12, 8), (8, 12), (12,)], [(12, 12)]), node("Relu", [(12, 12)], [(12, 12)]),
         node("Gemm", [(12, 12), (12, 8), (8,)], [(12, 8)]), node("Mul", [(12, 8), (12, 1)], [(12, 8)]),
         node("ReduceSum", [(6, 2, 8), (1,)], [(6, 8)])],
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", FUSED)
def test_fused_operator_counts_its_parts(what: str) -> None:
    fused, parts = FUSED[what]
    assert work_of(fused) == sum((work_of(part) for part in parts), Work())
