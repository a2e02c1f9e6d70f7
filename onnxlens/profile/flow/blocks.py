"""Whether blocks of a data flow are named and wired alike, and what one of them costs."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from statistics import fmean

from onnxlens.profile.flow.costs import Costs
from onnxlens.profile.flow.names import joint_path
from onnxlens.specs.flow import FlowEdge, FlowGraph, FlowNode

Block = Sequence[FlowNode]
"""Boxes that follow each other."""

Parents = tuple[tuple[str, str], ...]

MEANS = frozenset({"latency_s", "bound_s"})
"""Of a folded block the mean of all is shown, so that times the repeats it is the sum."""
LARGEST = frozenset({"live_bytes", "parity_error", "resident_weight_bytes"})
"""Of these the largest."""

_Place = tuple[int, int]
"""The number of a block, and of a box in it."""
_Wires = tuple[frozenset[Hashable], frozenset[Hashable] | None, Counter[Hashable]]
"""Links inside a block, links from the block before (None: a forbidden one), and shapes read from outside."""


def joint_parents(blocks: Sequence[Block]) -> Sequence[tuple[str, Parents]] | None:
    """One path and frames for the boxes in the same place of every block; None where their names differ."""
    joint = []
    for boxes in zip(*blocks, strict=True):
        path = joint_path([box.path for box in boxes])
        parents = []
        for frames in zip(*(box.parents for box in boxes), strict=True):
            frame = joint_path([path for path, _ in frames])
            if frame is None:
                return None
            parents.append((frame, frames[0][1]))
        if path is None:
            return None
        joint.append((path, tuple(parents)))
    return joint


def jointly_named(blocks: Sequence[Block]) -> int:
    """How many of the blocks, from the first on, have joint names; what holds for some holds for fewer."""
    counts = range(2, len(blocks) + 1)
    return 1 + bisect_left(counts, True, key=lambda count: joint_parents(blocks[:count]) is None)


def merged_costs(costs: Sequence[Costs]) -> Costs:
    """What one of several equal boxes costs: what is counted is the same for all of them."""
    merged: dict[str, int | float] = {}
    for name, figure in costs[0].items():
        figures = [other[name] for other in costs if name in other]
        if name in MEANS | LARGEST and len(figures) < len(costs):
            continue
        if name in MEANS:
            figure = fmean(figures)
        elif name in LARGEST:
            figure = max(figures)
        merged[name] = figure
    if merged.get("latency_s") and "macs" in merged:
        merged["achieved_macs_per_s"] = merged["macs"] / merged["latency_s"]
    else:
        merged.pop("achieved_macs_per_s", None)
    return merged


class Wiring:
    """Which tensors go into each box."""

    def __init__(self, flow: FlowGraph) -> None:
        """Sort the edges by the box that reads them."""
        self._incoming: Mapping[str, list[FlowEdge]] = defaultdict(list)
        for edge in flow.edges:
            self._incoming[edge.target].append(edge)

    def alike(self, blocks: Sequence[Block]) -> int:
        """How many of the blocks, from the first on, are wired alike.

        That is inside, to the one before, and in the shapes they read.
        A tensor of the block before is read in the same place or further up: a link that runs ahead could not
        be told from one inside a block. What goes out of a block may differ.
        """
        places: dict[str, _Place] = {}
        wires: list[_Wires] = []
        for number, block in enumerate(blocks):
            places.update({box.id: (number, place) for place, box in enumerate(block)})
            wires.append(self._wires(block, number, places))
            inside, before, shapes = wires[-1]
            if (inside, shapes) != (wires[0][0], wires[0][2]):
                return number
            if before is None or before != wires[min(number, 1)][1]:
                return number
        return len(blocks)

    def chained(self, blocks: Sequence[Block]) -> bool:
        """Whether the second block reads the first."""
        first = {box.id for box in blocks[0]}
        return any(edge.source in first for box in blocks[1] for edge in self._incoming[box.id])

    def _wires(self, block: Block, number: int, places: Mapping[str, _Place]) -> _Wires:
        inside: set[Hashable] = set()
        before: set[Hashable] = set()
        shapes: Counter[Hashable] = Counter()
        for place, box in enumerate(block):
            for edge in self._incoming[box.id]:
                tensor = (edge.tensor.dtype, edge.tensor.shape)
                maker, source = places.get(edge.source, (-1, -1))
                if maker == number:
                    inside.add((source, place, tensor))
                    continue
                shapes[place, tensor] += 1
                if maker >= 0:
                    if maker != number - 1 or source < place:
                        return frozenset(), None, shapes
                    before.add((source, place, tensor))
        return frozenset(inside), frozenset(before), shapes
