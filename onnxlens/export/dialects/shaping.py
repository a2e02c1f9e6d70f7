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


def pad(node: ir.Node, parts: Parts) -> Sequence[ir.Value] | None:
    """A Pad of all axes, none by a name."""
    x, dimensions = node.inputs[0], rank(node.inputs[0])
    if x is None or dimensions is None or given(node, 3) is None:
        return None
    known = [
        ir.convenience.get_const_tensor(value) if value else None
        for value in (given(node, 1), given(node, 3))
    ]
    pads, axes = [None if each is None else [int(size) for size in each.numpy()] for each in known]
    if pads is None or axes is None:
        return None
    whole = [0] * (2 * dimensions)
    for index, axis in enumerate(axes):
        whole[axis % dimensions] = pads[index]
        whole[axis % dimensions + dimensions] = pads[index + len(axes)]
    mode = node.attributes.get_string("mode", "constant")
    return [parts.op("Pad", x, parts.ints(whole), *filter(None, [given(node, 2)]), mode=mode)]


FUSED = frozenset(
    "Add BatchNormalization Clip Div Elu HardSigmoid HardSwish Identity LeakyRelu Mul PRelu Relu Sigmoid Sub "
    "Tanh".split()
)
"""What nncase may run in one step with the convolution before it."""


def spread(node: ir.Node, parts: Parts) -> Sequence[ir.Value] | None:
    """An elementwise operator behind a convolution, of values of one shape: a smaller one is expanded.

    nncase computes something else where a computed value of another shape is fused with a convolution.
    """
    out = sizes(node.outputs[0])
    if out is None or 0 in out or not any(map(_is_convolved, node.inputs)):
        return None
    smaller = [sizes(value) not in (None, out) and value not in parts.constants for value in node.inputs]
    if not any(smaller):
        return None
    wide = [
        parts.op("Expand", value, parts.ints(out)) if small else value
        for value, small in zip(node.inputs, smaller, strict=True)
    ]
    return [parts.op(node.op_type, *wide)]


def _is_convolved(value: ir.Value | None, most: int = 6) -> bool:
    """Whether a convolution makes it, but for what may be fused with that: at most so many operators."""
    producer = None if value is None else value.producer()
    if producer is None or producer.op_type in ("Conv", "ConvTranspose"):
        return producer is not None
    if producer.op_type not in FUSED or not most:
        return False
    return any(_is_convolved(read, most - 1) for read in producer.inputs)
