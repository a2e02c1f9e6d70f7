"""A graph as if its floats were held in another type: what it moves, and in which types it multiplies."""

from __future__ import annotations

from dataclasses import replace

from onnxlens.profile.count.families import OPERANDS
from onnxlens.profile.count.liveness import FLOATS
from onnxlens.profile.graph.graph import Graph, GraphNode
from onnxlens.profile.graph.node_view import ValueView

SAME: dict[str, str] = {"uint8": "int8", "uint4": "int4", "uint16": "int16", "uint2": "int2"}
"""Types that arrays multiply at the rate of others."""


SELF_QUANTIZING = frozenset({"DynamicQuantizeMatMul", "DynamicQuantizeLSTM"})
"""Operators that make their activations integers by themselves."""

ACCURACY, INT8 = "accuracy_level", 4
"""By which ONNX Runtime's packed products say what they may be computed in, and that of integers."""


def as_if_held(graph: Graph, dtype: str) -> Graph:
    """The graph with another type in place of its floats; packed weights stay as they are."""
    known: dict[int, ValueView] = {}

    def held(value: ValueView | None) -> ValueView | None:
        if value is None or value.dtype not in FLOATS or value.stored_bytes is not None:
            return value
        if id(value) not in known:
            known[id(value)] = replace(value, dtype=dtype)
        return known[id(value)]

    def changed(node: GraphNode) -> GraphNode:
        view = node.view
        inputs, outputs = tuple(map(held, view.inputs)), tuple(map(held, view.outputs))
        attributes = {name: given for name, given in view.attributes.items() if name != ACCURACY}
        return replace(node, view=replace(view, inputs=inputs, outputs=outputs, attributes=attributes))

    return replace(graph, nodes=tuple(map(changed, graph.nodes)))


def operands_of(graph: Graph, node: GraphNode) -> str:
    """Weights x activations of a node with MACs, such as ``int8xint8``.

    What quantizes its activations by itself, or may, multiplies integers. What reaches it through a
    DequantizeLinear is multiplied in the integers that the file holds, if both do.
    """
    if node.view.op_type in SELF_QUANTIZING or node.view.attribute(ACCURACY, 0) == INT8:
        return "int8xint8"
    places = OPERANDS.get(node.view.op_type, (0, 1))
    views = [node.view.inputs[at] for at in places if at < len(node.view.inputs)]
    dtypes = [(value.dtype if value is not None else None) or "unknown" for value in views] or ["unknown"]
    stored = [_dequantized(graph, value) for value in views]
    if all(stored) and len(stored) == len(places):
        dtypes = [each for each in stored if each]
    activations, weights = SAME.get(dtypes[0], dtypes[0]), SAME.get(dtypes[-1], dtypes[-1])
    return f"{weights}x{activations}"


def _dequantized(graph: Graph, value: ValueView | None) -> str:
    """The type of what a DequantizeLinear made the value of; "" if none did."""
    maker = graph.producer(value.name) if value is not None else None
    while maker is not None and (view := graph.nodes[maker].view).op_type in PASSES:
        source = view.inputs[0]
        if view.op_type == "DequantizeLinear":
            return (source.dtype or "") if source is not None else ""
        maker = graph.producer(source.name) if source is not None else None
    return ""


PASSES = frozenset(
    {"DequantizeLinear", "Reshape", "Transpose", "Flatten", "Squeeze", "Unsqueeze", "Identity"}
)
"""Through which a quantized operand is found."""
