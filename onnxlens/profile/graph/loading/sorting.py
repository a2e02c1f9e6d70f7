"""Putting a graph's nodes into an order in which they can run, where a file has them in another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import heapify, heappop, heappush

from onnx import GraphProto, NodeProto

from onnxlens.errors import GraphError
from onnxlens.profile.graph.loading.protobuf import FileGraph, subgraphs


def in_order(graph: FileGraph) -> bool:
    """Whether all nodes of a graph, and of those inside it, come after what they read."""
    to_come = {name for node in graph.nodes for name in node.outputs} - {""}
    for node in graph.nodes:
        if not to_come.isdisjoint(_reads(node.proto) if node.subgraphs else node.inputs):
            return False
        to_come.difference_update(node.outputs)
    return all(map(in_order, graph.inner.values()))


def sort_nodes(graph: GraphProto) -> None:
    """Sort the nodes of a graph and of those inside it, in place; what is in order stays as it is.

    Raises:
        GraphError: nodes wait for each other.
    """
    nodes = list(graph.node)
    makers = {name: index for index, node in enumerate(nodes) for name in node.output if name}
    reads = [[makers[name] for name in _reads(node) if name in makers] for node in nodes]
    if any(source >= index for index, sources in enumerate(reads) for source in sources):
        order = _order(nodes, reads)
        copies = [NodeProto() for _ in nodes]
        for copy, index in zip(copies, order, strict=True):
            copy.CopyFrom(nodes[index])
        del graph.node[:]
        graph.node.extend(copies)
    for node in graph.node:
        for _, inner in subgraphs(node):
            sort_nodes(inner)


def _order(nodes: Sequence[NodeProto], reads: Sequence[Sequence[int]]) -> Sequence[int]:
    """The earliest node first that has all it reads."""
    waits = [len(set(sources)) for sources in reads]
    readers: list[list[int]] = [[] for _ in nodes]
    for index, sources in enumerate(reads):
        for source in set(sources):
            readers[source].append(index)
    ready = [index for index, count in enumerate(waits) if not count]
    heapify(ready)
    order: list[int] = []
    while ready:
        index = heappop(ready)
        order.append(index)
        for reader in readers[index]:
            waits[reader] -= 1
            if not waits[reader]:
                heappush(ready, reader)
    if len(order) < len(nodes):
        stuck = nodes[next(index for index, count in enumerate(waits) if count)]
        raise GraphError(
            f"the graph has a cycle: the {stuck.op_type} of {stuck.output[0]!r} waits for its own result"
        )
    return order


def _reads(node: NodeProto) -> Iterator[str]:
    """The values that a node reads, and those that the graphs inside it read of the graph around them."""
    yield from node.input
    for _, inner in subgraphs(node):
        own = {value.name for value in inner.input} | {tensor.name for tensor in inner.initializer}
        own |= {name for made in inner.node for name in made.output}
        for made in inner.node:
            yield from (name for name in _reads(made) if name not in own)
        yield from (value.name for value in inner.output if value.name not in own)
