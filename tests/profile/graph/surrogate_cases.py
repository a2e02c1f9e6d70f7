"""For every surrogate a node, and the types of its outputs by hand.

A type is a letter and sizes: ``f`` float32, ``h`` float16, ``u`` uint8, ``s`` int8, ``w`` uint32,
``i`` int32, ``l`` int64, ``b`` bool; ``f:`` is a scalar, ``-`` an input that is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from onnxlens.profile.graph.loading.inference.surrogates import BLOCKED, MICROSOFT, NHWC


@dataclass(frozen=True)
class Case:
    """A node of ONNX Runtime's.

    Attributes:
        inputs: their types; all but the first are weights.
        outputs: their types.
        runs: whether ONNX Runtime has a kernel for CPUs.
        values: of weights that decide a shape, by index.
    """

    op_type: str
    inputs: str
    outputs: str
    attributes: Mapping[str, Any]
    domain: str = MICROSOFT
    runs: bool = True
    opset: int = 17
    values: Mapping[int, Sequence[int]] | None = None


def runs(op_type: str, inputs: str, outputs: str, **attributes: Any) -> Case:
    return Case(op_type, inputs, outputs, attributes)


def elsewhere(op_type: str, inputs: str, outputs: str, **attributes: Any) -> Case:
    """A case without a kernel for CPUs."""
    return Case(op_type, inputs, outputs, attributes, runs=False)


def blocked(op_type: str, inputs: str, outputs: str, **attributes: Any) -> Case:
    return Case(op_type, inputs, outputs, attributes, BLOCKED)


def nhwc(op_type: str, inputs: str, outputs: str, **attributes: Any) -> Case:
    return Case(op_type, inputs, outputs, attributes, NHWC, runs=False)


def onnx_domain(op_type: str, inputs: str, outputs: str, opset: int = 11) -> Case:
    return Case(op_type, inputs, outputs, {}, "", opset=opset)


KERNEL: Mapping[str, Any] = {"kernel_shape": [3, 3]}
STRIDE: Mapping[str, Any] = {"kernel_shape": [2, 2], "strides": [2, 2]}

AS_ONNX = [
    # a 3 x 3 kernel without padding takes 2 off each side; padding of 1 gives them back
    runs("FusedConv", "f:1,3,8,9 f:4,3,3,3 f:4", "f:1,4,6,7", activation="Relu", **KERNEL),
    runs("FusedConv", "f:1,3,8,9 f:4,3,3,3", "f:1,4,8,9", activation="Relu", pads=[1, 1, 1, 1]),
    runs(
        "FusedConv",
        "f:1,4,8,9 f:4,2,3,3 f:4 f:1,4,8,9",
        "f:1,4,8,9",
        activation="Relu",
        group=2,
        pads=[1] * 4,
    ),
    # the kernel last, as the schema has it, and in the middle, as the tool has it that writes such nodes
    elsewhere("NhwcConv", "h:1,8,9,3 h:4,3,2,2", "h:1,7,8,4", kernel_shape=[2, 2]),
    elsewhere("NhwcConv", "h:1,8,9,3 h:4,2,2,3", "h:1,7,8,4", kernel_shape=[2, 2]),
    elsewhere("NhwcFusedConv", "h:1,8,9,3 h:4,3,3,3", "h:1,6,7,4", activation="Relu", **KERNEL),
    runs("NhwcMaxPool", "s:1,8,6,3", "s:1,4,3,3", **STRIDE),
    runs("MaxpoolWithMask", "f:1,3,8,6 i:1,3,8,6", "f:1,3,4,3", **STRIDE),
    runs("FusedGemm", "f:5,2 f:7,5 f:7", "f:2,7", transA=1, transB=1, activation="Relu"),
    elsewhere("GemmFastGelu", "h:2,3,5 h:5,7 h:7", "h:2,3,7"),
    elsewhere("GemmFloat8", "h:2,5 h:7,5", "f:2,7", transB=1, dtype=1),
    runs("FusedMatMul", "f:2,3,5 f:2,5,7", "f:2,3,7"),
    runs("FusedMatMul", "f:2,5,3 f:7,5", "f:2,3,7", transA=1, transB=1),
    # a batch in the middle: the first axis goes behind it, then the last two are turned
    runs("FusedMatMul", "f:3,2,4,5 f:2,4,5,7", "f:2,4,3,7", transBatchA=1),
    runs("FusedMatMul", "f:5,2,3 f:2,5,7", "f:2,3,7", transBatchA=1, transA=1),
    runs("FusedMatMul", "f:2,3,5 f:5,2,7", "f:2,3,7", transBatchB=1),
    runs("FusedMatMul", "f:2,3,5 f:7,2,5", "f:2,3,7", transBatchB=1, transB=1),
    elsewhere("FusedMatMulActivation", "f:2,3,5 f:7,5", "f:2,3,7", transB=1, activation="Relu"),
    runs("TransposeMatMul", "f:2,5,3 f:2,5,7", "f:2,3,7", transA=1),
    # (sequence, batch, input) gives (sequence, directions, batch, hidden), and the last of them
    elsewhere("AttnLSTM", "f:6,2,5 f:1,16,5 f:1,16,4", "f:6,1,2,4 f:1,2,4 f:1,2,4", hidden_size=4),
    runs("CDist", "f:4,5 f:6,5", "f:4,6", metric="euclidean"),
    runs("GridSample", "f:1,3,8,9 f:1,4,5,2", "f:1,3,4,5"),
    Case("GatherND", "f:3,4,5 l:2,2", "f:2,5", {}, values={1: [0, 1, 2, 3]}),
    Case("Pad", "f:2,3 l:4", "f:5,10", {}, values={1: [1, 3, 2, 4]}),  # 2 + 1 + 2 and 3 + 3 + 4
    elsewhere("TorchEmbedding", "f:9,4 l:2,3", "f:2,3,4"),
    runs("MurmurHash3", "i:2,3", "w:2,3"),
    runs("MurmurHash3", "i:2,3", "i:2,3", positive=0),
]

AS_LARGE = [
    *(runs(op_type, "f:2,3,4", "f:2,3,4") for op_type in ("Gelu", "FastGelu", "QuickGelu")),
    runs("BiasGelu", "f:2,3,4 f:4", "f:2,3,4"),
    elsewhere("BiasAdd", "h:2,3,320 h:320 h:2,3,320", "h:2,3,320"),
    elsewhere("BiasSoftmax", "f:2,3,4 f:1,3,4", "f:2,3,4", axis=2, is_inner_broadcast=0),
    elsewhere("BiasDropout", "f:2,4 f:4", "f:2,4"),
    elsewhere("BitmaskBiasDropout", "f:2,4 f:4", "f:2,4"),
    elsewhere("BitmaskDropout", "f:2,4", "f:2,4"),
    elsewhere("BiasSplitGelu", "h:2,3,2560 h:2560", "h:2,3,1280"),
    runs("ScaledSiLU", "f:2,4", "f:2,4"),
    runs("GatedAdd", "h:2,3,4 h:2,3,4 h:2,3,1", "h:2,3,4"),
    elsewhere("ComplexMul", "f:2,3,2 f:1,3,2", "f:2,3,2"),
    elsewhere("ComplexMulConj", "f:1,3,2 f:2,3,2", "f:2,3,2"),
    runs("Inverse", "f:2,3,3", "f:2,3,3"),
    runs("Trilu", "l:3,4", "l:3,4"),
    runs("NGramRepeatBlock", "l:2,5 f:2,9", "f:2,9", ngram_size=3),
    runs("RotaryEmbedding", "f:2,3,16 l:2,3 f:8,4 f:8,4", "f:2,3,16", num_heads=2),
    runs(
        "MRotaryEmbedding", "h:2,3,16 l:3,2,3 h:8,4 h:8,4", "h:2,3,16", num_heads=2, mrope_section=[2, 1, 1]
    ),
    elsewhere("GemmaRotaryEmbedding", "f:2,3,8" + " h:2,4,3,8" * 4, "h:2,4,3,8 h:2,4,3,8"),
    elsewhere("VarlenCausalConvWithState", "h:6,4 h:4,1,3 i:3 - h:2,4,2", "h:6,4 h:2,4,2"),
    runs("LinearAttentionGate", "f:2,3,4 f:4 f:4 f:2,3,4", "f:2,3,4 f:2,3,4"),
    elsewhere("GatedDeltaNet", "h:6,2,8 h:6,2,8 h:6,4,16 - f:6,4 f:6,4 f:1,4,16,8", "h:6,4,16 f:1,4,16,8"),
    runs("EngramGate", "f:2,3,4,8 f:2,3,4,8 f:2,3,8 f:4,8 f:4,8 f:4,8", "f:2,3,4,8 f:2,3,4,8"),
    elsewhere(
        "LongformerAttention",
        "h:1,8,16 h:16,48 h:48 h:1,8 h:16,48 h:48 i:1,8",
        "h:1,8,16",
        num_heads=2,
        window=2,
    ),
    runs("MoE", "f:6,8 f:6,2 f:2,16,8 - f:2,8,16", "f:6,8", activation_type="relu"),
    runs("QMoE", "f:6,8 f:6,2 u:2,16,4 f:2,16 - u:2,8,8 f:2,8", "f:6,8"),
]

NORMALIzED = [
    runs("SkipLayerNormalization", "f:2,3,4 f:2,3,4 f:4 f:4", "f:2,3,4"),
    runs("SkipLayerNormalization", "f:2,3,4 f:1,3,4 f:4 f:4 f:4", "f:2,3,4 - - f:2,3,4"),
    runs("SkipSimplifiedLayerNormalization", "f:2,3,4 f:2,3,4 f:4", "f:2,3,4 - - f:2,3,4"),
    runs("EmbedLayerNormalization", "i:2,3 i:2,3 f:9,4 f:5,4 f:2,4 f:4 f:4", "f:2,3,4 i:2"),
    runs("EmbedLayerNormalization", "i:2,3 - f:9,4 f:5,4 - f:4 f:4", "f:2,3,4 - f:2,3,4"),
    elsewhere("GroupNorm", "h:1,8,9,16 f:16 f:16", "h:1,8,9,16", groups=4, activation=1),
    elsewhere(
        "SkipGroupNorm", "h:1,8,9,16 f:16 f:16 h:1,16", "h:1,8,9,16 h:1,8,9,16", groups=4, activation=1
    ),
    runs("BranchwiseRMSNorm", "f:2,3,4 f:4", "f:2,3,4"),
    runs("GatedRMSNorm", "f:2,3,4 f:4 f:2,3,4", "f:2,3,4"),
]

BLOCKWISE = [
    # 64 values in 2 blocks of 32, 16 bytes each
    runs("MatMulNBits", "f:2,3,64 u:7,2,16 f:14", "f:2,3,7", K=64, N=7, bits=4, block_size=32),
    elsewhere("MatMulNBitsMlp", "h:2,3,64 h:2,3,64 h:64 u:7,2,16 h:14 - u:7,2,16 h:14", "h:2,3,7 h:2,3,64",
              K=64, N=7, block_size=32, activation="silu"),
    elsewhere("MatMulNBitsQkv", "h:2,64 - h:64 u:7,2,16 h:14 - u:5,2,16 h:10 - u:5,2,16 h:10",
              "h:2,7 h:2,5 h:2,5", K=64, Nq=7, Nkv=5, block_size=32),
    runs("MatMulBnb4", "f:2,3,64 u:256 f:8", "f:2,3,8", K=64, N=8, block_size=64, quant_type=0),
    Case("MatMulFpQ4", "f:2,3,64 u:320 l:2", "f:2,3,8", {}, runs=False, values={2: [64, 8]}),
    elsewhere("MatMulBlockQuantizedFp8Weight", "h:2,3,64 u:7,64 f:7,1", "h:2,3,7", block_size=64),
    elsewhere("MatMulBlockQuantizedFp4Weight", "h:2,3,64 u:7,32 u:7,4 f:", "h:2,3,7"),
    # rows of 64 values, two of them in a byte
    runs("GatherBlockQuantized", "u:9,32 l:2,3 f:9,2", "f:2,3,64", bits=4, block_size=32, quantize_axis=1),
    runs("GatherBlockQuantized", "u:9,64 l:2,3 h:9,2", "h:2,3,64", bits=8, block_size=32, quantize_axis=1),
]  # fmt: skip

QUANTIzED = [
    runs("QuantizeLinear", "f:2,3 f: s:", "s:2,3"),
    runs("QuantizeLinear", "f:2,3 f:", "u:2,3"),
    runs("DequantizeLinear", "u:2,3 f: u:", "f:2,3"),
    runs("DequantizeLinear", "u:2,3 h:3 u:3", "h:2,3", axis=1),
    runs("DynamicQuantizeLSTM", "f:6,2,5 s:2,5,16 s:2,4,16 - - - - - f:2 s:2 f:2 s:2",
         "f:6,2,2,4 f:2,2,4 f:2,2,4", hidden_size=4, direction="bidirectional"),
    runs("DynamicQuantizeMatMul", "f:2,3,5 s:5,7 f:", "f:2,3,7"),
    runs("MatMulIntegerToFloat", "u:2,3,5 s:5,7 f: f:7", "f:2,3,7"),
    runs("MatMulIntegerToFloat", "u:2,3,5 s:5,7 h: h:7", "h:2,3,7"),
    elsewhere("MulInteger", "u:2,3 u: u:3", "i:2,3"),
    runs("QGemm", "u:2,5 f: u: s:5,7 f: s: i:7 f: u:", "u:2,7"),
    runs("QGemm", "u:5,2 f: u: s:7,5 f: s:", "f:2,7", transA=1, transB=1),
    # 4 heads of 2; the past is one of 5 positions
    runs("QAttention", "u:2,3,6 s:6,24 f:24 f: f: - u: s:", "f:2,3,8", num_heads=4),
    runs("QAttention", "u:2,3,6 s:6,24 f:24 f: f: - u: s:", "f:2,3,8 f:2,2,4,3,2", num_heads=4),
    runs("QAttention", "u:2,3,6 s:6,24 f:24 f: f: - u: s: f:2,2,4,5,2", "f:2,3,8 f:2,2,4,8,2",
         num_heads=4, unidirectional=1),
    runs("QEmbedLayerNormalization",
         "i:2,3 i:2,3 u:9,4 u:5,4 u:2,4 u:4 u:4 i:2,3 f: f: f: f: f: u: u: u: u: u:", "f:2,3,4 i:2"),
    runs("QLinearConv", "u:1,3,8,9 f: u: s:4,3,3,3 f: s: f: u:", "u:1,4,6,7", **KERNEL),
    runs("QLinearConv", "u:1,8,9,3 f: u: s:4,3,3,3 f: s: f: u:", "u:1,6,7,4", channels_last=1, **KERNEL),
    runs("QLinearAveragePool", "u:1,3,8,6 f: u: f: u:", "u:1,3,4,3", **STRIDE),
    runs("QLinearAveragePool", "s:1,8,6,3 f: s: f: s:", "s:1,4,3,3", channels_last=1, **STRIDE),
    runs("QLinearGlobalAveragePool", "u:2,3,8,6 f: u: f: u:", "u:2,3,1,1"),
    runs("QLinearGlobalAveragePool", "u:2,8,6,3 f: u: f: u:", "u:2,1,1,3", channels_last=1),
    elsewhere("QLinearReduceMean", "u:2,3,8,6 f: u: f: u:", "u:2,3", axes=[2, 3], keepdims=0),
    runs("QLinearAdd", "u:2,3 f: u: u:4,1,3 f: u: f: u:", "u:4,2,3"),
    runs("QLinearMul", "s:2,1 f: s: s:3 f: s: f: s:", "s:2,3"),
    runs("QLinearWhere", "b:2,1 u:3 f: u: u:4,2,3 f: u: f: u:", "u:4,2,3"),
    Case("QLinearConcat", "f: u: u:2,3 f: u: u:2,5 f: u:", "u:2,8", {"axis": 1}),
    runs("QLinearSigmoid", "u:2,3 f: u: f: u:", "u:2,3"),
    runs("QLinearLeakyRelu", "s:2,3 f: s: f: s:", "s:2,3", alpha=0.1),
    runs("QLinearSoftmax", "u:2,3 f: u: f: u:", "u:2,3", opset=13, axis=-1),
    elsewhere("QOrderedGelu", "s:2,32 f: f:", "s:2,32", order_X=1, order_Y=1),
    elsewhere("QOrderedLayerNormalization", "s:2,3,32 f: f:32 f:32 f:", "s:2,3,32", order_X=1, order_Y=1),
    elsewhere(
        "QOrderedLongformerAttention",
        "s:1,8,16 f: s:16,48 f: f:48 f: f: h:1,8 s:16,48 f: f:48 f: i:1,8 f:", "s:1,8,16",
        num_heads=2, window=2, order_input=1, order_weight=0, order_global_weight=0, order_output=1,
    ),
    elsewhere("QOrderedMatMul", "s:2,3,32 f: s:32,64 f: f:", "s:2,3,64", order_A=1, order_B=0, order_Y=1),
    elsewhere("QuantizeWithOrder", "h:2,3,32 f:", "s:2,3,32", order_input=1, order_output=1),
    elsewhere("DequantizeWithOrder", "s:2,3,32 f:", "h:2,3,32", order_input=1, order_output=1, to=10),
]  # fmt: skip

CHANNEL_BLOCKS = [
    blocked("Conv", "f:1,3,8,9 f:32,3,3,3 f:32", "f:1,32,6,7", activation="Relu", **KERNEL),
    blocked("MaxPool", "f:1,32,8,6", "f:1,32,4,3", **STRIDE),
    blocked("AveragePool", "f:1,32,8,6", "f:1,32,4,3", **STRIDE),
    blocked("GlobalMaxPool", "f:1,32,8,6", "f:1,32,1,1"),
    blocked("GlobalAveragePool", "f:1,32,8,6", "f:1,32,1,1"),
    blocked("Upsample", "f:1,32,8,6", "f:1,32,16,18", scales=[1, 1, 2, 3]),
    blocked("ReorderInput", "f:1,32,8,6", "f:1,32,8,6"),
    blocked("ReorderInput", "f:1,8,6,32", "f:1,32,8,6", channels_last=1),
    blocked("ReorderOutput", "f:1,32,8,6", "f:1,20,8,6", channels=20),
    blocked("ReorderOutput", "f:1,32,8,6", "f:1,8,6,20", channels=20, channels_last=1),
]

CHANNELS_LAST = [
    nhwc("Conv", "f:1,8,9,3 f:4,3,3,3 f:4", "f:1,6,7,4", **KERNEL),
    nhwc("Conv", "f:1,9,3 f:4,3,3", "f:1,7,4"),  # one spatial axis
    nhwc("ConvTranspose", "f:1,8,9,3 f:3,4,2,2", "f:1,16,18,4", **STRIDE),
    nhwc("MaxPool", "f:1,8,6,3", "f:1,4,3,3", **STRIDE),
    nhwc("AveragePool", "f:1,8,6,3", "f:1,4,3,3", **STRIDE),
    nhwc("LpPool", "f:1,8,6,3", "f:1,4,3,3", **STRIDE),
    *(nhwc(f"Global{kind}Pool", "f:1,8,6,3", "f:1,1,1,3") for kind in ("Max", "Average", "Lp")),
    nhwc("DepthToSpace", "f:1,8,6,12", "f:1,16,12,3", blocksize=2),
    nhwc("SpaceToDepth", "f:1,8,6,3", "f:1,4,3,12", blocksize=2),
    nhwc("GridSample", "f:1,8,9,3 f:1,4,5,2", "f:1,4,5,3"),
    Case(
        "Resize", "f:1,8,6,3 - f:4", "f:1,16,18,3", {"mode": "nearest"}, NHWC, False, values={2: [1, 2, 3, 1]}
    ),
    nhwc("BatchNormalization", "f:1,8,9,3 f:3 f:3 f:3 f:3", "f:1,8,9,3"),
    nhwc("InstanceNormalization", "f:1,8,9,3 f:3 f:3", "f:1,8,9,3"),
    nhwc("LRN", "f:1,8,9,3", "f:1,8,9,3", size=3),
    nhwc("QLinearConv", "u:1,8,9,3 f: u: s:4,3,3,3 f: s: f: u:", "u:1,6,7,4", **KERNEL),
    nhwc("QLinearConvTranspose", "u:1,8,9,3 f: u: s:3,4,2,2 f: s: f: u:", "u:1,16,18,4", **STRIDE),
    nhwc("QLinearAveragePool", "u:1,8,6,3 f: u: f: u:", "u:1,4,3,3", **STRIDE),
]

ONNX_DOMAIN = [
    onnx_domain("LayerNormalization", "f:2,3,4 f:4 f:4", "f:2,3,4"),
    onnx_domain("SimplifiedLayerNormalization", "f:2,3,4 f:4", "f:2,3,4", 17),
    onnx_domain("MemcpyFromHost", "f:2,3", "f:2,3"),
    onnx_domain("MemcpyToHost", "f:2,3", "f:2,3"),
    Case("Affine", "f:1,3,2,2", "f:1,3,2,2", {"alpha": 1.0, "beta": 1.0}, "", opset=9),
    Case("ImageScaler", "f:1,3,2,2", "f:1,3,2,2", {"bias": [1.0, 1.0, 1.0], "scale": 2.0}, "", opset=9),
    Case("ParametricSoftplus", "f:2,3", "f:2,3", {"alpha": 1.0, "beta": 1.0}, "", opset=9),
    Case("Scale", "f:2,3", "f:2,3", {"scale": 2.0}, "", opset=9),
    Case("ScaledTanh", "f:2,3", "f:2,3", {"alpha": 1.0, "beta": 1.0}, "", opset=9),
]

CASES = [
    *AS_ONNX, *AS_LARGE, *NORMALIzED, *BLOCKWISE, *QUANTIzED, *CHANNEL_BLOCKS, *CHANNELS_LAST, *ONNX_DOMAIN
]  # fmt: skip
