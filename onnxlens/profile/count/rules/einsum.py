"""Einsum, contracted from left to right: the order in which PyTorch and ONNX Runtime contract it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain
from math import prod

from onnxlens.profile.count.rules.work import Rule, Work
from onnxlens.profile.graph.node_view import NodeView, Shape

Labels = frozenset[str]


def einsum(node: NodeView) -> Work:
    """MACs: for each pairwise product, the product of the sizes of every label of the two operands.

    A label that stands in one operand only, and not in the output, is summed before any product: one vector
    operation per element of that operand. After each product, the labels that nothing later needs are gone.
    """
    terms, result = _parse(node)
    sizes = _label_sizes(terms, [node.input_shape(index) for index in range(len(terms))])
    operands = [frozenset(term) for term in terms]
    kept = [labels & (result | _union(operands, skip=index)) for index, labels in enumerate(operands)]
    vector_ops = sum(
        _volume(labels, sizes) for labels, needed in zip(operands, kept, strict=True) if labels != needed
    )
    macs, left = 0, kept[0]
    for index, right in enumerate(kept[1:], start=1):
        macs += _volume(left | right, sizes)
        left = (left | right) & (result | _union(kept[index + 1 :]))
    return Work(macs=macs, vector_ops=vector_ops)


def _parse(node: NodeView) -> tuple[list[Sequence[str]], Labels]:
    """The labels of each operand in order, and of the output; without an arrow, those that stand once."""
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
    """The size of each label; 1 gives way to any other size, as in broadcasting."""
    sizes: dict[str, int] = {}
    for term, shape in zip(terms, shapes, strict=True):
        for label, size in zip(term, shape, strict=True):
            sizes[label] = size if size != 1 else sizes.get(label, 1)
    return sizes


def _union(operands: Sequence[Labels], skip: int | None = None) -> Labels:
    return frozenset(chain(*(labels for index, labels in enumerate(operands) if index != skip)))


def _volume(labels: Labels, sizes: Mapping[str, int]) -> int:
    return prod(sizes[label] for label in labels)


RULES: Mapping[str, Rule] = {"Einsum": einsum}
