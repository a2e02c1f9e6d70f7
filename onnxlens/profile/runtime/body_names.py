"""The names of what runs inside If, Loop and Scan, as the source graph has them.

A body's values are named after an output of the node that runs it, and the runtime renames that output where
it removes an Identity behind the node.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.runtime.runtime_graph import RuntimeNode


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
