"""Parallel branches of a data flow: what can run at the same time."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from onnxlens.specs.flow import FlowGraph

MANY_READERS = 3
"""A tensor with more readers binds no boxes together: what reads a time embedding is no branch."""
EVEN = 4
"""A branch of at least this part (a quarter) of the work beside it makes that a lane too."""


def lanes_of(flow: FlowGraph) -> Mapping[str, int]:
    """The lane of every box, by its id; 0 is the trunk.

    The trunk is the way through the graph with most MACs (of equal ones that with most boxes). What is left
    falls into branches, each connected; a branch is divided likewise. Where a branch has a share in the work,
    the boxes of the trunk beside it are a lane of their own too. Branches that run at the same time have
    different lanes, except small ones that consist of the same classes: thirteen zero convolutions share one.
    Lanes are numbered from 1, that with most MACs first.
    A skip connection without a box of its own is no branch, nor is the way back of a loop.
    """
    lanes = _Lanes(flow).lanes
    macs: Counter[int] = Counter()
    for node in flow.nodes:
        if node.order:
            macs[lanes[node.id]] += node.macs * node.repeats
    branches = sorted(set(macs) - {0}, key=lambda lane: (-macs[lane], lane))
    number = {0: 0, **{lane: place for place, lane in enumerate(branches, start=1)}}
    return {box: number[lane] for box, lane in lanes.items()}


@dataclass(frozen=True, slots=True)
class _Span:
    """A stretch of the order that a lane occupies, both ends included."""

    first: int
    last: int

    def meets(self, other: _Span) -> bool:
        return self.first <= other.last and other.first <= self.last


class _Lanes:
    """Divides the boxes, the trunk first."""

    def __init__(self, flow: FlowGraph) -> None:
        self._boxes = {node.id: node for node in flow.nodes if node.order}
        self._last = max((box.order for box in self._boxes.values()), default=0)
        self._feeders: Mapping[str, set[str]] = defaultdict(set)
        self._readers: Mapping[str, set[str]] = defaultdict(set)
        for edge in flow.edges:
            if not {edge.source, edge.target} <= self._boxes.keys():
                continue
            if self._order(edge.source) < self._order(edge.target):  # a loop leads back
                self._feeders[edge.target].add(edge.source)
                self._readers[edge.source].add(edge.target)
        self._bound = _bound(flow)
        self._taken: dict[int, list[_Span]] = defaultdict(list)
        self._small: dict[tuple[str, ...], int] = {}
        self.lanes = dict.fromkeys(self._boxes, 0)
        self._divide(set(self._boxes))

    def _divide(self, members: Collection[str]) -> None:
        """Find the way with most work through the boxes, and give each branch beside it a lane."""
        trunk = self._heaviest_way(members)
        beside = set(members) - set(trunk)
        for branch in self._connected(beside):
            section, span = self._section(trunk, branch)
            way = self._heaviest_way(branch)
            even = EVEN * self._work(way, section) >= self._work(section, way)
            if even:
                self._raise(section, span)
            lane = self._free(span) if even else self._shared(way, span)
            self.lanes.update(dict.fromkeys(branch, lane))
            if len(way) < len(branch):
                self._divide(branch)

    def _raise(self, section: Sequence[str], span: _Span) -> None:
        """Make the boxes of a trunk that have a branch beside them a lane, unless they are one already."""
        around = {self.lanes[box] for box in section}
        if section and around == {min(around)} and not self._is_lane(section, span):
            self.lanes.update(dict.fromkeys(section, self._free(span)))

    def _is_lane(self, section: Sequence[str], span: _Span) -> bool:
        return any(taken.meets(span) for taken in self._taken[self.lanes[section[0]]])

    def _free(self, span: _Span) -> int:
        """The first lane that nothing occupies there."""
        lane = 1
        while any(taken.meets(span) for taken in self._taken[lane]):
            lane += 1
        self._taken[lane].append(span)
        return lane

    def _shared(self, way: Sequence[str], span: _Span) -> int:
        """The lane of the small branches of these classes."""
        titles = tuple(self._boxes[box].title for box in way)
        if titles not in self._small:
            self._small[titles] = self._free(_Span(1, self._last))
        return self._small[titles]

    def _heaviest_way(self, members: Collection[str]) -> Sequence[str]:
        weight: dict[str, tuple[int, int]] = {}
        before: dict[str, str] = {}
        inside = set(members)
        for box in sorted(inside, key=self._order):
            feeders = self._feeders[box] & inside
            best = max(feeders, key=lambda feeder: (weight[feeder], -self._order(feeder)), default=None)
            macs, boxes = weight[best] if best is not None else (0, 0)
            node = self._boxes[box]
            weight[box] = (macs + node.macs * node.repeats, boxes + 1)
            if best is not None:
                before[box] = best
        if not weight:
            return []
        way = [max(weight, key=lambda box: (weight[box], -self._order(box)))]
        while way[-1] in before:
            way.append(before[way[-1]])
        return way[::-1]

    def _connected(self, members: Collection[str]) -> Sequence[Sequence[str]]:
        """The boxes in groups that tensors bind together, in the order of their first boxes."""
        left = set(members)
        groups = []
        for start in sorted(members, key=self._order):
            if start not in left:
                continue
            left.discard(start)
            group, reach = [start], [start]
            while reach:
                near = self._bound[reach.pop()] & left
                left -= near
                group += near
                reach += near
            groups.append(sorted(group, key=self._order))
        return groups

    def _section(self, trunk: Sequence[str], branch: Sequence[str]) -> tuple[Sequence[str], _Span]:
        """The boxes of the trunk between the fork and the join of a branch, and what all that occupies."""
        inside = set(branch)
        way = set(trunk)
        fork = max((self._order(box) for box in self._reached(inside, self._feeders) & way), default=0)
        joins = [self._order(box) for box in self._reached(inside, self._readers) & way]
        join = min(joins, default=self._last + 1)
        section = [box for box in trunk if fork < self._order(box) < join]
        orders = [self._order(box) for box in (*section, *branch)]
        return section, _Span(min(orders), max(orders))

    def _reached(self, members: Iterable[str], neighbours: Mapping[str, set[str]]) -> set[str]:
        return {near for member in members for near in neighbours[member]}

    def _work(self, boxes: Iterable[str], others: Iterable[str]) -> int:
        """MACs; the number of boxes where neither side has any."""
        if any(self._boxes[box].macs for box in (*boxes, *others)):
            return sum(self._boxes[box].macs * self._boxes[box].repeats for box in boxes)
        return len(list(boxes))

    def _order(self, box: str) -> int:
        return self._boxes[box].order


def _bound(flow: FlowGraph) -> Mapping[str, set[str]]:
    """The neighbours of every box by tensors with few readers."""
    readers: dict[tuple[str, str], set[str]] = defaultdict(set)
    for edge in flow.edges:
        readers[edge.source, edge.tensor.name].add(edge.target)
    bound: dict[str, set[str]] = defaultdict(set)
    for (source, _), targets in readers.items():
        if len(targets) <= MANY_READERS:
            for target in targets:
                bound[source].add(target)
                bound[target].add(source)
    return bound
