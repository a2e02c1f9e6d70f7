"""The graph that ONNX Runtime saved, flat: its nodes in order, bodies' before the node around them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from onnx import GraphProto, ModelProto, NodeProto

from onnxlens.profile.graph.loading.protobuf import domain_of, prefix_of, subgraphs

PIECE = "_inlfunc_"
"""What names of values begin with that ONNX Runtime makes inside an operator or function it takes apart."""

MOVING = frozenset(
    {
        "Cast",
        "Flatten",
        "Identity",
        "MemcpyFromHost",
        "MemcpyToHost",
        "ReorderInput",
        "ReorderOutput",
        "Reshape",
        "Squeeze",
        "Transpose",
        "Unsqueeze",
    }
)
"""Operators that hand on what they read, in another form: the runtime puts them in around others."""


@dataclass(frozen=True, slots=True)
class RuntimeNode:
    """A node that is run.

    Attributes:
        key: its name, or its operator and output where it has none; after the body it stands in. Unique, as
            the runtime refuses a graph that has a name twice.
        name: "" where it has none.
        inputs, outputs: names of values, as the source graph's views have them; none is "".
        prefix: of the body it stands in; "" outside any.
        activation: the operator that it applies to its result, where it took one in.
    """

    key: str
    name: str
    op_type: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    prefix: str
    activation: str

    @property
    def is_piece(self) -> bool:
        """Whether it is part of an operator that the runtime took apart."""
        return any(PIECE in name for name in (self.name, *self.inputs, *self.outputs))


def runtime_nodes(model: ModelProto) -> tuple[RuntimeNode, ...]:
    """Every node of the model, bodies' nodes before the one that runs them."""
    return tuple(_nodes(model.graph, "", {}))


def _nodes(graph: GraphProto, prefix: str, outer: Mapping[str, str]) -> Iterator[RuntimeNode]:
    made = (name for node in graph.node for name in node.output)
    held = (value.name for values in (graph.input, graph.initializer) for value in values)
    known = {**outer, **{name: prefix + name for name in (*held, *made)}}
    for node in graph.node:
        for attribute, body in subgraphs(node):
            yield from _nodes(body, prefix_of(node, attribute, prefix), known)
        yield RuntimeNode(
            key=prefix + (node.name or f"{node.op_type}:{next(filter(None, node.output), '')}"),
            name=node.name,
            op_type=node.op_type,
            domain=domain_of(node),
            inputs=tuple(known.get(name, name) for name in node.input if name),
            outputs=tuple(known[name] for name in node.output if name),
            prefix=prefix,
            activation=_activation(node),
        )


def _activation(node: NodeProto) -> str:
    """What a FusedConv, or a Conv in blocks of channels, says that it ends with."""
    found = (attribute.s for attribute in node.attribute if attribute.name == "activation")
    return next(found, b"").decode()
