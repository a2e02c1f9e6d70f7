"""How far down each box stands, and which lines lead on from it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from math import inf

from onnxlens.specs.flow import FlowGraph, FlowNode

Pair = tuple[str, str]
"""The two ends of a line."""


def layers_of(flow: FlowGraph) -> Mapping[str, int]:
    """By box, how many boxes the longest way to it has; 0 where it reads no other box."""
    order = {node.id: node.order for node in flow.nodes if node.order}
    return longest_ways(
        [(edge.source, edge.target) for edge in flow.edges if edge.source in order and edge.target in order],
        sorted(order, key=order.__getitem__),
    )


def trunk_of(flow: FlowGraph, lines: Iterable[Pair]) -> frozenset[Pair]:
    """The lines to be drawn straight: from the deepest feeder of a place, on where the longest way goes."""
    pairs = list(dict.fromkeys(lines))
    places = [node.id for node in sorted(flow.nodes, key=_time)]
    above = longest_ways(pairs, places)
    below = longest_ways([(target, source) for source, target in pairs], places[::-1])
    heirs, feeders = _neighbours(pairs)
    return frozenset(
        (source, target)
        for source, target in pairs
        if target == max(heirs[source], key=lambda place: below[place])
        and source == max(feeders[target], key=lambda place: above[place])
    )


def _time(node: FlowNode) -> float:
    return node.order or (0 if node.kind == "input" else inf)


def _neighbours(pairs: Iterable[Pair]) -> tuple[Mapping[str, Sequence[str]], Mapping[str, Sequence[str]]]:
    heirs: dict[str, list[str]] = defaultdict(list)
    feeders: dict[str, list[str]] = defaultdict(list)
    for source, target in pairs:
        heirs[source].append(target)
        feeders[target].append(source)
    return heirs, feeders


def longest_ways(pairs: Sequence[Pair], places: Sequence[str]) -> Mapping[str, int]:
    """By place, in an order that the pairs respect, how many pairs the longest way to it has."""
    _, feeders = _neighbours(pairs)
    ways: dict[str, int] = {}
    for place in places:
        ways[place] = max((ways.get(feeder, -1) + 1 for feeder in feeders[place]), default=0)
    return ways
