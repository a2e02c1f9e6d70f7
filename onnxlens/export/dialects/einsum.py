"""An Einsum as transposes, reshapes and one MatMul for each product of two operands, from left to right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain
from math import prod

import onnx_ir as ir

from onnxlens.export.dialects.parts import Parts, sizes


def einsum(node: ir.Node, parts: Parts) -> Sequence[ir.Value] | None:
    """Operands are contracted from the left; a label that only one of them has is summed before.

    An equation with an ellipsis, or with a label twice in one operand, is left as it is.
    """
    left, arrow, right = node.attributes.get_string("equation", "").replace(" ", "").partition("->")
    terms = left.split(",")
    result = (
        right if arrow else "".join(sorted(label for label, n in Counter("".join(terms)).items() if n == 1))
    )
    shapes = [sizes(value) for value in node.inputs]
    if "." in left or any(len(set(term)) < len(term) for term in terms) or None in shapes:
        return None
    extent = dict(
        chain(*(zip(term, shape or (), strict=True) for term, shape in zip(terms, shapes, strict=True)))
    )
    operands = [
        _Operand(parts, value, term).summed_to(_needed(terms, index, result))
        for index, (value, term) in enumerate(zip(node.inputs, terms, strict=True))
        if value is not None
    ]
    product, *others = operands
    for index, other in enumerate(others):
        product = product.times(other, {*result, *chain(*terms[index + 2 :])}, extent)
    return [product.ordered(result).value]


def _needed(terms: Sequence[str], index: int, result: str) -> set[str]:
    return {*result, *chain(*terms[:index], *terms[index + 1 :])}


class _Operand:
    """A value and the labels of its dimensions."""

    def __init__(self, parts: Parts, value: ir.Value, labels: str) -> None:
        self.value, self._parts, self._labels = value, parts, labels

    def summed_to(self, needed: set[str]) -> _Operand:
        axes = [axis for axis, label in enumerate(self._labels) if label not in needed]
        if not axes:
            return self
        kept = "".join(label for label in self._labels if label in needed)
        return _Operand(self._parts, self._parts.reduce("ReduceSum", self.value, axes, keepdims=0), kept)

    def ordered(self, labels: str) -> _Operand:
        """With its dimensions in this order; the value is a new one, as an output must be."""
        order = [self._labels.index(label) for label in labels]
        return _Operand(self._parts, self._parts.op("Transpose", self.value, perm=order), labels)

    def times(self, other: _Operand, needed: set[str], extent: Mapping[str, int]) -> _Operand:
        """Equal labels that are still needed count the products, those that are not are summed over."""
        both = [label for label in self._labels if label in other._labels]
        batch = "".join(label for label in both if label in needed)
        inner = "".join(label for label in both if label not in needed)
        rows = "".join(label for label in self._labels if label not in both)
        columns = "".join(label for label in other._labels if label not in both)
        left = self._as_matrices(batch, rows, inner, extent)
        product = self._parts.op("MatMul", left, other._as_matrices(batch, inner, columns, extent))
        labels = batch + rows + columns
        shaped = self._parts.reshape(product, [extent[label] for label in labels])
        return _Operand(self._parts, shaped, labels)

    def _as_matrices(self, batch: str, rows: str, columns: str, extent: Mapping[str, int]) -> ir.Value:
        shape = [prod(extent[label] for label in labels) for labels in (batch, rows, columns)]
        ordered = self.ordered(batch + rows + columns).value
        return self._parts.reshape(ordered, shape)
