"""Normalizations written as means, differences and quotients.

The variance is the mean of squared differences, not the difference of two means of squares: in float32 the
latter loses the digits that the input's mean takes.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from onnxlens.export.dialects.parts import Parts, given, is_used, rank, sizes

FLOAT = ir.DataType.FLOAT


def layer_normalization(node: ir.Node, parts: Parts) -> Sequence[ir.Value] | None:
    """(x - mean) / sqrt(mean((x - mean)^2) + epsilon) over the axes from ``axis`` on, then scale and bias."""
    x, scale, bias = node.inputs[0], given(node, 1), given(node, 2)
    dimensions = rank(x)
    if x is None or dimensions is None or is_used(node, 1) or is_used(node, 2):
        return None
    axes = _from_axis(node, dimensions)
    return [_affine(parts, _normalized(parts, x, axes, _epsilon(node)), scale, bias)]


def rms_normalization(node: ir.Node, parts: Parts) -> Sequence[ir.Value] | None:
    """X / sqrt(mean(x^2) + epsilon) over the axes from ``axis`` on, then scale."""
    x, scale = node.inputs[0], given(node, 1)
    dimensions = rank(x)
    if x is None or dimensions is None or is_used(node, 1):
        return None
    wide = _widened(parts, x)
    square = parts.reduce("ReduceMean", parts.op("Mul", wide, wide), _from_axis(node, dimensions))
    result = _narrowed(parts, parts.op("Div", wide, _deviation(parts, square, wide, _epsilon(node))), x)
    return [_affine(parts, result, scale, None)]


def instance_normalization(node: ir.Node, parts: Parts) -> Sequence[ir.Value] | None:
    """Each channel of each instance by its own mean and variance, then scale and bias by channel."""
    x, scale, bias = node.inputs
    dimensions = rank(x)
    if x is None or dimensions is None:
        return None
    by_channel = [1, -1, *[1] * (dimensions - 2)]
    spread = [None if value is None else parts.reshape(value, by_channel) for value in (scale, bias)]
    return [_affine(parts, _normalized(parts, x, range(2, dimensions), _epsilon(node)), *spread)]


def group_normalization(node: ir.Node, parts: Parts) -> Sequence[ir.Value] | None:
    """Each group of channels by its own mean and variance; scale and bias by group before opset 21.

    https://onnx.ai/onnx/operators/onnx__GroupNormalization.html
    """
    x, scale, bias = node.inputs
    shape, groups = sizes(x), node.attributes.get_int("num_groups", 0)
    if x is None or shape is None or groups < 1:
        return None
    grouped = parts.reshape(x, [shape[0], groups, -1])
    result = _normalized(parts, grouped, [2], _epsilon(node))
    if parts.opset < 21:
        spread = [None if value is None else parts.reshape(value, [1, -1, 1]) for value in (scale, bias)]
        return [parts.reshape(_affine(parts, result, *spread), shape)]
    by_channel = [1, -1, *[1] * (len(shape) - 2)]
    spread = [None if value is None else parts.reshape(value, by_channel) for value in (scale, bias)]
    return [_affine(parts, parts.reshape(result, shape), *spread)]


def _epsilon(node: ir.Node) -> float:
    return node.attributes.get_float("epsilon", 1e-5)


def _from_axis(node: ir.Node, dimensions: int) -> Sequence[int]:
    return range(node.attributes.get_int("axis", -1) % dimensions, dimensions)


def _normalized(parts: Parts, x: ir.Value, axes: Sequence[int], epsilon: float) -> ir.Value:
    wide = _widened(parts, x)
    centered = parts.op("Sub", wide, parts.reduce("ReduceMean", wide, axes))
    variance = parts.reduce("ReduceMean", parts.op("Mul", centered, centered), axes)
    return _narrowed(parts, parts.op("Div", centered, _deviation(parts, variance, wide, epsilon)), x)


def _deviation(parts: Parts, variance: ir.Value, like: ir.Value, epsilon: float) -> ir.Value:
    return parts.op("Sqrt", parts.op("Add", variance, parts.number(epsilon, like)))


def _affine(parts: Parts, x: ir.Value, scale: ir.Value | None, bias: ir.Value | None) -> ir.Value:
    scaled = x if scale is None else parts.op("Mul", x, scale)
    return scaled if bias is None else parts.op("Add", scaled, bias)


def _is_half(x: ir.Value) -> bool:
    return x.dtype in (ir.DataType.FLOAT16, ir.DataType.BFLOAT16)


def _widened(parts: Parts, x: ir.Value) -> ir.Value:
    """In float32, as the operators themselves take sums of half types."""
    return parts.op("Cast", x, to=FLOAT) if _is_half(x) else x


def _narrowed(parts: Parts, result: ir.Value, like: ir.Value) -> ir.Value:
    return parts.op("Cast", result, to=like.dtype) if _is_half(like) and like.dtype else result
