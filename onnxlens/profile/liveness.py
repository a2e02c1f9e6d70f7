"""How many bytes of activations are alive at once."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from onnxlens.profile.graph import Graph, GraphNode
from onnxlens.profile.node_view import ValueView
from onnxlens.profile.rules import is_view


def live_bytes(graph: Graph, idle: Collection[int] = ()) -> Sequence[int]:
    """For each node, the bytes of activations alive while it runs: inputs, outputs, and all that waits.

    An activation lives from the node that makes it to the last node that reads it; the graph's inputs from
    the start, its outputs to the end. A view has no memory of its own: it keeps its source's alive. Neither
    has an output that the body of a node hands on. Weights are not counted, they are resident; values of
    unknown size count 0.

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
        if index in running and not node.offline:
            for output in node.view.outputs:
                if output is not None and storage[output.name] == output.name:
                    sizes[output.name] = output.known_size_bytes
                    alive += sizes[output.name]
        levels.append(alive)
        alive -= sum(sizes.get(name, 0) for name in expiring.get(index, ()))
    return levels


def _storage(graph: Graph, running: Mapping[int, GraphNode]) -> Mapping[str, str]:
    """For each activation the name of the value whose memory holds it: its own, or that of its source."""
    storage = {tensor.name: tensor.name for tensor in graph.inputs}
    for node in running.values():
        storage.update((output.name, output.name) for output in node.view.outputs if output is not None)
        for output, source in _shared(node):
            if source.name in storage:  # no weight, and not made in a branch that is not taken
                storage[output.name] = storage[source.name]
    return storage


def _shared(node: GraphNode) -> Iterator[tuple[ValueView, ValueView]]:
    """Outputs that have no memory of their own, each with the value whose memory they share."""
    output = node.view.outputs[0] if node.view.outputs else None
    if is_view(node.view) and output is not None and node.view.has_input(0):
        yield output, node.view.input(0)
    for body in node.bodies:
        for output, result in zip(node.view.outputs, body.results, strict=False):
            if output is not None and result is not None and output.shape == result.shape:
                yield output, result


def _last_uses(
    graph: Graph, running: Mapping[int, GraphNode], storage: Mapping[str, str]
) -> Mapping[str, int]:
    """The index of the last node that needs each memory; the graph's outputs are never freed."""
    last_use: dict[str, int] = {}
    for index, node in running.items():
        outputs = (value for value in node.view.outputs if value is not None)
        for value in (*node.reads, *outputs):
            if value.name in storage:
                last_use[storage[value.name]] = index
    for tensor in graph.outputs:
        last_use.pop(storage.get(tensor.name, ""), None)
    return last_use
