"""Writing a model's own functions out where they are called, so that every node stands in a graph.

ONNX's inliner drops an attribute's default, passes over functions of another opset without a word and fails
at operators whose optional inputs a function leaves out: a function is copied here node by node instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import onnx
from onnx import AttributeProto, FunctionProto, GraphProto, NodeProto, defs

from onnxlens.errors import GraphError
from onnxlens.profile.graph.loading.protobuf import at_version, domain_of, graphs_of, subgraphs
from onnxlens.specs.bounds import (
    MOST_BODIES,
    MOST_CALLS,
    MOST_WRITTEN_BYTES,
    MOST_WRITTEN_NODES,
    OutOfBoundsError,
    short,
)

Key = tuple[str, str, str]

REMEDY = "export the model without functions"


def write_out_functions(model: onnx.ModelProto) -> None:
    """Replace, in place, every call of a function by the function's nodes, in the bodies of nodes too.

    A node made so is named after the call and itself, ``encoder/attention/MatMul``, and so are the values
    between such nodes. Where a function imports another version of an operator than the model, the node says
    so in its domain (``at_version``).

    Raises:
        GraphError: a function calls itself.
        OutOfBoundsError: they become more nodes or bytes than a file may.
    """
    functions = {(domain_of(f), f.name, f.overload): f for f in model.functions}
    imports = {domain_of(opset): opset.version for opset in model.opset_import}
    names = dict.fromkeys(_all_names(model.graph), 1)
    writer = _Writer(functions, imports, names, MOST_WRITTEN_BYTES + model.ByteSize())
    nodes, depth = writer.size(model.graph.node)
    if depth > MOST_CALLS:
        raise OutOfBoundsError(f"its functions call each other more than {MOST_CALLS} deep; {REMEDY}")
    if nodes - len(model.graph.node) > MOST_WRITTEN_NODES:
        raise OutOfBoundsError(
            "its functions call each other so often that they become more than "
            f"{MOST_WRITTEN_NODES:,} nodes; {REMEDY}"
        )
    writer.graph(model.graph)
    del model.functions[:]
    known = {opset.domain for opset in model.opset_import} | {"", "ai.onnx"}
    for domain, version in writer.imports.items():
        if domain not in known:
            model.opset_import.add(domain=domain, version=version)


@dataclass(slots=True)
class _Call:
    """One call while it is written out.

    Attributes:
        path: what the names of its nodes and values begin with.
        attributes: what the call gives, or the function by default, by name.
        names: what the function's values are called in the calling graph.
        versions: of the function's opsets, by domain.
    """

    path: str
    attributes: Mapping[str, AttributeProto]
    names: dict[str, str]
    versions: Mapping[str, int]


@dataclass(slots=True)
class _Writer:
    functions: Mapping[Key, FunctionProto]
    imports: dict[str, int]
    taken: dict[str, int]
    bytes_left: int
    bodies: int = 0
    paths: dict[str, int] = field(default_factory=dict)
    sizes: dict[Key, tuple[int, int]] = field(default_factory=dict)

    def size(self, nodes: Iterable[NodeProto], stack: tuple[Key, ...] = ()) -> tuple[int, int]:
        """How many nodes and calls these become, and how deep the calls are, inside those functions."""
        total, deepest = 0, 0
        for node in nodes:
            key = _key(node)
            if key in stack:
                raise GraphError(f"the function {node.op_type!r} calls itself; ONNX has no recursion")
            found = [self.size(inner.node, stack) for _, inner in subgraphs(node)]
            if key in self.functions and len(stack) < MOST_CALLS:
                if key not in self.sizes:
                    inside, depth = self.size(self.functions[key].node, (*stack, key))
                    self.sizes[key] = inside, depth + 1
                found.append(self.sizes[key])
            elif key in self.functions:
                deepest = MOST_CALLS + 1
            total += 1 + sum(inside for inside, _ in found)
            deepest = max(deepest, *(depth for _, depth in found), 0)
        return total, deepest

    def graph(self, graph: GraphProto) -> None:
        """Write out the calls of a graph of the model, and of those inside it."""
        nodes: list[NodeProto] = []
        for node in graph.node:
            for _, inner in subgraphs(node):
                self.graph(inner)
            function = self.functions.get(_key(node))
            nodes += [node] if function is None else self._written(node, function, "")
        if len(nodes) != len(graph.node) or any(map(self._is_call, graph.node)):
            copies = [_copy(node) for node in nodes]
            del graph.node[:]
            graph.node.extend(copies)

    def _spend(self, size_bytes: int) -> None:
        """Write so much more, if it is not too much."""
        self.bytes_left -= size_bytes
        if self.bytes_left < 0:
            raise OutOfBoundsError(
                f"its functions become {MOST_WRITTEN_BYTES:,} bytes more than the file has; {REMEDY}"
            )

    def _is_call(self, node: NodeProto) -> bool:
        return _key(node) in self.functions

    def _written(self, call: NodeProto, function: FunctionProto, outer: str) -> Iterator[NodeProto]:
        """The nodes that do what the call does."""
        path = _unused(outer + (call.name or function.name), self.paths)
        self._spend(len(path) + 16 * (len(function.input) + len(function.attribute_proto)))
        given = {attribute.name: attribute for attribute in call.attribute}
        defaults = {attribute.name: attribute for attribute in function.attribute_proto}
        names = dict.fromkeys(function.input, "") | dict(zip(function.input, call.input, strict=False))
        versions = {domain_of(opset): opset.version for opset in function.opset_import}
        inside = _Call(path, defaults | given, names, versions)
        again: list[tuple[str, str]] = []
        for name, result in zip(function.output, call.output, strict=False):
            if result and (name in names or not name):  # an input, or what is returned twice
                again.append((name, result))
            elif result:
                names[name] = result
        for node in function.node:
            yield from self._node(node, inside, call)
        for name, result in again:
            yield onnx.helper.make_node("Identity", [names[name]], [result], f"{path}/{name}")

    def _node(self, source: NodeProto, inside: _Call, call: NodeProto) -> Iterator[NodeProto]:
        """A node of the function, in the calling graph."""
        self._spend(source.ByteSize() + len(inside.path) * (1 + len(source.output)))
        node = _copy(source)
        del node.input[:], node.output[:], node.attribute[:]
        node.input.extend(inside.names.get(name, name) if name else "" for name in source.input)
        node.output.extend(self._local(name, inside) if name else "" for name in source.output)
        for attribute in source.attribute:
            resolved = self._attribute(attribute, inside, call)
            if resolved is not None:
                node.attribute.append(resolved)
        if len(call.metadata_props) and not len(node.metadata_props):
            node.metadata_props.extend(call.metadata_props)
        called = self.functions.get(_key(node))
        if called is not None:
            yield from self._written(node, called, f"{inside.path}/")
            return
        if source.name:
            node.name = f"{inside.path}/{source.name}"
        else:
            node.name = f"{inside.path}/{next(filter(None, source.output), source.op_type)}"
        self._set_version(node, inside.versions)
        yield node

    def _attribute(self, source: AttributeProto, inside: _Call, call: NodeProto) -> AttributeProto | None:
        """An attribute with its value, which may be one of the call's; None where that gives none."""
        attribute = AttributeProto()
        if not source.ref_attr_name:
            attribute.CopyFrom(source)
            for _, graph in graphs_of(attribute):
                self._body(graph, inside, call)
        elif source.ref_attr_name in inside.attributes:
            given = inside.attributes[source.ref_attr_name]
            self._spend(given.ByteSize())
            attribute.CopyFrom(given)
            attribute.name = source.name
        else:
            return None
        return attribute

    def _body(self, graph: GraphProto, outer: _Call, call: NodeProto) -> None:
        """A body inside the function, in place: its own names hide those around it."""
        if self.bodies >= MOST_BODIES:
            raise OutOfBoundsError(
                f"its functions put more than {MOST_BODIES} graphs inside each other, in "
                f"{short(outer.path)}; {REMEDY}"
            )
        self.bodies += 1
        inside = _Call(outer.path, outer.attributes, dict(outer.names), outer.versions)
        own = [value.name for value in graph.input]
        own += [tensor.name for tensor in graph.initializer]
        own += [sparse.values.name for sparse in graph.sparse_initializer]
        for name in {*own, *(name for node in graph.node for name in node.output if name)}:
            inside.names[name] = _unused(f"{inside.path}/{name}", self.taken)
        nodes = [made for node in graph.node for made in self._node(node, inside, call)]
        self.bodies -= 1
        del graph.node[:]
        graph.node.extend(nodes)
        named: list[Any] = [*graph.input, *graph.output, *graph.value_info, *graph.initializer]
        for value in (*named, *(sparse.values for sparse in graph.sparse_initializer)):
            value.name = inside.names.get(value.name, value.name)

    def _set_version(self, node: NodeProto, versions: Mapping[str, int]) -> None:
        """Note the version of the node's operator where the model's opset has another one of it."""
        domain = domain_of(node)
        version = versions.get(domain, self.imports.get(domain, 1))
        imported = self.imports.setdefault(domain, version)
        if version != imported and _since(node.op_type, domain, version) != _since(
            node.op_type, domain, imported
        ):
            node.domain = at_version(domain, version)
            self.imports[node.domain] = version

    def _local(self, name: str, inside: _Call) -> str:
        """What a value of the function is called in the calling graph."""
        if name not in inside.names:
            inside.names[name] = _unused(f"{inside.path}/{name}", self.taken)
        return inside.names[name]


def _unused(wanted: str, taken: dict[str, int]) -> str:
    """The name, with a number where it is taken; it is taken then.

    Args:
        wanted: the name.
        taken: for each name that is taken the last number that it was given.
    """
    if wanted not in taken:
        taken[wanted] = 1
        return wanted
    number = taken[wanted] + 1
    while (name := f"{wanted}_{number}") in taken:
        number += 1
    taken[wanted], taken[name] = number, 1
    return name


def _key(node: NodeProto) -> Key:
    return domain_of(node), node.op_type, node.overload


def _copy(node: NodeProto) -> NodeProto:
    copy = NodeProto()
    copy.CopyFrom(node)
    return copy


@cache
def _since(op_type: str, domain: str, version: int) -> int:
    """The opset in which this version of the operator came; that asked for where nobody knows it."""
    try:
        return int(defs.get_schema(op_type, version, domain).since_version)
    except defs.SchemaError:
        return version


def _all_names(graph: GraphProto) -> Iterable[str]:
    """The names of all values of a graph and of those inside it."""
    yield from (value.name for value in graph.input)
    yield from (tensor.name for tensor in graph.initializer)
    for node in graph.node:
        yield from node.output
        for _, inner in subgraphs(node):
            yield from _all_names(inner)
