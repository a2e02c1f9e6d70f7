"""Records without names, led to nodes by their MACs, and by operator, shape and order between known ones.

What is not certain of its module stays unattributed: several nodes of different modules for one record.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from math import prod

from onnxlens.profile.vendor.finding import Led
from onnxlens.profile.vendor.places import Places
from onnxlens.specs.layers import LayerRecord

BY_MACS, BY_SHAPE, BY_OPERATOR = 0.9, 0.8, 0.5
"""How sure a match is: by MACs, of a run of nodes together; by operator and size; by operator alone."""

Operators = frozenset[str] | None


def aligned(
    places: Places,
    records: Sequence[LayerRecord],
    operators: Sequence[Operators],
    led: Sequence[Led],
    *,
    order: Sequence[int],
) -> list[Led]:
    """Where all records lead, those without names too, as far as that can be told.

    ``order`` has the records that compute nodes, by index, in the order of execution.
    """
    found = list(led)
    runs = _Runs(places, records, operators)
    for index, nodes in runs.found(
        [index for index in order if not led[index].nodes], _taken(order, found)
    ).items():
        found[index] = Led(nodes, "aligned", BY_MACS)
    for sized in (True, False):
        keys = _Keys(places, records, operators, sized=sized)
        for index, node in _by_order(places, order, found, keys):
            found[index] = Led((node,), "aligned", BY_SHAPE if sized else BY_OPERATOR)
    return found


def _taken(order: Sequence[int], led: Sequence[Led]) -> set[int]:
    return {node for index in order for node in led[index].nodes}


class _Runs:
    """Records by their MACs: each is a run of products in the order of execution, when others are taken out.

    It holds only if the records without names come to the MACs of all nodes without one.
    """

    def __init__(
        self, places: Places, records: Sequence[LayerRecord], operators: Sequence[Operators]
    ) -> None:
        self._places, self._records, self._operators = places, records, operators

    def found(self, order: Sequence[int], taken: set[int]) -> Mapping[int, tuple[int, ...]]:
        """The nodes of each record, by its index; the records in the order of execution."""
        macs = {index: int(self._records[index].figures.get("macs", 0)) for index in order}
        waiting = [index for index in order if macs[index]]
        costs = self._places.costs
        free = [node for node, cost in enumerate(costs) if cost.macs and node not in taken]
        if not waiting or sum(costs[node].macs for node in free) != sum(macs[index] for index in waiting):
            return {}
        found: dict[int, tuple[int, ...]] = {}
        while waiting:
            sure = dict(self._sure(waiting, macs, free)) or dict(self._in_turn(waiting, macs, free))
            if not sure:
                break
            found |= sure
            gone = {node for nodes in sure.values() for node in nodes}
            free = [node for node in free if node not in gone]
            waiting = [index for index in waiting if index not in sure]
        return found

    def _sure(
        self, waiting: Sequence[int], macs: Mapping[int, int], free: Sequence[int]
    ) -> Iterator[tuple[int, tuple[int, ...]]]:
        """The records of which only one run of nodes has the MACs; each node once."""
        times = Counter(macs[index] for index in waiting)
        ends = _ends(self._places, free)
        used: set[int] = set()
        for index in waiting:
            if times[macs[index]] > 1:
                continue
            runs = list(_runs(free, ends, macs[index]))
            fitting = [run for run in runs if self._fits(index, run)]
            if len(fitting) == 1 and used.isdisjoint(fitting[0]):
                used.update(fitting[0])
                yield index, fitting[0]

    def _in_turn(
        self, waiting: Sequence[int], macs: Mapping[int, int], free: Sequence[int]
    ) -> Iterator[tuple[int, tuple[int, ...]]]:
        """The next record for the first nodes that are free, as long as one fits."""
        left: dict[int, list[int]] = {}
        for index in waiting:
            left.setdefault(macs[index], []).append(index)
        start = 0
        while start < len(free):
            whole, chosen = 0, None
            for stop in range(start, len(free)):
                whole += self._places.costs[free[stop]].macs
                run = tuple(free[start : stop + 1])
                if left.get(whole) and self._fits(left[whole][0], run):
                    chosen = left[whole].pop(0), run
                    break
            if chosen is None:
                return
            yield chosen
            start += len(chosen[1])

    def _fits(self, index: int, run: Sequence[int]) -> bool:
        """Whether a record may be these nodes: one of its operator is one node, of its size."""
        operators, outputs = self._operators[index], self._records[index].outputs
        if operators is None:
            return True
        sizes = {prod(shape) for shape in outputs}
        known = _elements(self._places, run[0])
        return (
            len(run) == 1
            and self._places.is_a(run[0], operators)
            and (not sizes or known is None or known in sizes)
        )


def _ends(places: Places, free: Sequence[int]) -> Mapping[int, int]:
    """How many nodes come to so many MACs, from the first one on."""
    ends, whole = {0: 0}, 0
    for count, node in enumerate(free, 1):
        whole += places.costs[node].macs
        ends[whole] = count
    return ends


def _runs(free: Sequence[int], ends: Mapping[int, int], macs: int) -> Iterator[tuple[int, ...]]:
    """The runs of nodes that come to so many MACs."""
    for before, start in ends.items():
        stop = ends.get(before + macs)
        if stop is not None:
            yield tuple(free[start:stop])


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
    places: Places, order: Sequence[int], led: Sequence[Led], keys: _Keys
) -> Iterator[tuple[int, int]]:
    """The records and nodes that stand in the same order between known ones, each with its node."""
    taken = _taken(order, led)
    nodes = [node for node, each in enumerate(places.graph.nodes) if not each.constant_folded]
    theirs = [led[index].nodes[0] if led[index].nodes else keys.of_record(index) for index in order]
    ours = [node if node in taken else keys.of_node(node) for node in nodes]
    if not any(not led[index].nodes and key is not None for index, key in zip(order, theirs, strict=True)):
        return
    pairs = [(order[one], nodes[other]) for one, other in common(theirs, ours)]
    fixed = [(-1, -1), *((one, two) for one, two in _known(pairs, led)), (len(pairs), -1)]
    yield from _certain(places, pairs, fixed, order, led, keys)


def _known(pairs: Sequence[tuple[int, int]], led: Sequence[Led]) -> Iterator[tuple[int, int]]:
    """The pairs whose record was known before, with their node."""
    return ((at, node) for at, (index, node) in enumerate(pairs) if led[index].nodes)


def _certain(
    places: Places,
    pairs: Sequence[tuple[int, int]],
    fixed: Sequence[tuple[int, int]],
    order: Sequence[int],
    led: Sequence[Led],
    keys: _Keys,
) -> Iterator[tuple[int, int]]:
    """Of the pairs between two known ones those that no other node of another module could be."""
    place = {index: at for at, index in enumerate(order)}
    last = len(places.graph.nodes)
    taken = _taken(order, led)
    for (before, low), (after, high) in zip(fixed, fixed[1:], strict=False):
        inner = pairs[before + 1 : after]
        if not inner:
            continue
        start = place[pairs[before][0]] + 1 if before >= 0 else 0
        stop = place[pairs[after][0]] if after < len(pairs) else len(order)
        records = Counter(keys.of_record(index) for index in order[start:stop] if not led[index].nodes)
        between = range(low + 1, high if after < len(pairs) else last)
        nodes: dict[Hashable, list[int]] = {}
        for node in between:
            if node not in taken and not places.graph.nodes[node].constant_folded:
                nodes.setdefault(keys.of_node(node), []).append(node)
        for index, node in inner:
            able = nodes.get(keys.of_node(node), [])
            modules = {places.graph.module_of(each) for each in able}
            if len(able) == records[keys.of_record(index)] or len(modules) == 1:
                yield index, node


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
