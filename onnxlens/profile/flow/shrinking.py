"""A flow whose levels become a box each when they are done: what contains them then has few boxes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain

from onnxlens.profile.flow.alone import shown_alone
from onnxlens.profile.flow.collapse import collapsed_with_parts, level_title
from onnxlens.profile.flow.costs import summed_costs
from onnxlens.profile.flow.deepest import DeepestFlow, ran
from onnxlens.profile.flow.frames import Level
from onnxlens.profile.graph.graph import GraphNode
from onnxlens.specs.flow import FlowEdge, FlowGraph, FlowNode
from onnxlens.specs.ledger import joined_bounds

WORTH_IT = 5
"""Boxes are made one when they are a fifth of all, for that goes through all of them."""

Row = tuple[DeepestFlow, FlowGraph, Mapping[str, Sequence[FlowNode]]]


class Shrinking:
    """Rows of the levels of a flow, asked for from the inside out."""

    def __init__(self, deepest: DeepestFlow) -> None:
        self._whole = self._left = deepest
        self._stands_for: dict[str, Sequence[str]] = {}
        self._done: dict[str, int] = {}
        self._can_shrink = True

    def row(self, path: str) -> Row:
        """The level at ``path`` alone, the same collapsed to depth 1, and what each of its boxes stands for.

        Where a module has to be several boxes, how it is divided hangs on all that is in it.
        """
        shown, flow, parts = _row(self._left, path)
        row = ran(flow)
        if len({(box.kind, box.path) for box in row}) < len(row) and self._left is not self._whole:
            return _row(self._whole, path)
        if path and self._can_shrink and not shown.detours:  # it can be one box whatever the others are
            outside = {done: boxes for done, boxes in self._done.items() if not done.startswith(f"{path}.")}
            self._done = {**outside, path: sum(map(len, parts.values()))}
            if sum(self._done.values()) * WORTH_IT > len(self._left.flow.nodes):
                self._shrink()
        return shown, flow, parts

    def ids(self, box: FlowNode) -> Sequence[str]:
        """Of the boxes of the whole flow that it stands for."""
        return self._stands_for.get(box.id, (box.id,))

    def _shrink(self) -> None:
        """Make the levels that are done one box each, unless one would then have to run before another."""
        left = self._left
        members: dict[str, list[FlowNode]] = {}
        done_of: dict[str, Level] = {}
        for node in sorted(left.flow.nodes, key=lambda node: node.order):
            levels = (*node.parents, (node.path, "")) if node.order else ()
            done = next((level for level in levels if level[0] in self._done), None)
            box = f"level {done[0]}" if done else node.id
            members.setdefault(box, []).append(node)
            if done:
                done_of[box] = done
        new_ids = {node.id: box for box, held in members.items() for node in held}
        edges = [
            FlowEdge(new_ids[edge.source], new_ids[edge.target], edge.tensor) for edge in left.flow.edges
        ]
        boxes = [
            _one(left, box, done_of[box], held) if box in done_of else held[0]
            for box, held in members.items()
        ]
        flow = replace(
            left.flow,
            nodes=tuple(replace(box, order=box.order and rank) for rank, box in enumerate(boxes, start=1)),
            edges=tuple(dict.fromkeys(edge for edge in edges if edge.source != edge.target)),
        )
        nodes = {box: dict(_runs(left, held)) for box, held in members.items()}
        shrunk = replace(left, flow=flow, nodes=nodes)
        self._can_shrink = shrunk.leads_on
        if self._can_shrink:
            for box, held in members.items():
                self._stands_for[box] = [*chain.from_iterable(map(self.ids, held))]
            self._left, self._done = shrunk, {}


def _runs(deepest: DeepestFlow, boxes: Sequence[FlowNode]) -> Iterator[tuple[int, GraphNode]]:
    return chain.from_iterable(deepest.nodes.get(box.id, {}).items() for box in boxes)


def _one(deepest: DeepestFlow, name: str, level: Level, held: Sequence[FlowNode]) -> FlowNode:
    """One box for all boxes of a level."""
    around = held[0].parents
    return FlowNode(
        name,
        "module",
        level[0],
        level_title(deepest, level, held),
        around[: around.index(level)] if level in around else around,
        held[0].order,
        summed_costs([box.costs for box in held]),
        lower_bounds=joined_bounds([box.lower_bounds for box in held]),
    )


def _row(deepest: DeepestFlow, path: str) -> Row:
    shown = shown_alone(deepest, path) if path else deepest
    return shown, *collapsed_with_parts(shown, 1)
