"""The stretches of the execution order that become boxes of the data flow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from onnxlens.profile.count.rules import is_view
from onnxlens.profile.graph.graph import Graph, GraphNode
from onnxlens.profile.graph.hierarchy import Hierarchy
from onnxlens.specs.flow import FlowKind
from onnxlens.specs.ledger import NodeCost


@dataclass(frozen=True, slots=True)
class Scope:
    """Which part of the module tree is opened.

    Attributes:
        module: the module that is shown alone; "" is the model.
        depth: of the levels below it.
    """

    hierarchy: Hierarchy
    module: str
    depth: int

    def owner(self, path: str) -> str | None:
        """The module whose box holds what the module at ``path`` runs; None where it is not shown."""
        if self.module and self.module not in self.hierarchy.lineage(path):
            return None
        return self.hierarchy.at_depth(path, self.level)

    def parents(self, box: Box) -> tuple[tuple[str, str], ...]:
        """The opened modules that a box stands in, outermost first, with their classes."""
        lineage = self.hierarchy.lineage(box.path)
        opened = lineage if box.kind == "operators" else lineage[:-1]
        shown = opened[self.hierarchy.depth(self.module) :]
        return tuple((path, self.hierarchy.class_name(path)) for path in shown if path)

    @property
    def level(self) -> int:
        """The depth in the whole tree."""
        return self.hierarchy.depth(self.module) + self.depth


@dataclass(slots=True)
class Box:
    """A stretch of nodes with one owner.

    Attributes:
        path: the owner; "" for a stretch outside of what is shown too.
        order: its number among those that are shown, from 1; 0 for one that is not.
    """

    path: str
    kind: FlowKind
    order: int
    nodes: list[GraphNode] = field(default_factory=list)
    costs: list[NodeCost] = field(default_factory=list)

    @property
    def id(self) -> str:
        """Of the box in the flow."""
        return f"n{self.order}"

    @property
    def operators(self) -> str:
        """The operator types, views left out where there is anything else."""
        types = [node.view.op_type for node in self.nodes if not is_view(node.view)]
        return ", ".join(dict.fromkeys(types or [node.view.op_type for node in self.nodes]))


def stretches(graph: Graph, costs: Sequence[NodeCost], scope: Scope) -> Iterator[Box]:
    """All that runs, in order, in stretches: each a box, or outside of what is shown."""
    opened = _opened(scope)
    box: Box | None = None
    owner: str | None = None
    orders = 0
    for node, cost in zip(graph.nodes, costs, strict=True):
        if node.constant_folded:
            continue
        path = scope.owner(node.module.path)
        if box is None or owner != path:
            if box is not None:
                yield box
            orders += path is not None
            kind: FlowKind = "operators" if path in opened else "module"
            box, owner = Box(path or "", kind, 0 if path is None else orders), path
        box.nodes.append(node)
        box.costs.append(cost)
    if box is not None:
        yield box


def _opened(scope: Scope) -> frozenset[str]:
    """The modules that contain others and stand above the level that is shown."""
    lineages = map(scope.hierarchy.lineage, scope.hierarchy.paths)
    return frozenset(outer for lineage in lineages for outer in lineage[:-1][: scope.level])
