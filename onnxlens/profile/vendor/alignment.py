"""Records without names, led to nodes by their MACs, and by operator, shape and order between known ones.

What is not certain of its module stays unattributed: several nodes of different modules for one record.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from itertools import pairwise
from math import prod

from onnxlens.profile.graph.node_view import ValueView
from onnxlens.profile.vendor.finding import Led, Operators
from onnxlens.profile.vendor.names import Naming
from onnxlens.profile.vendor.places import Places
from onnxlens.profile.vendor.runs import Runs
from onnxlens.specs.layers import LayerRecord

BY_MACS, BY_SHAPE, BY_PLACE, BY_OPERATOR = 0.9, 0.8, 0.7, 0.5
"""How sure a match is: by MACs of a run of nodes, by operator and size, by place and size, by operator."""

ORDERLY = 0.9
"""Which part of the named records stands in the order of the nodes, where that tells anything of others."""

MOST_CELLS = 1 << 31
"""Of the table of records and nodes, a bit each: 256 MiB."""


def aligned(
    places: Places,
    records: Sequence[LayerRecord],
    operators: Sequence[Operators],
    led: Sequence[Led],
    *,
    order: Sequence[int],
    turns: Sequence[int],
    own_names: bool,
) -> list[Led]:
    """Where all records lead, those without names too, as far as that can be told.

    What has a name that leads nowhere is a node of this graph only if most of the report's names are, or if
    a tool gives names of its own (``own_names``).
    ``order`` has the records that compute nodes, by index; ``turns`` when a node's record comes in it.
    """
    found = list(led)
    in_order_of_nodes = all(turn == node for node, turn in enumerate(turns))
    named = [led[index] for index in order if records[index].sources]
    ours = own_names or 2 * sum(bool(each.nodes) for each in named) >= len(named)
    able = [index for index in order if led[index].nodes or ours or not records[index].sources]
    runs = Runs(places, records, operators, turns)
    unnamed = [index for index in able if not led[index].nodes]
    by_macs = runs.found(unnamed, _taken(order, found))
    if in_order_of_nodes:
        by_macs = _shared_by_equals(places, by_macs)
    for index, nodes in by_macs.items():
        found[index] = Led(nodes, "aligned", BY_MACS)
    for sized in (True, False):
        keys = _Keys(places, records, operators, sized=sized)
        for index, nodes in _by_order(places, able, turns, found, keys):
            found[index] = Led(nodes, "aligned", BY_SHAPE if sized else BY_OPERATOR)
    return found


def _taken(order: Sequence[int], led: Sequence[Led]) -> set[int]:
    return {node for index in order for node in led[index].nodes}


def _shared_by_equals(places: Places, runs: Mapping[int, tuple[int, ...]]) -> Mapping[int, tuple[int, ...]]:
    """The same, where records of one product each are of all that are equal and side by side."""
    alike: dict[int, list[int]] = {}
    for nodes in runs.values():
        if len(nodes) == 1:
            alike.setdefault(places.costs[nodes[0]].macs, []).extend(nodes)
    sides: dict[int, tuple[int, ...]] = {}
    for equal in alike.values():
        sides |= _side_by_side(places, sorted(equal))
    return {index: sides.get(nodes[0], nodes) if len(nodes) == 1 else nodes for index, nodes in runs.items()}


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
        return None if kind is None else (kind, self._places.elements(node) if self._sized else None)


def _by_order(
    places: Places, order: Sequence[int], turns: Sequence[int], led: Sequence[Led], keys: _Keys
) -> Iterator[tuple[int, tuple[int, ...]]]:
    """The records and nodes that stand in the same order between known ones, each with its node.

    Only where no node of another module could be the record's: as many records as nodes of its kind stand
    there, or all are of one module. Of nodes side by side nobody knows the order, so that a record has all.
    """
    order = [index for index in order if led[index].nodes or keys.of_record(index) is not None]
    taken = _taken(order, led)
    new = {at for at, index in enumerate(order) if not led[index].nodes}
    order = [index for at, index in enumerate(order) if not new.isdisjoint((at - 1, at, at + 1))]
    theirs = [led[index].nodes[0] if led[index].nodes else keys.of_record(index) for index in order]
    wanted = set(theirs)
    running = [node for node, each in enumerate(places.graph.nodes) if not each.constant_folded]
    named = {node: node if node in taken else keys.of_node(node) for node in running}
    nodes = sorted((node for node in running if named[node] in wanted), key=lambda node: turns[node])
    ours = [named[node] for node in nodes]
    if len(theirs) * len(ours) > MOST_CELLS:
        return
    pairs = common(theirs, ours)
    known = [pair for pair in pairs if led[order[pair[0]]].nodes]
    if len(known) < ORDERLY * sum(bool(led[index].nodes) for index in order):
        return
    for (one, other), (end, other_end) in pairwise([(-1, -1), *known, (len(theirs), len(ours))]):
        waiting = Counter(theirs[one + 1 : end])
        able: dict[Hashable, list[int]] = {}
        for at in range(other + 1, other_end):
            able.setdefault(ours[at], []).append(nodes[at])
        sides = {key: _side_by_side(places, alike) for key, alike in able.items() if key in waiting}
        for at, position in pairs:
            if one < at < end:
                alike = able[ours[position]]
                modules = {places.graph.module_of(node) for node in alike}
                if len(modules) == 1:
                    yield order[at], (nodes[position],)
                elif len(alike) == waiting[theirs[at]]:
                    yield order[at], sides[ours[position]][nodes[position]]


def _side_by_side(places: Places, nodes: Sequence[int]) -> dict[int, tuple[int, ...]]:
    """For each node those that are not known to run before or behind it: next to it without a way between."""
    groups: list[list[int]] = []
    for node in nodes:
        if groups and not any(_leads(places, *sorted((node, other))) for other in groups[-1]):
            groups[-1].append(node)
        else:
            groups.append([node])
    return {node: tuple(sorted(group)) for group in groups for node in group}


def _leads(places: Places, first: int, last: int) -> bool:
    """Whether the values of a node lead to another one."""
    seen, queue = {first}, [first]
    for node in queue:
        following = {each for each in places.consumers(node) if each <= last} - seen
        if last in following:
            return True
        seen |= following
        queue += following
    return False


def with_misnamed(
    places: Places,
    records: Sequence[LayerRecord],
    operators: Sequence[Operators],
    led: Sequence[Led],
    computing: Sequence[int],
) -> list[Led]:
    """Lead a product that is named after others to the only node before them that has its MACs.

    A converter may name a layer after what reads it: a convolution after the pooling behind it. The names of
    another layer's nodes are then left to that.
    """
    found, costs = list(led), places.costs
    named = Counter(node for index in computing for node in led[index].nodes)
    made = {
        node
        for index in computing
        for node in led[index].nodes
        if (ours := operators[index]) is None or places.is_a(node, ours)
    }
    for index in computing:
        macs, nodes = records[index].figures.get("macs"), led[index].nodes
        own = operators[index] or frozenset()
        if not macs or not nodes or any(costs[node].macs or places.is_a(node, own) for node in nodes):
            continue
        equal = (node for node, cost in enumerate(costs) if cost.macs == macs and node not in made)
        able = [node for node in equal if places.is_a(node, own) and _leads(places, node, max(nodes))]
        if len(able) == 1:
            made.add(able[0])
            kept = (node for node in nodes if named[node] == 1)
            found[index] = Led(tuple(sorted((able[0], *kept))), "aligned", BY_MACS)
    return found


def with_inserted(
    places: Places,
    records: Sequence[LayerRecord],
    operators: Sequence[Operators],
    led: Sequence[Led],
    naming: Naming,
) -> list[Led]:
    """Lead what a tool inserts beside a layer, or splits from it, to the costliest node of that layer.

    Only if it has as many elements as one of the layer's values, or is of the operator of one of its nodes.
    """
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
            alike = any(places.is_a(node, operators[index] or ()) for node in served)
            if alike or (record.outputs and prod(record.outputs[0]) in sizes):
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
