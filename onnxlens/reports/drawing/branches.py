"""Parallel branches of a data flow: what can run at the same time."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from onnxlens.specs.flow import FlowGraph

MANY_CONSUMERS = 3
"""A tensor with more readers binds no boxes together: what reads a time embedding is no branch."""
EVEN = 4
"""A branch of at least this part (a quarter) of the work beside it makes that a branch of its own too."""


def branches_of(flow: FlowGraph) -> Mapping[str, int]:
    """The parallel branch of every box, by its id; 0 is the trunk.

    The trunk is the way through the graph with most MACs (of equal ones that with most boxes). What is left
    falls into branches, each connected; a branch is divided likewise. Where a branch has a share in the work,
    the boxes of the trunk beside it are a branch of their own too. Branches that run at the same time have
    different numbers, except small ones of the same classes: thirteen zero convolutions share one. Numbers
    begin at 1, with the branch of most MACs. Neither a skip connection without a box of its own nor the way
    back of a loop is a branch.
    """
    found = _Branches(flow).numbers
    macs: Counter[int] = Counter()
    for node in flow.nodes:
        if node.order:
            macs[found[node.id]] += node.macs * node.repeats
    heaviest = sorted(set(macs) - {0}, key=lambda number: (-macs[number], number))
    renumbered = {0: 0, **{number: index for index, number in enumerate(heaviest, start=1)}}
    return {box: renumbered[number] for box, number in found.items()}


@dataclass(frozen=True, slots=True)
class _Span:
    """A segment of the order that a branch occupies, both ends included."""

    first: int
    last: int

    def meets(self, other: _Span) -> bool:
        return self.first <= other.last and other.first <= self.last


class _Branches:
    """Divides the boxes, the trunk first."""

    def __init__(self, flow: FlowGraph) -> None:
        self._boxes = {node.id: node for node in flow.nodes if node.order}
        self._last = max((box.order for box in self._boxes.values()), default=0)
        self._producers: Mapping[str, set[str]] = defaultdict(set)
        self._consumers: Mapping[str, set[str]] = defaultdict(set)
        for edge in flow.edges:
            if not {edge.source, edge.target} <= self._boxes.keys():
                continue
            if self._order(edge.source) < self._order(edge.target):  # a loop leads back
                self._producers[edge.target].add(edge.source)
                self._consumers[edge.source].add(edge.target)
        self._bound = _bound(flow)
        self._taken: dict[int, list[_Span]] = defaultdict(list)
        self._small: dict[tuple[str, ...], int] = {}
        self.numbers = dict.fromkeys(self._boxes, 0)
        self._divide(set(self._boxes))

    def _divide(self, members: Collection[str]) -> None:
        """Find the way with most work through the boxes, and number each branch beside it."""
        trunk = self._heaviest_way(members)
        rest = set(members) - set(trunk)
        for branch in self._connected(rest):
            section, span = self._section(trunk, branch)
            way = self._heaviest_way(branch)
            even = EVEN * self._work(way, section) >= self._work(section, way)
            if even:
                self._raise(section, span)
            number = self._free(span) if even else self._shared(way, span)
            self.numbers.update(dict.fromkeys(branch, number))
            if len(way) < len(branch):
                self._divide(branch)

    def _raise(self, section: Sequence[str], span: _Span) -> None:
        """Make the boxes of a trunk beside a branch a branch too, unless they are one already."""
        around = {self.numbers[box] for box in section}
        if section and around == {min(around)} and not self._is_branch(section, span):
            self.numbers.update(dict.fromkeys(section, self._free(span)))

    def _is_branch(self, section: Sequence[str], span: _Span) -> bool:
        return any(taken.meets(span) for taken in self._taken[self.numbers[section[0]]])

    def _free(self, span: _Span) -> int:
        """The first number that no branch has there."""
        number = 1
        while any(taken.meets(span) for taken in self._taken[number]):
            number += 1
        self._taken[number].append(span)
        return number

    def _shared(self, way: Sequence[str], span: _Span) -> int:
        """The number of the small branches of these classes."""
        titles = tuple(self._boxes[box].title for box in way)
        if titles not in self._small:
            self._small[titles] = self._free(_Span(1, self._last))
        return self._small[titles]

    def _heaviest_way(self, members: Collection[str]) -> Sequence[str]:
        weight: dict[str, tuple[int, int]] = {}
        before: dict[str, str] = {}
        inside = set(members)
        for box in sorted(inside, key=self._order):
            producers = self._producers[box] & inside
            best = max(
                producers, key=lambda producer: (weight[producer], -self._order(producer)), default=None
            )
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
        fork = max((self._order(box) for box in self._reached(inside, self._producers) & way), default=0)
        joins = [self._order(box) for box in self._reached(inside, self._consumers) & way]
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
    consumers: dict[tuple[str, str], set[str]] = defaultdict(set)
    for edge in flow.edges:
        consumers[edge.source, edge.tensor.name].add(edge.target)
    bound: dict[str, set[str]] = defaultdict(set)
    for (source, _), targets in consumers.items():
        if len(targets) <= MANY_CONSUMERS:
            for target in targets:
                bound[source].add(target)
                bound[target].add(source)
    return bound
