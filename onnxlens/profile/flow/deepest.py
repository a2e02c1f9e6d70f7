"""The data flow with every module opened: built once per graph; all other flows are steps from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from onnxlens.profile.count.rules import is_view
from onnxlens.profile.flow.costs import module_costs, node_costs
from onnxlens.profile.graph.graph import Graph, GraphNode
from onnxlens.specs.flow import FlowEdge, FlowGraph, FlowKind, FlowNode
from onnxlens.specs.ledger import Ledger, ModuleCost, lower_bounds
from onnxlens.specs.tensor import TensorSpec

Level = tuple[str, str]
"""A module or a group that contains boxes: its path, and its class or name."""


@dataclass(frozen=True, slots=True)
class DeepestFlow:
    """A flow at its deepest, whole or of one module, with what the steps from it need to know.

    A flow written by hand needs no more than ``flow``: its boxes then have no costs of modules as a whole.

    Attributes:
        flow: a box for each segment of the execution order that an innermost module, or the operators that a
            module runs between its children, has to itself.
        rows: what the ledger has for each module, by path.
        nodes: what each box runs, by its id.
        names_modules: whether the file does; if not, boxes are titled by their operators.
        shown: the path of the module or group that is shown alone; "" is the whole graph.
        groups: the paths of the groups among the levels, by name.
        closed: the paths of the levels that are one box at any depth.
    """

    flow: FlowGraph
    rows: Mapping[str, ModuleCost] = field(default_factory=dict)
    nodes: Mapping[str, Sequence[GraphNode]] = field(default_factory=dict)
    names_modules: bool = True
    shown: str = ""
    groups: Mapping[str, str] = field(default_factory=dict)
    closed: frozenset[str] = frozenset()

    @property
    def levels(self) -> int:
        """How many levels can be opened below what is shown."""
        shown = ("module", self.shown)
        inside = (box for box in self.flow.nodes if box.order)
        return max((0 if (box.kind, box.path) == shown else self.depth_of(box) for box in inside), default=0)

    def names(self) -> Mapping[str, str]:
        """What a person calls each group, by its path; the path follows a name that another module has."""
        return {
            path: f"{name} ({path})" if name != path and name in self.rows else name
            for name, path in self.groups.items()
        }

    def depth_of(self, box: FlowNode) -> int:
        """How many levels below what is shown a box is."""
        return len(box.parents) + 1 - bool(self.shown)


def build_flow(graph: Graph, ledger: Ledger) -> DeepestFlow:
    """The data flow of ``graph`` with every module opened.

    Segments of an order that respects the data flow cannot form a cycle, and a module that runs twice has two
    boxes.
    """
    running = (index for index, node in enumerate(graph.nodes) if not node.constant_folded)
    segments = [tuple(indices) for _, indices in groupby(running, graph.module_of)]
    boxes = _boxes(segments, graph, ledger)
    nodes = {box.id: segment for box, segment in zip(boxes, segments, strict=True)}
    edges = _edges(graph, {index: box for box, segment in nodes.items() for index in segment})
    flow = FlowGraph(
        graph=graph.name,
        source=ledger.source,
        depth=max(map(graph.hierarchy.depth, graph.hierarchy.paths)),
        nodes=(*_ends("input", graph.inputs), *boxes, *_ends("output", graph.outputs)),
        edges=tuple(dict.fromkeys(edges)),
        params=params_beside(boxes, ledger.modules[0]),
    )
    return DeepestFlow(
        flow,
        rows={row.path: row for row in ledger.modules},
        nodes={box: [graph.nodes[index] for index in segment] for box, segment in nodes.items()},
        names_modules=graph.attribution != "none",
    )


def _boxes(segments: Sequence[Sequence[int]], graph: Graph, ledger: Ledger) -> Sequence[FlowNode]:
    """A box for each segment, given by its nodes' indices."""
    hierarchy = graph.hierarchy
    containers = {outer for path in hierarchy.paths for outer in hierarchy.lineage(path)[:-1]}
    rows = {row.path: row for row in ledger.modules}
    paths = [graph.module_of(segment[0]) for segment in segments]
    times, seen = Counter(paths), set[str]()
    boxes = []
    for order, (path, segment) in enumerate(zip(paths, segments, strict=True), start=1):
        kind: FlowKind = "operators" if path in containers else "module"
        containing = hierarchy.lineage(path) if kind == "operators" else hierarchy.lineage(path)[:-1]
        title = hierarchy.class_name(path) or path or ledger.graph
        if kind == "operators" or (graph.attribution == "none" and path):
            title = operators_of([graph.nodes[index] for index in segment])
        row = rows.get(path) if kind == "module" else None
        costs = [ledger.nodes[index] for index in segment]
        only = times[path] == 1
        boxes.append(
            FlowNode(
                id=f"n{order}",
                kind=kind,
                path=path,
                title=title,
                parents=tuple((outer, hierarchy.class_name(outer)) for outer in containing if outer),
                order=order,
                costs=module_costs(node_costs(costs), row, first=path not in seen, only=only),
                lower_bounds=row.lower_bounds if row and only else lower_bounds(costs),
            )
        )
        seen.add(path)
    return boxes


def params_beside(boxes: Iterable[FlowNode], row: ModuleCost | None) -> int | None:
    """The parameters of what is shown, where its boxes do not show all: those that no box uses, or none."""
    if row is None or sum(box.params for box in boxes) == row.params:
        return None
    return row.params


def operators_of(nodes: Sequence[GraphNode]) -> str:
    """The operator types, without views unless there is nothing else."""
    types = [node.view.op_type for node in nodes if not is_view(node.view)]
    return ", ".join(dict.fromkeys(types or [node.view.op_type for node in nodes]))


def _edges(graph: Graph, boxes: Mapping[int, str]) -> Iterator[FlowEdge]:
    """The tensors that go from one box or end to another, in reading order; boxes by their nodes' indices."""
    inputs = {tensor.name: tensor for tensor in graph.inputs}

    def source_of(tensor: str) -> str | None:
        if tensor in inputs:
            return end_id("input", tensor)
        producer = graph.producer(tensor)
        return None if producer is None else boxes.get(producer)

    for index, box in boxes.items():
        for value in graph.nodes[index].reads:
            source = source_of(value.name)
            if source is not None and source != box:
                yield FlowEdge(source, box, inputs.get(value.name) or value.spec)
    for tensor in graph.outputs:
        if (source := source_of(tensor.name)) is not None:
            yield FlowEdge(source, end_id("output", tensor.name), tensor)


def _ends(kind: FlowKind, tensors: Sequence[TensorSpec]) -> Sequence[FlowNode]:
    return [FlowNode(end_id(kind, tensor.name), kind, tensor.name, tensor.name) for tensor in tensors]


def end_id(kind: FlowKind, name: str) -> str:
    """The id of the end at which a tensor enters or leaves."""
    return f"{kind}/{name}"


def ran(flow: FlowGraph) -> list[FlowNode]:
    """The boxes of a flow without its ends, in execution order."""
    return sorted((node for node in flow.nodes if node.order), key=lambda node: node.order)


def with_boxes(flow: FlowGraph, boxes: Sequence[FlowNode], edges: Sequence[FlowEdge]) -> FlowGraph:
    """The flow with other boxes between the same ends."""
    inputs, outputs = ([node for node in flow.nodes if node.kind == kind] for kind in ("input", "output"))
    return replace(flow, nodes=(*inputs, *boxes, *outputs), edges=tuple(edges))
