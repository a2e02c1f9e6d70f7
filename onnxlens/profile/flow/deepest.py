"""The data flow with every module opened: built once per graph; all other flows are steps from it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import inf

from onnxlens.profile.count.repeats import is_at_most
from onnxlens.profile.count.rules import is_view
from onnxlens.profile.flow.contract import atoms, numbered, quotient
from onnxlens.profile.flow.costs import node_costs
from onnxlens.profile.flow.frames import Frames, Place, read_sources, source_of
from onnxlens.profile.graph.graph import Graph, GraphNode
from onnxlens.profile.graph.node_view import ValueView
from onnxlens.specs.flow import FlowEdge, FlowGraph, FlowKind, FlowNode
from onnxlens.specs.ledger import Ledger, ModuleCost, lower_bounds
from onnxlens.specs.tensor import TensorSpec

LARGER_BRANCHES = "at most: where the data decides which branch of an If runs, the larger one counts"


Figures = Callable[[Sequence[int]], Mapping[str, int | float]]
"""By the indices of nodes."""


def no_figures(indices: Sequence[int]) -> Mapping[str, int | float]:
    """Nothing is known besides what is counted."""
    return {}


@dataclass(frozen=True)
class DeepestFlow:
    """A flow at its deepest, whole or of one module, with what the steps from it need to know.

    A flow written by hand needs no more than ``flow``: its boxes then have no costs of modules as a whole.

    Attributes:
        flow: the smallest boxes: nodes of one innermost module, or operators that a module runs between its
            children, that are in one box at every depth. A picture's boxes are made of these.
        rows: what the ledger has for each module, by path.
        nodes: what each box runs, by its id and then by the node's index.
        figures: what is known of some nodes together besides, by the column's name.
        names_modules: whether the file does; if not, boxes are titled by their operators.
        shown: the path of the module or group that is shown alone; "" is the whole graph.
        groups: the paths of the groups among the levels, by name.
        closed: the paths of the levels that are one box at any depth.
        detours: the edges of all paths that leave what is shown and come back, by the ids of their ends.
    """

    flow: FlowGraph
    rows: Mapping[str, ModuleCost] = field(default_factory=dict)
    nodes: Mapping[str, Mapping[int, GraphNode]] = field(default_factory=dict)
    names_modules: bool = True
    shown: str = ""
    groups: Mapping[str, str] = field(default_factory=dict)
    closed: frozenset[str] = frozenset()
    detours: Sequence[tuple[str, str]] = ()
    figures: Figures = no_figures

    @property
    def levels(self) -> int:
        """How many levels can be opened below what is shown."""
        shown = ("module", self.shown)
        inside = (box for box in self.flow.nodes if box.order)
        return max((0 if (box.kind, box.path) == shown else self.depth_of(box) for box in inside), default=0)

    def run_by(self, boxes: Iterable[FlowNode]) -> list[GraphNode]:
        """What the boxes run, in the order of the file."""
        found = {index: node for box in boxes for index, node in self.nodes.get(box.id, {}).items()}
        return [found[index] for index in sorted(found)]

    @cached_property
    def neighbors(self) -> tuple[Mapping[str, list[str]], Mapping[str, list[str]]]:
        """What reads each box, and what each box reads, by the ids."""
        consumers: Mapping[str, list[str]] = defaultdict(list)
        producers: Mapping[str, list[str]] = defaultdict(list)
        for edge in self.flow.edges:
            consumers[edge.source].append(edge.target)
            producers[edge.target].append(edge.source)
        return consumers, producers

    @cached_property
    def by_id(self) -> Mapping[str, FlowNode]:
        """Boxes and ends by their ids."""
        return {node.id: node for node in self.flow.nodes}

    @cached_property
    def inside(self) -> Mapping[str, Sequence[FlowNode]]:
        """For each module or group the boxes in it."""
        found: dict[str, list[FlowNode]] = defaultdict(list)
        for node in self.flow.nodes:
            if node.order:
                is_level = False
                for path, _ in node.parents:
                    found[path].append(node)
                    is_level = is_level or path == node.path
                if not is_level:
                    found[node.path].append(node)
        return dict(found)

    @cached_property
    def leads_on(self) -> bool:
        """Whether every edge leads to a box that runs later."""
        order = {node.id: node.order or inf for node in self.flow.nodes}
        return all(
            order[edge.source] < order[edge.target] or inf in (order[edge.source], order[edge.target])
            for edge in self.flow.edges
        )

    def edges_at(self, boxes: Iterable[str]) -> Iterator[FlowEdge]:
        """The edges that end at the boxes, or begin there, in the order of the flow."""
        indices = {index for box in boxes for index in self._edges_at.get(box, ())}
        return (self.flow.edges[index] for index in sorted(indices))

    @cached_property
    def _edges_at(self) -> Mapping[str, Sequence[int]]:
        found: dict[str, list[int]] = defaultdict(list)
        for index, edge in enumerate(self.flow.edges):
            found[edge.source].append(index)
            found[edge.target].append(index)
        return found

    def figures_of(self, boxes: Iterable[FlowNode]) -> Mapping[str, int | float]:
        """What is known besides of the nodes that boxes run; nothing of those that do not run."""
        return self.figures(sorted(index for box in boxes for index in self.nodes.get(box.id, ())))

    def names(self) -> Mapping[str, str]:
        """What a person calls each group, by its path; the path follows a name that another module has."""
        return {
            path: f"{name} ({path})" if name != path and name in self.rows else name
            for name, path in self.groups.items()
        }

    def depth_of(self, box: FlowNode) -> int:
        """How many levels below what is shown a box is."""
        return len(box.parents) + 1 - bool(self.shown)


def build_flow(graph: Graph, ledger: Ledger, figures: Figures = no_figures) -> DeepestFlow:
    """The data flow of ``graph`` with every module opened, and every branch and loop.

    Operators that only rename a tensor are left out, and so is what runs once before run time.
    """
    frames = Frames(graph, ledger)
    reads = read_sources(graph)
    running = list(reads)
    places = [frames.place(index) for index in running]
    successors = _successors(graph, reads)
    parts = atoms(places, successors)
    order = numbered(quotient(parts, successors), [()] * len(parts), [part[0] for part in parts])
    segments = [[running[position] for position in parts[number]] for number in order]
    place_of = dict(zip(running, places, strict=True))
    boxes = [
        _box(number, place_of[segment[0]], segment, graph, ledger)
        for number, segment in enumerate(segments, start=1)
    ]
    modules = max(map(graph.hierarchy.depth, graph.hierarchy.paths))
    box_of = {index: box.id for box, segment in zip(boxes, segments, strict=True) for index in segment}
    edges = _edges(graph, reads, box_of)
    flow = FlowGraph(
        graph=graph.name,
        source=ledger.source,
        depth=max([modules, *(len(box.parents) + bool(box.path) for box in boxes)]),
        nodes=(*_ends("input", graph.inputs), *boxes, *_ends("output", graph.outputs)),
        edges=tuple(dict.fromkeys(edges)),
        alternatives=tuple(frames.alternatives),
        notes=(LARGER_BRANCHES,) if is_at_most(ledger.notes) else (),
    )
    return DeepestFlow(
        flow,
        rows={row.path: row for row in ledger.modules},
        nodes={
            box.id: {index: graph.nodes[index] for index in segment}
            for box, segment in zip(boxes, segments, strict=True)
        },
        names_modules=graph.attribution != "none",
        closed=frozenset(frames.dead),
        figures=figures,
    )


def _successors(graph: Graph, reads: Mapping[int, Sequence[ValueView]]) -> list[set[int]]:
    """For each node that runs the positions of those that read it."""
    positions = {index: position for position, index in enumerate(reads)}
    successors: list[set[int]] = [set() for _ in reads]
    for index, values in reads.items():
        producers = (graph.producer(value.name) for value in values)
        for producer in producers:
            if producer is not None and producer in positions:
                successors[positions[producer]].add(positions[index])
    return successors


def _box(order: int, place: Place, segment: Sequence[int], graph: Graph, ledger: Ledger) -> FlowNode:
    """A box of nodes, given by their indices; of what is not counted only the params are known."""
    title = graph.hierarchy.class_name(place.path) or place.path or ledger.graph
    if place.kind == "operators" or (graph.attribution == "none" and place.path):
        title = operators_of([graph.nodes[index] for index in segment])
    nodes = [ledger.nodes[index] for index in segment]
    costs = node_costs(nodes)
    if not any(node.repeats for node in nodes):
        costs = {name: figure for name, figure in costs.items() if name == "params"}
    return FlowNode(
        f"n{order}",
        place.kind,
        place.path,
        title,
        place.parents,
        order,
        costs,
        lower_bounds=lower_bounds(nodes),
    )


def params_beside(boxes: Iterable[FlowNode], row: ModuleCost | None) -> int | None:
    """The parameters of what is shown, where its boxes do not show all: those that no box uses, or none."""
    if row is None or sum(box.params for box in boxes) == row.params:
        return None
    return row.params


def operators_of(nodes: Sequence[GraphNode]) -> str:
    """The operator types, without views unless there is nothing else."""
    types = [node.view.op_type for node in nodes if not is_view(node.view)]
    return ", ".join(dict.fromkeys(types or [node.view.op_type for node in nodes]))


def _edges(
    graph: Graph, reads: Mapping[int, Sequence[ValueView]], boxes: Mapping[int, str]
) -> Iterator[FlowEdge]:
    """The tensors that go from one box or end to another, in reading order; boxes by their nodes' indices."""
    inputs = {tensor.name: tensor for tensor in graph.inputs}

    def source_box(tensor: str) -> str | None:
        if tensor in inputs:
            return end_id("input", tensor)
        producer = graph.producer(tensor)
        return None if producer is None else boxes.get(producer)

    for index, values in reads.items():
        for value in values:
            source = source_box(value.name)
            if source is not None and source != boxes[index]:
                yield FlowEdge(source, boxes[index], inputs.get(value.name) or value.spec)
    for tensor in graph.outputs:
        if (source := source_box(source_of(graph, tensor.name))) is not None:
            yield FlowEdge(source, end_id("output", tensor.name), tensor)


def _ends(kind: FlowKind, tensors: Sequence[TensorSpec]) -> Sequence[FlowNode]:
    return [FlowNode(end_id(kind, tensor.name), kind, tensor.name, tensor.name) for tensor in tensors]


def end_id(kind: FlowKind, name: str) -> str:
    """The id of the end at which a tensor enters or leaves."""
    return f"{kind}/{name}"


def ran(flow: FlowGraph) -> list[FlowNode]:
    """The boxes of a flow without its ends, in execution order."""
    return sorted((node for node in flow.nodes if node.order), key=lambda node: node.order)


def reached(
    start: Iterable[str], following: Mapping[str, list[str]], may_be: Callable[[str], bool] = lambda _: True
) -> set[str]:
    """All boxes to which a path leads from ``start``, through none but those that it may be."""
    waiting, found = list(start), set[str]()
    while waiting:
        for box in following.get(waiting.pop(), ()):
            if box not in found and may_be(box):
                found.add(box)
                waiting.append(box)
    return found


def with_boxes(flow: FlowGraph, boxes: Sequence[FlowNode], edges: Sequence[FlowEdge]) -> FlowGraph:
    """The flow with other boxes between the same ends."""
    inputs, outputs = ([node for node in flow.nodes if node.kind == kind] for kind in ("input", "output"))
    return replace(flow, nodes=(*inputs, *boxes, *outputs), edges=tuple(edges))
