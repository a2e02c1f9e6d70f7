"""The inputs in which operators take parameters: the evidence of files that do not say what is one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Operator = tuple[str, str]
"""A domain ("" for ONNX's own operators) and an operator type in it."""

MICROSOFT = "com.microsoft"

PRODUCTS: Mapping[Operator, Sequence[int]] = {
    **{("", op_type): indices for op_type, indices in {
        "Conv": (1, 2), "ConvTranspose": (1, 2), "DeformConv": (1, 3), "Gemm": (0, 1, 2), "MatMul": (0, 1),
        "ConvInteger": (1,), "MatMulInteger": (0, 1), "QLinearConv": (3, 8), "QLinearMatMul": (0, 3),
        "LSTM": (1, 2, 3, 7), "GRU": (1, 2, 3), "RNN": (1, 2, 3), "CausalConvWithState": (1, 2),
    }.items()},
    **{(MICROSOFT, op_type): indices for op_type, indices in {
        "FusedConv": (1, 2), "NhwcConv": (1, 2), "NhwcFusedConv": (1, 2), "QLinearConv": (3, 8),
        "ConvTransposeWithDynamicPads": (1, 3), "CausalConvWithState": (1, 2),
        "VarlenCausalConvWithState": (1, 3),
        "FusedGemm": (0, 1, 2), "GemmFastGelu": (1, 2), "GemmFloat8": (0, 1, 2), "QGemm": (0, 3, 6),
        "FusedMatMul": (0, 1), "FusedMatMulActivation": (0, 1), "TransposeMatMul": (0, 1),
        "SparseToDenseMatMul": (0, 1), "MatMulInteger16": (0, 1), "MatMulIntegerToFloat": (0, 1, 6),
        "DynamicQuantizeMatMul": (1, 4), "QOrderedMatMul": (2, 5), "MatMulFpQ4": (1,), "MatMulBnb4": (1,),
        "MatMulNBits": (1, 5), "MatMulNBitsQkv": (2, 3, 5, 6, 8, 9, 11),
        "MatMulNBitsMlp": (2, 3, 5, 6, 8), "MatMulBlockQuantizedFp8Weight": (1, 4),
        "MatMulBlockQuantizedFp4Weight": (1, 5),
        "Attention": (1, 2), "DecoderMaskedSelfAttention": (1, 2), "QAttention": (1, 2),
        "PackedAttention": (1, 2), "LongformerAttention": (1, 2, 4, 5), "DecoderAttention": (2, 3, 4),
        "QOrderedAttention": (5, 6, 7, 11, 12, 13), "QOrderedLongformerAttention": (2, 4, 8, 10),
        "MoE": (2, 3, 4, 5, 6, 7), "QMoE": (2, 4, 5, 7, 8, 10), "DynamicQuantizeLSTM": (1, 2, 3, 7),
        "AttnLSTM": (1, 2, 3, 7, 8, 9, 10, 13), "WordConvEmbedding": (1, 2, 3),
        "GatedRelativePositionBias": (1, 3, 4, 5),
    }.items()},
}  # fmt: skip
"""Convolutions, matrix products and layers made of them: weights and biases, not initial states."""

NORMALIZATIONS: Mapping[Operator, Sequence[int]] = {
    **{("", op_type): indices for op_type, indices in {
        "BatchNormalization": (1, 2), "InstanceNormalization": (1, 2), "GroupNormalization": (1, 2),
        "LayerNormalization": (1, 2), "RMSNormalization": (1,), "SimplifiedLayerNormalization": (1,),
    }.items()},
    **{(MICROSOFT, op_type): indices for op_type, indices in {
        "SkipLayerNormalization": (2, 3, 4), "SkipSimplifiedLayerNormalization": (2, 3),
        "GroupNorm": (1, 2), "SkipGroupNorm": (1, 2, 4), "QOrderedLayerNormalization": (2, 3),
        "BranchwiseRMSNorm": (1,), "GatedRMSNorm": (1,), "GroupQueryAttention": (14, 15),
        "PagedAttention": (12, 13),
    }.items()},
}  # fmt: skip
"""Scale and bias; a batch normalization's running statistics are buffers."""

OTHERS: Mapping[Operator, Sequence[int]] = {
    ("", "PRelu"): (1,),
    **{(MICROSOFT, op_type): indices for op_type, indices in {
        "EmbedLayerNormalization": (2, 3, 4, 5, 6), "QEmbedLayerNormalization": (2, 3, 4, 5, 6),
        "RelativePositionBias": (0,), "GatherBlockQuantized": (0,), "TorchEmbedding": (0,),
        "BiasAdd": (1,), "BiasGelu": (1,), "FastGelu": (1,), "BiasSplitGelu": (1,), "BiasDropout": (1,),
        "BitmaskBiasDropout": (1,), "MultiHeadAttention": (3,), "PackedMultiHeadAttention": (3,),
        "DecoderMaskedMultiHeadAttention": (10,), "ScaledSiLU": (1,), "LinearAttentionGate": (1, 2),
        "GatedDeltaNet": (7, 8),
    }.items()},
}  # fmt: skip
"""Embedding tables, slopes, and biases and scales that are fused with what comes after them."""

SLOTS: Mapping[Operator, Sequence[int]] = {**PRODUCTS, **NORMALIZATIONS, **OTHERS}

MOVERS = frozenset(
    ("", op_type)
    for op_type in (
        "Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Cast", "CastLike", "Expand",
        "Slice", "Split", "Pad", "Dropout", "DequantizeLinear", "QuantizeLinear", "DynamicQuantizeLinear",
    )
) | {(MICROSOFT, "DequantizeLinear"), (MICROSOFT, "QuantizeLinear")}  # fmt: skip
"""Operators whose output holds the numbers of their first input: all else is sizes and scales."""

DEQUANTIZERS = ("DequantizeLinear", "QLinearConv", "QGemm", "QOrderedMatMul")
"""Operators that take integers of 32 bits as a bias."""
