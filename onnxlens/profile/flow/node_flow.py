"""The data flow of a graph node by node, the bodies of control flow as graphs of their own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import onnx

from onnxlens.profile.graph.graph import Graph, GraphNode
from onnxlens.profile.graph.node_view import NodeView, ValueView
from onnxlens.specs.flow import FixedInput, GraphEnd, NodeFlow, OperatorGraph, OperatorNode, Wire
from onnxlens.specs.ledger import Ledger, NodeCost
from onnxlens.specs.tensor import TensorSpec

SHOWN_VALUES = 16
"""Up to so many numbers are written out: of shapes, axes, permutations, kernels."""


def build_node_flow(graph: Graph, ledger: Ledger) -> NodeFlow:
    """Every node of ``graph`` with its cost, and the tensors between them.

    A value that a body captures from the graph around it is an input of the body's graph, and a further input
    of the node that runs the body: data flows into a branch in both graphs. Weights and constants are not
    nodes: they are listed at their consumers.
    """
    builder = _Builder(graph)
    for node, cost in zip(graph.nodes, ledger.nodes, strict=True):
        builder.add(node, cost)
    builder.leave("", graph.outputs)
    return NodeFlow(graph.name, ledger.source, builder.graphs())


@dataclass(slots=True)
class _Filling:
    """A graph while it is filled; ``around`` has the keys of those that contain it, outermost first.

    ``produced`` says where each value comes from: the id of a node or an input, and which output it is;
    ``captured`` is what it reads from the graphs around it.
    """

    id: str
    around: tuple[str, ...] = ()
    inputs: list[GraphEnd] = field(default_factory=list)
    nodes: list[OperatorNode] = field(default_factory=list)
    outputs: list[GraphEnd] = field(default_factory=list)
    produced: dict[str, tuple[str, int]] = field(default_factory=dict)
    captured: dict[str, TensorSpec] = field(default_factory=dict)


class _Builder:
    """Adds node after node to its graph."""

    def __init__(self, graph: Graph) -> None:
        self._ids: set[str] = set()
        self._weights = frozenset(graph.weights)
        self._held = frozenset({*graph.weights, *graph.constants, *graph.given})
        self._graphs = {"": _Filling(self._free_id(graph.name))}
        for tensor in graph.inputs:
            self._enter(self._graphs[""], tensor)
        for node in sorted(graph.nodes, key=lambda node: len(node.within)):  # outer graphs first
            for body in node.bodies:
                self._graphs[body.key] = _Filling(self._free_id(body.key.rstrip("/")), ("", *node.within))

    def graphs(self) -> tuple[OperatorGraph, ...]:
        return tuple(
            OperatorGraph(it.id, tuple(it.inputs), tuple(it.nodes), tuple(it.outputs))
            for it in self._graphs.values()
        )

    def add(self, node: GraphNode, cost: NodeCost) -> None:
        """Add a node to its graph, after the nodes of its bodies."""
        filling = self._graphs[node.within[-1] if node.within else ""]
        for body in node.bodies:
            self.leave(body.key, [value.spec for value in body.results if value is not None])
        added = OperatorNode(
            id=self._free_id(node.view.name or node.view.op_type),
            cost=cost,
            attributes=_attribute_texts(node.view),
            wires=tuple(self._wires(filling, node)),
            fixed=tuple(self._fixed(node.view)),
            outputs=tuple(None if value is None else value.spec for value in node.view.outputs),
            bodies=tuple(self._graphs[body.key].id for body in node.bodies),
        )
        filling.nodes.append(added)
        for index, value in enumerate(node.view.outputs):
            if value is not None:
                filling.produced[value.name] = (added.id, index)

    def leave(self, key: str, tensors: Iterable[TensorSpec]) -> None:
        """Complete a graph with its outputs."""
        filling = self._graphs[key]
        for tensor in {tensor.name: tensor for tensor in tensors}.values():
            wire = None if tensor.name in self._held else self._wire(filling, tensor, 0)
            filling.outputs.append(GraphEnd(self._free_id(f"output/{tensor.name}"), tensor, wire))

    def _wires(self, filling: _Filling, node: GraphNode) -> Iterator[Wire]:
        """What flows into the node, then what the bodies inside it capture."""
        view = node.view
        for index, value in enumerate(view.inputs):
            if value is not None and value.name not in self._held:
                yield self._wire(filling, value.spec, index, _formal(view, index))
        own = {value.name for value in view.inputs if value is not None}
        captured = {
            name: tensor for body in node.bodies for name, tensor in self._graphs[body.key].captured.items()
        }
        outer = [tensor for name, tensor in captured.items() if name not in own]
        for index, tensor in enumerate(outer, start=len(view.inputs)):
            yield self._wire(filling, tensor, index)

    def _wire(self, filling: _Filling, tensor: TensorSpec, index: int, formal: str = "") -> Wire:
        if tensor.name not in filling.produced:
            self._enter(filling, tensor)
            if any(tensor.name in self._graphs[outer].produced for outer in filling.around):
                filling.captured[tensor.name] = tensor
        return Wire(*filling.produced[tensor.name], index, formal)

    def _enter(self, filling: _Filling, tensor: TensorSpec) -> None:
        end = GraphEnd(self._free_id(f"input/{tensor.name}"), tensor)
        filling.inputs.append(end)
        filling.produced[tensor.name] = (end.id, 0)

    def _free_id(self, name: str) -> str:
        """An id that no other node or graph has: names of a file may repeat."""
        chosen, number = name, 1
        while chosen in self._ids:
            number += 1
            chosen = f"{name} ({number})"
        self._ids.add(chosen)
        return chosen

    def _fixed(self, view: NodeView) -> Iterator[FixedInput]:
        for index, value in enumerate(view.inputs):
            if value is not None and value.name in self._held:
                is_weight = value.name in self._weights
                yield FixedInput(index, value.spec, is_weight, _formal(view, index), _values_text(value))


@cache
def _formals(domain: str, op_type: str, version: int) -> tuple[str, ...]:
    """ONNX's names of an operator's inputs; none for operators that it does not define."""
    try:
        schema = onnx.defs.get_schema(op_type, max(version, 1), domain)
    except onnx.defs.SchemaError:
        return ()
    variadic = onnx.defs.OpSchema.FormalParameterOption.Variadic
    return tuple("" if entry.option == variadic else entry.name for entry in schema.inputs)


def _formal(view: NodeView, index: int) -> str:
    formals = _formals(view.domain, view.op_type, view.version)
    return formals[index] if index < len(formals) else ""


def _attribute_texts(view: NodeView) -> Mapping[str, str]:
    return {name: text for name, value in view.attributes.items() if (text := _text(value)) is not None}


def _text(value: Any) -> str | None:
    """An attribute for people; a tensor by its type and shape, and None for a graph, which is a body."""
    match value:
        case bool() | int() | str():
            return str(value)
        case float():
            return f"{value:.6g}"  # the file holds it in single precision
        case Sequence() if len(value) > SHOWN_VALUES:
            return f"{len(value)} values"
        case tuple():
            return ", ".join(text for item in value if (text := _text(item)) is not None)
        case np.ndarray():
            return f"{value.dtype} {list(value.shape)}"
    return None


def _values_text(value: ValueView) -> str:
    """The values of a small integer constant, if the file has them; "" for everything else."""
    if value.dtype not in ("int64", "int32", "bool") or value.read_constant is None:
        return ""
    array = value.read_constant()
    return "" if array is None or array.size > SHOWN_VALUES else str(array.tolist())
