"""Matrix products and mixtures of experts whose quantized weights stay packed in the file.

A packed weight is dequantized each time the node runs, once, however many rows A has. Each of its K * N
elements costs a subtract and a multiply, as DequantizeLinear with a zero point does (an integer weight has
one, given or not), or only the multiply for a float type.

In a mixture of experts every token passes through ``k`` of them, whichever the router selects.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from onnxlens.profile.count.packing import PACKED
from onnxlens.profile.count.rules.elementwise import BOUND
from onnxlens.profile.count.rules.microsoft.fused import ACTIVATIONS, activation
from onnxlens.profile.count.rules.normalization import SOFTMAX, root_mean_square
from onnxlens.profile.count.rules.quantized import DEQUANTIZE, QUANTIZE
from onnxlens.profile.count.rules.work import NOTHING, SPECIAL, VECTOR, RuleTable, Work
from onnxlens.profile.graph.node_view import NodeView
from onnxlens.specs.record import record

WITHOUT_OFFSET = (0, 2)
"""The values of ``blk_quant_type`` of MatMulFpQ4 without a zero point."""


def projection(node: NodeView, width: int, bias: int | None, per_weight: Work = DEQUANTIZE) -> Work:
    """prod(A) * N MACs, N = ``width``; ``per_weight`` for K * N weights; an add per output for a bias."""
    *rows, depth = node.input_shape(0)
    has_bias = bias is not None and node.has_input(bias)
    return Work(macs=depth, vector_ops=has_bias) * (prod(rows) * width) + per_weight * (depth * width)


def matmul_nbits(node: NodeView) -> Work:
    """One projection to N; the zero point is 2 ** (bits - 1) where none is given."""
    return projection(node, node.attribute("N"), bias=5)


def matmul_bnb4(node: NodeView) -> Work:
    """One projection to N; the four bits of a weight index a table, and one multiply scales the value."""
    return projection(node, node.attribute("N"), bias=None, per_weight=VECTOR)


def matmul_fpq4(node: NodeView) -> Work:
    """One projection to the width of the output; only some of the formats have a zero point."""
    per_weight = VECTOR if node.attribute("blk_quant_type", 1) in WITHOUT_OFFSET else DEQUANTIZE
    return projection(node, node.output_shape(0)[-1], bias=None, per_weight=per_weight)


def matmul_fp4_weight(node: NodeView) -> Work:
    """One projection to the width of the output; the product of a block's two scales is not counted."""
    return projection(node, node.output_shape(0)[-1], bias=5, per_weight=VECTOR)


def matmul_fp8_weight(node: NodeView) -> Work:
    """One projection to the width of the output; A is quantized and scaled back where it has a scale."""
    rounded = (QUANTIZE + VECTOR) * prod(node.input_shape(0)) if node.has_input(3) else NOTHING
    return projection(node, node.output_shape(0)[-1], bias=4, per_weight=VECTOR) + rounded


def matmul_nbits_mlp(node: NodeView) -> Work:
    """Two projections to N of the normalized A; per output element the activation of one times the other."""
    width: int = node.attribute("N")
    gated = (activation(node) + VECTOR) * (prod(node.input_shape(0)[:-1]) * width)
    return _normalized(node) + projection(node, width, bias=5) + projection(node, width, bias=8) + gated


def matmul_nbits_qkv(node: NodeView) -> Work:
    """Three projections of the normalized A, to Nq, Nkv and Nkv."""
    widths: Sequence[int] = [node.attribute(name) for name in ("Nq", "Nkv", "Nkv")]
    projections = zip(widths, (5, 8, 11), strict=True)
    return sum((projection(node, width, bias) for width, bias in projections), _normalized(node))


def _normalized(node: NodeView) -> Work:
    """A plus the skip connection, where given; then RMSNormalization with a scale, where given."""
    *rows, depth = node.input_shape(0)
    elements = prod(rows) * depth
    norm = root_mean_square(elements, prod(rows)) + VECTOR * elements
    return VECTOR * (node.has_input(1) * elements) + norm * node.has_input(2)


SWIGLU = 4 * VECTOR + SPECIAL  # mul by alpha, sigmoid, mul; add beta, mul
SWIGLU_LIMIT = 3 * BOUND  # one bound for the gate, two for the other half


@record(frozen=True, slots=True)
class Experts:
    """Sizes of one expert: the elements of each of its two or three matrices, and of all its biases."""

    matrices: Sequence[int]
    biases: int


def experts_of(node: NodeView) -> Experts:
    """The sizes of one of its experts."""
    if node.op_type == "MoE":
        matrices = [prod(node.input_shape(index)[1:]) for index in (2, 4, 6) if node.has_input(index)]
        return Experts(matrices, _widths(node, (3, 5, 7)))
    matrices = [
        unpacked(node, node.input(index)) // node.input_shape(index)[0]
        for index, unpacked in PACKED["QMoE"].items()
        if node.has_input(index)
    ]
    return Experts(matrices, _widths(node, (4, 7, 10)))


def mixture_of_experts(node: NodeView) -> Work:
    """Tokens * k * (elements of an expert's matrices) MACs; the elementwise ops of router and experts."""
    return _routed(node, experts_of(node))


def quantized_mixture_of_experts(node: NodeView) -> Work:
    """As MoE; the weights of the experts in use are dequantized: 2 ops each, 1 for float types."""
    experts = experts_of(node)
    per_weight = DEQUANTIZE if node.attribute("quant_type", "int") == "int" else VECTOR
    return _routed(node, experts) + per_weight * (sum(experts.matrices) * experts_in_use(node))


def experts_in_use(node: NodeView) -> int:
    """The most experts that the node's tokens can reach: tokens * k, or all."""
    tokens, experts = node.input_shape(1)
    return min(experts, tokens * int(node.attribute("k", 1)))


def _widths(node: NodeView, biases: Sequence[int]) -> int:
    return sum(node.input_shape(index)[1] for index in biases if node.has_input(index))


def _routed(node: NodeView, experts: Experts) -> Work:
    """The MACs; per token and expert a softmax and a compare; the rest per token and selected expert.

    That is the biases, the activation, and a multiply and an add per element of the result.
    """
    tokens, choices = node.input_shape(1)
    selected: int = tokens * node.attribute("k", 1)
    hidden = node.input_shape(0)[-1]
    inner = experts.matrices[1] // hidden
    scale = 2 * VECTOR * selected if node.attribute("normalize_routing_weights", 0) else NOTHING
    per_selected = _activation(node, len(experts.matrices)) * inner + VECTOR * (experts.biases + 2 * hidden)
    router = (SOFTMAX + VECTOR) * (tokens * choices) + scale
    return Work(macs=selected * sum(experts.matrices)) + router + per_selected * selected


def _activation(node: NodeView, matrices: int) -> Work:
    """Per inner element the activation, and a multiply by a third matrix, which SwiGLU includes."""
    name = node.attribute("activation_type", "relu")
    if name == "swiglu":
        return SWIGLU + (NOTHING if node.attribute("swiglu_limit") is None else SWIGLU_LIMIT)
    return ACTIVATIONS[name] + (VECTOR if matrices == 3 else NOTHING)


RULES: RuleTable = {
    "com.microsoft": {
        "MatMulNBits": matmul_nbits,
        "MatMulNBitsMlp": matmul_nbits_mlp,
        "MatMulNBitsQkv": matmul_nbits_qkv,
        "MatMulBnb4": matmul_bnb4,
        "MatMulFpQ4": matmul_fpq4,
        "MatMulBlockQuantizedFp4Weight": matmul_fp4_weight,
        "MatMulBlockQuantizedFp8Weight": matmul_fp8_weight,
        "MoE": mixture_of_experts,
        "QMoE": quantized_mixture_of_experts,
    },
}
