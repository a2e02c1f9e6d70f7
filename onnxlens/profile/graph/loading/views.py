"""A model's nodes and values as plain data: the views that counting rules read, in the order of execution."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import onnx
from onnx import NodeProto

from onnxlens.errors import GraphError, first_line
from onnxlens.profile.graph.graph import Body, GraphNode
from onnxlens.profile.graph.loading.bodies import CONTROL_FLOW, BodyPlan
from onnxlens.profile.graph.loading.inference import Inference
from onnxlens.profile.graph.loading.inference.runs import Types
from onnxlens.profile.graph.loading.protobuf import (
    RANDOM_OPERATORS,
    FileGraph,
    FileNode,
    Reader,
    constant_reader,
    label_of,
    prefix_of,
    tensor_reader,
    versions,
)
from onnxlens.profile.graph.loading.value_types import UNKNOWN, ValueType, sparse_type, tensor_type
from onnxlens.profile.graph.node_view import NodeView, ValueView
from onnxlens.profile.graph.quantization import stored_bytes
from onnxlens.profile.graph.scopes import ModuleRef


@dataclass(slots=True)
class _Scope:
    """One graph while it is read: the values that its nodes can name, after those of the graphs around it."""

    graph: FileGraph
    outer: _Scope | None = None
    within: tuple[str, ...] = ()
    values: dict[str, ValueView] = field(default_factory=dict)
    _read: frozenset[str] | None = None

    def find(self, name: str) -> ValueView | None:
        scope: _Scope | None = self
        while scope is not None:
            if name in scope.values:
                return scope.values[name]
            scope = scope.outer
        return None

    def unique(self, name: str) -> str:
        """The value's name in the whole file."""
        scope: _Scope | None = self
        while scope is not None and name not in scope.values:
            scope = scope.outer
        return name if scope is None else scope.graph.prefix + name

    def is_read(self, name: str) -> bool:
        """Whether a node of the graph, or of one inside it, reads the value, or the graph returns it."""
        if self._read is None:
            self._read = self.graph.names_read()
        return name in self._read


MODEL = ModuleRef("")
"""Where nodes are until it is found out which module they are of."""


class ModelReader:
    """Reads a model once; afterwards ``nodes`` (of ``protos``) and ``initializers`` hold what it found.

    A body's nodes come before the node that runs them, which combines their results. Names of values inside a
    body begin with the node's name and the body's, as those of two branches may be the same.
    """

    def __init__(self, model: onnx.ModelProto, graph: FileGraph, path: Path, inferred: Inference) -> None:
        """Read the whole model.

        Args:
            model: with its functions written out, its nodes sorted.
            graph: the model's, with its nodes.
            path: of its file, for messages and for small external tensors beside it.
            inferred: the types and the small constants of its values.

        Raises:
            GraphError: a node reads a value that nothing produces.
        """
        self.nodes: list[GraphNode] = []
        self.protos: list[NodeProto] = []
        self.initializers: dict[str, ValueView] = {}
        self._path = path
        self._folder = path.parent
        self._types = inferred.types
        self._constants = inferred.constants
        self._trip_counts = inferred.trip_counts
        self._runs = inferred.runs
        self._versions = versions(model)
        self._graph(_Scope(graph), {})

    def _graph(self, scope: _Scope, formals: Mapping[str, ValueView]) -> None:
        graph = scope.graph.proto
        known: dict[tuple[int, tuple[int, ...]], ValueType] = {}
        for tensor in graph.initializer:
            key = (tensor.data_type, tuple(tensor.dims))
            kind = known.get(key) or known.setdefault(key, tensor_type(tensor))
            self._initializer(scope, tensor.name, kind, tensor_reader(tensor, self._folder, kind.elements))
        for sparse in graph.sparse_initializer:
            self._initializer(scope, sparse.values.name, sparse_type(sparse), None)
        for value in graph.input:
            if value.name not in scope.values:
                scope.values[value.name] = formals.get(value.name) or self._value(scope, value.name)
        for node in scope.graph.nodes:
            self.nodes.append(self._node(node, scope))
            self.protos.append(node.proto)

    def _initializer(self, scope: _Scope, name: str, kind: ValueType, reader: Reader | None) -> None:
        view = ValueView(scope.graph.prefix + name, kind.dtype, kind.shape, True, reader)
        scope.values[name] = view
        self.initializers[view.name] = view

    def _value(
        self,
        scope: _Scope,
        name: str,
        is_weight: bool = False,
        reader: Reader | None = None,
        stored: int | None = None,
    ) -> ValueView:
        prefix = scope.graph.prefix
        unique = prefix + name if prefix else name
        kind = self._types.get(unique, UNKNOWN)
        if self._constants and reader is None and unique in self._constants:
            reader = self._constants[unique].copy
        return ValueView(unique, kind.dtype, kind.shape, is_weight, reader, kind.kind, stored)

    def _node(self, node: FileNode, scope: _Scope) -> GraphNode:
        known = scope.values
        inputs = tuple(
            [(known.get(name) or self._outer(node, name, scope)) if name else None for name in node.inputs]
        )
        bodies: tuple[Body, ...] = ()
        if node.subgraphs and (node.domain, node.op_type) in CONTROL_FLOW:
            bodies = tuple(self._body(plan, node, scope) for plan in self._plans(node, inputs))
        repeatable = node.op_type not in RANDOM_OPERATORS and not node.subgraphs  # those capture values
        constant_folded = repeatable and _reads_weights_only(inputs)
        stored = stored_bytes((node.domain, node.op_type), inputs) if constant_folded else None
        view = NodeView(
            node.op_type,
            inputs,
            self._outputs(node, scope, constant_folded, stored),
            node.attributes,
            node.domain,
            node.version or self._versions.get(node.domain, 0),
            scope.graph.prefix + label_of(node.proto),
        )
        observed = self._runs.get(scope.graph.prefix) if self._runs and not constant_folded else None
        runs = tuple(self._views(node, view, scope, observed)) if observed else ()
        if runs:
            view = max(runs, key=lambda run: _size_bytes(run[0]))[0]
        return GraphNode(view, MODEL, constant_folded, None, bodies, scope.within, "none", runs)

    def _views(
        self, node: FileNode, view: NodeView, scope: _Scope, observed: Sequence[tuple[Types, int]]
    ) -> Iterator[tuple[NodeView, int]]:
        """The node with the types that its values have in each run of its body, and how often it runs so."""
        times: Counter[tuple[ValueType, ...]] = Counter()
        names = [scope.unique(name) if name else "" for name in (*node.inputs, *node.outputs)]
        for types, often in observed:
            times[tuple(types.get(name, UNKNOWN) for name in names)] += often
        for kinds, often in times.items():
            values = list(map(_retyped, (*view.inputs, *view.outputs), kinds))
            count = len(view.inputs)
            yield replace(view, inputs=tuple(values[:count]), outputs=tuple(values[count:])), often

    def _plans(self, node: FileNode, inputs: Sequence[ValueView | None]) -> Sequence[BodyPlan]:
        """How the node's bodies are to be read."""
        version = node.version or self._versions.get("", 0)
        try:
            return list(CONTROL_FLOW[node.domain, node.op_type](node.proto, inputs, version))
        except Exception as error:  # whatever a number makes of a file's value, such as NaN
            raise GraphError(
                f"{self._path}: the {node.op_type} {label_of(node.proto)!r} has an input or an attribute "
                f"that does not fit its bodies ({first_line(error)}); repair the file, or export it again"
            ) from error

    def _outputs(
        self, node: FileNode, scope: _Scope, constant_folded: bool, stored: int | None
    ) -> tuple[ValueView | None, ...]:
        """What the node produces, now known in its graph; None for an optional output left out."""
        reader = constant_reader(node.proto, self._folder) if node.op_type == "Constant" else None
        if len(node.outputs) == 1:
            name = node.outputs[0]
            view = scope.values[name] = self._value(scope, name, constant_folded, reader, stored)
            return (view,)
        outputs: list[ValueView | None] = []
        for name in node.outputs:
            if not name:
                outputs.append(None)
                continue
            view = scope.values[name] = self._value(scope, name, constant_folded, reader, stored)
            if not outputs:
                outputs.append(view)
                continue
            # an optional output that is not asked for: an old Dropout's mask, without a shape and unread
            unasked = view.shape is None and view.kind == "tensor" and not scope.is_read(name)
            outputs.append(None if unasked else view)
        return tuple(outputs)

    def _outer(self, node: FileNode, name: str, scope: _Scope) -> ValueView:
        """A value of a graph around this one."""
        value = scope.find(name)
        if value is not None:
            return value
        raise GraphError(
            f"{self._path}: a {node.op_type} reads {name!r}, which no input, initializer or node produces"
        )

    def _body(self, plan: BodyPlan, node: FileNode, outer: _Scope) -> Body:
        """Read a graph that runs inside the node, before the node itself."""
        prefix = prefix_of(node.proto, plan.name, outer.graph.prefix)
        inner = _Scope(outer.graph.inner[prefix], outer, (*outer.within, prefix))
        formals = {
            value.name: self._formal(inner, value.name, source)
            for value, source in zip(plan.graph.input, plan.given, strict=False)
        }
        self._graph(inner, formals)
        results = tuple(inner.find(plan.graph.output[index].name) for index in plan.results)
        runs, around = self._runs.get(prefix), self._runs.get(outer.graph.prefix)
        if runs is not None:
            every = 1 if around is None else sum(times for _, times in around)
            count, rest = divmod(sum(times for _, times in runs), max(every, 1))
            return Body(prefix, plan.name, None if rest else count, "", results)
        if plan.trip_count is None and prefix in self._trip_counts:
            return Body(prefix, plan.name, self._trip_counts[prefix], "", results)
        return Body(prefix, plan.name, plan.trip_count, plan.unknown_reason, results)

    def _formal(self, scope: _Scope, name: str, source: ValueView | None) -> ValueView:
        """A body's input: named like the value that is passed in, with the shape that the body sees."""
        own = self._value(scope, name)
        if source is None:
            return own
        is_known = own.shape is not None or own.kind != source.kind
        shape = own.shape if is_known or scope.graph.prefix + name in self._types else source.shape
        return ValueView(source.name, own.dtype or source.dtype, shape, False, None, own.kind)


def _retyped(value: ValueView | None, kind: ValueType) -> ValueView | None:
    """The value as it is in one round of a loop, if more is known of it there."""
    if value is None or value.is_weight or kind.kind != "tensor" or kind.shape is None:
        return value
    return replace(value, dtype=value.dtype or kind.dtype, shape=kind.shape)


def _size_bytes(view: NodeView) -> int:
    return sum(value.known_size_bytes for value in (*view.inputs, *view.outputs) if value is not None)


def _reads_weights_only(inputs: Sequence[ValueView | None]) -> bool:
    for value in inputs:
        if value is not None and not value.is_weight:
            return False
    return True
