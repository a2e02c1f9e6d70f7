"""Tensors that many boxes read, drawn as a tag at each reader instead of a fan of long lines."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

from onnxlens.specs.flow import FlowEdge, FlowGraph, FlowNode

FAN_OUT_LIMIT = 3
"""A tensor that goes to more boxes than this is tagged."""


def tagged(flow: FlowGraph) -> FlowGraph:
    """The flow with an end for each reader of a tensor that more than ``FAN_OUT_LIMIT`` boxes read.

    An input keeps no end that nothing reads any more. A box keeps its place; its tags say its number.
    """
    readers: dict[tuple[str, str], set[str]] = defaultdict(set)
    for edge in flow.edges:
        readers[edge.source, edge.tensor.name].add(edge.target)
    nodes = {node.id: node for node in flow.nodes}
    tags: dict[str, FlowNode] = {}
    edges = []
    for edge in flow.edges:
        if len(readers[edge.source, edge.tensor.name]) > FAN_OUT_LIMIT:
            tag = _tag(nodes[edge.source], nodes[edge.target], edge)
            tags[tag.id] = tag
            edge = replace(edge, source=tag.id)
        edges.append(edge)
    used = {edge.source for edge in edges}
    kept = [node for node in flow.nodes if node.kind != "input" or node.id in used]
    return replace(flow, nodes=(*kept, *tags.values()), edges=tuple(edges))


def _tag(source: FlowNode, target: FlowNode, edge: FlowEdge) -> FlowNode:
    """Stands beside its reader, in the reader's frame."""
    title = source.title if source.kind == "input" else f"from {source.order}"
    return FlowNode(
        id=f"tag/{edge.source}/{edge.target}",
        kind="input",
        path=source.path,
        title=title,
        parents=target.parents,
    )
