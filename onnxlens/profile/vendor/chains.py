"""What a record computes beside the nodes that it names: what its tool fused into them, as the flow shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import replace

from onnxlens.profile.vendor.finding import Led, Operators
from onnxlens.profile.vendor.places import Places
from onnxlens.specs.layers import LayerRecord

LONGEST_WAY = 8
"""Nodes of an activation between what it reads and the product that it ends in."""


def with_chains(
    places: Places,
    records: Sequence[LayerRecord],
    operators: Sequence[Operators],
    led: Sequence[Led],
    *,
    computing: Sequence[int],
    fused_zero: bool,
) -> list[Led]:
    """Add to each record the nodes that no other one has and that its own chain of nodes leads to.

    1. Backwards: what only nodes of the record read is its own. Of products it takes one, and only if its
       operator is one, or if the product is fused away.
    2. Forwards: what alone reads a node of the record, and nothing that no record has; no product.

    ``computing`` are the records, by index, that compute nodes; ``fused_zero`` says that those of them
    without figures have them in the record that took them in, but for what the processor is left with.
    """
    return _Chains(places, records, operators, led, computing, fused_zero).led()


class _Chains:
    def __init__(
        self,
        places: Places,
        records: Sequence[LayerRecord],
        operators: Sequence[Operators],
        led: Sequence[Led],
        computing: Sequence[int],
        fused_zero: bool,
    ) -> None:
        self._places, self._operators, self._led = places, operators, list(led)
        self._has: dict[int, int] = {}
        self._products: dict[int, bool] = {}
        self._freed: set[int] = set()
        for index in computing:
            nodes = led[index].nodes
            if fused_zero and not records[index].figures and records[index].placement != "cpu":
                self._freed.update(nodes)
                continue
            self._products[index] = any(map(places.is_product, nodes))
            for node in nodes:
                self._has.setdefault(node, index)
        self._freed -= self._has.keys()
        self._nodes = [
            index
            for index, node in enumerate(places.graph.nodes)
            if not node.constant_folded and not node.bodies
        ]

    def led(self) -> list[Led]:
        covered: dict[int, list[int]] = {}
        for node, index in (*self._backwards(self._freed), *self._forwards(), *self._backwards(None)):
            covered.setdefault(index, []).append(node)
        of_nodes = {self._led[index].nodes: tuple(sorted(nodes)) for index, nodes in covered.items()}
        for index in self._products:  # the parts of one layer have its nodes together
            if found := of_nodes.get(self._led[index].nodes):
                self._led[index] = replace(self._led[index], covered=found)
        return self._led

    def _take(self, node: int, index: int) -> tuple[int, int]:
        self._has[node] = index
        self._products[index] |= self._places.is_product(node)
        return node, index

    def _backwards(self, among: Set[int] | None) -> Iterator[tuple[int, int]]:
        """What one record alone reads."""
        for node in reversed(self._nodes):
            if node in self._has or (among is not None and node not in among):
                continue
            readers = {self._has.get(each) for each in self._places.consumers(node)}
            index = readers.pop() if len(readers) == 1 else None
            if index is not None and self._may_take(index, node):
                yield self._take(node, index)

    def _may_take(self, index: int, node: int) -> bool:
        if not self._places.is_product(node):
            return True
        operators = self._operators[index]
        is_one = operators is not None and self._places.is_a(node, operators)
        return not self._products[index] and (is_one or node in self._freed)

    def _forwards(self) -> Iterator[tuple[int, int]]:
        """What follows a record's nodes."""
        for node in self._nodes:
            if node in self._has or self._places.is_product(node):
                continue
            before = self._places.producers(node)
            if not before or any(each not in self._has for each in before):
                continue
            last = max(before)
            if self._alone_reads(node, last):
                yield self._take(node, self._has[last])

    def _alone_reads(self, node: int, last: int) -> bool:
        """Whether nothing else reads what a node reads, or only what its own chain ends in, as in a SiLU."""
        others = set(self._places.consumers(last)) - {node}
        way = {last}
        if others and self._places.producers(node) != [last]:
            return False
        for _ in range(LONGEST_WAY):
            if not others or node in others:
                return others <= {node} and self._has.get(node, self._has[last]) == self._has[last]
            way.add(node)
            following = self._places.consumers(node)
            if len(following) != 1 or self._places.is_product(node):
                return False
            node = following[0]
            if not way.issuperset(self._places.producers(node)):
                return False
        return False
