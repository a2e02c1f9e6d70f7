"""Boxes of a flow drawn as one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise

from onnxlens.profile.flow.costs import BYTES, OPERATIONS, Costs
from onnxlens.specs.flow import FlowEdge, FlowGraph, FlowNode

Level = tuple[str, str]
"""A module or a group: its path and its class or name."""

SUMMED = (*OPERATIONS, *BYTES, "params", "unknown_nodes")


@dataclass(slots=True)
class _Box:
    """Nodes that are drawn as one box; ``whole`` says that a group must not run in stretches yet."""

    level: Level | None
    frames: tuple[Level, ...]
    nodes: list[FlowNode] = field(default_factory=list)
    whole: bool = False


def collapsed(flow: FlowGraph, depth: int, groups: frozenset[str], closed: frozenset[str]) -> FlowGraph:
    """The flow with one box for all that stands deeper than ``depth``, or in a frame that is ``closed``.

    A module is a box for each stretch in which it has the order of execution to itself, as in ``build_flow``.
    A group is one box, numbered where it first runs; where that would draw a cycle that the graph does not
    have, it too is a box for each stretch, and a note says so.

    Args:
        flow: at its deepest.
        depth: how many levels to open; a group is a level.
        groups: the paths of the frames that are groups.
        closed: the paths of those that are boxes at any depth.
    """
    boxes = _boxes(flow, depth, groups, closed)
    notes = []
    while crossing := _crossing_group(flow, boxes):
        parts = _stretches(crossing, boxes)
        place = boxes.index(crossing)
        boxes[place : place + 1] = parts
        assert crossing.level is not None
        notes.append(
            f"{crossing.level[1]} runs in {len(parts)} stretches, a box each: others run between them"
        )
    boxes.sort(key=lambda box: box.nodes[0].order)
    return _drawn(flow, boxes, depth, tuple(notes))


def _boxes(flow: FlowGraph, depth: int, groups: frozenset[str], closed: frozenset[str]) -> list[_Box]:
    boxes: list[_Box] = []
    by_group: dict[tuple[Level, ...], _Box] = {}
    previous: tuple[Level, ...] | None = None
    for node in sorted((node for node in flow.nodes if node.order), key=lambda node: node.order):
        lineage = (("", flow.graph), *node.parents)
        cut = next((place for place, level in enumerate(lineage) if level[0] in closed), depth)
        cut = min(cut, depth)
        key = lineage[: cut + 1] if cut < len(lineage) else None
        if key is None:
            boxes.append(_Box(None, node.parents, [node]))
        elif key[-1][0] in groups:
            if key not in by_group:
                by_group[key] = _Box(key[-1], key[1:-1], whole=True)
                boxes.append(by_group[key])
            by_group[key].nodes.append(node)
        else:
            if key != previous:
                boxes.append(_Box(key[-1], key[1:-1]))
            boxes[-1].nodes.append(node)
        previous = key
    return boxes


def _crossing_group(flow: FlowGraph, boxes: Sequence[_Box]) -> _Box | None:
    """A group on a cycle, the one in the most stretches; None where nothing goes round."""
    owner = {node.id: place for place, box in enumerate(boxes) for node in box.nodes}
    sorter: TopologicalSorter[int] = TopologicalSorter()
    for edge in flow.edges:
        if edge.source in owner and edge.target in owner and owner[edge.source] != owner[edge.target]:
            sorter.add(owner[edge.target], owner[edge.source])
    try:
        sorter.prepare()
    except CycleError as error:
        on_cycle = [boxes[place] for place in error.args[1]]
        groups = [box for box in on_cycle if box.whole]
        return max(groups, key=lambda box: len(_stretches(box, boxes)), default=None)
    return None


def _stretches(box: _Box, boxes: Sequence[_Box]) -> list[_Box]:
    """The box in parts, cut where nodes of other boxes run in between."""
    own = {node.id for node in box.nodes}
    others = [node.order for other in boxes for node in other.nodes if node.id not in own]
    parts = [_Box(box.level, box.frames, [box.nodes[0]])]
    for before, after in pairwise(box.nodes):
        if any(before.order < order < after.order for order in others):
            parts.append(_Box(box.level, box.frames))
        parts[-1].nodes.append(after)
    return parts


def _drawn(flow: FlowGraph, boxes: Sequence[_Box], depth: int, notes: tuple[str, ...]) -> FlowGraph:
    nodes = [_node(box, order) for order, box in enumerate(boxes, start=1)]
    new_id = {old.id: node.id for box, node in zip(boxes, nodes, strict=True) for old in box.nodes}
    inputs, outputs = ([node for node in flow.nodes if node.kind == kind] for kind in ("input", "output"))
    moved = (
        FlowEdge(new_id.get(edge.source, edge.source), new_id.get(edge.target, edge.target), edge.tensor)
        for edge in flow.edges
    )
    edges = tuple(dict.fromkeys(edge for edge in moved if edge.source != edge.target))
    return replace(
        flow, depth=depth, nodes=(*inputs, *nodes, *outputs), edges=edges, notes=(*flow.notes, *notes)
    )


def _node(box: _Box, order: int) -> FlowNode:
    if box.level is None:
        return replace(box.nodes[0], id=f"n{order}", order=order)
    path, title = box.level
    return FlowNode(
        id=f"n{order}",
        kind="module",
        path=path,
        title=title or path,
        parents=box.frames,
        order=order,
        costs=summed_costs([node.costs for node in box.nodes]),
    )


def summed_costs(parts: Iterable[Costs]) -> Costs:
    """The columns that add up, of several boxes; those that belong to one module as a whole are left out."""
    sums: dict[str, int | float] = defaultdict(int)
    parts = list(parts)
    for part in parts:
        for name in SUMMED:
            if name in part:
                sums[name] += part[name]
    if all("latency_s" in part for part in parts):
        sums["latency_s"] = sum(part["latency_s"] for part in parts)
    if sums.get("moved_bytes") and "flops" in sums:
        sums["arithmetic_intensity"] = sums["flops"] / sums["moved_bytes"]
    return dict(sums)
