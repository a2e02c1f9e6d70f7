"""The data flow of a graph node by node, bodies of control flow on sheets of their own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import onnx

from onnxlens.profile.graph.graph import Graph, GraphNode
from onnxlens.profile.graph.node_view import NodeView, ValueView
from onnxlens.specs.ledger import Ledger, NodeCost
from onnxlens.specs.node_flow import FixedInput, NodeFlow, OperatorNode, Sheet, SheetEnd, Wire
from onnxlens.specs.tensor import TensorSpec

SHOWN_VALUES = 16
"""As many numbers are written out: of shapes, axes, permutations, kernels."""


def build_node_flow(graph: Graph, ledger: Ledger) -> NodeFlow:
    """Every node of ``graph`` with its cost, and the tensors between them.

    A value that a body takes from the graph around it enters the body's sheet as an input, and the node that
    runs the body as a further input: so data flows into a branch on both sheets. Weights and constants are
    no nodes: they stand at what reads them.
    """
    builder = _Builder(graph)
    for node, cost in zip(graph.nodes, ledger.nodes, strict=True):
        builder.add(node, cost)
    builder.leave("", graph.outputs)
    return NodeFlow(graph.name, ledger.source, builder.sheets())


class _Ids:
    """Ids that no two nodes or sheets share: names of a file may repeat."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def free(self, name: str) -> str:
        chosen, count = name, 1
        while chosen in self._taken:
            count += 1
            chosen = f"{name} ({count})"
        self._taken.add(chosen)
        return chosen


@dataclass(slots=True)
class _Sheet:
    """A sheet while it is filled.

    Attributes:
        around: the keys of the sheets that it stands in, outermost first.
        made: where each value comes from: the id of a node or an input, and which output it is.
        captured: what it takes from the sheets around it.
    """

    id: str
    around: tuple[str, ...] = ()
    inputs: list[SheetEnd] = field(default_factory=list)
    nodes: list[OperatorNode] = field(default_factory=list)
    outputs: list[SheetEnd] = field(default_factory=list)
    made: dict[str, tuple[str, int]] = field(default_factory=dict)
    captured: dict[str, TensorSpec] = field(default_factory=dict)

    def finished(self) -> Sheet:
        return Sheet(self.id, tuple(self.inputs), tuple(self.nodes), tuple(self.outputs))


class _Builder:
    """Puts node after node on its sheet."""

    def __init__(self, graph: Graph) -> None:
        self._ids = _Ids()
        self._weights = frozenset(graph.weights)
        self._held = frozenset({*graph.weights, *graph.constants, *graph.given})
        self._sheets = {"": _Sheet(self._ids.free(graph.name))}
        for tensor in graph.inputs:
            self._enter(self._sheets[""], tensor)
        for node in sorted(graph.nodes, key=lambda node: len(node.within)):  # outer sheets first
            for body in node.bodies:
                self._sheets[body.key] = _Sheet(self._ids.free(body.key.rstrip("/")), ("", *node.within))

    def sheets(self) -> tuple[Sheet, ...]:
        return tuple(sheet.finished() for sheet in self._sheets.values())

    def add(self, node: GraphNode, cost: NodeCost) -> None:
        """Put a node on its sheet, after the nodes of its bodies."""
        sheet = self._sheets[node.within[-1] if node.within else ""]
        for body in node.bodies:
            self.leave(body.key, [value.spec for value in body.results if value is not None])
        made = OperatorNode(
            id=self._ids.free(node.view.name or node.view.op_type),
            cost=cost,
            attributes=_attribute_texts(node.view),
            wires=tuple(self._wires(sheet, node)),
            fixed=tuple(self._fixed(node.view)),
            outputs=tuple(None if value is None else value.spec for value in node.view.outputs),
            bodies=tuple(self._sheets[body.key].id for body in node.bodies),
        )
        sheet.nodes.append(made)
        for index, value in enumerate(node.view.outputs):
            if value is not None:
                sheet.made[value.name] = (made.id, index)

    def leave(self, key: str, tensors: Iterable[TensorSpec]) -> None:
        """End a sheet with what it hands on."""
        sheet = self._sheets[key]
        for tensor in {tensor.name: tensor for tensor in tensors}.values():
            wire = None if tensor.name in self._held else self._wire(sheet, tensor, 0)
            sheet.outputs.append(SheetEnd(self._ids.free(f"output/{tensor.name}"), tensor, wire))

    def _wires(self, sheet: _Sheet, node: GraphNode) -> Iterator[Wire]:
        """What flows into the node, then what the bodies inside it take from around it."""
        view = node.view
        for index, value in enumerate(view.inputs):
            if value is not None and value.name not in self._held:
                yield self._wire(sheet, value.spec, index, _formal(view, index))
        own = {value.name for value in view.inputs if value is not None}
        captured = {
            name: tensor for body in node.bodies for name, tensor in self._sheets[body.key].captured.items()
        }
        taken = [tensor for name, tensor in captured.items() if name not in own]
        for index, tensor in enumerate(taken, start=len(view.inputs)):
            yield self._wire(sheet, tensor, index)

    def _wire(self, sheet: _Sheet, tensor: TensorSpec, index: int, formal: str = "") -> Wire:
        if tensor.name not in sheet.made:
            self._enter(sheet, tensor)
            if any(tensor.name in self._sheets[outer].made for outer in sheet.around):
                sheet.captured[tensor.name] = tensor
        return Wire(*sheet.made[tensor.name], index, formal)

    def _enter(self, sheet: _Sheet, tensor: TensorSpec) -> None:
        end = SheetEnd(self._ids.free(f"input/{tensor.name}"), tensor)
        sheet.inputs.append(end)
        sheet.made[tensor.name] = (end.id, 0)

    def _fixed(self, view: NodeView) -> Iterator[FixedInput]:
        for index, value in enumerate(view.inputs):
            if value is not None and value.name in self._held:
                is_weight = value.name in self._weights
                yield FixedInput(index, value.spec, is_weight, _formal(view, index), _values_text(value))


@cache
def _formals(domain: str, op_type: str, version: int) -> tuple[str, ...]:
    """What ONNX calls an operator's inputs; nothing for operators that it does not define."""
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
    texts = {name: _text(value) for name, value in view.attributes.items()}
    return {name: text for name, text in texts.items() if text is not None}


def _text(value: Any) -> str | None:
    """An attribute for people; a tensor by its type and shape, and None for a graph: it has its own sheet."""
    match value:
        case bool() | int() | str():
            return str(value)
        case float():
            return f"{value:.6g}"  # the file holds it in single precision
        case tuple() if len(value) > SHOWN_VALUES:
            return f"{len(value)} values"
        case tuple():
            return ", ".join(text for item in value if (text := _text(item)) is not None)
        case np.ndarray():
            return f"{value.dtype} {list(value.shape)}"
    return None


def _values_text(value: ValueView) -> str:
    """The values of a small integer constant, where the file has them; "" for everything else."""
    if value.dtype not in ("int64", "int32", "bool") or value.read_constant is None:
        return ""
    array = value.read_constant()
    if array is None or array.size > SHOWN_VALUES:
        return ""
    return str(array.tolist())
