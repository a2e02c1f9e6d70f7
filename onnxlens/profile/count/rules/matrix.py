"""Matrix work: convolutions, matrix products, Einsum and the determinant.

MACs are the size of the loop nest that defines the operator: output elements times the terms summed into
each. A bias is not a MAC; adding it is one elementwise op per output element.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from math import prod

from onnxlens.profile.count.rules.work import VECTOR, Rule, RuleTable, Work
from onnxlens.profile.graph.node_view import NodeView, Shape

MacRule = Callable[[NodeView], int]


def conv_macs(node: NodeView, weight: int = 1) -> int:
    """N * C_out * prod(spatial_out) * (C_in / groups) * prod(kernel); padded positions count.

    The input ``weight`` is (C_out, C_in / groups, *kernel), so its tail already holds the group division.
    """
    return prod(node.output_shape(0)) * prod(node.input_shape(weight)[1:])


def conv_transpose_macs(node: NodeView, weight: int = 1) -> int:
    """N * C_in * prod(spatial_in) * (C_out / groups) * prod(kernel).

    Every input element is multiplied into a patch of the output, whether cropped afterwards or not. The
    input ``weight`` is (C_in, C_out / groups, *kernel).
    """
    return prod(node.input_shape(0)) * prod(node.input_shape(weight)[1:])


def gemm_macs(node: NodeView) -> int:
    """M * N * K, where A is (M, K), or (K, M) with ``transA``; ``transB`` does not change it."""
    summed_axis = 0 if node.attribute("transA", 0) else 1
    return prod(node.output_shape(0)) * node.input_shape(0)[summed_axis]


def matmul_macs(node: NodeView) -> int:
    """prod(output) * K, where K is the last dimension of the left operand.

    That is prod(batch) * M * N * K after broadcasting the batch; a 1-D operand is a row or a column.
    """
    return prod(node.output_shape(0)) * node.input_shape(0)[-1]


def matmul(node: NodeView) -> Work:
    """MACs alone."""
    return Work(macs=matmul_macs(node))


def gemm(node: NodeView) -> Work:
    """MACs; per output element one multiply where alpha is not 1, and one add where C is given.

    beta * C is one multiply per element of C where beta is not 1; it is constant-folded where C is a weight.
    """
    per_output: int = (node.attribute("alpha", 1.0) != 1.0) + node.has_input(2)
    work = Work(macs=gemm_macs(node), vector_ops=per_output * prod(node.output_shape(0)))
    if node.attribute("beta", 1.0) != 1.0 and node.has_input(2) and not node.input(2).is_weight:
        work += VECTOR * node.input(2).elements
    return work


def determinant(node: NodeView) -> Work:
    """Gaussian elimination of each (M, M) matrix, in elementwise ops: it is not a matrix product.

    For k = M - 1, ..., 1 rows and columns below the pivot: k divides, and a multiply and a subtract for each
    of k * k elements. Then M - 1 multiplies along the diagonal.
    """
    *batch, size, _ = node.input_shape(0)
    quotients = size * (size - 1) // 2
    updates = (size - 1) * size * (2 * size - 1) // 6
    return (quotients + 2 * updates + size - 1) * prod(batch) * VECTOR


def with_bias(macs: MacRule, bias: int) -> Rule:
    """The rule that counts ``macs``, and one add per output element where input ``bias`` is given."""
    return lambda node: Work(macs(node), prod(node.output_shape(0)) if node.has_input(bias) else 0)


Labels = frozenset[str]


def einsum(node: NodeView) -> Work:
    """MACs: for each product of two operands, the product of the sizes of all labels of the two.

    Operands are contracted from left to right, as PyTorch and ONNX Runtime do. A label that occurs in one
    operand only, and not in the output, is summed before any product: one elementwise op per element of that
    operand. A product sums over the labels that neither a later operand nor the output has.
    """
    terms, result = _parse(node)
    sizes = _label_sizes(terms, [node.input_shape(index) for index in range(len(terms))])
    operands = [frozenset(term) for term in terms]
    kept = _kept(operands, result)
    vector_ops = sum(
        _volume(labels, sizes) for labels, needed in zip(operands, kept, strict=True) if labels != needed
    )
    return Work(macs=sum(map(prod, einsum_products(node))), vector_ops=vector_ops)


def einsum_products(node: NodeView) -> Iterator[tuple[int, int, int, int]]:
    """For each product of two operands: equal products, rows of the left, summed terms, columns."""
    terms, result = _parse(node)
    sizes = _label_sizes(terms, [node.input_shape(index) for index in range(len(terms))])
    left, *others = _kept([frozenset(term) for term in terms], result)
    for index, right in enumerate(others):
        after = (left | right) & (result | _union(others[index + 1 :]))
        both = left & right
        parts = (both & after, left - both, both - after, right - both)
        times, rows, inner, columns = (_volume(labels, sizes) for labels in parts)
        yield times, rows, inner, columns
        left = after


def _kept(operands: Sequence[Labels], result: Labels) -> list[Labels]:
    """The labels of each operand that another one or the output has; the rest is summed before."""
    return [labels & (result | _union(operands, skip=index)) for index, labels in enumerate(operands)]


def _parse(node: NodeView) -> tuple[list[Sequence[str]], Labels]:
    """The labels of each operand in order, and of the output; without an arrow those that occur once."""
    left, arrow, right = node.attribute("equation").replace(" ", "").partition("->")
    terms = [_labels(term, len(node.input_shape(index))) for index, term in enumerate(left.split(","))]
    broadcast = frozenset(label for label in chain(*terms) if label.startswith("."))
    if not arrow:
        times = Counter(chain(*terms))
        return terms, broadcast | {label for label in times if times[label] == 1}
    letters = frozenset(right.replace(".", ""))
    return terms, letters | broadcast if "..." in right else letters


def _labels(term: str, rank: int) -> Sequence[str]:
    """One label per dimension; an ellipsis gives ``.2``, ``.1``, numbered from the right as it broadcasts."""
    before, dots, after = term.partition("...")
    hidden = rank - len(before) - len(after) if dots else 0
    return (*before, *(f".{hidden - index}" for index in range(hidden)), *after)


def _label_sizes(terms: Sequence[Sequence[str]], shapes: Sequence[Shape]) -> Mapping[str, int]:
    """The size of each label, dimensions of 1 broadcast."""
    sizes: dict[str, int] = {}
    for term, shape in zip(terms, shapes, strict=True):
        for label, size in zip(term, shape, strict=True):
            sizes[label] = size if size != 1 else sizes.get(label, 1)
    return sizes


def _union(operands: Sequence[Labels], skip: int | None = None) -> Labels:
    return frozenset(chain(*(labels for index, labels in enumerate(operands) if index != skip)))


def _volume(labels: Labels, sizes: Mapping[str, int]) -> int:
    return prod(sizes[label] for label in labels)


conv = with_bias(conv_macs, bias=2)
conv_transpose = with_bias(conv_transpose_macs, bias=2)

RULES: RuleTable = {
    "": {
        "Conv": conv,
        "ConvTranspose": conv_transpose,
        "Gemm": gemm,
        "MatMul": matmul,
        "Det": determinant,
        "Einsum": einsum,
    },
}
