"""Modules that can run beside each other for a good part, so that they stand beside each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from onnxlens.reports.drawing.layers import Pair
from onnxlens.specs.flow import FlowGraph, FlowNode

PART = 4
"""A module stands beside one that it reads if it does this part (a quarter) of each one's work without it."""


def apart(flow: FlowGraph) -> frozenset[Pair]:
    """The paths of outermost frames: the second reads the first, but does much before it has to.

    Lines between them would put one below the other; tags do not.
    """
    frames: dict[str, list[FlowNode]] = defaultdict(list)
    for node in flow.nodes:
        if node.order and node.parents:
            frames[node.parents[0][0]].append(node)
    readers: dict[str, list[str]] = defaultdict(list)
    for edge in flow.edges:
        readers[edge.source].append(edge.target)
    return frozenset(
        (upper, lower)
        for upper, first in frames.items()
        for lower, second in frames.items()
        if max(node.order for node in first) < min(node.order for node in second)
        and _independent(first, second, readers)
    )


def _independent(
    first: Sequence[FlowNode], second: Sequence[FlowNode], readers: Mapping[str, Sequence[str]]
) -> bool:
    """Whether the second does much, for both, that does not need the first, and something that does."""
    needing = _reached([node.id for node in first], readers)
    alone = [node for node in second if node.id not in needing]
    if len(alone) == len(second):
        return False
    weigh = _macs if _macs(second) else len
    return PART * weigh(alone) >= max(weigh(first), weigh(second))


def _macs(nodes: Sequence[FlowNode]) -> int:
    return sum(node.macs * node.repeats for node in nodes)


def _reached(boxes: Collection[str], readers: Mapping[str, Sequence[str]]) -> Collection[str]:
    """All that reads the boxes, or what reads them, and so on."""
    reached: set[str] = set()
    ahead = list(boxes)
    while ahead:
        for reader in readers.get(ahead.pop(), ()):
            if reader not in reached:
                reached.add(reader)
                ahead.append(reader)
    return reached
