"""The data flow of a graph at module granularity."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from onnxlens.errors import UsageError
from onnxlens.profile.flow.boxes import Box, Scope, stretches
from onnxlens.profile.flow.costs import Costs, module_costs, stretch_costs
from onnxlens.profile.flow.ends import edges_between, ends_of, ends_of_module, shown_alone
from onnxlens.profile.flow.folding import folded
from onnxlens.profile.flow.structure import structure_of
from onnxlens.profile.graph.graph import Graph
from onnxlens.specs.flow import FlowGraph, FlowKind, FlowNode
from onnxlens.specs.ledger import Ledger, ModuleCost


def build_flow(graph: Graph, ledger: Ledger, depth: int, module: str = "", fold: bool = False) -> FlowGraph:
    """Boxes and tensors down to ``depth``, of the whole graph or of one module alone.

    A box is a stretch of the execution order that one owner has to itself: a module at ``depth`` (or above,
    where it contains none), or the operators that a containing module runs between its children. Stretches of
    an order that respects the data flow cannot form a cycle, and a module that runs twice has two boxes.

    Args:
        graph: whose modules are shown.
        ledger: its costs.
        depth: how many levels are opened, below ``module``.
        module: the path of the one that is shown alone; the tensors that cross its border are then the ends.
        fold: show equal blocks that follow each other as one.

    Raises:
        UsageError: there is no such module, or it runs nothing.
    """
    hierarchy = graph.hierarchy
    scope = Scope(hierarchy, hierarchy.require(module), depth)
    boxes = list(stretches(graph, ledger.nodes, scope))
    shown = [box for box in boxes if box.order]
    if scope.module and not shown:
        raise UsageError(f"{graph.name}: {module} runs nothing, so there is nothing to draw")
    edges = list(dict.fromkeys(edges_between(graph, boxes)))
    if scope.module:
        edges = list(shown_alone(edges, boxes))
    ends = ends_of_module(graph, scope, boxes, edges) if scope.module else ends_of(graph)
    flow = FlowGraph(
        graph=graph.name,
        source=ledger.source,
        depth=depth,
        nodes=(*_of(ends, "input"), *_flow_nodes(shown, ledger, scope), *_of(ends, "output")),
        edges=tuple(edges),
        module=scope.module,
    )
    return folded(flow, {box.id: structure_of(box) for box in shown}) if fold else flow


def _of(ends: Sequence[FlowNode], kind: FlowKind) -> Sequence[FlowNode]:
    return [end for end in ends if end.kind == kind]


def _flow_nodes(boxes: Sequence[Box], ledger: Ledger, scope: Scope) -> Sequence[FlowNode]:
    modules = {module.path: module for module in ledger.modules}
    times = Counter(box.path for box in boxes)
    first = {box.path: box.order for box in reversed(boxes)}
    return [
        FlowNode(
            id=box.id,
            kind=box.kind,
            path=box.path,
            title=_title(box, ledger, scope),
            parents=scope.parents(box),
            order=box.order,
            costs=_costs(
                box,
                modules.get(box.path) if box.kind == "module" else None,
                first=first[box.path] == box.order,
                whole=times[box.path] == 1,
            ),
        )
        for box in boxes
    ]


def _title(box: Box, ledger: Ledger, scope: Scope) -> str:
    if box.kind == "operators" or (ledger.attribution == "none" and box.path):
        return box.operators
    return scope.hierarchy.class_name(box.path) or box.path or ledger.graph


def _costs(box: Box, module: ModuleCost | None, *, first: bool, whole: bool) -> Costs:
    """The sums of a stretch; with what belongs to its module as a whole where it has no other stretch.

    A module's params stand at its first stretch alone.
    """
    costs = dict(stretch_costs(box.costs))
    if module is None:
        return {**costs, "params": sum(cost.params for cost in box.costs)}
    if first:
        costs["params"] = module.params
    return {**costs, **module_costs(module)} if whole else costs
