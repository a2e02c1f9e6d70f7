"""What convolutions and poolings slide over their input."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from onnxlens.profile.graph.graph import GraphNode
from onnxlens.profile.graph.node_view import NodeView, NotCountable
from onnxlens.specs.ledger import Window

WEIGHT_INPUT: Mapping[str, int] = MappingProxyType(
    {"Conv": 1, "FusedConv": 1, "ConvTranspose": 1, "ConvInteger": 1, "DeformConv": 1, "QLinearConv": 3}
)
"""Where convolutions have their weight, (C_out, C_in / groups, *kernel)."""


def windows_of(nodes: Iterable[GraphNode]) -> Mapping[int, Window]:
    """Those of all nodes that have one, by their index."""
    found = {}
    for index, node in enumerate(nodes):
        op_type = node.view.op_type
        if op_type in WEIGHT_INPUT or op_type.endswith("Pool"):
            window = _window_of(node.view)
            if window is not None:
                found[index] = window
    return found


def _window_of(node: NodeView) -> Window | None:
    """Kernel, stride and groups; None where the file does not hold the kernel."""
    weight = WEIGHT_INPUT.get(node.op_type)
    kernel = _sizes(node.attribute("kernel_shape")) or (() if weight is None else _kernel(node, weight))
    stride = _sizes(node.attribute("strides")) or (1,) * len(kernel)
    return Window(kernel, stride, None if weight is None else node.attribute("group", 1)) if kernel else None


def _kernel(node: NodeView, weight: int) -> tuple[int, ...]:
    try:
        return node.input_shape(weight)[2:]
    except NotCountable:
        return ()


def _sizes(value: object) -> tuple[int, ...]:
    """The attribute; () where it is missing, or not a list."""
    return tuple(value) if isinstance(value, list | tuple) else ()
