"""A flow collapsed to a depth: one box for all that is deeper."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise

from onnxlens.profile.flow.costs import module_costs, summed_costs
from onnxlens.profile.flow.deepest import DeepestFlow, Level, operators_of, ran, with_boxes
from onnxlens.specs.flow import FlowEdge, FlowGraph, FlowNode
from onnxlens.specs.ledger import joined_bounds


@dataclass(slots=True)
class _Box:
    """Boxes of the deepest flow that are drawn as one, which may stand for all of a group.

    ``levels`` are the module or group that it stands for, after those that contain it, outermost first; there
    are none for a box of the deepest flow as it is.
    """

    levels: tuple[Level, ...] = ()
    is_group: bool = False
    parts: list[FlowNode] = field(default_factory=list)


def collapsed(deepest: DeepestFlow, depth: int) -> FlowGraph:
    """The flow with one box for all that is deeper than ``depth`` levels, or in a closed level.

    A module is a box for each segment of the execution order that it has to itself. A group, which is a level
    too, is one box, numbered where it first runs; if that closes a cycle that the graph does not have, it is
    a box for each segment, and a note says so.
    """
    return collapsed_with_parts(deepest, depth)[0]


def collapsed_with_parts(
    deepest: DeepestFlow, depth: int
) -> tuple[FlowGraph, Mapping[str, Sequence[FlowNode]]]:
    """As ``collapsed``, and the boxes of the deepest flow that each box stands for, by its id."""
    flow = deepest.flow
    boxes, notes = _without_cycles(_boxes(deepest, depth), flow)
    nodes = _nodes(boxes, deepest)
    parts = {node.id: box.parts for box, node in zip(boxes, nodes, strict=True)}
    new_ids = {part.id: box for box, held in parts.items() for part in held}
    edges: dict[FlowEdge, None] = {}
    for edge in flow.edges:
        source, target = new_ids.get(edge.source, edge.source), new_ids.get(edge.target, edge.target)
        if source != target:
            edges[FlowEdge(source, target, edge.tensor)] = None
    shown = replace(flow, depth=depth, notes=(*flow.notes, *notes))
    return with_boxes(shown, nodes, list(edges)), parts


def box_count(deepest: DeepestFlow, depth: int) -> int:
    """How many boxes the flow collapsed to ``depth`` has, before a group is split at a cycle."""
    return len(_boxes(deepest, depth))


def _boxes(deepest: DeepestFlow, depth: int) -> list[_Box]:
    groups = frozenset(deepest.groups.values())
    model = () if deepest.shown else (("", _model_title(deepest)),)
    boxes: list[_Box] = []
    by_group: dict[tuple[Level, ...], _Box] = {}
    previous: tuple[Level, ...] | None = None
    for node in ran(deepest.flow):
        levels = (*model, *node.parents)
        closed = (index for index, level in enumerate(levels[:depth]) if level[0] in deepest.closed)
        cut = next(closed, depth)
        if cut >= len(levels):
            boxes.append(_Box(parts=[node]))
            previous = None
            continue
        key = levels[: cut + 1]
        if key[-1][0] in groups:
            if key not in by_group:
                by_group[key] = _Box(key, is_group=True)
                boxes.append(by_group[key])
            by_group[key].parts.append(node)
        else:
            if key != previous:
                boxes.append(_Box(key))
            boxes[-1].parts.append(node)
        previous = key
    return boxes


def _without_cycles(boxes: list[_Box], flow: FlowGraph) -> tuple[list[_Box], Sequence[str]]:
    """The boxes in order, groups on a cycle in several, and notes on those."""
    notes = []
    while crossing := _crossing_group(flow, boxes):
        segments = _segments(crossing, boxes)
        index = boxes.index(crossing)
        boxes[index : index + 1] = segments
        name = crossing.levels[-1][1]
        notes.append(f"{name} runs in {len(segments)} segments, a box each: others run between them")
    return sorted(boxes, key=lambda box: box.parts[0].order), notes


def _crossing_group(flow: FlowGraph, boxes: Sequence[_Box]) -> _Box | None:
    """A group on a cycle, the one in the most segments; None if there is no cycle."""
    if not any(box.is_group for box in boxes):
        return None
    index_of = {node.id: index for index, box in enumerate(boxes) for node in box.parts}
    sorter: TopologicalSorter[int] = TopologicalSorter()
    for edge in flow.edges:
        source, target = index_of.get(edge.source), index_of.get(edge.target)
        if source is not None and target is not None and source != target:
            sorter.add(target, source)
    try:
        sorter.prepare()
    except CycleError as error:
        groups = [boxes[index] for index in error.args[1] if boxes[index].is_group]
        return max(groups, key=lambda box: len(_segments(box, boxes)), default=None)
    return None


def _segments(box: _Box, boxes: Sequence[_Box]) -> list[_Box]:
    """The box divided where parts of other boxes run in between."""
    own = {node.id for node in box.parts}
    others = [node.order for other in boxes for node in other.parts if node.id not in own]
    segments = [_Box(box.levels, parts=[box.parts[0]])]
    for before, after in pairwise(box.parts):
        if any(before.order < order < after.order for order in others):
            segments.append(_Box(box.levels))
        segments[-1].parts.append(after)
    return segments


def _nodes(boxes: Sequence[_Box], deepest: DeepestFlow) -> Sequence[FlowNode]:
    """The boxes as they are drawn, numbered in execution order."""
    times = Counter(box.levels for box in boxes)
    groups = frozenset(deepest.groups.values())
    seen: set[tuple[Level, ...]] = set()
    nodes = []
    for order, box in enumerate(boxes, start=1):
        if not box.levels:
            nodes.append(replace(box.parts[0], id=f"n{order}", order=order))
            continue
        path = box.levels[-1][0]
        row = None if path in groups else deepest.rows.get(path)
        first, only = box.levels not in seen, times[box.levels] == 1
        seen.add(box.levels)
        sums = summed_costs([part.costs for part in box.parts])
        nodes.append(
            FlowNode(
                id=f"n{order}",
                kind="module",
                path=path,
                title=_title(box, deepest),
                parents=tuple(level for level in box.levels[:-1] if level[0]),
                order=order,
                costs=module_costs(sums, row, first=first, only=only),
                lower_bounds=joined_bounds(
                    [row.lower_bounds] if row and only else [part.lower_bounds for part in box.parts]
                ),
            )
        )
    return nodes


def _title(box: _Box, deepest: DeepestFlow) -> str:
    path, title = box.levels[-1]
    if not deepest.names_modules and path and not title:
        return operators_of([node for part in box.parts for node in deepest.nodes[part.id]])
    return title or path


def _model_title(deepest: DeepestFlow) -> str:
    row = deepest.rows.get("")
    return (row.class_name if row else "") or deepest.flow.graph
