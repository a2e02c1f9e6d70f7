"""What contains each node: modules, and the graphs that run inside If, Loop, Scan and SequenceMap."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from onnxlens.profile.graph.graph import Body, Graph, GraphNode
from onnxlens.profile.graph.node_view import ValueView
from onnxlens.specs.flow import FlowKind
from onnxlens.specs.ledger import BodyCost, Ledger

Level = tuple[str, str]
"""A module, a group, or a graph inside a node that contains boxes: its path, and its class or name."""


def is_identity(node: GraphNode) -> bool:
    """Whether it only gives a tensor another name, so that it is no part of the flow."""
    return node.view.op_type == "Identity" and not node.view.domain


def runs(node: GraphNode) -> bool:
    """Whether it is part of the flow: it computes something, at run time."""
    return not node.constant_folded and not is_identity(node)


def source_of(graph: Graph, tensor: str) -> str:
    """The name under which a tensor was produced."""
    while (index := graph.producer(tensor)) is not None and is_identity(graph.nodes[index]):
        source = graph.nodes[index].view.inputs[0]
        if source is None:
            break
        tensor = source.name
    return tensor


def read_sources(graph: Graph) -> Mapping[int, Sequence[ValueView]]:
    """What each node that runs reads, named as it was produced.

    What a Loop or Scan hands on to the graph inside it is read there alone.
    """
    reads = {
        index: [
            value if (source := source_of(graph, value.name)) == value.name else replace(value, name=source)
            for value in node.reads
        ]
        for index, node in enumerate(graph.nodes)
        if runs(node)
    }
    inside: Mapping[str, set[str]] = defaultdict(set)
    for index, values in reads.items():
        for body in graph.nodes[index].within:
            inside[body].update(value.name for value in values)
    for index, values in reads.items():
        bodies = graph.nodes[index].bodies
        if len(bodies) == 1:
            given = [value for value in graph.nodes[index].view.inputs if value is not None]
            handed = {source_of(graph, value.name) for value in given} & inside[bodies[0].key]
            reads[index] = [value for value in values if value.name not in handed]
    return reads


def readers(graph: Graph, tensor: str) -> Iterator[int]:
    """The nodes that read a tensor, by their indices, also under another name."""
    for index in graph.consumers(tensor):
        node = graph.nodes[index]
        if not is_identity(node):
            yield index
        elif (output := node.view.outputs[0]) is not None:
            yield from readers(graph, output.name)


def is_dead(body: Body) -> bool:
    """Whether it is known never to run."""
    return body.trip_count == 0


def frame_path(node: GraphNode, around: str, taken: set[str]) -> str:
    """A path for a node that graphs run inside, below the level around it; it is then taken."""
    name = node.view.name.rpartition("/")[2].replace(".", "_") or node.view.op_type
    base = path = f"{around}.{name}" if around else name
    number = 1
    while path in taken:
        number += 1
        path = f"{base} ({number})"
    taken.add(path)
    return path


@dataclass(frozen=True, slots=True)
class Place:
    """Where a node belongs in the flow with every level opened."""

    kind: FlowKind
    path: str
    parents: tuple[Level, ...]


class Frames:
    """The levels of a graph: modules, nodes that graphs run inside, and each of several such graphs.

    Attributes:
        dead: the paths of the graphs that are known never to run.
        alternatives: the paths of the branches of each If.
    """

    def __init__(self, graph: Graph, ledger: Ledger) -> None:
        """Find the levels around every graph inside a node."""
        self._graph, self._ledger = graph, ledger
        self._chains: dict[str, tuple[Level, ...]] = {}
        self.dead = set[str]()
        self.alternatives: list[tuple[str, ...]] = []
        framing = [index for index, node in enumerate(graph.nodes) if node.bodies]
        taken = set(graph.hierarchy.paths)
        if graph.attribution == "none":  # the levels were made with them
            self._paths = {index: graph.module_of(index) for index in framing}
        else:
            self._paths = {
                index: frame_path(graph.nodes[index], graph.module_of(index), taken) for index in framing
            }
        for index in sorted(framing, key=lambda index: len(graph.nodes[index].within)):  # the outer first
            self._open(index)

    def _open(self, index: int) -> None:
        """The levels around what runs inside a node: one for the node, and one for each of several bodies."""
        node, path = self._graph.nodes[index], self._paths[index]
        bodies = self._ledger.nodes[index].bodies
        around = self._around(index)
        for (body, below), cost in zip(bodies_of(node, path), bodies, strict=True):
            levels = (*around, (path, _title(node)))
            if len(bodies) > 1:
                levels = (*levels, (below, _branch_title(node, body, cost)))
            self._chains[body.key] = levels
            if is_dead(body):
                self.dead.add(below)
        if len(bodies) > 1:
            self.alternatives.append(tuple(below for _, below in bodies_of(node, path)))

    def _around(self, index: int) -> tuple[Level, ...]:
        """What contains the node, its module included; the model is not a level."""
        hierarchy, node = self._graph.hierarchy, self._graph.nodes[index]
        levels = self._chains[node.within[-1]] if node.within else ()
        known = {path for path, _ in levels} | {"", self._paths.get(index, "")}
        inner = (path for path in hierarchy.lineage(node.module.path) if path not in known)
        return (*levels, *((path, hierarchy.class_name(path)) for path in inner))

    @cached_property
    def _containers(self) -> frozenset[str]:
        hierarchy = self._graph.hierarchy
        modules = {outer for path in hierarchy.paths for outer in hierarchy.lineage(path)[:-1]}
        framed = {path for levels in self._chains.values() for path, _ in levels}
        return frozenset({*modules, *framed, *([""] if framed else [])})

    def place(self, index: int) -> Place:
        """Where the node belongs."""
        node = self._graph.nodes[index]
        parents = self._around(index)
        if node.bodies:
            return Place("operators", self._paths[index], (*parents, (self._paths[index], _title(node))))
        path = node.module.path
        inside = self._chains[node.within[-1]] if node.within else ()
        if inside and parents == inside:  # no module of its own below what it runs in
            return Place("operators", inside[-1][0], parents)
        if path in self._containers:
            return Place("operators", path, parents)
        return Place("module", path, parents[:-1] if path else parents)


def _title(node: GraphNode) -> str:
    """The operator, and how often a single graph inside it runs."""
    if len(node.bodies) > 1:
        return node.view.op_type
    times = node.bodies[0].trip_count
    known = "1 trip" if times == 1 else f"{times} trips"
    return f"{node.view.op_type}: {'trip count unknown' if times is None else known}"


def _branch_title(node: GraphNode, body: Body, cost: BodyCost) -> str:
    if any(map(is_dead, node.bodies)):
        return f"{body.name}: {'not taken' if is_dead(body) else 'taken'}"
    return f"{body.name}: {'counted, as the larger' if cost.repeats else 'not counted, as the smaller'}"


def bodies_of(node: GraphNode, path: str) -> Iterator[tuple[Body, str]]:
    """The graphs inside a node at a path, each with its own path."""
    for body in node.bodies:
        yield body, f"{path}.{body.name}" if len(node.bodies) > 1 else path
