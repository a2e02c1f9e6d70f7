"""Scales and biases that stand beside their product or normalization, and the inputs that take parameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.graph.node_view import NodeView, ValueView
from onnxlens.profile.graph.quantization import QUANTIZING

Operator = tuple[str, str]
"""A domain ("" for ONNX's own operators) and an operator type in it."""

MICROSOFT = "com.microsoft"

PRODUCTS: Mapping[Operator, Sequence[int]] = {
    **{("", op_type): indices for op_type, indices in {
        "Conv": (1, 2), "ConvTranspose": (1, 2), "DeformConv": (1, 3), "Gemm": (0, 1, 2), "MatMul": (0, 1),
        "ConvInteger": (1,), "MatMulInteger": (0, 1), "QLinearConv": (3, 8), "QLinearMatMul": (0, 3),
        "LSTM": (1, 2, 3, 7), "GRU": (1, 2, 3), "RNN": (1, 2, 3), "CausalConvWithState": (1, 2),
    }.items()},
    ("com.amd.quark", "ExtendedLSTM"): (1, 2, 3, 7), ("com.vai.quantize", "VitisLSTM"): (1, 2, 3, 7),
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
    ("com.amd.quark", "ExtendedInstanceNormalization"): (1, 2),
    ("com.vai.quantize", "VitisInstanceNormalization"): (1, 2),
    **{(MICROSOFT, op_type): indices for op_type, indices in {
        "SkipLayerNormalization": (2, 3, 4), "SkipSimplifiedLayerNormalization": (2, 3),
        "GroupNorm": (1, 2), "SkipGroupNorm": (1, 2, 4), "QOrderedLayerNormalization": (2, 3),
        "BranchwiseRMSNorm": (1,), "GatedRMSNorm": (1,), "GroupQueryAttention": (14, 15),
        "DynamicSparseAttention": (14, 15), "PagedAttention": (12, 13), "SparsePagedAttention": (17, 18),
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
        "GatedDeltaNet": (7, 8), "GroupQueryAttention": (11,), "PagedAttention": (11,),
        "DynamicSparseAttention": (16,), "SparsePagedAttention": (16,),
    }.items()},
}  # fmt: skip
"""Embedding tables, slopes, attention sinks, and biases and scales that are fused with what comes after."""

SLOTS: Mapping[Operator, Sequence[int]] = {
    operator: [index for table in (PRODUCTS, NORMALIZATIONS, OTHERS) for index in table.get(operator, ())]
    for operator in (*PRODUCTS, *NORMALIZATIONS, *OTHERS)
}

MOVERS = frozenset(
    ("", op_type)
    for op_type in (
        "Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Cast", "CastLike", "Expand",
        "Slice", "Split", "Pad", "Dropout", "DynamicQuantizeLinear",
    )
) | QUANTIZING  # fmt: skip
"""Operators whose output holds the numbers of their first input: all else is sizes and scales."""

WIDE_BIASES = ("QLinearConv", "QGemm", "QOrderedMatMul")
"""Operators that take integers of 32 bits as a bias."""


Dims = Sequence[int | str]

FOLLOWED = 12
"""Nodes between a bias and the product that it is added to: casts, scales, reshapes."""

ARITHMETIC = frozenset({"Add", "Mul", "QLinearAdd", "QLinearMul"})
"""The operators that apply a scale or a bias."""

OPERANDS: Mapping[str, Sequence[int]] = {
    **dict.fromkeys(("Add", "Mul", "Sub", "Div"), (0, 1)),
    **dict.fromkeys(("QLinearAdd", "QLinearMul", "QLinearSub", "QLinearDiv"), (0, 3)),
}
"""The inputs that elementwise arithmetic is done with."""

CONVOLUTIONS = ("Conv", "Deform", "QLinearConv", "FusedConv", "Nhwc")

ROOTS = ("Sqrt", "ReduceL2", "Pow")
TO_ROOT = frozenset({
    "Add", "Cast", "Clip", "Div", "Expand", "Identity", "Max", "Mul", "Reciprocal", "Reshape", "Unsqueeze",
})  # fmt: skip
"""What stands between a division and the root of a variance: an epsilon, a reciprocal, a scale."""

RESHAPES = frozenset({"Reshape", "Squeeze", "Unsqueeze", "Flatten"})
PASSED = frozenset(
    {"Cast", "Identity", "Dropout", "Slice", "Transpose", *(op_type for _, op_type in QUANTIZING)}
)
QUANTIZED_ON_THE_WAY = frozenset({"Cast", "Floor", "Round", "Reshape", "Div"})
"""What makes integers of a bias at run time, for an integer convolution."""


def is_affine(graph: Graph, node: NodeView) -> ValueView | None:
    """The scale or bias that an Add or Mul takes for a product of weights, or for a normalization.

    It has one number for each channel of what it is applied to; after a normalization also one for each
    element that was normalized. A mask, which is added to the scores of two activations, is none; nor is a
    window or a table of positions.
    """
    sides = _sides(node) if node.op_type in ARITHMETIC else ()
    if len(sides) < 2:
        return None
    weights = [_weight(graph, side) for side in sides]
    if not any(weights):
        return None
    for data, factor, weight in zip(sides, sides[::-1], weights[::-1], strict=True):
        if data.is_weight or not factor.shape:
            continue
        if _belongs(graph, data, factor, node) or (node.op_type == "Mul" and _is_root(graph, data, False)):
            return weight
    return None


def _weight(graph: Graph, value: ValueView) -> ValueView | None:
    """The scale or bias that ``value`` is, or that was divided by a scale of the input and rounded."""
    if value.is_weight:
        return value
    for _ in range(FOLLOWED):
        index = graph.producer(value.name)
        node = None if index is None else graph.nodes[index].view
        if node is None or node.op_type not in QUANTIZED_ON_THE_WAY or not node.has_input(0):
            return None
        value = node.input(0)
        if value.is_weight:
            return value
    return None


def _belongs(graph: Graph, data: ValueView, factor: ValueView, node: NodeView) -> bool:
    shape, dims = factor.shape or (), data.shape
    kind, channel = _origin(graph, data)
    if dims is None:  # of a matrix product the channels are last, whatever else there is
        return kind == "product" and len(shape) == 1
    if len(shape) > len(dims) or not kind:
        return False
    if kind == "norm":
        return _is_suffix(shape, dims) or _axis(shape, dims) in (1, len(dims) - 1)
    single = tuple(shape) == (1,) == tuple(dims[-1:]) and node.op_type.endswith("Add")
    return (kind == "product" and single) or _axis(shape, dims) == channel % len(dims)


def _axis(shape: Dims, dims: Dims) -> int | None:
    """The only axis of ``dims`` along which ``shape`` holds more than one number."""
    long = [index for index, size in enumerate(shape) if size != 1]
    axis = long[0] + len(dims) - len(shape) if len(long) == 1 else None
    fits = axis is not None and (isinstance(dims[axis], str) or dims[axis] == shape[long[0]])
    return axis if fits else None


def _is_suffix(shape: Dims, dims: Dims) -> bool:
    return tuple(dims[len(dims) - len(shape) :]) == tuple(shape)


def _origin(graph: Graph, value: ValueView) -> tuple[str, int]:
    """What ``value`` comes from but for scales, biases and casts: a kind of node, and the channels' axis."""
    nodes: list[NodeView] = []
    for node in _chain(graph, value):
        operator = (node.domain, node.op_type)
        if operator in NORMALIZATIONS or _is_normalized(graph, node):
            return "norm", 1
        if operator in PRODUCTS:
            if not any(node.has_input(i) and node.input(i).is_weight for i in PRODUCTS[operator]):
                return "", 0
            is_convolution = node.op_type.startswith(CONVOLUTIONS)
            if is_convolution and not all(map(_keeps_channels, nodes)):
                return "", 0
            return ("convolution", _moved(1, nodes)) if is_convolution else ("product", _moved(-1, nodes))
        nodes.append(node)
    return "", 0


def _keeps_channels(node: NodeView) -> bool:
    """Whether the second axis stays what it is."""
    if node.op_type not in RESHAPES:
        return True
    before, after = node.input(0).shape or (), node.output().shape or ()
    return before[1:2] == after[1:2] != ()


def _moved(axis: int, nodes: Sequence[NodeView]) -> int:
    """Where an axis of a product is after the nodes behind it, given from the last one on."""
    for node in reversed(nodes):
        perm = node.attribute("perm") if node.op_type == "Transpose" else None
        if perm:
            axis = list(perm).index(axis % len(perm))
    return axis


def _chain(graph: Graph, value: ValueView) -> Iterator[NodeView]:
    """The nodes that make ``value``, last first, for as long as each changes one tensor alone."""
    for _ in range(FOLLOWED):
        index = graph.producer(value.name)
        if index is None:
            return
        node = graph.nodes[index].view
        yield node
        following = _followed(node)
        if following is None:
            return
        value = following


def _sides(node: NodeView) -> Sequence[ValueView]:
    """The two operands of elementwise arithmetic; nothing for other nodes."""
    slots = OPERANDS.get(node.op_type)
    if slots is None:
        return ()
    inputs = node.inputs
    return [value for slot in slots if slot < len(inputs) and (value := inputs[slot]) is not None]


def _followed(node: NodeView) -> ValueView | None:
    if sides := _sides(node):
        open_sides = [side for side in sides if not side.is_weight and side.shape != ()]
        return open_sides[0] if len(open_sides) == 1 else None
    source = node.input(0) if node.has_input(0) else None
    if source is not None and node.op_type in RESHAPES:
        made = node.output().shape
        return source if source.shape and made else None
    return source if node.op_type in PASSED else None


def _is_normalized(graph: Graph, node: NodeView) -> bool:
    """Whether the node divides by the root of a variance, multiplies by its reciprocal, or scales that."""
    divides = node.op_type == "Div"
    if not divides and node.op_type != "Mul":
        return False
    return any(
        not value.is_weight and _is_root(graph, value, divides)
        for value in _sides(node)[1 if divides else 0 :]
    )


def _is_root(graph: Graph, value: ValueView, inverted: bool) -> bool:
    """Whether a divisor is a root, or a factor the reciprocal of one."""
    for _ in range(FOLLOWED):
        index = graph.producer(value.name)
        if index is None:
            return False
        node = graph.nodes[index].view
        if node.op_type in ROOTS:
            return inverted or node.op_type == "Pow"
        if node.op_type not in TO_ROOT:
            return False
        inverted = inverted or node.op_type in ("Reciprocal", "Div")
        open_inputs = [each for each in node.inputs if each is not None and not each.is_weight]
        if len(open_inputs) != 1:
            return False
        value = open_inputs[0]
    return False
