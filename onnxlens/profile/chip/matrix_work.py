"""What a MAC array sees of a node: products with their batch, groups, channels, taps and output positions.

The MACs of these are those that are counted, to the digit: a node whose products say otherwise is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from math import prod

from onnxlens.profile.count.rules.attention import Sizes, attention_sizes
from onnxlens.profile.count.rules.attention_reach import reaches_of
from onnxlens.profile.count.rules.lookup import work_of
from onnxlens.profile.count.rules.matrix import einsum_products
from onnxlens.profile.count.rules.microsoft import attention as fused_attention
from onnxlens.profile.graph.node_view import NodeView, NotCountable, Shape
from onnxlens.specs.array_fit import MatrixWork

Products = Iterable[MatrixWork]
Shaping = Callable[[NodeView], Products]


def matrix_work(node: NodeView) -> tuple[MatrixWork, ...]:
    """The products of one run of a node; none where it has no MACs.

    Raises:
        NotCountable: its MACs are unknown, or how an array would see them is.
    """
    macs = work_of(node).macs
    if not macs:
        return ()
    shaping = SHAPINGS.get((node.domain, node.op_type))
    if shaping is None:
        raise NotCountable(f"{node.op_type}: its MACs are not described as products of a MAC array")
    try:
        works = tuple(work for work in shaping(node) if work.macs)
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise NotCountable(f"{node.op_type} {node.name!r}: its shapes do not fit its products") from error
    if sum(work.macs for work in works) != macs:
        raise NotCountable(f"{node.op_type} {node.name!r}: its products have other MACs than are counted")
    return works


def product(rows: int, inner: int, columns: int, times: int = 1) -> MatrixWork:
    """``times`` products of (rows, inner) and (inner, columns), each with operands of its own."""
    return MatrixWork("matmul", times, 1, inner, columns, 1, rows)


def convolution(weight: int = 1, channels_last: bool = False) -> Shaping:
    """A convolution whose input ``weight`` is (C_out, C_in / groups, *kernel)."""

    def shaping(node: NodeView) -> Products:
        output, weights = node.output_shape(0), node.input_shape(weight)
        batch, *spatial = output[:-1] if channels_last else (output[0], *output[2:])
        given = node.input_shape(0)[1:-1] if channels_last else node.input_shape(0)[2:]
        if not spatial:  # sequences one after the other, (tokens, channels)
            batch, spatial = 1, [batch]
        work = _convolution(node, batch, weights[1], weights[0], spatial, weights[2:])
        yield replace(work, given=given)

    return shaping


def transposed(weight: int = 1, channels_last: bool = False) -> Shaping:
    """A transposed convolution, (C_in, C_out / groups, *kernel): every input position is multiplied."""

    def shaping(node: NodeView) -> Products:
        given, weights = node.input_shape(0), node.input_shape(weight)
        batch, *spatial = given[:-1] if channels_last else (given[0], *given[2:])
        groups: int = node.attribute("group", 1)
        inner, outer = weights[0] // groups, weights[1] * groups
        yield _convolution(node, batch, inner, outer, spatial, weights[2:], strided=False)

    return shaping


def _convolution(
    node: NodeView,
    batch: int,
    inner: int,
    outer: int,
    spatial: Sequence[int],
    kernel: Shape,
    *,
    strided: bool = True,
) -> MatrixWork:
    """``inner`` input channels per group, ``outer`` output channels of all groups."""
    groups: int = node.attribute("group", 1) if "group" in node.attributes else max(1, _causal(node, outer))
    is_depthwise = groups > 1 and inner == 1
    ones = (1,) * len(kernel)
    stride = tuple(node.attribute("strides") or ones) if strided else ones
    return MatrixWork(
        "depthwise" if is_depthwise else "convolution",
        batch,
        groups,
        inner,
        outer // groups,
        prod(spatial[:-1]),
        spatial[-1],
        tuple(kernel),
        stride,
        tuple(node.attribute("dilations") or ones),
        is_spread=not strided,
    )


def _causal(node: NodeView, channels: int) -> int:
    """The groups of a convolution that has no such attribute: every channel for the causal ones."""
    return channels if "Causal" in node.op_type else 1


def gemm(node: NodeView) -> Products:
    """(M, K) by (K, N), either transposed."""
    rows, columns = node.output_shape(0)
    yield product(rows, node.input_shape(0)[0 if node.attribute("transA", 0) else 1], columns)


def matmul(right: int = 1) -> Shaping:
    """A batched product whose right operand is the input ``right``; see ``_batched``."""

    def shaping(node: NodeView) -> Products:
        first, second = node.input_shape(0), node.input_shape(right)
        left = first if len(first) > 1 else (1, *first)
        other = second if len(second) > 1 else (*second, 1)
        yield _batched(left[:-2], other[:-2], left[-2], left[-1], other[-1])

    return shaping


def _batched(left: Shape, right: Shape, rows: int, inner: int, columns: int) -> MatrixWork:
    """Where one operand has no batch axis, or one of 1, that of the other is more rows, or columns."""
    rank = max(len(left), len(right))
    times = 1
    axes = zip((1,) * (rank - len(left)) + left, (1,) * (rank - len(right)) + right, strict=True)
    for of_left, of_right in axes:
        if of_right == 1:
            rows *= of_left
        elif of_left == 1:
            columns *= of_right
        else:
            times *= of_left
    return product(rows, inner, columns, times)


def fused_matmul(node: NodeView) -> Products:
    """With ``transA`` the second to last axis of A is summed, with ``transBatchA`` as well the first."""
    output = node.output_shape(0)
    axis = -1
    if node.attribute("transA", 0):
        axis = 0 if node.attribute("transBatchA", 0) else -2
    yield product(output[-2], node.input_shape(0)[axis], output[-1], prod(output[:-2]))


def projections(*widths: str) -> Shaping:
    """All of A, with rows of its last axis, to as many columns as each of some attributes says."""

    def shaping(node: NodeView) -> Products:
        *rows, inner = node.input_shape(0)
        yield from (product(prod(rows), inner, node.attribute(width)) for width in widths)

    return shaping


def to_output(node: NodeView) -> Products:
    """All of A to the width of the output."""
    *rows, inner = node.input_shape(0)
    yield product(prod(rows), inner, node.output_shape(0)[-1])


def einsum(node: NodeView) -> Products:
    """Operands are contracted from left to right."""
    for times, rows, inner, columns in einsum_products(node):
        yield product(rows, inner, columns, times)


def affine_grid(node: NodeView) -> Products:
    """Each position of the grid times the matrix of its image."""
    batch, columns, inner = node.input_shape(0)
    yield product(prod(node.output_shape(0)) // (batch * columns), inner, columns, batch)


def recurrent(node: NodeView) -> Products:
    """The inputs of all steps in one product per direction; the state step by step, as it must be."""
    steps, batch = node.input_shape(0)[:2]
    directions, *state = node.input_shape(2)
    hidden, gates = min(state), max(state)
    inner = prod(node.input_shape(1)) // (directions * gates)
    yield product(steps * batch, inner, gates, directions)
    yield product(batch, hidden, gates, steps * directions)


def scores(sizes: Sizes, shared: int | None = None) -> Products:
    """Q K^T and P V of every head; query heads that share keys are rows of one product, for each key head."""
    for each in sizes:
        heads = shared or each.heads
        rows = each.queries * (each.heads // heads)
        times = each.batch * heads
        yield product(rows, each.key_width, each.keys, times)
        yield product(rows, each.keys, each.value_width, times)


def attention(node: NodeView) -> Products:
    """ONNX's Attention."""
    key = node.input_shape(1)
    yield from scores(attention_sizes(node), key[1] if len(key) == 4 else node.attribute("kv_num_heads"))


def projected(node: NodeView) -> Products:
    """ONNX Runtime's Attention: the projection to Q, K and V as one product, then both products."""
    batch, length, inner = node.input_shape(0)
    yield product(batch * length, inner, node.input_shape(1)[1])
    yield from scores(fused_attention.projected_sizes(node, reaches_of(node)))


def multi_head(node: NodeView) -> Products:
    """Both products of projected queries, keys and values."""
    yield from scores(fused_attention.multi_head_sizes(node))


def decoder(node: NodeView) -> Products:
    """DecoderAttention: the projections that it makes, then both products."""
    _, _, width = node.input_shape(0)
    for times, reach in reaches_of(node):
        yield product(times * reach.queries, width, width)
        if reach.new:
            yield product(times * reach.new, width, 2 * width)
    yield from scores(fused_attention.decoder_sizes(node))


def grouped(node: NodeView) -> Products:
    """Both products, the query heads that share keys together."""
    sizes = fused_attention.grouped_sizes(node)
    yield from scores(sizes.sizes, sizes.shared)


_CONV, _LAST = convolution(), convolution(channels_last=True)
_QLINEAR_LAST = convolution(3, channels_last=True)

_BY_DOMAIN: Mapping[str, Mapping[str, Shaping]] = {
    "": {
        **dict.fromkeys(("Conv", "ConvInteger", "DeformConv", "CausalConvWithState"), _CONV),
        "QLinearConv": convolution(3),
        "ConvTranspose": transposed(),
        "Gemm": gemm,
        **dict.fromkeys(("MatMul", "MatMulInteger"), matmul()),
        "QLinearMatMul": matmul(3),
        "Einsum": einsum,
        "AffineGrid": affine_grid,
        **dict.fromkeys(("LSTM", "GRU", "RNN"), recurrent),
        "Attention": attention,
    },
    "ai.onnx.preview": {"FlexAttention": attention},
    "com.amd.quark": {"ExtendedLSTM": recurrent},
    "com.vai.quantize": {"VitisLSTM": recurrent},
    "com.microsoft": {
        **dict.fromkeys(("FusedConv", "CausalConvWithState", "VarlenCausalConvWithState"), _CONV),
        **dict.fromkeys(("NhwcConv", "NhwcFusedConv"), _LAST),
        "QLinearConv": convolution(3),
        "ConvTransposeWithDynamicPads": transposed(),
        **dict.fromkeys(("FusedGemm", "GemmFloat8", "QGemm"), gemm),
        **dict.fromkeys(("FusedMatMul", "FusedMatMulActivation", "TransposeMatMul"), fused_matmul),
        **dict.fromkeys(("GemmFastGelu", "MatMulInteger16", "MatMulIntegerToFloat"), matmul()),
        "DynamicQuantizeMatMul": matmul(),
        "QOrderedMatMul": matmul(2),
        "MatMulNBits": projections("N"),
        "MatMulNBitsMlp": projections("N", "N"),
        "MatMulNBitsQkv": projections("Nq", "Nkv", "Nkv"),
        **dict.fromkeys(
            ("MatMulBnb4", "MatMulFpQ4", "MatMulBlockQuantizedFp4Weight", "MatMulBlockQuantizedFp8Weight"),
            to_output,
        ),
        "DynamicQuantizeLSTM": recurrent,
        **dict.fromkeys(("Attention", "DecoderMaskedSelfAttention", "QAttention"), projected),
        **dict.fromkeys(("MultiHeadAttention", "DecoderMaskedMultiHeadAttention"), multi_head),
        "DecoderAttention": decoder,
        **dict.fromkeys(("GroupQueryAttention", "PagedAttention"), grouped),
    },
    "com.microsoft.nchwc": {"Conv": _CONV},
    "com.ms.internal.nhwc": {
        "Conv": _LAST,
        "ConvTranspose": transposed(channels_last=True),
        "QLinearConv": _QLINEAR_LAST,
        "QLinearConvTranspose": transposed(3, channels_last=True),
    },
}

SHAPINGS: Mapping[tuple[str, str], Shaping] = {
    (domain, op_type): shaping
    for domain, shapings in _BY_DOMAIN.items()
    for op_type, shaping in shapings.items()
}
"""How an array sees each operator with MACs, by domain and type."""
