"""Scales and biases that stand beside the product or the normalization that they belong to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from onnxlens.profile.count.weight_slots import NORMALIZATIONS, PRODUCTS
from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.graph.node_view import NodeView, ValueView

Dims = Sequence[int | str]

FOLLOWED = 12
"""Nodes between a bias and the product that it is added to: casts, scales, reshapes."""

CONVOLUTIONS = ("Conv", "Deform", "QLinearConv", "FusedConv", "Nhwc")

ROOTS = ("Sqrt", "ReduceL2", "Pow")
TO_ROOT = ("Add", "Cast", "Clip", "Div", "Expand", "Identity", "Max", "Reciprocal", "Reshape", "Unsqueeze")
"""What stands between a division and the root of a variance: an epsilon, a reciprocal."""


def is_affine(graph: Graph, node: NodeView) -> ValueView | None:
    """The scale or bias that an Add or Mul takes for a product of weights, or for a normalization.

    It has one number for each channel of what it is applied to: along the last axis of a matrix product,
    along the second one of a convolution; after a normalization also one for each element that was
    normalized. A mask, which is added to the scores of two activations, is none; nor is a window or a table
    of positions.
    """
    sides = _sides(node) if node.op_type in ("Add", "Mul", "QLinearAdd", "QLinearMul") else ()
    for data, factor in (sides, sides[::-1]) if sides else ():
        if factor.is_weight and not data.is_weight and factor.shape and _belongs(graph, data, factor, node):
            return factor
    return None


def _belongs(graph: Graph, data: ValueView, factor: ValueView, node: NodeView) -> bool:
    shape, dims = factor.shape or (), data.shape
    if dims is None or len(shape) > len(dims):
        return False
    found = _origin(graph, data)
    if found == "norm":
        return _is_suffix(shape, dims) or _axis(shape, dims) in (1, len(dims) - 1)
    if found == "convolution":
        return _axis(shape, dims) == 1
    single = tuple(shape) == (1,) == tuple(dims[-1:]) and node.op_type.endswith("Add")
    return found == "product" and (single or _axis(shape, dims) == len(dims) - 1)


def _axis(shape: Dims, dims: Dims) -> int | None:
    """The only axis of ``dims`` along which ``shape`` holds more than one number."""
    long = [index for index, size in enumerate(shape) if size != 1]
    axis = long[0] + len(dims) - len(shape) if len(long) == 1 else None
    return axis if axis is not None and dims[axis] == shape[long[0]] else None


def _is_suffix(shape: Dims, dims: Dims) -> bool:
    return tuple(dims[len(dims) - len(shape) :]) == tuple(shape)


def _origin(graph: Graph, value: ValueView) -> str:
    """What ``value`` comes from but for scales, biases and casts: a kind of node, or ""."""
    reshaped = False
    for node in _chain(graph, value):
        operator = (node.domain, node.op_type)
        if operator in NORMALIZATIONS or _is_normalized(graph, node):
            return "norm"
        if operator in PRODUCTS:
            if not any(node.has_input(i) and node.input(i).is_weight for i in PRODUCTS[operator]):
                return ""
            if not node.op_type.startswith(CONVOLUTIONS):
                return "product"
            return "" if reshaped else "convolution"
        reshaped = reshaped or node.op_type in ("Reshape", "Squeeze", "Unsqueeze", "Flatten")
    return ""


def _chain(graph: Graph, value: ValueView) -> Iterator[NodeView]:
    """The nodes that make ``value``, last first, for as long as each changes one tensor alone."""
    for _ in range(FOLLOWED):
        index = graph.producer(value.name)
        if index is None:
            return
        node = graph.nodes[index].view
        yield node
        following = _followed(node)
        if following is None:
            return
        value = following


def _sides(node: NodeView) -> Sequence[ValueView]:
    """The two operands of elementwise arithmetic; nothing for other nodes."""
    quantized = node.op_type.startswith("QLinear")
    if node.op_type.removeprefix("QLinear") not in ("Add", "Mul", "Sub", "Div"):
        return ()
    sides = [node.inputs[index] for index in ((0, 3) if quantized else (0, 1)) if node.has_input(index)]
    return [side for side in sides if side is not None]


def _followed(node: NodeView) -> ValueView | None:
    if sides := _sides(node):
        open_sides = [side for side in sides if not side.is_weight and side.shape]
        return open_sides[0] if len(open_sides) == 1 else None
    if node.op_type in ("Cast", "Identity", "DequantizeLinear", "QuantizeLinear", "Dropout"):
        return node.inputs[0]
    if node.op_type in ("Reshape", "Squeeze", "Unsqueeze", "Flatten"):
        source, made = node.inputs[0], node.output().shape
        kept = source is not None and source.shape and made and source.shape[-1] == made[-1]
        is_norm = source is not None and bool(source.shape) and bool(made)
        return source if kept or is_norm else None
    return None


def _is_normalized(graph: Graph, node: NodeView) -> bool:
    """Whether the node divides by the root of a variance, or multiplies by its reciprocal."""
    if node.op_type not in ("Div", "Mul") or len(node.inputs) != 2:
        return False
    divisors = node.inputs[1:] if node.op_type == "Div" else node.inputs
    return any(
        value is not None and not value.is_weight and _is_root(graph, value, node.op_type == "Div")
        for value in divisors
    )


def _is_root(graph: Graph, value: ValueView, inverted: bool) -> bool:
    """Whether a divisor is a root, or a factor the reciprocal of one."""
    for _ in range(FOLLOWED):
        index = graph.producer(value.name)
        if index is None:
            return False
        node = graph.nodes[index].view
        if node.op_type in ROOTS:
            return inverted or node.op_type == "Pow"
        if node.op_type not in TO_ROOT:
            return False
        inverted = inverted or node.op_type in ("Reciprocal", "Div")
        open_inputs = [each for each in node.inputs if each is not None and not each.is_weight]
        if len(open_inputs) != 1:
            return False
        value = open_inputs[0]
    return False
