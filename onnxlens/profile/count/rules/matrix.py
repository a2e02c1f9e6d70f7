"""Matrix work: convolutions, matrix products and the determinant.

A count is the size of the loop nest that defines the operator: output elements times the terms summed into
each. A bias is no MAC; adding it is one vector operation per output element.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod

from onnxlens.profile.count.rules.work import NOTHING, VECTOR, Rule, Work
from onnxlens.profile.graph.node_view import NodeView, Shape

MacRule = Callable[[NodeView], int]


def convolution_macs(output: Shape, weight: Shape) -> int:
    """N * C_out * prod(spatial_out) * (C_in / groups) * prod(kernel); padded positions count.

    The weight's shape is (C_out, C_in / groups, *kernel), so its tail already holds the group division.
    """
    return prod(output) * prod(weight[1:])


def product_macs(left: Shape, output: Shape) -> int:
    """prod(output) * K, where K is the last dimension of the left operand, which the product sums over."""
    return prod(output) * left[-1]


def conv_macs(node: NodeView) -> int:
    """As ``convolution_macs``, with inputs (X, W, B)."""
    return convolution_macs(node.output_shape(0), node.input_shape(1))


def conv_transpose_macs(node: NodeView) -> int:
    """N * C_in * prod(spatial_in) * (C_out / groups) * prod(kernel).

    Every input element is multiplied into a whole patch of the output, cropped or not. The weight's shape is
    (C_in, C_out / groups, *kernel).
    """
    return prod(node.input_shape(0)) * prod(node.input_shape(1)[1:])


def gemm_macs(node: NodeView) -> int:
    """M * N * K, where A is (M, K), or (K, M) with ``transA``; ``transB`` changes nothing."""
    summed_axis = 0 if node.attribute("transA", 0) else 1
    return prod(node.output_shape(0)) * node.input_shape(0)[summed_axis]


def matmul_macs(node: NodeView) -> int:
    """prod(batch) * M * N * K, the batch broadcast; a one-dimensional operand counts as a row or a column."""
    return product_macs(node.input_shape(0), node.output_shape(0))


def gemm(node: NodeView) -> Work:
    """MACs; per output element one multiply when alpha is not 1, and one add when C is given.

    beta * C is one multiply per element of C when beta is not 1; where C is a weight it is done offline.
    """
    scales_product = node.attribute("alpha", 1.0) != 1.0
    scales_bias = node.attribute("beta", 1.0) != 1.0
    per_output = (VECTOR if scales_product else NOTHING) + (VECTOR if node.has_input(2) else NOTHING)
    work = Work(macs=gemm_macs(node)) + per_output * prod(node.output_shape(0))
    if scales_bias and node.has_input(2) and not node.input(2).is_weight:
        work += VECTOR * node.input(2).elements
    return work


def determinant(node: NodeView) -> Work:
    """Gauss's elimination of each (M, M) matrix: vector operations, for it is no product.

    Below a pivot with k rows and columns left, k quotients and k * k times a multiply and a subtract; in the
    end M - 1 multiplies along the diagonal. With k from M - 1 down to 1.
    """
    *batch, size, _ = node.input_shape(0)
    quotients = size * (size - 1) // 2
    updates = (size - 1) * size * (2 * size - 1) // 6
    return (quotients + 2 * updates + size - 1) * prod(batch) * VECTOR


def with_bias(macs: MacRule, bias: int) -> Rule:
    """The rule that counts ``macs``, and one add per output element where input ``bias`` is given."""

    def rule(node: NodeView) -> Work:
        addition = VECTOR * prod(node.output_shape(0)) if node.has_input(bias) else NOTHING
        return Work(macs=macs(node)) + addition

    return rule


def without_bias(macs: MacRule) -> Rule:
    """The rule that counts ``macs`` and nothing else."""

    def rule(node: NodeView) -> Work:
        return Work(macs=macs(node))

    return rule


RULES: Mapping[str, Rule] = {
    "Conv": with_bias(conv_macs, bias=2),
    "ConvTranspose": with_bias(conv_transpose_macs, bias=2),
    "Gemm": gemm,
    "MatMul": without_bias(matmul_macs),
    "Det": determinant,
}
