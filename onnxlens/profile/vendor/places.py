"""What a name in a tool's report names in the graph: nodes, by way of their names, tensors and modules."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from math import prod

from onnxlens.profile.count.families import CONVOLUTION, LINEAR, of_operator
from onnxlens.profile.graph.graph import Graph
from onnxlens.specs.ledger import NodeCost


def flattened(name: str) -> str:
    """A name as a tool writes it that knows letters, digits and ``_`` alone; none for a first ``/``."""
    return re.sub(r"\W", "_", name).removeprefix("_")


class Places:
    """The nodes of one graph by everything that a tool may call them; by their index."""

    def __init__(self, graph: Graph, costs: Sequence[NodeCost]) -> None:
        """``costs`` are those of the graph's nodes."""
        self.graph = graph
        self.costs = costs

    @cached_property
    def families(self) -> Sequence[str]:
        """What kind of work each node does."""
        operators = [(node.view.domain, node.view.op_type) for node in self.graph.nodes]
        known = {each: of_operator(*each) for each in set(operators)}
        return [known[each] for each in operators]

    def is_a(self, node: int, operators: Iterable[str]) -> bool:
        """Whether a node is one of some operators or families."""
        return self.graph.nodes[node].view.op_type in operators or self.families[node] in operators

    def is_product(self, node: int) -> bool:
        """Whether a node multiplies, also where its size, and so how often, is unknown."""
        return bool(self.costs[node].macs) or self.is_a(node, (CONVOLUTION, LINEAR))

    def producers(self, node: int) -> list[int]:
        """The nodes that compute what a node reads, each once; without those that run before run time."""
        nodes = self.graph.nodes
        read = (self.graph.producer(value.name) for value in nodes[node].reads)
        return list(
            dict.fromkeys(each for each in read if each is not None and not nodes[each].constant_folded)
        )

    @cached_property
    def from_outputs(self) -> Sequence[int]:
        """For each node its turn when the graph is walked from its outputs back, depth first, in order."""
        turns: dict[int, int] = {}
        waiting = [self.graph.producer(value.name) for value in reversed(self.graph.outputs)]
        while waiting:
            node = waiting.pop()
            if node is not None and node not in turns:
                turns[node] = len(turns)
                waiting += [
                    self.graph.producer(value.name) for value in reversed(self.graph.nodes[node].reads)
                ]
        return [turns.get(node, len(turns)) for node in range(len(self.graph.nodes))]

    def between(self, first: Iterable[int], last: Iterable[int]) -> tuple[int, ...]:
        """The nodes from the first of some to the last of others, behind one of these or before those."""
        first, last = list(first), list(last)
        behind, before = set(first), set(last)
        low, high = min(first, default=0), max(last)
        for node in range(low, high + 1):
            if not behind.isdisjoint(self.producers(node)):
                behind.add(node)
        for node in range(high, low - 1, -1):
            if node in before:
                before.update(self.producers(node))
        nodes = self.graph.nodes
        found = (node for node in range(low, high + 1) if node in behind or node in before)
        return tuple(node for node in found if not nodes[node].constant_folded)

    def consumers(self, node: int) -> list[int]:
        """The nodes that read what a node computes, each once."""
        values = (value for value in self.graph.nodes[node].view.outputs if value is not None)
        return list(dict.fromkeys(each for value in values for each in self.graph.consumers(value.name)))

    def elements(self, node: int) -> int | None:
        """The elements of a node's first output; None where they are unknown."""
        outputs = self.graph.nodes[node].view.outputs
        shape = outputs[0].shape if outputs and outputs[0] is not None else None
        sizes = [size for size in shape or () if isinstance(size, int)]
        return prod(sizes) if shape is not None and len(sizes) == len(shape) else None

    def at_run_time(self, nodes: Iterable[int]) -> tuple[int, ...]:
        """The nodes, and for each that runs before run time those that read what it made."""
        found: dict[int, None] = {}
        queue = list(nodes)
        seen = set(queue)
        for node in queue:
            if not self.graph.nodes[node].constant_folded:
                found[node] = None
                continue
            following = [each for each in self.consumers(node) if each not in seen]
            seen.update(following)
            queue += following
        return tuple(sorted(found))

    def named_node(self, name: str) -> tuple[int, ...]:
        """The nodes of a name: several where the file gives it to several."""
        return self.at_run_time(self._nodes.get(name, ()))

    def named_tensor(self, name: str) -> tuple[int, ...]:
        """The node that makes a tensor; the nodes that read one of the model's inputs or weights."""
        producer = self.graph.producer(name)
        if producer is not None:
            return self.at_run_time([producer])
        return self.at_run_time(self.graph.consumers(name))

    def named_tensor_operator(self, name: str) -> tuple[int, ...]:
        """The node whose output and operator, with ``_`` between, make the name."""
        return self.at_run_time(self._tensor_operators.get(name, ()))

    def modules(self, name: str) -> tuple[str, ...]:
        """The modules that a path names: several, where the names of containers are left out of it."""
        if name in self.graph.hierarchy.paths:
            return (name,) if name else ()
        first, *rest = name.split("/")
        root = self.graph.hierarchy.class_name("")
        if not rest and not (root and "." in first):
            return ()
        if root not in ("", first.rpartition(".")[2]):
            return ()
        found = [""]
        for level in rest:
            found = [child for path in found for child in self._named_inside(path, level.rpartition(".")[2])]
        return tuple(found)

    def _named_inside(self, path: str, element: str) -> Iterator[str]:
        """The modules in a module by class and name: ``Conv2d_0`` of ``block1`` may be ``block1.convs.0``."""
        class_name = self.graph.hierarchy.class_name
        for match in re.finditer("_", element):
            for child in self._children.get((path, element[match.end() :]), ()):
                if class_name(child) in ("", element[: match.start()]):
                    yield child

    @cached_property
    def _children(self) -> dict[tuple[str, str], list[str]]:
        """The modules right inside a module by the last part of their path."""
        hierarchy = self.graph.hierarchy
        children: dict[tuple[str, str], list[str]] = {}
        for path in sorted(hierarchy.paths - {""}):
            children.setdefault((hierarchy.lineage(path)[-2], path.rpartition(".")[2]), []).append(path)
        return children

    @cached_property
    def _nodes(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for index, node in enumerate(self.graph.nodes):
            for name in dict.fromkeys((node.view.name, self.costs[index].node)) if node.view.name else ():
                found.setdefault(name, []).append(index)
        return found

    @cached_property
    def _tensor_operators(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for index, node in enumerate(self.graph.nodes):
            for value in node.view.outputs:
                if value is not None:
                    found.setdefault(f"{value.name}_{node.view.op_type}", []).append(index)
        return found

    def unflat(self, name: str, *, caseless: bool) -> str | None:
        """The name of a node, tensor or module of the same letters and digits, maybe in another case."""
        flat = flattened(name)
        found = self._flat.get(flat)
        return self._caseless.get(flat.casefold()) if found is None and caseless else found

    @cached_property
    def _flat(self) -> Mapping[str, str]:
        tensors = (value.name for node in self.graph.nodes for value in node.view.outputs if value)
        given = (value.name for value in self.graph.inputs)
        modules = self.graph.hierarchy.paths
        return self._single((*self._nodes, *tensors, *given, *self.graph.weights, *modules), flattened)

    @cached_property
    def _caseless(self) -> Mapping[str, str]:
        return self._single(self._flat.values(), lambda name: flattened(name).casefold())

    def _single(self, names: Iterable[str], key: Callable[[str], str]) -> Mapping[str, str]:
        """Names by a key that they alone have, or others that lead to the same nodes."""
        found: dict[str, dict[str, None]] = {}
        for name in names:
            found.setdefault(key(name), {})[name] = None
        ones = ((each, self._one_of(tuple(alike))) for each, alike in found.items())
        return {each: name for each, name in ones if name is not None}

    def _one_of(self, names: Sequence[str]) -> str | None:
        """The first of names that all lead to the same nodes, modules aside; the only one there is."""
        if len(names) == 1:
            return names[0]
        leading = {name: self.named_node(name) or self.named_tensor(name) for name in names}
        known = [name for name, nodes in leading.items() if nodes]
        return known[0] if len({leading[name] for name in known}) == 1 else None

    def heads(self, name: str) -> list[int]:
        """How many first characters of a name are the name of a tensor, or of one and its operator."""
        known = self._tensor_operators
        tensors = self._tensors
        return [
            size for size in range(len(name) - 1, 0, -1) if name[:size] in known or name[:size] in tensors
        ]

    @cached_property
    def _tensors(self) -> frozenset[str]:
        made = (value.name for node in self.graph.nodes for value in node.view.outputs if value)
        return frozenset(made) | {value.name for value in self.graph.inputs} | self.graph.weights.keys()
