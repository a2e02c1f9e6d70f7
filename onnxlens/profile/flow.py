"""The data flow of a graph at module granularity."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from onnxlens.profile.borders import described
from onnxlens.profile.flow_costs import Costs, module_costs, stretch_costs
from onnxlens.profile.graph import Graph, GraphNode
from onnxlens.profile.hierarchy import Hierarchy
from onnxlens.profile.rules import is_view
from onnxlens.specs.flow import FlowEdge, FlowGraph, FlowKind, FlowNode
from onnxlens.specs.ledger import Ledger, ModuleCost, NodeCost
from onnxlens.specs.tensor import TensorSpec


def build_flow(graph: Graph, ledger: Ledger, depth: int) -> FlowGraph:
    """Boxes and tensors down to ``depth``.

    A box is a stretch of the execution order that one owner has to itself: a module at ``depth`` (or above,
    where it contains none), or the operators that a containing module runs between its children. Stretches of
    an order that respects the data flow cannot form a cycle, and a module that runs twice has two boxes.
    """
    hierarchy = Hierarchy(graph)
    boxes = list(_boxes(graph, ledger.nodes, hierarchy, depth))
    modules = {module.path: module for module in ledger.modules}
    stretches = Counter(box.path for box in boxes)
    inputs = [_end("input", tensor) for tensor in graph.inputs]
    outputs = [_end("output", tensor) for tensor in graph.outputs]
    seen: set[str] = set()
    nodes = []
    for order, box in enumerate(boxes, start=1):
        title = hierarchy.class_name(box.path) or box.path or graph.name
        module = modules[box.path] if box.kind == "module" else None
        costs = _costs(box, module, first=box.path not in seen, whole=stretches[box.path] == 1)
        seen.add(box.path)
        nodes.append(_flow_node(box, order, title, hierarchy, costs))
    edges = tuple(dict.fromkeys(_edges(graph, boxes)))
    return FlowGraph(graph.name, ledger.source, depth, (*inputs, *nodes, *outputs), edges)


READABLE_BOXES = 40
"""About as many boxes as a person can follow on one page."""


def readable_depth(graph: Graph) -> int:
    """The deepest depth at which the data flow has no more than ``READABLE_BOXES`` boxes; at least 1."""
    hierarchy = Hierarchy(graph)
    owners = [node.owner.path for node in graph.nodes if not node.offline]
    deepest = max(hierarchy.depth(path) for path in hierarchy.paths)
    for depth in range(deepest, 1, -1):
        paths = [hierarchy.at_depth(owner, depth) for owner in owners]
        if 1 + sum(before != after for before, after in pairwise(paths)) <= READABLE_BOXES:
            return depth
    return 1


@dataclass(slots=True)
class _Box:
    """A stretch of nodes with one owner."""

    path: str
    kind: FlowKind
    nodes: list[GraphNode] = field(default_factory=list)
    costs: list[NodeCost] = field(default_factory=list)


def _boxes(graph: Graph, costs: Sequence[NodeCost], hierarchy: Hierarchy, depth: int) -> Iterator[_Box]:
    containers = _containers(hierarchy, depth)
    box: _Box | None = None
    for node, cost in zip(graph.nodes, costs, strict=True):
        if node.offline:
            continue
        path = hierarchy.at_depth(node.owner.path, depth)
        if box is None or box.path != path:
            if box is not None:
                yield box
            box = _Box(path, "operators" if path in containers else "module")
        box.nodes.append(node)
        box.costs.append(cost)
    if box is not None:
        yield box


def _containers(hierarchy: Hierarchy, depth: int) -> frozenset[str]:
    """The modules that are opened at ``depth``: they contain others and stand above it."""
    return frozenset(
        outer
        for path in hierarchy.paths
        for outer in hierarchy.lineage(path)[:-1]
        if hierarchy.depth(outer) < depth
    )


def _costs(box: _Box, module: ModuleCost | None, *, first: bool, whole: bool) -> Costs:
    """The sums of a stretch; with what belongs to its module as a whole where it has no other stretch.

    A module's params stand at its first stretch alone.
    """
    costs = dict(stretch_costs(box.costs))
    if module is None:
        return {**costs, "params": sum(cost.params for cost in box.costs)}
    if first:
        costs["params"] = module.params
    return {**costs, **module_costs(module)} if whole else costs


def _flow_node(box: _Box, order: int, title: str, hierarchy: Hierarchy, costs: Costs) -> FlowNode:
    lineage = hierarchy.lineage(box.path)
    parents = lineage if box.kind == "operators" else lineage[:-1]
    return FlowNode(
        id=f"n{order}",
        kind=box.kind,
        path=box.path,
        title=_operators(box) if box.kind == "operators" else title,
        parents=tuple((path, hierarchy.class_name(path)) for path in parents if path),
        order=order,
        costs=costs,
    )


def _operators(box: _Box) -> str:
    """The operator types of a box, views left out where there is anything else."""
    types = [node.view.op_type for node in box.nodes if not is_view(node.view)]
    return ", ".join(dict.fromkeys(types or [node.view.op_type for node in box.nodes]))


def _edges(graph: Graph, boxes: Sequence[_Box]) -> Iterator[FlowEdge]:
    maker: dict[str, tuple[str, TensorSpec]] = {
        tensor.name: (_end_id("input", tensor), tensor) for tensor in graph.inputs
    }
    for order, box in enumerate(boxes, start=1):
        target = f"n{order}"
        for node in box.nodes:
            yield from _incoming(node, target, maker)
            for value in node.view.outputs:
                if value is not None:
                    maker[value.name] = (target, described(value))
    for tensor in graph.outputs:
        if tensor.name in maker:
            yield FlowEdge(maker[tensor.name][0], _end_id("output", tensor), tensor)


def _incoming(
    node: GraphNode, target: str, maker: Mapping[str, tuple[str, TensorSpec]]
) -> Iterator[FlowEdge]:
    for value in node.reads:
        if value.name in maker:
            source, tensor = maker[value.name]
            if source != target:
                yield FlowEdge(source, target, tensor)


def _end(kind: FlowKind, tensor: TensorSpec) -> FlowNode:
    return FlowNode(id=_end_id(kind, tensor), kind=kind, path=tensor.name, title=tensor.name)


def _end_id(kind: FlowKind, tensor: TensorSpec) -> str:
    return f"{kind}/{tensor.name}"
