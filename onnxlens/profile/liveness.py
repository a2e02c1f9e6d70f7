"""How many bytes of activations are alive at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from onnxlens.profile.graph import Graph
from onnxlens.profile.rules import is_view


def live_bytes(graph: Graph) -> Sequence[int]:
    """For each node, the bytes of activations alive while it runs: inputs, outputs, and all that waits.

    An activation lives from the node that makes it to the last node that reads it; the graph's inputs from
    the start, its outputs to the end. A view has no memory of its own: it keeps its source's alive. Weights
    are not counted, they are resident; values of unknown size count 0.
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
                if output is not None and storage[output.name] == output.name:
                    sizes[output.name] = output.known_size_bytes
                    alive += sizes[output.name]
        levels.append(alive)
        alive -= sum(sizes.get(name, 0) for name in expiring.get(index, ()))
    return levels


def _storage(graph: Graph) -> Mapping[str, str]:
    """For each activation the name of the value whose memory holds it: its own, or the source of a view."""
    storage = {tensor.name: tensor.name for tensor in graph.inputs}
    for node in graph.nodes:
        source = node.view.inputs[0] if node.view.inputs else None
        viewed = source is not None and is_view(node.view)
        for output in node.view.outputs:
            if output is not None:
                storage[output.name] = (
                    storage.get(source.name, output.name) if viewed and source else output.name
                )
    return storage


def _last_uses(graph: Graph, storage: Mapping[str, str]) -> Mapping[str, int]:
    """The index of the last node that needs each memory; the graph's outputs are never freed."""
    last_use: dict[str, int] = {}
    for index, node in enumerate(graph.nodes):
        for value in (*node.view.inputs, *node.view.outputs):
            if value is not None and value.name in storage:
                last_use[storage[value.name]] = index
    for tensor in graph.outputs:
        last_use.pop(storage.get(tensor.name, ""), None)
    return last_use
