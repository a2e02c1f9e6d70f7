"""Which source nodes each node of the optimized graph computes.

Every source node is matched with one runtime node at most. The steps, the surest first: by node name, by
operator and operands, by the names of outputs, by weights, for common subexpressions, backwards for what ONNX
Runtime fused before a node, forwards for what it fused behind it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Hashable, Iterator, Mapping, Sequence, Set
from functools import cache
from pathlib import Path

import numpy as np

from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.graph.node_view import ValueView
from onnxlens.profile.runtime.equal_nodes import EqualNodes
from onnxlens.profile.runtime.runtime_graph import MOVING, RuntimeNode, in_source_bodies

NAMING = Path(__file__).parent.parent / "vendor" / "naming" / "onnxruntime.toml"
"""What a rewriting puts before or behind the name of the node that it replaces, or of that node's output."""

NEVER_SOURCES = frozenset({"ReorderInput", "ReorderOutput", "MemcpyFromHost", "MemcpyToHost"})
"""Operators that replace no source node."""

SMALL = 64
"""Constants of up to so many elements are compared by value: a file repeats shapes and axes."""


def originals(name: str) -> Iterator[str]:
    """The names that the runtime may have derived a name from, the nearest first."""
    while (shorter := _derived().sub("", name, count=1)) != name:
        name = shorter
        yield name


@cache
def _derived() -> re.Pattern[str]:
    return re.compile("|".join(tomllib.loads(NAMING.read_text(encoding="utf-8"))["strip"]))


class SourceMatch:
    """The match of a whole graph.

    Attributes:
        sources: for each runtime node the source nodes that it computes, by index.
        computed_by: the runtime node that computes a source node, by the source node's index.
        producers: the runtime node that makes a value, by the value's name.
        repeated: the source nodes that are the same as another, which is computed for both.
    """

    def __init__(self, graph: Graph, nodes: Sequence[RuntimeNode]) -> None:
        """Match ``nodes``, of the optimized form of ``graph``."""
        nodes = in_source_bodies(graph, nodes)
        self.sources: list[set[int]] = [set() for _ in nodes]
        self.computed_by: dict[int, int] = {}
        self.producers = {name: index for index, node in enumerate(nodes) for name in node.outputs}
        self._nodes = nodes
        self._graph = graph
        never = {body.key for node in graph.nodes for body in node.bodies if body.trip_count == 0}
        self._running = [
            index
            for index, node in enumerate(graph.nodes)
            if not node.constant_folded and never.isdisjoint(node.within)
        ]
        self._alike = common_subexpressions(graph)
        self._reads = [self._read_by(index) for index in range(len(graph.nodes))]
        self._match_node_names()
        equal = EqualNodes(graph, nodes, self.computed_by)
        for index, found in equal.found.items():
            for source in found:
                self._match(index, source)
        self._aliases = equal.renamed | self._output_aliases()
        self._match_output_names()
        self._match_alone_in_bodies()
        self._match_weights()
        self._match_common_subexpressions()
        self._feeds = self._matched_before()
        self._match_backwards(strictly=True)
        while self._match_forwards():
            self._match_activations()
            self._match_backwards(strictly=True)
        self._match_backwards(strictly=False)
        self.repeated = set(self._repeated())

    def source_producer(self, name: str) -> int | None:
        """The source node that makes the value, which may have another name in the optimized graph."""
        return self._graph.producer(self._aliases.get(name, name))

    def _original(self, node: RuntimeNode, name: str) -> str | None:
        """The source value that the node's output has its name from: ``x`` of an inserted cast's."""
        made = (node.prefix + original for original in originals(name.removeprefix(node.prefix)))
        return next((value for value in made if self._graph.producer(value) is not None), None)

    def _read_by(self, index: int) -> tuple[int, ...]:
        """The source nodes whose outputs a source node reads."""
        read = (self._graph.producer(value.name) for value in self._graph.nodes[index].reads)
        return tuple(dict.fromkeys(source for source in read if source is not None))

    def _match(self, index: int, source: int) -> None:
        if source not in self.computed_by:
            self.computed_by[source] = index
            self.sources[index].add(source)

    def _match_node_names(self) -> None:
        named: dict[str, list[int]] = {}
        for source, traced in enumerate(self._graph.nodes):
            named.setdefault(traced.view.name, []).append(source)
        for index, node in enumerate(self._nodes):
            own = {self._graph.producer(name) for name in node.outputs}
            found = named.get(node.prefix + node.name, []) if node.name else []
            for source in found if len(found) == 1 else [source for source in found if source in own]:
                self._match(index, source)
        for index, node in enumerate(self._nodes):
            if not self.sources[index]:
                for source in self._by_derived_name(node, named):
                    self._match(index, source)

    def _by_derived_name(self, node: RuntimeNode, named: Mapping[str, list[int]]) -> Iterator[int]:
        """The source node from whose name, or whose output's, the runtime derived the node's name."""
        for name in originals(node.name):
            found = named.get(node.prefix + name, [])
            made = self._graph.producer(node.prefix + name)
            for source in found if len(found) == 1 else () if made is None else (made,):
                if self._may_replace(node, source):
                    yield source

    def _may_replace(self, node: RuntimeNode, source: int) -> bool:
        """Whether the node may compute the source node: one that only moves elements computes no other."""
        return node.op_type not in MOVING or self._moves(node, source)

    def _moves(self, node: RuntimeNode, source: int) -> bool:
        return node.op_type not in NEVER_SOURCES and self._graph.nodes[source].view.op_type in MOVING

    def _output_aliases(self) -> dict[str, str]:
        """The names of source values by those that the runtime gave them.

        A node that runs in another type, between casts, makes ``InsertedPrecisionFreeCast_x``; what an
        inserted node reads is the value that it makes.
        """
        aliases: dict[str, str] = {}
        for index in reversed(range(len(self._nodes))):
            node = self._nodes[index]
            inserted = node.op_type in MOVING and not self.sources[index]
            for name in node.outputs[:1] if inserted else node.outputs:
                made = name if self._graph.producer(name) is not None else self._original(node, name)
                made = aliases.get(name, made)
                if made is None:
                    continue
                if made != name and (node.op_type not in MOVING or node.is_decomposed):
                    aliases[name] = made
                read = node.inputs[0] if inserted and node.inputs else ""
                if self._graph.producer(read) is None and read in self.producers:
                    aliases.setdefault(read, made)
        return aliases

    def _match_output_names(self) -> None:
        for inserted in (False, True):
            for index, node in enumerate(self._nodes):
                moves = node.op_type in MOVING and not self.sources[index]
                if moves == inserted:
                    for source in map(self.source_producer, node.outputs):
                        if source is not None and (not moves or self._moves(node, source)):
                            self._match(index, source)

    def _match_alone_in_bodies(self) -> None:
        """The only node of its operator in a body of a function: what it reads may be the body's own."""
        there: dict[Hashable, list[int]] = {}
        for source in self._unmatched():
            traced = self._graph.nodes[source]
            for prefix in traced.within[-1:]:
                there.setdefault((prefix, traced.view.domain, traced.view.op_type), []).append(source)
        alone: dict[Hashable, list[int]] = {}
        for index, node in enumerate(self._nodes):
            if node.is_decomposed and node.prefix and not self.sources[index]:
                alone.setdefault((node.prefix, node.domain, node.op_type), []).append(index)
        for key, found in alone.items():
            if len(found) == len(there.get(key, ())) == 1:
                self._match(found[0], there[key][0])

    def _match_weights(self) -> None:
        """The only reader of a weight on both sides: a bias shows which node took in its Add."""
        users: dict[str, list[int]] = {}
        for source, traced in enumerate(self._graph.nodes):
            for value in traced.view.inputs:
                if value is not None and value.name in self._graph.weights:
                    users.setdefault(value.name, []).append(source)
        readers: dict[str, list[int]] = {}
        for index, node in enumerate(self._nodes):
            for name in set(node.inputs) & set(users):
                readers.setdefault(name, []).append(index)
        for name, found in readers.items():
            if len(found) == len(users[name]) == 1 and self._nodes[found[0]].op_type not in MOVING:
                self._match(found[0], users[name][0])

    def _match_common_subexpressions(self) -> None:
        for alike in self._alike:
            computing = [self.computed_by[source] for source in alike if source in self.computed_by]
            for source in alike if computing else ():
                self._match(computing[0], source)

    def _repeated(self) -> Iterator[int]:
        for alike in self._alike:
            by_node = {self.computed_by.get(source): source for source in reversed(alike)}
            yield from (source for source in alike if by_node[self.computed_by.get(source)] != source)

    def _matched_before(self) -> Sequence[Set[int]]:
        """For each node the matched nodes that it reads from, directly or through unmatched ones."""
        feeds: list[Set[int]] = []
        for index, node in enumerate(self._nodes):
            before: set[int] = set()
            for producer in (self.producers[name] for name in node.inputs if name in self.producers):
                if self.sources[producer]:
                    before.add(producer)
                elif producer < index:
                    before |= feeds[producer]
            feeds.append(before)
        return feeds

    def _unmatched(self) -> Iterator[int]:
        """The source nodes that may run and are not matched yet, in their order."""
        return (index for index in self._running if index not in self.computed_by)

    def _match_forwards(self) -> bool:
        """Match one step of source nodes that read a node whose output is not a source value.

        One step, since the next one may be fused into its own reader.
        """
        found = {
            source: index for source in self._unmatched() if (index := self._fused_into(source)) is not None
        }
        for source, index in found.items():
            self._match(index, source)
        return bool(found)

    def _match_activations(self) -> None:
        """Match a node's activation with the source node that reads what the node computes."""
        for source in self._unmatched():
            index = self._fused_into(source)
            if index is not None and self._awaits(index) == self._graph.nodes[source].view.op_type:
                self._match(index, source)

    def _awaits(self, index: int) -> str | None:
        """The activation of a node that is not matched with a source node of that operator yet."""
        activation = self._nodes[index].activation
        matched = {self._graph.nodes[source].view.op_type for source in self.sources[index]}
        return activation if activation and activation not in matched else None

    def _fused_into(self, source: int) -> int | None:
        """The node that the source node was fused into: it makes what that reads, or reads it too."""
        nodes = self._graph.nodes
        before = {
            self.computed_by.get(read) for read in self._reads[source] if not nodes[read].constant_folded
        }
        computing = {index for index in before if index is not None}
        if not computing or len(computing) < len(before):
            return None
        last = max(computing)
        hidden = all(self.source_producer(name) is None for name in self._nodes[last].outputs)
        return last if hidden and computing - {last} <= self._feeds[last] else None

    def _match_backwards(self, *, strictly: bool) -> None:
        """Match what a matched source node reads; strictly, only if the runtime node reads its inputs too."""
        readers: dict[int, list[int]] = {}
        for reader, reads in enumerate(self._reads):
            for read in reads:
                readers.setdefault(read, []).append(reader)
        before = self._matched_above()
        for source in reversed(list(self._unmatched())):
            users = readers.get(source, ())
            for index in sorted({self.computed_by[user] for user in users if user in self.computed_by}):
                if not strictly or before[source] <= {index, *self._feeds[index]}:
                    self._match(index, source)

    def _matched_above(self) -> Sequence[Set[int]]:
        """For each source node the nodes that compute what it reads, directly or through unmatched ones."""
        above: list[Set[int]] = []
        for reads in self._reads:
            found: set[int] = set()
            for read in reads:
                found |= {self.computed_by[read]} if read in self.computed_by else above[read]
            above.append(found)
        return above


def common_subexpressions(graph: Graph) -> Sequence[Sequence[int]]:
    """Groups of two or more nodes with the same operator, attributes and inputs, by index.

    A runtime computes one node of each group. Values that are computed before the run may be the same, too.
    """
    groups: dict[Hashable, list[int]] = {}
    same: dict[str, str] = {}
    for index, node in enumerate(graph.nodes):
        view = node.view
        if node.bodies or view.op_type == "Constant":  # a small one is compared by its value
            continue
        inputs = tuple(_identity(value, same) for value in view.inputs)
        attributes = tuple(sorted((name, repr(value)) for name, value in view.attributes.items()))
        alike = groups.setdefault((view.domain, view.op_type, attributes, inputs, node.within), [])
        alike.append(index)
        for own, first in zip(view.outputs, graph.nodes[alike[0]].view.outputs, strict=False):
            if own is not None and first is not None:
                same[own.name] = first.name
    return [
        alike for alike in groups.values() if len(alike) > 1 and not graph.nodes[alike[0]].constant_folded
    ]


def _identity(value: ValueView | None, same: Mapping[str, str]) -> Hashable:
    """A key that two inputs share if and only if they are the same value."""
    if value is None:
        return None
    constant = _small_constant(value)
    if constant is not None:
        return constant.dtype.str, constant.shape, constant.tobytes()
    return same.get(value.name, value.name)


def _small_constant(value: ValueView) -> np.ndarray | None:
    if value.read_constant is None or value.shape is None or not all(isinstance(d, int) for d in value.shape):
        return None
    return value.read_constant() if value.elements <= SMALL else None
