"""Matrix products whose weight is quantised block by block, and stays packed in the file.

The weight is unpacked each time the node runs: once, however many rows A has. Each of its K * N elements then
costs a subtract and a multiply, as DequantizeLinear with a zero point does (an integer weight has one, given
or not), or only the multiply where its type is a float.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

from onnxlens.profile.count.rules.microsoft.fused import activation
from onnxlens.profile.count.rules.normalization import root_mean_square
from onnxlens.profile.count.rules.quantized import DEQUANTIZE, QUANTIZE
from onnxlens.profile.count.rules.work import NOTHING, VECTOR, Rule, Work
from onnxlens.profile.graph.node_view import NodeView

WITHOUT_OFFSET = (0, 2)
"""The values of ``blk_quant_type`` of MatMulFpQ4 that mean: no zero point."""


def projection(node: NodeView, width: int, bias: int | None, per_weight: Work = DEQUANTIZE) -> Work:
    """prod(A) * N MACs with N = ``width``; ``per_weight`` for K * N weights; an add per output for a bias."""
    *rows, depth = node.input_shape(0)
    has_bias = bias is not None and node.has_input(bias)
    addition = VECTOR * (prod(rows) * width) if has_bias else NOTHING
    return Work(macs=prod(rows) * depth * width) + per_weight * (depth * width) + addition


def matmul_nbits(node: NodeView) -> Work:
    """One projection to N; the zero point is 2 ** (bits - 1) where none is given."""
    return projection(node, node.attribute("N"), bias=5)


def matmul_bnb4(node: NodeView) -> Work:
    """One projection to N; a weight's four bits look its value up, and one multiply scales it."""
    return projection(node, node.attribute("N"), bias=None, per_weight=VECTOR)


def matmul_fpq4(node: NodeView) -> Work:
    """One projection to the width of the output; only some of the formats have a zero point."""
    offset = node.attribute("blk_quant_type", 1) not in WITHOUT_OFFSET
    per_weight = DEQUANTIZE if offset else VECTOR
    return projection(node, node.output_shape(0)[-1], bias=None, per_weight=per_weight)


def matmul_fp4_weight(node: NodeView) -> Work:
    """One projection to the width of the output; the product of a block's two scales is not counted."""
    return projection(node, node.output_shape(0)[-1], bias=5, per_weight=VECTOR)


def matmul_fp8_weight(node: NodeView) -> Work:
    """One projection to the width of the output; A is quantised and scaled back where it has a scale."""
    rounded = (QUANTIZE + VECTOR) * prod(node.input_shape(0)) if node.has_input(3) else NOTHING
    return projection(node, node.output_shape(0)[-1], bias=4, per_weight=VECTOR) + rounded


def matmul_nbits_mlp(node: NodeView) -> Work:
    """Two projections to N of the normalised A; per output element the activation of one times the other."""
    width: int = node.attribute("N")
    gated = (activation(node) + VECTOR) * (prod(node.input_shape(0)[:-1]) * width)
    return _normalized(node) + projection(node, width, bias=5) + projection(node, width, bias=8) + gated


def matmul_nbits_qkv(node: NodeView) -> Work:
    """Three projections of the normalised A, to Nq, Nkv and Nkv."""
    widths: Sequence[int] = [node.attribute(name) for name in ("Nq", "Nkv", "Nkv")]
    projections = zip(widths, (5, 8, 11), strict=True)
    return sum((projection(node, width, bias) for width, bias in projections), _normalized(node))


def _normalized(node: NodeView) -> Work:
    """A plus the skip, where given; then RMSNormalization with a scale, where given."""
    *rows, depth = node.input_shape(0)
    elements = prod(rows) * depth
    skip = VECTOR * elements if node.has_input(1) else NOTHING
    norm = root_mean_square(elements, prod(rows)) + VECTOR * elements if node.has_input(2) else NOTHING
    return skip + norm


RULES: Mapping[str, Rule] = {
    "MatMulNBits": matmul_nbits,
    "MatMulNBitsMlp": matmul_nbits_mlp,
    "MatMulNBitsQkv": matmul_nbits_qkv,
    "MatMulBnb4": matmul_bnb4,
    "MatMulFpQ4": matmul_fpq4,
    "MatMulBlockQuantizedFp4Weight": matmul_fp4_weight,
    "MatMulBlockQuantizedFp8Weight": matmul_fp8_weight,
}
