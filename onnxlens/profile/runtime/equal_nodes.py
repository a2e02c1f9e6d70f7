"""Nodes of the optimized graph that are the same operation on the same values as a source node.

It needs no names: functions that the runtime wrote out have names of its own making.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.graph.node_view import ValueView
from onnxlens.profile.runtime.runtime_graph import RuntimeNode, core

UNCHANGED = frozenset({"Cast", "MemcpyFromHost", "MemcpyToHost", "ReorderInput", "ReorderOutput", "Reshape"})
"""Operators that the runtime inserts and that return the value they read, maybe in another shape."""

RESHAPING = frozenset({"Flatten", "Reshape", "Squeeze", "Unsqueeze"})
"""Operators that return the elements they read, in their order."""

PRODUCTS = frozenset({"Conv", "MatMul"})
"""Operators that others are fused into."""

FEWEST = 2
"""Operands of a convolution or product without a bias."""


class EqualNodes:
    """The source nodes that are found by operator and operands.

    Attributes:
        found: the source nodes, by the runtime node's index: one, or a product and what was fused into it.
        renamed: the source value that such a node makes, by the name that the runtime gave it.
    """

    def __init__(self, graph: Graph, nodes: Sequence[RuntimeNode], computed_by: Mapping[int, int]) -> None:
        """Compare in execution order; ``computed_by`` are the nodes that are known already."""
        self.found: dict[int, list[int]] = {}
        self.renamed: dict[str, str] = {}
        self._made: dict[str, str] = {}
        self._taken: set[int] = set()
        self._graph = graph
        self._same = _same_values(graph)
        self._reshaped = _reshaped_values(graph, self._same)
        self._formals = {formal: given for node in nodes for formal, given in node.formals.items()}
        self._computed = {name for node in nodes for name in node.outputs}
        self._given = {value.name for value in graph.inputs} | graph.weights.keys()
        keys = {index: self._key(index) for index, node in enumerate(graph.nodes) if not node.constant_folded}
        self._waiting: dict[Hashable, list[int]] = {}
        for unmatched in sorted(keys.keys() - computed_by.keys()):
            for key in {keys[unmatched], self._product_key(unmatched)} - {None}:
                self._waiting.setdefault(key, []).append(unmatched)
        known = {index: source for source, index in computed_by.items()}
        for index, node in enumerate(nodes):
            operands = tuple(map(self._value, node.inputs))
            key = (node.domain, node.op_type, operands)
            source = known.get(index)
            if source is None:
                self._find(index, node, key, operands)
                source = self.found.get(index, [None])[-1]
                self._note(node, source)
            else:
                self._note(node, source if keys.get(source) == key else None)

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
        """The source value that a runtime value is; None for a constant, and "?" and its name if unknown."""
        while name in self._formals and name not in self._made:
            name = self._formals[name]
        unknown = f"?{name}" if name in self._computed else None
        return self._made.get(name) or (name if name in self._given else unknown)

    def _elements(self, operand: str | None) -> str | None:
        """The value whose elements the operand has, maybe in another shape."""
        return None if operand is None else self._reshaped.get(operand, operand)

    def _product_key(self, source: int) -> Hashable | None:
        """What a convolution or product is found by inside a node that it was fused into."""
        view = self._graph.nodes[source].view
        operands = tuple(map(self._elements, map(self._operand, filter(None, view.inputs))))
        return (core(view.op_type), operands) if core(view.op_type) in PRODUCTS and not view.domain else None

    def _find(self, index: int, node: RuntimeNode, key: Hashable, operands: Sequence[str | None]) -> None:
        """Find the only source node like it, else the only one that its product can be, with what follows."""
        same = [source for source in self._waiting.get(key, ()) if source not in self._taken]
        if len(same) == 1:  # several may differ in attributes and constants
            self._take(index, same)
        for count in range(FEWEST, len(operands) + 1) if not same and core(node.op_type) in PRODUCTS else ():
            read = tuple(map(self._elements, operands[:count]))
            begun = self._waiting.get((core(node.op_type), read), ())
            begun = [source for source in begun if source not in self._taken]
            if len(begun) == 1 and (chain := self._chain(begun[0], operands[count:], node.activation)):
                self._take(index, chain)
                return

    def _chain(self, first: int, operands: Sequence[str | None], activation: str) -> list[int] | None:
        """The nodes from the first on that take in all other operands, then the activation; else None."""
        chain, rest = [first], [operand for operand in operands if operand is not None]
        while rest or activation:
            output = self._graph.nodes[chain[-1]].view.outputs[0]
            readers = self._graph.consumers(output.name) if output is not None else ()
            if output is None or len(readers) != 1:
                return None
            view = self._graph.nodes[readers[0]].view
            others = [self._operand(value) for value in view.inputs if value and value.name != output.name]
            left = self._without(rest, others)
            if others and left is not None:
                rest = left
            elif view.op_type == activation and not rest:
                activation = ""
            else:
                return None
            chain.append(readers[0])
        return chain

    def _without(self, operands: Sequence[str], others: Sequence[str | None]) -> list[str] | None:
        """What is left of the operands; None if one of the others is none of them.

        The runtime keeps one of equal weights, so that any weight may stand for another.
        """
        left = list(operands)
        for other in others:
            alike = (held for held in left if {held, other} <= self._graph.weights.keys())
            found = other if other in left else next(alike, None)
            if found is None:
                return None
            left.remove(found)
        return left

    def _take(self, index: int, sources: list[int]) -> None:
        self.found[index] = sources
        self._taken.update(sources)

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


def _reshaped_values(graph: Graph, same: Mapping[str, str]) -> Mapping[str, str]:
    """The value that another one is in another shape: the runtime makes one Reshape of two."""
    reshaped: dict[str, str] = {}
    for view in (node.view for node in graph.nodes if node.view.op_type in RESHAPING):
        output, read = view.outputs[0], view.inputs[0]
        if output is not None and read is not None:
            name = same.get(read.name, read.name)
            reshaped[output.name] = reshaped.get(name, name)
    return reshaped
