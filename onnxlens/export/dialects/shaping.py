"""Operators that move elements and compute none, in the form that older opsets have."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from onnxlens.export.dialects.parts import Parts, given, rank, sizes


def reshape(node: ir.Node, parts: Parts) -> Sequence[ir.Value] | None:
    """A Reshape without ``allowzero``, to the known shape where a zero or a computed shape stands in it."""
    x, out = node.inputs[0], sizes(node.outputs[0])
    asked = ir.convenience.get_const_tensor(node.inputs[1]) if node.inputs[1] is not None else None
    if x is None or (not node.attributes.get_int("allowzero", 0) and asked is not None):
        return None
    if asked is not None and bool(asked.numpy().all()):
        return [parts.op("Reshape", x, node.inputs[1])]
    return None if out is None or 0 in out else [parts.reshape(x, out)]


def split(node: ir.Node, parts: Parts) -> Sequence[ir.Value] | None:
    """A Split with the sizes of its parts as an input, from opset 13 on."""
    x, shape = node.inputs[0], sizes(node.inputs[0])
    if x is None or shape is None or given(node, 1) is not None or parts.opset < 13:
        return None
    count, axis = len(node.outputs), node.attributes.get_int("axis", 0) % len(shape)
    each = -(-shape[axis] // count)
    lengths = [*[each] * (count - 1), shape[axis] - each * (count - 1)]
    return parts.several("Split", [x, parts.ints(lengths)], count, axis=axis)


def flatten(node: ir.Node, parts: Parts) -> Sequence[ir.Value] | None:
    """A Reshape to the known matrix."""
    x, out = node.inputs[0], sizes(node.outputs[0])
    return None if x is None or out is None or 0 in out else [parts.reshape(x, out)]


def transposed(node: ir.Node, parts: Parts) -> Sequence[ir.Value] | None:
    """A Transpose that names its permutation."""
    x, dimensions = node.inputs[0], rank(node.inputs[0])
    if x is None or dimensions is None or "perm" in node.attributes:
        return None
    return [parts.op("Transpose", x, perm=list(reversed(range(dimensions))))]
