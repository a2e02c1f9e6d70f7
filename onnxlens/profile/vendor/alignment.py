"""Records without names, led to nodes by their MACs, and by operator, shape and order between known ones.

What is not certain of its module stays unattributed: several nodes of different modules for one record.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence, Set
from functools import cached_property
from itertools import pairwise
from math import prod

from onnxlens.profile.graph.node_view import ValueView
from onnxlens.profile.vendor.finding import Led, Operators
from onnxlens.profile.vendor.names import Naming
from onnxlens.profile.vendor.places import Places
from onnxlens.specs.layers import LayerRecord

BY_MACS, BY_SHAPE, BY_PLACE, BY_OPERATOR = 0.9, 0.8, 0.7, 0.5
"""How sure a match is: by MACs of a run of nodes, by operator and size, by place and size, by operator."""

MOST_STEPS = 20_000
"""Of the search for runs; more only where many records have equal MACs."""


def aligned(
    places: Places,
    records: Sequence[LayerRecord],
    operators: Sequence[Operators],
    led: Sequence[Led],
    *,
    order: Sequence[int],
    turns: Sequence[int],
) -> list[Led]:
    """Where all records lead, those without names too, as far as that can be told.

    What has a name that leads nowhere is a node of this graph only if most of the report's names are.
    ``order`` has the records that compute nodes, by index; ``turns`` when a node's record comes in it.
    """
    found = list(led)
    named = [led[index] for index in order if records[index].sources]
    ours = 2 * sum(bool(each.nodes) for each in named) >= len(named)
    able = [index for index in order if led[index].nodes or ours or not records[index].sources]
    runs = _Runs(places, records, operators, turns)
    unnamed = [index for index in able if not led[index].nodes]
    for index, nodes in runs.found(unnamed, _taken(order, found)).items():
        found[index] = Led(nodes, "aligned", BY_MACS)
    for sized in (True, False):
        keys = _Keys(places, records, operators, sized=sized)
        for index, node in _by_order(places, able, turns, found, keys):
            found[index] = Led((node,), "aligned", BY_SHAPE if sized else BY_OPERATOR)
    return found


def _taken(order: Sequence[int], led: Sequence[Led]) -> set[int]:
    return {node for index in order for node in led[index].nodes}


class _Runs:
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
        free = tuple(node for node, cost in enumerate(costs) if cost.macs and node not in taken)
        if not waiting or sum(costs[node].macs for node in free) != sum(map(self._macs, waiting)):
            return {}
        chosen: list[tuple[int, ...]] = []
        left = [free]
        ways = [self._ways(waiting[0], free)]
        for _ in range(MOST_STEPS):
            run = next(ways[-1], None)
            if run is not None:
                chosen.append(run)
                if len(chosen) == len(waiting):
                    return dict(zip(waiting, chosen, strict=True))
                gone = set(run)
                left.append(tuple(node for node in left[-1] if node not in gone))
                ways.append(self._ways(waiting[len(chosen)], left[-1]))
            elif chosen:
                ways.pop(), left.pop(), chosen.pop()
            else:
                break
        return {}

    def _macs(self, index: int) -> int | float:
        return self._records[index].figures["macs"]

    def _ways(self, index: int, free: Sequence[int]) -> Iterator[tuple[int, ...]]:
        """The runs that a record may be: of its MACs, and with the node whose turn it is."""
        if not free:
            return
        macs, costs = self._macs(index), self._places.costs
        turn = min(range(len(free)), key=lambda at: self._turns[free[at]])
        start, whole = turn + 1, 0
        while start and (whole := whole + costs[free[start - 1]].macs) <= macs:
            start -= 1
            stop, total = turn + 1, whole
            while total < macs and stop < len(free):
                total += costs[free[stop]].macs
                stop += 1
            run = tuple(free[start:stop])
            if total == macs and self._fits(index, run) and self._hangs_together(run):
                yield run

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
        known = {_elements(self._places, node) for node in run} - {None}
        if sizes and not known <= sizes:
            return False
        return operators is None or (len(run) == 1 and self._places.is_a(run[0], operators))


def _elements(places: Places, node: int) -> int | None:
    """The elements of a node's first output."""
    outputs = places.graph.nodes[node].view.outputs
    shape = outputs[0].shape if outputs and outputs[0] is not None else None
    return prod(size for size in shape if isinstance(size, int)) if shape is not None else None


class _Keys:
    """What a record and its node have in common: the kind of operator, and how many elements come out."""

    def __init__(
        self,
        places: Places,
        records: Sequence[LayerRecord],
        operators: Sequence[Operators],
        *,
        sized: bool,
    ) -> None:
        self._places, self._records, self._operators, self._sized = places, records, operators, sized
        groups: list[frozenset[str]] = []
        for each in {each for each in operators if each}:
            apart = [group for group in groups if group.isdisjoint(each)]
            groups = [*apart, each.union(*(group for group in groups if group not in apart))]
        self._kinds = {operator: group for group in groups for operator in group}

    def of_record(self, index: int) -> Hashable:
        """None for a record that cannot be told from others."""
        operators, outputs = self._operators[index], self._records[index].outputs
        if not operators or (self._sized and not outputs):
            return None
        return self._kinds[next(iter(operators))], prod(outputs[0]) if self._sized else None

    def of_node(self, node: int) -> Hashable:
        """None for a node of an operator that no record has."""
        view = self._places.graph.nodes[node].view
        kind = self._kinds.get(view.op_type) or self._kinds.get(self._places.families[node])
        return None if kind is None else (kind, _elements(self._places, node) if self._sized else None)


def _by_order(
    places: Places, order: Sequence[int], turns: Sequence[int], led: Sequence[Led], keys: _Keys
) -> Iterator[tuple[int, int]]:
    """The records and nodes that stand in the same order between known ones, each with its node.

    Only where no node of another module could be the record's: as many records as nodes of its kind stand
    there, or all are of one module.
    """
    theirs = [led[index].nodes[0] if led[index].nodes else keys.of_record(index) for index in order]
    if not any(not led[index].nodes and key is not None for index, key in zip(order, theirs, strict=True)):
        return
    taken = _taken(order, led)
    nodes = [node for node, each in enumerate(places.graph.nodes) if not each.constant_folded]
    nodes.sort(key=lambda node: turns[node])
    ours = [node if node in taken else keys.of_node(node) for node in nodes]
    pairs = common(theirs, ours)
    known = [pair for pair in pairs if led[order[pair[0]]].nodes]
    for (one, other), (end, other_end) in pairwise([(-1, -1), *known, (len(theirs), len(ours))]):
        waiting = Counter(theirs[one + 1 : end])
        able: dict[Hashable, list[int]] = {}
        for at in range(other + 1, other_end):
            able.setdefault(ours[at], []).append(nodes[at])
        for at, position in pairs:
            if one < at < end:
                alike = able[ours[position]]
                modules = {places.graph.module_of(node) for node in alike}
                if len(alike) == waiting[theirs[at]] or len(modules) == 1:
                    yield order[at], nodes[position]


def beside(places: Places, records: Sequence[LayerRecord], led: Sequence[Led], naming: Naming) -> list[Led]:
    """Lead what a tool inserts beside a layer to that layer's costliest node, if it has as many elements."""
    found = list(led)
    costs = places.costs
    for index, record in enumerate(records):
        for pattern, near in ((naming.precedes, index + 1), (naming.follows, index - 1)):
            served = (*led[near].nodes, *led[near].covered) if 0 <= near < len(led) else ()
            if led[index].nodes or pattern is None or pattern.fullmatch(record.op_type) is None or not served:
                continue
            views = [places.graph.nodes[node].view for node in served]
            values = [value for view in views for value in (view.inputs if near > index else view.outputs)]
            sizes = {value.elements for value in values if value is not None and _is_sized(value)}
            if record.outputs and prod(record.outputs[0]) in sizes:
                costliest = max(served, key=lambda node: (costs[node].macs, costs[node].moved_bytes, node))
                found[index] = Led((costliest,), "aligned", BY_PLACE)
    return found


def _is_sized(value: ValueView) -> bool:
    return value.shape is not None and all(isinstance(size, int) for size in value.shape)


def common(one: Sequence[Hashable], other: Sequence[Hashable]) -> list[tuple[int, int]]:
    """A longest common subsequence, as pairs of positions; None is equal to nothing.

    Hyyrö's bit-parallel form of the table: a row is one whole number, a bit for each element of ``other``.
    """
    masks: dict[Hashable, int] = {}
    for position, key in enumerate(other):
        if key is not None:
            masks[key] = masks.get(key, 0) | 1 << position
    full = (1 << len(other)) - 1
    row, rows = full, [full]
    for key in one:
        matching = row & masks.get(key, 0) if key is not None else 0
        row = ((row + matching) | (row - matching)) & full
        rows.append(row)
    pairs = []
    at, position = len(one), len(other)
    while at and position:  # a 0 bit: the table steps up there
        bit = 1 << (position - 1)
        if rows[at] & bit:
            position -= 1
        elif not rows[at - 1] & bit:
            at -= 1
        else:
            at, position = at - 1, position - 1
            pairs.append((at, position))
    return pairs[::-1]
