"""Records without names by their MACs alone: each is a run of the graph's products."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from functools import cached_property
from itertools import pairwise
from math import prod

from onnxlens.profile.vendor.finding import Operators
from onnxlens.profile.vendor.places import Places
from onnxlens.specs.layers import LayerRecord

MOST_STEPS = 20_000
"""Of the search for runs, beside one for each record: where a way turns out to be wrong."""


class Runs:
    """Records by their MACs: each is a run of products in the order of execution, when those before are gone.

    It holds only if the records without names come to the MACs of all nodes without one. The next record has
    the node whose turn is the next, and its nodes hang together: so that it is the right one of several runs
    of equal MACs.
    """

    def __init__(
        self,
        places: Places,
        records: Sequence[LayerRecord],
        operators: Sequence[Operators],
        turns: Sequence[int],
    ) -> None:
        self._places, self._records, self._operators, self._turns = places, records, operators, turns

    def found(self, order: Sequence[int], taken: set[int]) -> Mapping[int, tuple[int, ...]]:
        """The nodes of each record, by its index; none if they do not come out even."""
        waiting = [index for index in order if self._records[index].figures.get("macs")]
        costs = self._places.costs
        free = [node for node, cost in enumerate(costs) if cost.macs and node not in taken]
        if not waiting or sum(costs[node].macs for node in free) != sum(map(self._macs, waiting)):
            return {}
        self._free = _Free(free, sorted(free, key=lambda node: self._turns[node]))
        chosen: list[tuple[int, ...]] = []
        ways = [self._ways(waiting[0])]
        for _ in range(MOST_STEPS + 2 * len(waiting)):
            run = next(ways[-1], None)
            if run is not None:
                chosen.append(run)
                if len(chosen) == len(waiting):
                    return dict(zip(waiting, chosen, strict=True))
                self._free.take(run)
                ways.append(self._ways(waiting[len(chosen)]))
            elif chosen:
                ways.pop()
                self._free.give_back(chosen.pop())
            else:
                break
        return {}

    def _macs(self, index: int) -> int | float:
        return self._records[index].figures["macs"]

    def _ways(self, index: int) -> Iterator[tuple[int, ...]]:
        """The runs that a record may be: of its MACs, and with the node whose turn it is."""
        macs, costs, free = self._macs(index), self._places.costs, self._free
        turn = free.first()
        before: list[int] = []
        node: int | None = turn
        whole = 0
        while node is not None and (whole := whole + costs[node].macs) <= macs:
            before.append(node)
            after: list[int] = []
            total, following = whole, free.after(turn)
            while total < macs and following is not None:
                after.append(following)
                total += costs[following].macs
                following = free.after(following)
            run = (*reversed(before), *after)
            if total == macs and self._fits(index, run) and self._hangs_together(run):
                yield run
            node = free.before(node)

    def _hangs_together(self, run: Sequence[int]) -> bool:
        """Whether a way along products of the run alone leads from one of them to all others."""
        near: dict[int, set[int]] = {node: set() for node in run}
        for node in run:
            for following in self._following[node] & near.keys():
                near[node].add(following)
                near[following].add(node)
        reached, queue = {run[0]}, [run[0]]
        for node in queue:
            queue += near[node] - reached
            reached |= near[node]
        return len(reached) == len(run)

    @cached_property
    def _following(self) -> Mapping[int, Set[int]]:
        """The products that read each node, directly or through nodes that are none."""
        following: dict[int, set[int]] = {}
        for node in reversed(range(len(self._places.costs))):
            found = following.setdefault(node, set())
            for reader in self._places.consumers(node):
                found |= {reader} if self._places.costs[reader].macs else following[reader]
        return following

    def _fits(self, index: int, run: Sequence[int]) -> bool:
        """Whether a record may be these nodes: of its sizes, and one of its operator, if it has one."""
        operators, outputs = self._operators[index], self._records[index].outputs
        sizes = {prod(shape) for shape in outputs}
        known = {self._places.elements(node) for node in run} - {None}
        if sizes and not known <= sizes:
            return False
        return operators is None or (len(run) == 1 and self._places.is_a(run[0], operators))


class _Free:
    """Nodes in their order, of which runs are taken out and put back; and which of them has the next turn."""

    def __init__(self, nodes: Sequence[int], by_turn: Sequence[int]) -> None:
        self._after: dict[int | None, int | None] = dict(pairwise([None, *nodes, None]))
        self._before: dict[int | None, int | None] = {two: one for one, two in self._after.items()}
        self._by_turn, self._taken, self._next = by_turn, set[int](), [0]

    def first(self) -> int:
        """The node with the next turn."""
        while self._by_turn[self._next[-1]] in self._taken:
            self._next[-1] += 1
        return self._by_turn[self._next[-1]]

    def after(self, node: int) -> int | None:
        return self._after[node]

    def before(self, node: int) -> int | None:
        return self._before[node]

    def take(self, run: Sequence[int]) -> None:
        """Take out nodes that stand side by side."""
        one, two = self._before[run[0]], self._after[run[-1]]
        self._after[one], self._before[two] = two, one
        self._taken.update(run)
        self._next.append(self._next[-1])

    def give_back(self, run: Sequence[int]) -> None:
        """Put back what was taken out last."""
        self._after[self._before[run[0]]], self._before[self._after[run[-1]]] = run[0], run[-1]
        self._taken.difference_update(run)
        self._next.pop()
