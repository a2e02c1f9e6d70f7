"""Parallel branches of a data flow: what can run at the same time."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count, permutations, product

from onnxlens.reports.drawing.links import reached
from onnxlens.specs.flow import FlowGraph, FlowNode

MANY_CONSUMERS = 3
"""A tensor with more readers binds no boxes together: what reads a time embedding is no branch."""
EVEN = 4
"""A branch of at least this part (a quarter) of the parallel work of the trunk makes that a branch too."""


def branches_of(flow: FlowGraph) -> Mapping[str, int]:
    """The parallel branch of every box, by its id; 0 is the trunk.

    The trunk is the path with most MACs (of equal ones that with most boxes). What is left
    falls into branches, each connected; a branch is divided likewise. Where a branch has a share in the work,
    the parallel boxes of the trunk are a branch of their own too. Branches that run at the same time have
    different numbers, except small ones of the same classes: thirteen zero convolutions share one. Numbers
    begin at 1, with the branch of most MACs. Neither a skip connection without a box of its own nor the back
    edge of a loop is a branch.
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
        lines = ((edge.source, edge.target) for edge in flow.edges)
        for source, target in chain(lines, _one_or_other(flow)):
            if not {source, target} <= self._boxes.keys():
                continue
            if self._order(source) < self._order(target):  # a loop leads back
                self._producers[target].add(source)
                self._consumers[source].add(target)
        self._bound = _bound(flow)
        self._taken: dict[int, list[_Span]] = defaultdict(list)
        self._small: dict[tuple[str, ...], int] = {}
        self.numbers = dict.fromkeys(self._boxes, 0)
        self._divide(set(self._boxes))

    def _divide(self, members: Collection[str]) -> None:
        """Find the path with most work through the boxes, and number each branch parallel to it."""
        trunk = self._heaviest_path(members)
        rest = set(members) - set(trunk)
        for branch in self._connected(rest):
            section, span = self._section(trunk, branch)
            path = self._heaviest_path(branch)
            even = EVEN * self._work(path, section) >= self._work(section, path)
            if even:
                self._raise(section, span)
            number = self._free(span) if even else self._shared(path, span)
            self.numbers.update(dict.fromkeys(branch, number))
            if len(path) < len(branch):
                self._divide(branch)

    def _raise(self, section: Sequence[str], span: _Span) -> None:
        """Make the boxes of a trunk parallel to a branch a branch too, unless they are one already."""
        around = {self.numbers[box] for box in section}
        if len(around) == 1 and not self._is_taken(around.pop(), span):
            self.numbers.update(dict.fromkeys(section, self._free(span)))

    def _is_taken(self, number: int, span: _Span) -> bool:
        return any(taken.meets(span) for taken in self._taken[number])

    def _free(self, span: _Span) -> int:
        """The first number that no branch has there."""
        number = next(number for number in count(1) if not self._is_taken(number, span))
        self._taken[number].append(span)
        return number

    def _shared(self, path: Sequence[str], span: _Span) -> int:
        """The number of the small branches of these classes."""
        titles = tuple(self._boxes[box].title for box in path)
        if titles not in self._small:
            self._small[titles] = self._free(_Span(1, self._last))
        return self._small[titles]

    def _heaviest_path(self, members: Collection[str]) -> Sequence[str]:
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
        path = [max(weight, key=lambda box: (weight[box], -self._order(box)))]
        while path[-1] in before:
            path.append(before[path[-1]])
        return path[::-1]

    def _connected(self, members: Collection[str]) -> Sequence[Sequence[str]]:
        """The boxes in groups that tensors bind together, in the order of their first boxes."""
        left = set(members)
        bound = {box: self._bound[box] & left for box in members}
        groups = []
        for start in sorted(members, key=self._order):
            if start in left:
                group = {start, *reached([start], bound)}
                left -= group
                groups.append(sorted(group, key=self._order))
        return groups

    def _section(self, trunk: Sequence[str], branch: Sequence[str]) -> tuple[Sequence[str], _Span]:
        """The boxes of the trunk between the fork and the join of a branch, and what all that occupies."""
        producers = set[str]().union(*(self._producers[box] for box in branch)) & set(trunk)
        consumers = set[str]().union(*(self._consumers[box] for box in branch)) & set(trunk)
        fork = max(map(self._order, producers), default=0)
        join = min(map(self._order, consumers), default=self._last + 1)
        section = [box for box in trunk if fork < self._order(box) < join]
        orders = [self._order(box) for box in (*section, *branch)]
        return section, _Span(min(orders), max(orders))

    def _work(self, boxes: Iterable[str], others: Iterable[str]) -> int:
        """MACs; the number of boxes where neither side has any."""
        if any(self._boxes[box].macs for box in (*boxes, *others)):
            return sum(self._boxes[box].macs * self._boxes[box].repeats for box in boxes)
        return len(list(boxes))

    def _order(self, box: str) -> int:
        return self._boxes[box].order


def _one_or_other(flow: FlowGraph) -> Iterator[tuple[str, str]]:
    """The boxes in different branches of an If: they cannot run at the same time either."""
    for paths in flow.alternatives:
        inside = [[box.id for box in flow.nodes if _is_in(box, path)] for path in paths]
        for one, other in permutations(inside, 2):
            yield from product(one, other)


def _is_in(box: FlowNode, path: str) -> bool:
    return box.order > 0 and path in (box.path, *(outer for outer, _ in box.parents))


def _bound(flow: FlowGraph) -> Mapping[str, set[str]]:
    """The neighbors of every box by tensors with few readers."""
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
