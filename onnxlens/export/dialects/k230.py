"""What nncase 2.11.0 reads for Canaan's K230; found by compiling one operator at a time."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from onnxlens.export.dialects import elementwise, normalization, shaping
from onnxlens.export.dialects.dialect import Dialect
from onnxlens.export.dialects.einsum import einsum
from onnxlens.export.dialects.parts import Rule

TAKES = frozenset(
    "Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh AveragePool BatchNormalization Cast Ceil Celu Clip "
    "Concat Constant ConstantOfShape Conv ConvTranspose Cos Cosh CumSum DepthToSpace DequantizeLinear Div "
    "Dropout Elu Equal Erf Exp Expand Flatten Floor Gather GatherElements GatherND Gemm GlobalAveragePool "
    "GlobalMaxPool Greater GreaterOrEqual HardSigmoid HardSwish Hardmax Identity InstanceNormalization "
    "LRN LSTM LeakyRelu Less LessOrEqual Log LogSoftmax LpNormalization MatMul Max MaxPool Min Mod Mul "
    "Neg Not OneHot PRelu Pad Pow QLinearConv QuantizeLinear RandomNormal RandomNormalLike RandomUniform "
    "RandomUniformLike Range ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean "
    "ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape Resize ReverseSequence Round ScatterND "
    "Selu Shape Sigmoid Sign Sin Sinh Size Slice Softmax Softplus Softsign SpaceToDepth Split Sqrt "
    "Squeeze Sub Sum Tanh Tile TopK Transpose Trilu Unsqueeze Upsample Where".split()
)
"""The names that its importer knows; it ends the process at others."""

RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "Add": shaping.spread,
        "Div": shaping.spread,
        "Einsum": einsum,
        "Gelu": elementwise.unary(elementwise.gelu),
        "GroupNormalization": normalization.group_normalization,
        "LayerNormalization": normalization.layer_normalization,
        "Max": elementwise.in_pairs("Max"),
        "Mean": elementwise.mean,
        "Min": elementwise.in_pairs("Min"),
        "Mul": shaping.spread,
        "Mish": elementwise.unary(elementwise.mish),
        "Pad": shaping.pad,
        "RMSNormalization": normalization.rms_normalization,
        "Reciprocal": elementwise.unary(elementwise.reciprocal),
        "Reshape": shaping.reshape,
        "Split": shaping.split,
        "Sub": shaping.spread,
        "Sum": elementwise.in_pairs("Add"),
        "Swish": elementwise.unary(elementwise.swish),
        "Tan": elementwise.unary(elementwise.tangent),
    }
)

K230 = Dialect("k230", "nncase 2.11.0 for Canaan's K230", TAKES, RULES)
