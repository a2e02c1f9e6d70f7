"""Walking through a graph node by node, in the order of execution: what each makes of what is known so far.

Values of shapes that are computed, rounds of a loop, elements of a sequence and types follow from one
another, in any order: one walk finds all of them, while inference of a whole graph sees types alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, TypeProto, numpy_helper, shape_inference

from onnxlens.errors import first_line
from onnxlens.profile.graph.loading.inference.control import Control, Record
from onnxlens.profile.graph.loading.inference.facts import (
    MOST_GIVEN,
    NO_FACT,
    Fact,
    of_value,
    sharper,
    type_proto,
)
from onnxlens.profile.graph.loading.inference.memo import Memo
from onnxlens.profile.graph.loading.inference.operators import OPERATORS
from onnxlens.profile.graph.loading.inference.surrogate_rules import Surroundings
from onnxlens.profile.graph.loading.inference.surrogates import surrogate_of
from onnxlens.profile.graph.loading.inference.values import AS_MANY_AS_READ, computed, is_small, shape_value
from onnxlens.profile.graph.loading.opsets import schema_at
from onnxlens.profile.graph.loading.protobuf import (
    MAX_CONSTANT_ELEMENTS,
    FileGraph,
    FileNode,
    constant_reader,
    label_of,
    tensor_reader,
)
from onnxlens.profile.graph.loading.value_types import (
    UNKNOWN,
    ValueType,
    constant_type,
    sparse_type,
    tensor_type,
    value_type,
)

OF_TYPES = re.compile(r"type:? tensor\(")
"""In what ONNX's inference says of element types: a surrogate may have others than its operator allows."""


@dataclass(slots=True)
class Scope:
    """One graph while it is walked through: what its nodes can name, then what those around it can."""

    facts: dict[str, Fact] = field(default_factory=dict)
    outer: Scope | None = None

    def find(self, name: str) -> Fact:
        """What is known of the value; nothing of one that the file does not have."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.facts:
                return scope.facts[name]
            scope = scope.outer
        return NO_FACT


class Walk:
    """One walk through a model; afterwards ``record`` holds what it found."""

    def __init__(
        self,
        graph: FileGraph,
        types: Mapping[str, ValueType],
        opsets: Mapping[str, int],
        folder: Path,
        memo: Memo | None = None,
    ) -> None:
        """Walk through the whole graph; ``misfits`` are nodes whose inputs do not fit together.

        Args:
            graph: the model's.
            types: what is known of values by now, by unique name.
            opsets: the versions that the model imports, by domain.
            folder: of the file, for small external tensors.
            memo: of earlier walks through the same graph.
        """
        self.record = Record()
        self._memo = memo or Memo()
        self.misfits: list[str] = []
        self.opsets = opsets
        self._types = types
        self._folder = folder
        size = sum(len(inner.nodes) for inner in graph.all())
        self._control = Control(self.run, opsets.get("", 0), size)
        self.run(graph, {}, Scope(), self.record)
        self.unfinished = self._control.unfinished

    def run(
        self, graph: FileGraph, formals: Mapping[str, Fact], outer: Scope, record: Record
    ) -> Sequence[Fact]:
        """Walk through a graph, given what is handed in; what is known of its outputs."""
        scope = Scope({}, outer)
        held = self._memo.held
        for tensor in graph.proto.initializer:
            known = held.get(graph.prefix + tensor.name)
            if known is None:
                known = Fact(tensor_type(tensor), tensor_reader(tensor, self._folder))
                held[graph.prefix + tensor.name] = known
            scope.facts[tensor.name] = known
        for sparse in graph.proto.sparse_initializer:
            scope.facts[sparse.values.name] = Fact(sparse_type(sparse))
        for value in graph.proto.input:
            if value.name not in scope.facts:
                given = formals.get(value.name, NO_FACT)
                kind = sharper(self._types.get(graph.prefix + value.name, UNKNOWN), given.type)
                fact = scope.facts[value.name] = given.typed(kind)
                record.facts[graph.prefix + value.name] = fact
        for node in graph.nodes:
            self._node(node, graph, scope, record)
        return [scope.find(value.name) for value in graph.proto.output]

    def _node(self, node: FileNode, graph: FileGraph, scope: Scope, record: Record) -> None:
        inputs = [scope.find(name) if name else None for name in node.inputs]
        known = [self._types.get(graph.prefix + name, UNKNOWN) if name else UNKNOWN for name in node.outputs]
        key = self._memo.key_of(node, inputs, known)
        made = None if key is None else self._memo.made.get(key)
        if made is None:
            misfits = len(self.misfits)
            made = list(self._made(node, inputs, known, graph, scope, record))
            if key is not None and len(self.misfits) == misfits:
                self._memo.made[key] = made
        for index, name in enumerate(node.outputs):
            if name:
                new = made[index] if index < len(made) else NO_FACT
                fact = new.typed(sharper(known[index], new.type))
                scope.facts[name] = record.facts[graph.prefix + name] = fact
                if node.op_type == "Reshape" and inputs[0] is not None:
                    self._require_as_many(node, inputs[0].type.elements, fact.type.elements)

    def _made(
        self,
        node: FileNode,
        inputs: Sequence[Fact | None],
        known: Sequence[ValueType],
        graph: FileGraph,
        scope: Scope,
        record: Record,
    ) -> Sequence[Fact]:
        """What the node makes of its inputs, as far as that is known."""
        if node.op_type == "Constant" and not node.domain:
            return [Fact(constant_type(node.proto.attribute), constant_reader(node.proto, self._folder))]
        results = self._control.made(node, inputs, graph, scope, record) if node.subgraphs else None
        if results is not None:
            return results
        if node.op_type in ("Shape", "Size") and not node.domain:
            value = shape_value(node, inputs)
            if value is not None:
                return [of_value(value)]
        if is_small(node, inputs):
            values = computed(node, inputs, self.opsets)
            if values is not None and values[0] is not None:
                return [of_value(values[0])]
        rule = OPERATORS.get((node.domain, node.op_type))
        made = rule(node, inputs) if rule is not None else None
        if made is None:
            is_open = any(kind.shape is None or not kind.is_fixed for kind in known)
            made = self._inferred(node, inputs) if is_open else [Fact(kind) for kind in known]
        if node.op_type in AS_MANY_AS_READ or all(_is_held(sharper(*pair)) for pair in _pairs(known, made)):
            values = computed(node, inputs, self.opsets)
            if values is not None:
                return [*map(_folded, made, values), *made[len(values) :]]
        return made

    def _require_as_many(self, node: FileNode, before: int | None, after: int | None) -> None:
        if before is not None and after is not None and before != after:
            self.misfits.append(f"Reshape {label_of(node.proto)} makes {after:,} elements of {before:,}")

    def _inferred(self, node: FileNode, inputs: Sequence[Fact | None]) -> Sequence[Fact]:
        """The types that ONNX's inference gives the outputs, or those of the nodes that stand for it."""
        facts = dict(zip(node.inputs, inputs, strict=True))
        around = Surroundings({name: fact.type for name, fact in facts.items() if fact is not None})
        version = node.version or self.opsets.get(node.domain, 0)
        for made in surrogate_of(node.proto, around, version) or [node.proto]:
            if made is node.proto:
                facts |= dict(self._outputs(made, node.domain, version, facts))
            else:
                facts |= dict(self._outputs(made, "", self.opsets.get("", version), facts, is_surrogate=True))
        return [facts.get(name) or NO_FACT for name in node.outputs]

    def _outputs(
        self,
        node: NodeProto,
        domain: str,
        version: int,
        facts: Mapping[str, Fact | None],
        *,
        is_surrogate: bool = False,
    ) -> Iterator[tuple[str, Fact]]:
        """What ONNX's inference says of one node, or of one that stands in for another."""
        schema = schema_at(node.op_type, domain, version)
        if schema is None:
            return
        if node.op_type == "Constant":
            yield node.output[0], Fact(constant_type(node.attribute), constant_reader(node, None))
            return
        types, data = {}, {}
        for name in node.input:
            fact = facts.get(name) or NO_FACT
            types[name] = type_proto(fact.type)
            value = fact.value if (fact.type.elements or 0) <= MOST_GIVEN else None
            if value is not None and value.dtype.kind in "iufb":
                data[name] = numpy_helper.from_array(value)
        imports = [onnx.helper.make_opsetid(domain, schema.since_version)]
        infer = partial(shape_inference.infer_node_outputs, schema)
        try:
            try:
                found = infer(node, types, data, None, imports)
            except Exception:
                if not is_surrogate:
                    raise
                found = infer(_of_schema(node, schema), _as_floats(types), data, None, imports)
                _in_first_type(found, types[node.input[0]])
        except Exception as error:  # whatever the library raises at a node that it does not understand
            sized = all((facts.get(name) or NO_FACT).type.is_fixed for name in node.input)
            if sized and not OF_TYPES.search(str(error)):
                self.misfits.append(f"{node.op_type} {label_of(node)} does not fit: {first_line(error)}")
            return
        for name, proto in found.items():
            yield name, Fact(value_type(proto))


def _as_floats(types: Mapping[str, TypeProto]) -> dict[str, TypeProto]:
    """As if all tensors were of one type: a surrogate has operands that its operator cannot combine."""
    floats = {name: TypeProto.FromString(proto.SerializeToString()) for name, proto in types.items()}
    for proto in floats.values():
        if proto.HasField("tensor_type"):
            proto.tensor_type.elem_type = TensorProto.FLOAT
    return floats


def _of_schema(node: NodeProto, schema: onnx.defs.OpSchema) -> NodeProto:
    """With the attributes alone that the operator has at that opset."""
    held = [attribute for attribute in node.attribute if attribute.name in schema.attributes]
    made = NodeProto(op_type=node.op_type, input=node.input, output=node.output)
    made.attribute.extend(held)
    return made


def _in_first_type(found: Mapping[str, TypeProto], first: TypeProto) -> None:
    """Give what was found so the type of the first input, which arithmetic keeps."""
    for proto in found.values():
        proto.tensor_type.elem_type = first.tensor_type.elem_type


def _is_held(kind: ValueType) -> bool:
    """Whether it is small enough to be computed and held."""
    return kind.elements is not None and kind.elements <= MAX_CONSTANT_ELEMENTS


def _pairs(known: Sequence[ValueType], made: Sequence[Fact]) -> Iterator[tuple[ValueType, ValueType]]:
    return ((kind, fact.type) for kind, fact in zip(known, made, strict=False))


def _folded(fact: Fact, value: np.ndarray | None) -> Fact:
    return fact if value is None else of_value(value)
