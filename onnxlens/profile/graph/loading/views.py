"""A model's nodes and values as plain data: the views that counting rules read, in the order of execution."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, GraphProto, NodeProto, TensorProto, numpy_helper

from onnxlens.errors import GraphError
from onnxlens.profile.graph.graph import Body
from onnxlens.profile.graph.loading.bodies import CONTROL_FLOW, BodyPlan, plan_bodies
from onnxlens.profile.graph.loading.constants import Reader, constant_reader, tensor_reader
from onnxlens.profile.graph.loading.quantization import stored_bytes
from onnxlens.profile.graph.loading.value_types import (
    UNKNOWN,
    ValueType,
    domain_of,
    label_of,
    prefix_of,
    subgraphs,
    tensor_type,
)
from onnxlens.profile.graph.node_view import NodeView, ValueView

RANDOM_OPERATORS = frozenset(
    {
        "RandomNormal",
        "RandomUniform",
        "RandomNormalLike",
        "RandomUniformLike",
        "Bernoulli",
        "Multinomial",
    }
)


@dataclass(frozen=True, slots=True)
class ReadNode:
    """A node of the file or of a graph inside it, as views.

    Attributes:
        bodies: what runs inside it: the branches of an If, the body of a Loop.
        within: the keys of the bodies that it stands in, outermost first.
    """

    proto: NodeProto
    view: NodeView
    constant_folded: bool
    bodies: tuple[Body, ...] = ()
    within: tuple[str, ...] = ()


@dataclass(slots=True)
class _Scope:
    """One graph while it is read: the values that its nodes can name, those of the graphs around it last."""

    prefix: str
    outer: _Scope | None = None
    within: tuple[str, ...] = ()
    values: dict[str, ValueView] = field(default_factory=dict)

    def find(self, name: str) -> ValueView | None:
        scope: _Scope | None = self
        while scope is not None:
            if name in scope.values:
                return scope.values[name]
            scope = scope.outer
        return None


class ModelReader:
    """Reads a model once; afterwards ``nodes`` and ``initializers`` hold what it found.

    A body's nodes stand before the node that runs them: it joins their results. Names of values inside a body
    begin with the node's name and the body's, as those of two branches may be the same.
    """

    def __init__(
        self,
        model: onnx.ModelProto,
        path: Path,
        types: Mapping[str, ValueType],
        constants: Mapping[str, np.ndarray],
    ) -> None:
        """Read the whole model.

        Args:
            model: with its functions written out.
            path: of its file, for messages and for small external tensors beside it.
            types: of values, by unique name.
            constants: what small values were found to be, by unique name.

        Raises:
            GraphError: a node reads a value that nothing makes, or that a later one makes.
        """
        self.nodes: list[ReadNode] = []
        self.initializers: dict[str, ValueView] = {}
        self._path = path
        self._folder = path.parent
        self._types = types
        self._constants = constants
        self._versions = versions(model)
        self._graph(model.graph, _Scope(""), {})

    def _graph(self, graph: GraphProto, scope: _Scope, formals: Mapping[str, ValueView]) -> None:
        for tensor in graph.initializer:
            self._initializer(scope, tensor.name, tensor_type(tensor), tensor_reader(tensor, self._folder))
        for sparse in graph.sparse_initializer:
            kind = ValueType(tensor_type(sparse.values).dtype, tuple(sparse.dims))
            self._initializer(scope, sparse.values.name, kind, None)
        for value in graph.input:
            if value.name not in scope.values:
                scope.values[value.name] = formals.get(value.name) or self._value(scope, value.name)
        later = {name for node in graph.node for name in node.output}
        read = _names_read(graph)
        for node in graph.node:
            self._node(node, scope, later, read)

    def _initializer(self, scope: _Scope, name: str, kind: ValueType, reader: Reader | None) -> None:
        view = ValueView(scope.prefix + name, kind.dtype, kind.shape, is_weight=True, read_constant=reader)
        scope.values[name] = view
        self.initializers[view.name] = view

    def _value(
        self,
        scope: _Scope,
        name: str,
        *,
        is_weight: bool = False,
        reader: Reader | None = None,
        stored: int | None = None,
    ) -> ValueView:
        unique = scope.prefix + name
        kind = self._types.get(unique, UNKNOWN)
        if reader is None and unique in self._constants:
            reader = self._constants[unique].copy
        return ValueView(unique, kind.dtype, kind.shape, is_weight, reader, kind.kind, stored)

    def _node(self, node: NodeProto, scope: _Scope, later: set[str], read: frozenset[str]) -> None:
        inputs = tuple(self._input(node, name, scope, later) if name else None for name in node.input)
        domain = domain_of(node)
        bodies = self._bodies(node, inputs, scope) if (domain, node.op_type) in CONTROL_FLOW else ()
        constant_folded = is_repeatable(node) and all(value is None or value.is_weight for value in inputs)
        stored = stored_bytes((domain, node.op_type), inputs) if constant_folded else None
        view = NodeView(
            op_type=node.op_type,
            inputs=inputs,
            outputs=tuple(self._outputs(node, scope, constant_folded, stored, read)),
            attributes=attributes_of(node),
            domain=domain,
            version=self._versions.get(domain, 0),
            name=scope.prefix + label_of(node),
        )
        self.nodes.append(ReadNode(node, view, constant_folded, bodies, scope.within))

    def _outputs(
        self, node: NodeProto, scope: _Scope, constant_folded: bool, stored: int | None, read: frozenset[str]
    ) -> Iterator[ValueView | None]:
        """What the node makes, from now on known in its graph; None for an optional output left out."""
        reader = constant_reader(node, self._folder)
        for index, name in enumerate(node.output):
            if name:
                view = self._value(scope, name, is_weight=constant_folded, reader=reader, stored=stored)
                scope.values[name] = view
                yield None if _is_left_out(view, index, name in read) else view
            else:
                yield None

    def _input(self, node: NodeProto, name: str, scope: _Scope, later: set[str]) -> ValueView:
        value = scope.find(name)
        if value is None and name in later:
            raise GraphError(
                f"{self._path}: a {node.op_type} reads {name!r} before it is made; "
                "sort the nodes topologically"
            )
        if value is None:
            raise GraphError(
                f"{self._path}: a {node.op_type} reads {name!r}, which no input, initializer or node gives"
            )
        return value

    def _bodies(self, node: NodeProto, inputs: Sequence[ValueView | None], scope: _Scope) -> tuple[Body, ...]:
        """Read what runs inside the node; its nodes are there before the node itself is."""
        return tuple(
            self._body(plan, node, scope) for plan in plan_bodies(node, inputs, self._versions.get("", 0))
        )

    def _body(self, plan: BodyPlan, node: NodeProto, outer: _Scope) -> Body:
        prefix = prefix_of(node, plan.name, outer.prefix)
        inner = _Scope(prefix, outer, (*outer.within, prefix))
        formals = {
            name: self._formal(inner, name, source)
            for name, source in zip(plan.formals, plan.given, strict=False)
        }
        self._graph(plan.graph, inner, formals)
        results = tuple(inner.find(plan.graph.output[index].name) for index in plan.results)
        return Body(prefix, plan.name, plan.trip_count, plan.unknown_reason, results)

    def _formal(self, scope: _Scope, name: str, source: ValueView | None) -> ValueView:
        """A body's input: by the name of the value that is handed in, in the shape that the body sees."""
        own = self._value(scope, name)
        if source is None:
            return own
        shape = source.shape if own.shape is None and own.kind == source.kind else own.shape
        return ValueView(source.name, own.dtype or source.dtype, shape, False, None, own.kind)


def _is_left_out(view: ValueView, index: int, is_read: bool) -> bool:
    """Whether an optional output is not asked for: an old Dropout's mask, without a shape and unread."""
    return index > 0 and view.shape is None and view.kind == "tensor" and not is_read


def versions(model: onnx.ModelProto) -> Mapping[str, int]:
    """The opset version of each domain that the file names."""
    return {"" if opset.domain == "ai.onnx" else opset.domain: opset.version for opset in model.opset_import}


def _names_read(graph: GraphProto) -> frozenset[str]:
    """Every name that a node of the graph, or of one inside it, reads, and the graph's outputs."""
    names = {output.name for output in graph.output}
    for node in graph.node:
        names.update(node.input)
        for _, inner in subgraphs(node):
            names |= _names_read(inner)
    return frozenset(names)


def is_repeatable(node: NodeProto) -> bool:
    """Whether the same inputs give the same outputs: no random draw, no subgraph that captures values."""
    return node.op_type not in RANDOM_OPERATORS and not any(subgraphs(node))


def attributes_of(node: NodeProto) -> Mapping[str, Any]:
    """Attributes as plain values, a tensor as an array; what a Constant holds is a value and not one."""
    if node.op_type == "Constant":
        return {}
    return {attribute.name: _plain(attribute) for attribute in node.attribute}


def _plain(attribute: AttributeProto) -> Any:
    match attribute.type:
        case AttributeProto.INT:
            return attribute.i
        case AttributeProto.INTS:
            return tuple(attribute.ints)
        case AttributeProto.FLOAT:
            return attribute.f
        case AttributeProto.FLOATS:
            return tuple(attribute.floats)
        case AttributeProto.STRING:
            return attribute.s.decode("utf-8", "replace")
        case AttributeProto.STRINGS:
            return tuple(text.decode("utf-8", "replace") for text in attribute.strings)
        case AttributeProto.TENSOR:
            return _array(attribute.t)
        case AttributeProto.GRAPH:
            return attribute.g
    return None


def _array(tensor: TensorProto) -> np.ndarray | None:
    """The tensor's values; None where they stand in a file of their own."""
    return None if tensor.data_location == TensorProto.EXTERNAL else numpy_helper.to_array(tensor)
