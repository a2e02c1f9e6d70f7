"""Surrogates: ONNX's own operators in place of ONNX Runtime's, where they have the same shapes and types.

ONNX's inference knows no operator of ONNX Runtime, and ONNX Runtime's symbolic inference lacks many, so that
all behind such a node would be unknown. Only shapes and element types are those of the node; values are not,
and so a surrogate is never folded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache

import onnx
from onnx import GraphProto, NodeProto, TensorProto, defs

from onnxlens.profile.graph.loading.inference import surrogate_rules as rules
from onnxlens.profile.graph.loading.inference.surrogate_rules import (
    Surrogate,
    Surroundings,
    by_layout,
    cast,
    channels_last,
    copies,
    form,
    scaled,
    setting,
)
from onnxlens.profile.graph.loading.protobuf import all_graphs, domain_of, subgraphs
from onnxlens.profile.graph.loading.value_types import LEFT_OUT, UNKNOWN, ValueType, tensor_type, value_type

MICROSOFT, BLOCKED, NHWC = "com.microsoft", "com.microsoft.nchwc", "com.ms.internal.nhwc"

Operator = tuple[str, str]


def _like_first_input(domain: str, op_types: str) -> Mapping[Operator, Surrogate]:
    """Operators whose one output has the shape and type of their first input."""
    return {(domain, op_type): copies({0: 0}) for op_type in op_types.split()}


NORMALIZED = copies({0: 0, 3: 0})
"""With a sum of input and skip; the statistics, which training alone asks for, are left to others."""

# each on the first input alone, without a weight
POOLINGS = ("MaxPool", "AveragePool", "GlobalMaxPool", "GlobalAveragePool")
ONE_INPUT = (*POOLINGS, "LpPool", "GlobalLpPool", "DepthToSpace", "SpaceToDepth")

SURROGATES: Mapping[Operator, Surrogate] = {
    # as ONNX's own, with an activation, a bias or another scale
    (MICROSOFT, "FusedConv"): form("Conv", 0, 1, 2),
    (MICROSOFT, "NhwcConv"): rules.convolution_with_kernel,
    (MICROSOFT, "NhwcFusedConv"): channels_last(form("Conv", 0, 1, 2)),
    (MICROSOFT, "NhwcMaxPool"): channels_last(form("MaxPool", 0)),
    (MICROSOFT, "MaxpoolWithMask"): form("MaxPool", 0),
    (MICROSOFT, "FusedGemm"): form("Gemm", 0, 1),
    (MICROSOFT, "GemmFastGelu"): form("MatMul", 0, 1),
    (MICROSOFT, "GemmFloat8"): rules.float8_gemm,
    (MICROSOFT, "FusedMatMul"): rules.product,
    (MICROSOFT, "FusedMatMulActivation"): rules.product,
    (MICROSOFT, "TransposeMatMul"): rules.product,
    (MICROSOFT, "AttnLSTM"): form("LSTM", *range(8)),
    (MICROSOFT, "CDist"): form("Gemm", 0, 1, transB=1),
    (MICROSOFT, "GridSample"): form("GridSample", 0, 1),
    (MICROSOFT, "GatherND"): form("GatherND", 0, 1),
    (MICROSOFT, "Pad"): form("Pad", 0, 1),
    (MICROSOFT, "TorchEmbedding"): form("Gather", 0, 1, axis=0),
    (MICROSOFT, "MurmurHash3"): rules.hashes,
    # as large as an input
    **_like_first_input(
        MICROSOFT,
        "Gelu FastGelu QuickGelu BiasGelu BiasAdd BiasSoftmax BiasDropout BitmaskBiasDropout "
        "BitmaskDropout ScaledSiLU GatedAdd Inverse Trilu RotaryEmbedding MRotaryEmbedding "
        "LongformerAttention MoE QMoE GroupNorm BranchwiseRMSNorm GatedRMSNorm "
        "QLinearSigmoid QLinearLeakyRelu QLinearSoftmax QOrderedGelu QOrderedLayerNormalization "
        "QOrderedLongformerAttention",
    ),
    (MICROSOFT, "BiasSplitGelu"): rules.halves,
    (MICROSOFT, "ComplexMul"): form("Add", 0, 1),
    (MICROSOFT, "ComplexMulConj"): form("Add", 0, 1),
    (MICROSOFT, "NGramRepeatBlock"): copies({0: 1}),
    (MICROSOFT, "GemmaRotaryEmbedding"): copies({0: 1, 1: 3}),
    (MICROSOFT, "VarlenCausalConvWithState"): copies({0: 0, 1: 4}),
    (MICROSOFT, "LinearAttentionGate"): copies({0: 0, 1: 3}),
    (MICROSOFT, "GatedDeltaNet"): copies({0: 2, 1: 6}),
    (MICROSOFT, "EngramGate"): copies({0: 0, 1: 0}),
    # normalisation
    (MICROSOFT, "SkipLayerNormalization"): NORMALIZED,
    (MICROSOFT, "SkipSimplifiedLayerNormalization"): NORMALIZED,
    (MICROSOFT, "EmbedLayerNormalization"): rules.embedding,
    (MICROSOFT, "SkipGroupNorm"): copies({0: 0, 1: 0}),
    # weights in blocks
    (MICROSOFT, "MatMulNBits"): rules.projections({0: "N"}),
    (MICROSOFT, "MatMulNBitsMlp"): rules.projections({0: "N"}, copied=1),
    (MICROSOFT, "MatMulNBitsQkv"): rules.projections({0: "Nq", 1: "Nkv", 2: "Nkv"}, copied=3),
    (MICROSOFT, "MatMulBnb4"): rules.forward_projection,
    (MICROSOFT, "MatMulFpQ4"): rules.by_shape,
    (MICROSOFT, "MatMulBlockQuantizedFp8Weight"): form("Einsum", 0, 1, equation="...k,nj->...n"),
    (MICROSOFT, "MatMulBlockQuantizedFp4Weight"): form("Einsum", 0, 1, equation="...k,nj->...n"),
    (MICROSOFT, "GatherBlockQuantized"): rules.packed_rows,
    # quantised
    (MICROSOFT, "QuantizeLinear"): form("QuantizeLinear", 0, 1, 2),
    (MICROSOFT, "DequantizeLinear"): scaled(form("Identity", 0), 1),
    (MICROSOFT, "DynamicQuantizeLSTM"): form("LSTM", *range(8)),
    (MICROSOFT, "DynamicQuantizeMatMul"): form("MatMul", 0, 1),
    (MICROSOFT, "MatMulIntegerToFloat"): scaled(form("MatMul", 0, 1), 2),
    (MICROSOFT, "MulInteger"): cast(form("Mul", 0, 2), TensorProto.INT32),
    (MICROSOFT, "QGemm"): rules.quantized_gemm,
    (MICROSOFT, "QAttention"): rules.attention,
    (MICROSOFT, "QEmbedLayerNormalization"): scaled(rules.embedding, 8),
    (MICROSOFT, "QLinearConv"): by_layout(form("QLinearConv", *range(9))),
    (MICROSOFT, "QLinearAveragePool"): by_layout(form("AveragePool", 0)),
    (MICROSOFT, "QLinearGlobalAveragePool"): by_layout(form("GlobalAveragePool", 0)),
    (MICROSOFT, "QLinearReduceMean"): form("ReduceMean", 0),
    (MICROSOFT, "QLinearAdd"): form("Add", 0, 3),
    (MICROSOFT, "QLinearMul"): form("Mul", 0, 3),
    (MICROSOFT, "QLinearWhere"): form("Where", 0, 1, 4),
    (MICROSOFT, "QLinearConcat"): rules.concatenation,
    (MICROSOFT, "QOrderedMatMul"): form("MatMul", 0, 2),
    (MICROSOFT, "QuantizeWithOrder"): form("Cast", 0, to=TensorProto.INT8),
    (MICROSOFT, "DequantizeWithOrder"): form("Cast", 0),
    # channels in blocks
    (BLOCKED, "Conv"): form("Conv", 0, 1, 2),
    **{(BLOCKED, op_type): form(op_type, 0) for op_type in POOLINGS},
    (BLOCKED, "Upsample"): rules.repetition,
    (BLOCKED, "ReorderInput"): rules.to_blocks,
    (BLOCKED, "ReorderOutput"): rules.from_blocks,
    # channels last, as ONNX Runtime's other devices have them
    (NHWC, "Conv"): channels_last(form("Conv", 0, 1, 2)),
    (NHWC, "ConvTranspose"): channels_last(form("ConvTranspose", 0, 1, 2)),
    **{(NHWC, op_type): channels_last(form(op_type, 0)) for op_type in ONE_INPUT},
    (NHWC, "GridSample"): channels_last(form("GridSample", 0, 1)),
    (NHWC, "Resize"): form("Resize", 0, 1, 2, 3),  # its scales and sizes are in the order of its axes
    **_like_first_input(NHWC, "BatchNormalization InstanceNormalization LRN"),
    (NHWC, "QLinearConv"): channels_last(form("QLinearConv", *range(9))),
    (NHWC, "QLinearConvTranspose"): channels_last(scaled(form("ConvTranspose", 0, 3), 7)),
    (NHWC, "QLinearAveragePool"): channels_last(form("AveragePool", 0)),
    # in ONNX's own domain, where ONNX has none, or none as yet
    **_like_first_input("", " ".join(LEFT_OUT)),
}
"""Of ONNX Runtime's operators those whose shapes and types ONNX's own say exactly.

Without one: the other operators of the attention family, which ONNX Runtime's inference knows; what has a
shape that data decides; and searches and tokenisers, which are programs of their own.
"""

EINSUM_OPSET = 12
"""Since which there is an Einsum; it only adds to the one before."""


def put_surrogates(model: onnx.ModelProto) -> None:
    """Replace, in place, every node that has a surrogate: one whose operators exist at the model's opset."""
    opset = next((opset for opset in model.opset_import if opset.domain in ("", "ai.onnx")), None)
    if opset is None or not any(
        _rule(node, opset.version) for _, graph in all_graphs(model.graph) for node in graph.node
    ):
        return
    if opset.version == EINSUM_OPSET - 1:
        opset.version = EINSUM_OPSET
    _replace(model.graph, Surroundings(), opset.version)


def _replace(graph: GraphProto, outer: Surroundings, version: int) -> None:
    around = _surroundings(graph, outer)
    nodes: list[NodeProto] = []
    for node in graph.node:
        for _, inner in subgraphs(node):
            _replace(inner, around, version)
        nodes += _surrogate(node, around, version) or [node]
    del graph.node[:]
    graph.node.extend(nodes)


def _surrogate(node: NodeProto, around: Surroundings, version: int) -> Sequence[NodeProto] | None:
    rule = _rule(node, version)
    nodes = _made(rule, node, around) if rule is not None else None
    return nodes if nodes and all(_exists(made.op_type, version) for made in nodes) else None


def surrogate_of(node: NodeProto, around: Surroundings, version: int) -> Sequence[NodeProto] | None:
    """The nodes that stand for this one, each of an opset that has it: to be looked at one by one."""
    rule = _rule(node, version) if domain_of(node) != BLOCKED else None  # those hang on the nodes behind
    return _made(rule, node, around) if rule is not None else None


def _made(rule: Surrogate, node: NodeProto, around: Surroundings) -> Sequence[NodeProto] | None:
    try:
        return rule(node, around)
    except (ArithmeticError, LookupError, TypeError, ValueError):
        return None  # a node that lacks what its schema asks for, or has it in another form, stays


def _rule(node: NodeProto, version: int) -> Surrogate | None:
    domain = domain_of(node)
    at_home = domain == "" and _exists(node.op_type, version)
    return None if at_home else SURROGATES.get((domain, node.op_type))


@cache
def _exists(op_type: str, version: int) -> bool:
    """Whether ONNX itself has the operator at that opset."""
    try:
        defs.get_schema(op_type, version, "")
    except defs.SchemaError:
        return False
    return True


def _surroundings(graph: GraphProto, outer: Surroundings) -> Surroundings:
    held = {**outer.held, **dict(_held(graph))}
    channels = {
        node.input[0]: int(weight.shape[1]) * int(setting(node, "group", 1))
        for node in graph.node
        if (node.domain, node.op_type) == (BLOCKED, "Conv") and len(node.input) > 1
        for weight in [held.get(node.input[1], UNKNOWN)]
        if weight.shape is not None and weight.is_fixed and len(weight.shape) > 1
    }
    return Surroundings(held, channels)


def _held(graph: GraphProto) -> Iterator[tuple[str, ValueType]]:
    for tensor in graph.initializer:
        yield tensor.name, tensor_type(tensor)
    for value in graph.input:
        yield value.name, value_type(value.type)
