"""The data flow of a graph node by node: all that a viewer of nodes is written from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from onnxlens.errors import GraphError
from onnxlens.specs.ledger import NodeCost
from onnxlens.specs.tensor import TensorSpec


@dataclass(frozen=True, slots=True)
class Wire:
    """A tensor that goes from one node to another of the same graph.

    Attributes:
        source: the id of the node, or of the graph's input, that it comes from.
        output: which of that node's outputs it is.
        input: which input of the consumer it is; what a body inside the consumer reads from around it comes
            after the consumer's own inputs.
        formal: ONNX's name of that input, such as ``W`` of a Conv; "" if it has none.
    """

    source: str
    output: int
    input: int
    formal: str = ""


@dataclass(frozen=True, slots=True)
class FixedInput:
    """A tensor that the file holds and a node reads: a weight, or a constant such as a shape.

    Attributes:
        input: which input of the consumer it is.
        formal: ONNX's name of that input.
        values: a few integers as text; "" for everything else.
    """

    input: int
    tensor: TensorSpec
    is_weight: bool
    formal: str = ""
    values: str = ""


@dataclass(frozen=True, slots=True)
class OperatorNode:
    """A node of the file with its cost and its tensors.

    Attributes:
        id: unique in the flow: the node's name if no other node has it.
        attributes: as texts.
        outputs: by index; None for an optional one that is left out.
        bodies: the ids of the graphs that run inside it.
    """

    id: str
    cost: NodeCost
    attributes: Mapping[str, str] = field(default_factory=dict)
    wires: tuple[Wire, ...] = ()
    fixed: tuple[FixedInput, ...] = ()
    outputs: tuple[TensorSpec | None, ...] = ()
    bodies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GraphEnd:
    """Where a tensor enters or leaves a graph; ``wire`` is None for an input, and for a fixed output."""

    id: str
    tensor: TensorSpec
    wire: Wire | None = None


@dataclass(frozen=True, slots=True)
class OperatorGraph:
    """One graph of the file, its nodes in execution order: the main graph, a branch, or a loop's body."""

    id: str
    inputs: tuple[GraphEnd, ...]
    nodes: tuple[OperatorNode, ...]
    outputs: tuple[GraphEnd, ...]

    @property
    def wires(self) -> Iterator[Wire]:
        """Every wire of the graph."""
        for node in self.nodes:
            yield from node.wires
        yield from (end.wire for end in self.outputs if end.wire is not None)


@dataclass(frozen=True, slots=True)
class NodeFlow:
    """The main graph of a file and the bodies inside it; together they hold every node of its ledger."""

    graph: str
    source: str
    graphs: tuple[OperatorGraph, ...]

    def __post_init__(self) -> None:
        known = {graph.id for graph in self.graphs}
        if len(known) != len(self.graphs):
            raise GraphError(f"node flow of {self.graph!r}: two graphs share an id")
        for graph in self.graphs:
            ends = [end.id for end in (*graph.inputs, *graph.outputs)]
            ids = {*ends, *(node.id for node in graph.nodes)}
            if len(ids) != len(ends) + len(graph.nodes):
                raise GraphError(f"node flow of {self.graph!r}: two nodes of {graph.id!r} share an id")
            for wire in graph.wires:
                if wire.source not in ids:
                    raise GraphError(
                        f"node flow of {self.graph!r}: a wire comes from {wire.source!r}: no node"
                    )
            for body in (body for node in graph.nodes for body in node.bodies):
                if body not in known:
                    raise GraphError(f"node flow of {self.graph!r}: {body!r} is not a graph")
