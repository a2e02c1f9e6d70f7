"""Nodes of the optimized graph that are the same operation on the same values as a source node.

It needs no names: functions that the runtime wrote out have names of its own making.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.graph.node_view import ValueView
from onnxlens.profile.runtime.runtime_graph import RuntimeNode

UNCHANGED = frozenset({"Cast", "MemcpyFromHost", "MemcpyToHost", "ReorderInput", "ReorderOutput"})
"""Operators that the runtime inserts and that return the value they read."""


class EqualNodes:
    """The source nodes that are found by operator and operands.

    Attributes:
        found: the source node, by the runtime node's index.
        renamed: the source value that such a node makes, by the name that the runtime gave it.
    """

    def __init__(self, graph: Graph, nodes: Sequence[RuntimeNode], computed_by: Mapping[int, int]) -> None:
        """Compare in execution order; ``computed_by`` are the nodes that are known already."""
        self.found: dict[int, int] = {}
        self.renamed: dict[str, str] = {}
        self._made: dict[str, str] = {}
        self._graph = graph
        self._same = _same_values(graph)
        self._formals = {formal: given for node in nodes for formal, given in node.formals.items()}
        self._given = {value.name for value in graph.inputs} | graph.weights.keys()
        keys = {index: self._key(index) for index, node in enumerate(graph.nodes) if not node.constant_folded}
        waiting: dict[Hashable, list[int]] = {}
        for unmatched in keys.keys() - computed_by.keys():
            waiting.setdefault(keys[unmatched], []).append(unmatched)
        known = {index: source for source, index in computed_by.items()}
        for index, node in enumerate(nodes):
            key = (node.domain, node.op_type, tuple(map(self._value, node.inputs)))
            source = known.get(index)
            if source is None:
                source = self._take(index, waiting.get(key, []))
            self._note(node, source if source is not None and keys.get(source) == key else None)

    def _key(self, source: int) -> Hashable:
        """What the source node computes: its operator and operands."""
        view = self._graph.nodes[source].view
        operands = tuple(self._operand(value) for value in view.inputs if value is not None)
        return view.domain, view.op_type, operands

    def _operand(self, value: ValueView) -> str | None:
        """The value's name; None for a constant, of which the runtime may make another."""
        if value.is_weight and value.name not in self._graph.weights:
            return None
        return self._same.get(value.name, value.name)

    def _value(self, name: str) -> str | None:
        """The source value that a runtime value is; None for a constant, and where that is unknown."""
        while name in self._formals and name not in self._made:
            name = self._formals[name]
        return self._made.get(name) or (name if name in self._given else None)

    def _take(self, index: int, alike: list[int]) -> int | None:
        """The only source node like it; several may differ in attributes and constants."""
        if len(alike) != 1:
            return None
        self.found[index] = alike[0]
        return alike.pop()

    def _note(self, node: RuntimeNode, source: int | None) -> None:
        """Note which source values the node makes, as the source node that it equals or by their names."""
        if source is not None:
            own = (value for value in self._graph.nodes[source].view.outputs if value is not None)
            for name, value in zip(node.outputs, own, strict=False):
                self._made[name] = self._same.get(value.name, value.name)
                if self._graph.producer(name) is None:
                    self.renamed[name] = value.name
        elif node.op_type in UNCHANGED and node.inputs and (read := self._value(node.inputs[0])):
            self._made |= dict.fromkeys(node.outputs, read)
        for name in node.outputs:
            if self._graph.producer(name) is not None:
                self._made[name] = self._same.get(name, name)


def _same_values(graph: Graph) -> Mapping[str, str]:
    """The value that another one is: behind an Identity, or an If of which one branch is sure to run."""
    same: dict[str, str] = {}
    for node in graph.nodes:
        view, running = node.view, [body for body in node.bodies if body.trip_count != 0]
        results: Sequence[ValueView | None] = view.inputs if view.op_type == "Identity" else ()
        if view.op_type == "If" and len(running) == 1:
            results = running[0].results
        for output, result in zip(view.outputs, results, strict=False):
            if output is not None and result is not None:
                same[output.name] = same.get(result.name, result.name)
    return same
