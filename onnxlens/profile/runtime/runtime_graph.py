"""The optimized graph that ONNX Runtime saved, flat: nodes of bodies before the node that runs them.

A body's values are named after an output of the node that runs it, and the runtime renames that output where
it removes an Identity behind the node: ``in_source_bodies`` gives them the names of the source graph.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from onnx import GraphProto, ModelProto, NodeProto

from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.graph.loading.protobuf import domain_of, prefix_of, subgraphs

INLINED = "_inlfunc_"
"""The prefix of values that ONNX Runtime makes when it decomposes an operator or inlines a function."""

MOVING = frozenset(
    {
        "Cast", "Flatten", "Identity", "MemcpyFromHost", "MemcpyToHost", "ReorderInput", "ReorderOutput",
        "Reshape", "Squeeze", "Transpose", "Unsqueeze",
    }
)  # fmt: skip
"""Operators that return their input in another form; the runtime inserts them around others."""

COUNTERS: Mapping[str, int] = {"Loop": 2}
"""How many first inputs are not handed to a body: a Loop's limit and condition, of which it gets others."""


@dataclass(frozen=True, slots=True)
class RuntimeNode:
    """A node of the optimized graph.

    Attributes:
        key: its name, or its operator and output if it has none, after the prefix of its body. Unique:
            the runtime refuses a graph with duplicate names.
        name: "" if it has none.
        inputs, outputs: names of values as in the source graph's views, without empty ones.
        prefix: of the body that it is in; "" outside any.
        activation: the operator fused into it that it applies to its result; "" for none.
        bodies: the prefix of each graph that runs inside it, by the attribute that holds it.
        formals: the values that it passes to their inputs, by the input's name.
    """

    key: str
    name: str
    op_type: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    prefix: str
    activation: str
    bodies: Mapping[str, str] = field(default_factory=dict)
    formals: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_decomposed(self) -> bool:
        """Whether it is one of the nodes that an operator was decomposed into."""
        return any(INLINED in name for name in (self.name, *self.inputs, *self.outputs))


def runtime_nodes(model: ModelProto) -> tuple[RuntimeNode, ...]:
    """Every node of the model; nodes of bodies come before the node that runs them."""
    return tuple(_nodes(model.graph, "", {}))


def _nodes(graph: GraphProto, prefix: str, outer: Mapping[str, str]) -> Iterator[RuntimeNode]:
    outputs = (name for node in graph.node for name in node.output)
    given = (value.name for values in (graph.input, graph.initializer) for value in values)
    known = {**outer, **{name: prefix + name for name in (*given, *outputs)}}
    for node in graph.node:
        bodies: dict[str, str] = {}
        formals: dict[str, str] = {}
        for attribute, body in subgraphs(node):
            inside = bodies[attribute] = prefix_of(node, attribute, prefix)
            given = (known.get(name, name) for name in node.input[COUNTERS.get(node.op_type, 0) :])
            inputs = body.input[COUNTERS.get(node.op_type, 0) :]
            formals |= {inside + value.name: name for value, name in zip(inputs, given, strict=False) if name}
            yield from _nodes(body, inside, known)
        yield RuntimeNode(
            key=prefix + (node.name or f"{node.op_type}:{next(filter(None, node.output), '')}"),
            name=node.name,
            op_type=node.op_type,
            domain=domain_of(node),
            inputs=tuple(known.get(name, name) for name in node.input if name),
            outputs=tuple(known[name] for name in node.output if name),
            prefix=prefix,
            activation=_activation(node),
            bodies=bodies,
            formals=formals,
        )


def _activation(node: NodeProto) -> str:
    """The ``activation`` attribute, which a FusedConv or a Conv in NCHWc layout may have."""
    found = (attribute.s for attribute in node.attribute if attribute.name == "activation")
    return next(found, b"").decode()


def core(op_type: str) -> str:
    """The operator without what the runtime fused into it: FusedConv and Conv, Gemm and MatMul are one."""
    return op_type.removeprefix("Fused").replace("Gemm", "MatMul")


def in_source_bodies(graph: Graph, nodes: Sequence[RuntimeNode]) -> Sequence[RuntimeNode]:
    """The nodes with the prefixes that the bodies have in the source graph; their keys stay."""
    prefixes = _source_prefixes(graph, nodes)
    changed = sorted((own for own, source in prefixes.items() if own != source), key=len, reverse=True)
    if not changed:
        return nodes

    def renamed(name: str) -> str:
        own = next((prefix for prefix in changed if name.startswith(prefix)), "")
        return prefixes[own] + name.removeprefix(own)

    return [
        replace(
            node,
            prefix=prefixes.get(node.prefix, node.prefix),
            inputs=tuple(map(renamed, node.inputs)),
            outputs=tuple(map(renamed, node.outputs)),
            formals={renamed(formal): renamed(given) for formal, given in node.formals.items()},
        )
        for node in nodes
    ]


def _source_prefixes(graph: Graph, nodes: Sequence[RuntimeNode]) -> Mapping[str, str]:
    """The source graph's prefix of each body, by the optimized graph's."""
    prefixes = {"": ""}
    for node in sorted((node for node in nodes if node.bodies), key=lambda node: len(node.prefix)):
        source = _running(graph, node, prefixes[node.prefix]) if node.prefix in prefixes else None
        keys = {body.name: body.key for body in graph.nodes[source].bodies} if source is not None else {}
        prefixes |= {own: keys[name] for name, own in node.bodies.items() if name in keys}
    return prefixes


def _running(graph: Graph, node: RuntimeNode, prefix: str) -> int | None:
    """The source node that a node with bodies is: by its name, by its outputs, or as the only one there."""
    inside = [
        index
        for index, other in enumerate(graph.nodes)
        if other.view.op_type == node.op_type and other.bodies and (other.within or ("",))[-1] == prefix
    ]
    named = [index for index in inside if graph.nodes[index].view.name == prefix + node.name]
    if node.name and len(named) == 1:
        return named[0]
    for name in node.outputs:
        source = graph.producer(prefix + name.removeprefix(node.prefix))
        while source is not None and graph.nodes[source].view.op_type == "Identity":
            read = graph.nodes[source].view.inputs[0]
            source = None if read is None else graph.producer(read.name)
        if source in inside:
            return source
    return inside[0] if len(inside) == 1 else None
