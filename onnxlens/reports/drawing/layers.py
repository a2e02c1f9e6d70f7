"""How far down each box stands, and which lines lead on from it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from math import inf
from typing import TypeVar

from onnxlens.specs.flow import FlowGraph, FlowNode

Pair = tuple[str, str]
"""The two ends of a line."""
Place = TypeVar("Place", bound=Hashable)


def layers_of(flow: FlowGraph) -> Mapping[str, int]:
    """By box, the layer that it stands in when every box is below all that it reads; a loop leads back up."""
    order = {node.id: node.order for node in flow.nodes if node.order}
    pairs = [
        (edge.source, edge.target)
        for edge in flow.edges
        if order.get(edge.source) and order[edge.source] < order.get(edge.target, 0)
    ]
    return layered(sorted(order, key=order.__getitem__), pairs)


def layered(
    places: Sequence[Place], pairs: Iterable[tuple[Place, Place]], high: Collection[Place] = ()
) -> Mapping[Place, int]:
    """By place, how many pairs the longest way to it has; what only feeds one place stands right above that.

    Args:
        places: in an order that the pairs respect.
        pairs: what reads what, the reader second.
        high: what is to stand as high as it can.
    """
    feeders, readers = _neighbours(pairs)
    layers = _longest_ways(places, feeders)
    free: set[Place] = set()
    for place in places:
        alone = all(feeder in free and len(readers[feeder]) == 1 for feeder in feeders[place])
        if alone and place not in high:
            free.add(place)
    for place in reversed(places):
        if place in free and readers[place]:
            layers[place] = min(layers[reader] for reader in readers[place]) - 1
    return layers


def trunk_of(flow: FlowGraph, lines: Iterable[Pair]) -> frozenset[Pair]:
    """The lines to be drawn straight: from the deepest feeder of a place, on where the longest way goes."""
    pairs = list(dict.fromkeys(lines))
    places = [node.id for node in sorted(flow.nodes, key=_time)]
    feeders, readers = _neighbours(pairs)
    above, below = _longest_ways(places, feeders), _longest_ways(places[::-1], readers)
    return frozenset(
        (source, target)
        for source, target in pairs
        if target == max(readers[source], key=below.__getitem__)
        and source == max(feeders[target], key=above.__getitem__)
    )


def _time(node: FlowNode) -> float:
    return node.order or (0 if node.kind == "input" else inf)


def _neighbours(
    pairs: Iterable[tuple[Place, Place]],
) -> tuple[Mapping[Place, Sequence[Place]], Mapping[Place, Sequence[Place]]]:
    """Who feeds each place, and who reads it."""
    feeders: dict[Place, list[Place]] = defaultdict(list)
    readers: dict[Place, list[Place]] = defaultdict(list)
    for source, target in dict.fromkeys(pairs):
        readers[source].append(target)
        feeders[target].append(source)
    return feeders, readers


def _longest_ways(places: Sequence[Place], feeders: Mapping[Place, Sequence[Place]]) -> dict[Place, int]:
    ways: dict[Place, int] = {}
    for place in places:
        ways[place] = max((ways.get(feeder, -1) + 1 for feeder in feeders[place]), default=0)
    return ways
