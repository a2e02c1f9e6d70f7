"""How many boxes of a data flow would be drawn side by side."""

from __future__ import annotations

from collections import Counter, defaultdict

from onnxlens.specs.flow import FlowGraph

MANY_READERS = 3
"""A tensor with more readers is named at each of them instead of drawn, and keeps nothing below its maker."""


def widest(flow: FlowGraph) -> int:
    """The boxes of the fullest level, each level as far down as its boxes' inputs ask for.

    A box that nothing drawn leads to stands just above the first that reads it.
    """
    sources, readers = _drawn(flow)
    boxes = sorted((node for node in flow.nodes if node.order), key=lambda node: node.order)
    levels: dict[str, int] = {}
    for box in boxes:
        levels[box.id] = 1 + max((levels.get(source, 0) for source in sources[box.id]), default=0)
    for box in reversed(boxes):
        if not sources[box.id] and readers[box.id]:
            levels[box.id] = min(levels[reader] for reader in readers[box.id]) - 1
    return max(Counter(levels.values()).values(), default=0)


def _drawn(flow: FlowGraph) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """What each box reads, and what reads it, of the tensors with few readers."""
    of_tensor: dict[tuple[str, str], set[str]] = defaultdict(set)
    for edge in flow.edges:
        of_tensor[edge.source, edge.tensor.name].add(edge.target)
    ran = {node.id for node in flow.nodes if node.order}
    sources: dict[str, set[str]] = defaultdict(set)
    readers: dict[str, set[str]] = defaultdict(set)
    for edge in flow.edges:
        drawn = len(of_tensor[edge.source, edge.tensor.name]) <= MANY_READERS
        if drawn and edge.source in ran and edge.target in ran:
            sources[edge.target].add(edge.source)
            readers[edge.source].add(edge.target)
    return sources, readers
