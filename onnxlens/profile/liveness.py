"""How many bytes of activations are alive at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from onnxlens.profile.graph import Graph
from onnxlens.profile.rules import viewed_inputs


def live_bytes(graph: Graph) -> Sequence[int]:
    """For each node, the bytes of activations alive while it runs: inputs, outputs, and all that waits.

    An activation lives from the node that makes it to the last node that reads it; the graph's inputs from
    the start, its outputs to the end. A view has no memory of its own: it keeps its source's alive, and a
    sequence that of all tensors in it. Weights are not counted, they are resident; values of unknown size
    count 0.
    """
    storage = _storage(graph)
    last_use = _last_uses(graph, storage)
    expiring: dict[int, list[str]] = {}
    for name, index in last_use.items():
        expiring.setdefault(index, []).append(name)
    sizes = {tensor.name: tensor.size_bytes or 0 for tensor in graph.inputs}
    alive = sum(sizes.values())
    levels = []
    for index, node in enumerate(graph.nodes):
        if not node.offline:
            for output in node.view.outputs:
                if output is not None and output.name in storage[output.name]:
                    sizes[output.name] = output.known_size_bytes
                    alive += sizes[output.name]
        levels.append(alive)
        alive -= sum(sizes.get(name, 0) for name in expiring.get(index, ()))
    return levels


def _storage(graph: Graph) -> Mapping[str, frozenset[str]]:
    """For each activation the values whose memory holds it: itself, or the sources of a view."""
    storage = {tensor.name: frozenset({tensor.name}) for tensor in graph.inputs}
    for node in graph.nodes:
        sources = (storage.get(source.name, frozenset()) for source in viewed_inputs(node.view))
        held = frozenset().union(*sources)
        for output in node.view.outputs:
            if output is not None:
                storage[output.name] = held or frozenset({output.name})
    return storage


def _last_uses(graph: Graph, storage: Mapping[str, frozenset[str]]) -> Mapping[str, int]:
    """The index of the last node that needs each memory; the graph's outputs are never freed."""
    last_use: dict[str, int] = {}
    for index, node in enumerate(graph.nodes):
        for value in (*node.view.inputs, *node.view.outputs):
            if value is not None:
                last_use.update(dict.fromkeys(storage.get(value.name, ()), index))
    for tensor in graph.outputs:
        for name in storage.get(tensor.name, ()):
            last_use.pop(name, None)
    return last_use
