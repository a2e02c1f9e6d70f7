"""Surrogates: ONNX's own operators in place of ONNX Runtime's, where they have the same shapes and types.

ONNX's inference knows no operator of ONNX Runtime, and ONNX Runtime's symbolic inference lacks many, so that
all behind such a node would be unknown. Only shapes and element types are those of the node; values are not,
and so a surrogate is never folded.
"""

from __future__ import annotations

from collections.abc import Mapping

from onnx import TensorProto

from onnxlens.profile.graph.loading.inference.surrogate_forms import (
    Surrogate,
    by_layout,
    cast,
    channels_last,
    copies,
    form,
    quantized,
    scaled,
)
from onnxlens.profile.graph.loading.inference.surrogate_rules import (
    attention,
    by_shape,
    concatenation,
    convolution_with_kernel,
    embedding,
    float8_gemm,
    forward_projection,
    from_blocks,
    halves,
    hashes,
    linear_attention,
    packed_rows,
    product,
    projections,
    quantized_embedding,
    quantized_gemm,
    repetition,
    to_blocks,
)

MICROSOFT, BLOCKED, NHWC = "com.microsoft", "com.microsoft.nchwc", "com.ms.internal.nhwc"

ELEMENTWISE = copies({0: 0})
BROADCAST = form("Add", 0, 1)
NORMALIZED = copies({0: 0, 3: 0})
"""With a sum of input and skip; the statistics, which training alone asks for, are left to others."""

SURROGATES: Mapping[tuple[str, str], Surrogate] = {
    # as ONNX's own, with an activation, a bias or another scale
    (MICROSOFT, "FusedConv"): form("Conv", 0, 1, 2),
    (MICROSOFT, "NhwcConv"): convolution_with_kernel,
    (MICROSOFT, "NhwcFusedConv"): channels_last(form("Conv", 0, 1, 2)),
    (MICROSOFT, "NhwcMaxPool"): channels_last(form("MaxPool", 0)),
    (MICROSOFT, "MaxpoolWithMask"): form("MaxPool", 0),
    (MICROSOFT, "FusedGemm"): form("Gemm", 0, 1),
    (MICROSOFT, "GemmFastGelu"): form("MatMul", 0, 1),
    (MICROSOFT, "GemmFloat8"): float8_gemm,
    (MICROSOFT, "FusedMatMul"): product,
    (MICROSOFT, "FusedMatMulActivation"): product,
    (MICROSOFT, "TransposeMatMul"): product,
    (MICROSOFT, "AttnLSTM"): form("LSTM", *range(8)),
    (MICROSOFT, "CDist"): form("Gemm", 0, 1, transB=1),
    (MICROSOFT, "GridSample"): form("GridSample", 0, 1),
    (MICROSOFT, "GatherND"): form("GatherND", 0, 1),
    (MICROSOFT, "Pad"): form("Pad", 0, 1),
    (MICROSOFT, "TorchEmbedding"): form("Gather", 0, 1, axis=0),
    (MICROSOFT, "MurmurHash3"): hashes,
    # as large as an input
    (MICROSOFT, "Gelu"): ELEMENTWISE,
    (MICROSOFT, "FastGelu"): ELEMENTWISE,
    (MICROSOFT, "QuickGelu"): ELEMENTWISE,
    (MICROSOFT, "BiasGelu"): ELEMENTWISE,
    (MICROSOFT, "BiasAdd"): ELEMENTWISE,
    (MICROSOFT, "BiasSoftmax"): ELEMENTWISE,
    (MICROSOFT, "BiasDropout"): ELEMENTWISE,
    (MICROSOFT, "BitmaskBiasDropout"): ELEMENTWISE,
    (MICROSOFT, "BitmaskDropout"): ELEMENTWISE,
    (MICROSOFT, "BiasSplitGelu"): halves,
    (MICROSOFT, "ScaledSiLU"): ELEMENTWISE,
    (MICROSOFT, "GatedAdd"): ELEMENTWISE,
    (MICROSOFT, "ComplexMul"): BROADCAST,
    (MICROSOFT, "ComplexMulConj"): BROADCAST,
    (MICROSOFT, "Inverse"): ELEMENTWISE,
    (MICROSOFT, "Trilu"): ELEMENTWISE,
    (MICROSOFT, "NGramRepeatBlock"): copies({0: 1}),
    (MICROSOFT, "RotaryEmbedding"): ELEMENTWISE,
    (MICROSOFT, "MRotaryEmbedding"): ELEMENTWISE,
    (MICROSOFT, "GemmaRotaryEmbedding"): copies({0: 1, 1: 3}),
    (MICROSOFT, "CausalConvWithState"): copies({0: 0, 1: 3}),
    (MICROSOFT, "VarlenCausalConvWithState"): copies({0: 0, 1: 4}),
    (MICROSOFT, "LinearAttention"): linear_attention,
    (MICROSOFT, "LinearAttentionGate"): copies({0: 0, 1: 3}),
    (MICROSOFT, "GatedDeltaNet"): copies({0: 2, 1: 6}),
    (MICROSOFT, "EngramGate"): copies({0: 0, 1: 0}),
    (MICROSOFT, "DecoderAttention"): ELEMENTWISE,
    (MICROSOFT, "LongformerAttention"): ELEMENTWISE,
    (MICROSOFT, "MoE"): ELEMENTWISE,
    (MICROSOFT, "QMoE"): ELEMENTWISE,
    # normalisation
    (MICROSOFT, "SkipLayerNormalization"): NORMALIZED,
    (MICROSOFT, "SkipSimplifiedLayerNormalization"): NORMALIZED,
    (MICROSOFT, "EmbedLayerNormalization"): embedding,
    (MICROSOFT, "GroupNorm"): ELEMENTWISE,
    (MICROSOFT, "SkipGroupNorm"): copies({0: 0, 1: 0}),
    (MICROSOFT, "BranchwiseRMSNorm"): ELEMENTWISE,
    (MICROSOFT, "GatedRMSNorm"): ELEMENTWISE,
    # weights in blocks
    (MICROSOFT, "MatMulNBits"): projections({0: "N"}),
    (MICROSOFT, "MatMulNBitsMlp"): projections({0: "N"}, copied=1),
    (MICROSOFT, "MatMulNBitsQkv"): projections({0: "Nq", 1: "Nkv", 2: "Nkv"}, copied=3),
    (MICROSOFT, "MatMulBnb4"): forward_projection,
    (MICROSOFT, "MatMulFpQ4"): by_shape,
    (MICROSOFT, "MatMulBlockQuantizedFp8Weight"): form("Einsum", 0, 1, equation="...k,nj->...n"),
    (MICROSOFT, "MatMulBlockQuantizedFp4Weight"): form("Einsum", 0, 1, equation="...k,nj->...n"),
    (MICROSOFT, "GatherBlockQuantized"): packed_rows,
    # quantised
    (MICROSOFT, "QuantizeLinear"): form("QuantizeLinear", 0, 1, 2),
    (MICROSOFT, "DequantizeLinear"): scaled(form("Identity", 0), 1),
    (MICROSOFT, "DynamicQuantizeLSTM"): form("LSTM", *range(8)),
    (MICROSOFT, "DynamicQuantizeMatMul"): form("MatMul", 0, 1),
    (MICROSOFT, "MatMulIntegerToFloat"): scaled(form("MatMul", 0, 1), 2),
    (MICROSOFT, "MulInteger"): cast(form("Mul", 0, 2), TensorProto.INT32),
    (MICROSOFT, "QGemm"): quantized_gemm,
    (MICROSOFT, "QAttention"): attention,
    (MICROSOFT, "QEmbedLayerNormalization"): quantized_embedding,
    (MICROSOFT, "QLinearConv"): by_layout(form("QLinearConv", *range(9))),
    (MICROSOFT, "QLinearAveragePool"): by_layout(form("AveragePool", 0)),
    (MICROSOFT, "QLinearGlobalAveragePool"): by_layout(form("GlobalAveragePool", 0)),
    (MICROSOFT, "QLinearReduceMean"): form("ReduceMean", 0),
    (MICROSOFT, "QLinearAdd"): form("Add", 0, 3),
    (MICROSOFT, "QLinearMul"): form("Mul", 0, 3),
    (MICROSOFT, "QLinearWhere"): form("Where", 0, 1, 4),
    (MICROSOFT, "QLinearConcat"): concatenation,
    (MICROSOFT, "QLinearSigmoid"): ELEMENTWISE,
    (MICROSOFT, "QLinearLeakyRelu"): ELEMENTWISE,
    (MICROSOFT, "QLinearSoftmax"): ELEMENTWISE,
    (MICROSOFT, "QOrderedGelu"): ELEMENTWISE,
    (MICROSOFT, "QOrderedLayerNormalization"): ELEMENTWISE,
    (MICROSOFT, "QOrderedLongformerAttention"): ELEMENTWISE,
    (MICROSOFT, "QOrderedMatMul"): form("MatMul", 0, 2),
    (MICROSOFT, "QuantizeWithOrder"): form("Cast", 0, to=TensorProto.INT8),
    (MICROSOFT, "DequantizeWithOrder"): form("Cast", 0),
    # channels in blocks
    (BLOCKED, "Conv"): form("Conv", 0, 1, 2),
    (BLOCKED, "MaxPool"): form("MaxPool", 0),
    (BLOCKED, "AveragePool"): form("AveragePool", 0),
    (BLOCKED, "GlobalMaxPool"): form("GlobalMaxPool", 0),
    (BLOCKED, "GlobalAveragePool"): form("GlobalAveragePool", 0),
    (BLOCKED, "Upsample"): repetition,
    (BLOCKED, "ReorderInput"): to_blocks,
    (BLOCKED, "ReorderOutput"): from_blocks,
    # channels last, as ONNX Runtime's other devices have them
    (NHWC, "Conv"): channels_last(form("Conv", 0, 1, 2)),
    (NHWC, "ConvTranspose"): channels_last(form("ConvTranspose", 0, 1, 2)),
    (NHWC, "MaxPool"): channels_last(form("MaxPool", 0)),
    (NHWC, "AveragePool"): channels_last(form("AveragePool", 0)),
    (NHWC, "LpPool"): channels_last(form("LpPool", 0)),
    (NHWC, "GlobalMaxPool"): channels_last(form("GlobalMaxPool", 0)),
    (NHWC, "GlobalAveragePool"): channels_last(form("GlobalAveragePool", 0)),
    (NHWC, "GlobalLpPool"): channels_last(form("GlobalLpPool", 0)),
    (NHWC, "DepthToSpace"): channels_last(form("DepthToSpace", 0)),
    (NHWC, "SpaceToDepth"): channels_last(form("SpaceToDepth", 0)),
    (NHWC, "GridSample"): channels_last(form("GridSample", 0, 1)),
    (NHWC, "Resize"): form("Resize", 0, 1, 2, 3),  # its scales and sizes are in the order of its axes
    (NHWC, "BatchNormalization"): ELEMENTWISE,
    (NHWC, "InstanceNormalization"): ELEMENTWISE,
    (NHWC, "LRN"): ELEMENTWISE,
    (NHWC, "QLinearConv"): channels_last(form("QLinearConv", *range(9))),
    (NHWC, "QLinearConvTranspose"): channels_last(quantized(form("ConvTranspose", 0, 3), 6, 7)),
    (NHWC, "QLinearAveragePool"): channels_last(form("AveragePool", 0)),
    # in ONNX's own domain, where ONNX has none, or none as yet
    ("", "LayerNormalization"): ELEMENTWISE,
    ("", "SimplifiedLayerNormalization"): ELEMENTWISE,
    ("", "MemcpyFromHost"): ELEMENTWISE,
    ("", "MemcpyToHost"): ELEMENTWISE,
    ("", "Affine"): ELEMENTWISE,
    ("", "ImageScaler"): ELEMENTWISE,
    ("", "ParametricSoftplus"): ELEMENTWISE,
    ("", "Scale"): ELEMENTWISE,
    ("", "ScaledTanh"): ELEMENTWISE,
}
"""Of ONNX Runtime's operators those whose shapes and types ONNX's own say exactly.

Without one: the other operators of the attention family, which ONNX Runtime's inference knows; what has a
shape that data decides; and searches and tokenisers, which are programs of their own.
"""
