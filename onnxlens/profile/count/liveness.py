"""How many bytes of activations are alive at once."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from onnxlens.profile.count.rules import viewed_inputs
from onnxlens.profile.graph.graph import Graph, GraphNode
from onnxlens.profile.graph.node_view import ValueView


def live_bytes(graph: Graph, idle: Collection[int] = ()) -> Sequence[int]:
    """For each node, the bytes of activations alive while it runs: inputs, outputs, and all that waits.

    An activation lives from the node that makes it to the last node that reads it; the graph's inputs from
    the start, its outputs to the end. A view has no memory of its own: it keeps its source's alive, and a
    sequence that of all tensors in it. Neither has an output that the body of a node hands on. Weights
    are not counted, they are resident; values of unknown size count 0.

    Args:
        graph: its nodes in the order of execution.
        idle: the indices of nodes that do not run: those in a branch that is not taken.
    """
    running = {index: node for index, node in enumerate(graph.nodes) if index not in idle}
    storage = _storage(graph, running)
    last_use = _last_uses(graph, running, storage)
    expiring: dict[int, list[str]] = {}
    for name, index in last_use.items():
        expiring.setdefault(index, []).append(name)
    sizes = {tensor.name: tensor.size_bytes or 0 for tensor in graph.inputs}
    alive = sum(sizes.values())
    levels = []
    for index, node in enumerate(graph.nodes):
        if index in running and not node.constant_folded:
            for output in node.view.outputs:
                if output is not None and output.name in storage[output.name]:
                    sizes[output.name] = output.known_size_bytes
                    alive += sizes[output.name]
        levels.append(alive)
        alive -= sum(sizes.get(name, 0) for name in expiring.get(index, ()))
    return levels


def _storage(graph: Graph, running: Mapping[int, GraphNode]) -> Mapping[str, frozenset[str]]:
    """For each activation the values whose memory holds it: itself, or its sources."""
    storage = {tensor.name: frozenset({tensor.name}) for tensor in graph.inputs}
    for node in running.values():
        held: dict[str, frozenset[str]] = {}
        for output, source in _shared(node):
            if source.name in storage:  # no weight, and not made in a branch that is not taken
                held[output.name] = held.get(output.name, frozenset()) | storage[source.name]
        for made in node.view.outputs:
            if made is not None:
                storage[made.name] = held.get(made.name, frozenset({made.name}))
    return storage


def _shared(node: GraphNode) -> Iterator[tuple[ValueView, ValueView]]:
    """Outputs that have no memory of their own, each with the value whose memory they share."""
    output = node.view.outputs[0] if node.view.outputs else None
    for viewed in viewed_inputs(node.view):
        if output is not None:
            yield output, viewed
    for body in node.bodies:
        for output, result in zip(node.view.outputs, body.results, strict=False):
            if output is not None and result is not None and output.shape == result.shape:
                yield output, result


def _last_uses(
    graph: Graph, running: Mapping[int, GraphNode], storage: Mapping[str, frozenset[str]]
) -> Mapping[str, int]:
    """The index of the last node that needs each memory; the graph's outputs are never freed."""
    last_use: dict[str, int] = {}
    for index, node in running.items():
        outputs = (value for value in node.view.outputs if value is not None)
        for value in (*node.reads, *outputs):
            last_use.update(dict.fromkeys(storage.get(value.name, ()), index))
    for tensor in graph.outputs:
        for name in storage.get(tensor.name, ()):
            last_use.pop(name, None)
    return last_use
