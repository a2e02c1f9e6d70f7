"""A flow collapsed to a depth: one box for all that is deeper."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import NamedTuple

from onnxlens.profile.flow.contract import contracted, numbered, quotient
from onnxlens.profile.flow.costs import module_costs, summed_costs
from onnxlens.profile.flow.deepest import DeepestFlow, operators_of, params_beside, ran, with_boxes
from onnxlens.profile.flow.frames import Level
from onnxlens.specs.flow import FlowEdge, FlowGraph, FlowKind, FlowNode
from onnxlens.specs.ledger import joined_bounds


@dataclass(frozen=True, slots=True)
class _Box:
    """Boxes of the deepest flow that are drawn as one.

    Attributes:
        levels: what contains it, the model first, and last the module or group that it stands for; "" is the
            title of what is a box of the deepest flow as it is.
        closed: it stands for all of a level.
        parts: in execution order.
    """

    levels: tuple[Level, ...]
    closed: bool
    parts: Sequence[FlowNode]


def collapsed(deepest: DeepestFlow, depth: int) -> FlowGraph:
    """The flow with one box for all that is deeper than ``depth`` levels, or in a closed level.

    A module or group, which is a level too, is one box if that makes no cycle. Otherwise it is several, no
    two of which could be one; a note names the groups.
    """
    return collapsed_with_parts(deepest, depth)[0]


def collapsed_with_parts(
    deepest: DeepestFlow, depth: int
) -> tuple[FlowGraph, Mapping[str, Sequence[FlowNode]]]:
    """As ``collapsed``, and the boxes of the deepest flow that each box stands for, by its id."""
    flow = deepest.flow
    boxes = _boxes(deepest, depth)
    nodes = _nodes(boxes, deepest)
    parts = {node.id: box.parts for box, node in zip(boxes, nodes, strict=True)}
    new_ids = {part.id: box for box, held in parts.items() for part in held}
    edges = dict.fromkeys(
        (new_ids.get(edge.source, edge.source), new_ids.get(edge.target, edge.target), edge.tensor)
        for edge in flow.edges
    )
    params = params_beside(nodes, deepest.rows.get(deepest.shown))
    shown = replace(flow, depth=depth, params=params, notes=(*flow.notes, *_notes(boxes, deepest)))
    return with_boxes(shown, nodes, [FlowEdge(*edge) for edge in edges if edge[0] != edge[1]]), parts


def has_more_boxes(deepest: DeepestFlow, depth: int, than: int) -> bool:
    """Whether the flow collapsed to ``depth`` has more boxes."""
    return has_more_levels(deepest, deepest.flow.nodes, depth, than) or box_count(deepest, depth) > than


def has_more_levels(deepest: DeepestFlow, nodes: Iterable[FlowNode], depth: int, than: int) -> bool:
    """Whether the nodes are in more modules and groups at ``depth``, each of which is at least one box."""
    keys = set[_Key]()
    for node in nodes:
        if node.order:
            keys.add(_key(node, deepest, depth))
            if len(keys) > than:
                return True
    return False


def box_count(deepest: DeepestFlow, depth: int) -> int:
    """How many boxes the flow collapsed to ``depth`` has."""
    divided = _divided(deepest, depth)
    return sum(held[0] < len(divided.parts) for held in divided.members)


class _Divided(NamedTuple):
    """The boxes of the deepest flow with their keys, and of which each box is, by their indices.

    Those outside on a path between two of them follow, a box each.
    """

    parts: Sequence[FlowNode]
    keys: Sequence[_Key]
    successors: Sequence[set[int]]
    members: Sequence[Sequence[int]]


def _divided(deepest: DeepestFlow, depth: int) -> _Divided:
    parts = ran(deepest.flow)
    keys = [_key(node, deepest, depth) for node in parts]
    ranks = {key: rank for rank, key in enumerate(sorted(set(keys)))}
    successors = _successors(parts, deepest)
    outside = range(len(parts), len(successors))  # a box each, of a rank of its own
    return _Divided(
        parts, keys, successors, contracted([*(ranks[key] for key in keys), *outside], successors)
    )


def _boxes(deepest: DeepestFlow, depth: int) -> Sequence[_Box]:
    """The boxes in execution order."""
    parts, keys, successors, members = _divided(deepest, depth)
    key_of = {
        index: keys[members[index][0]] for index in range(len(members)) if members[index][0] < len(parts)
    }
    order = numbered(
        quotient(members, successors),
        [key_of[index].levels[:-1] if index in key_of else () for index in range(len(members))],
        [min(held) for held in members],
    )
    return [
        _Box(key_of[index].levels, key_of[index].closed, [parts[part] for part in sorted(members[index])])
        for index in order
        if index in key_of
    ]


class _Key(NamedTuple):
    """What the boxes that may be one have in common; operators between modules are divided first."""

    is_module: bool
    levels: tuple[Level, ...]
    closed: bool


def _key(node: FlowNode, deepest: DeepestFlow, depth: int) -> _Key:
    model = () if deepest.shown else (("", _model_title(deepest)),)
    levels = (*model, *node.parents)
    cut = depth
    if deepest.closed:
        closed = (index for index, level in enumerate(levels[:depth]) if level[0] in deepest.closed)
        cut = next(closed, depth)
    if cut >= len(levels):
        return _Key(node.kind == "module", (*levels, (node.path, "")), closed=False)
    return _Key(True, levels[: cut + 1], closed=True)


def _successors(parts: Sequence[FlowNode], deepest: DeepestFlow) -> list[set[int]]:
    """By the index of each part, and then of each box outside on a path between two of them."""
    index_of = {node.id: index for index, node in enumerate(parts)}
    for box in chain.from_iterable(deepest.detours):
        index_of.setdefault(box, len(index_of))
    successors: list[set[int]] = [set() for _ in index_of]
    for source, target in chain(((edge.source, edge.target) for edge in deepest.flow.edges), deepest.detours):
        if source in index_of and target in index_of:
            successors[index_of[source]].add(index_of[target])
    return successors


def _notes(boxes: Sequence[_Box], deepest: DeepestFlow) -> Iterator[str]:
    groups = frozenset(deepest.groups.values())
    times = Counter(box.levels[-1] for box in boxes if box.closed and box.levels[-1][0] in groups)
    for (_, name), count in times.items():
        if count > 1:
            yield f"{name} runs in {count} segments, a box each: others run between them"


def _nodes(boxes: Sequence[_Box], deepest: DeepestFlow) -> Sequence[FlowNode]:
    """The boxes as they are drawn, numbered in execution order."""
    times = Counter((box.levels, box.closed) for box in boxes)
    groups = frozenset(deepest.groups.values())
    seen: set[tuple[Level, ...]] = set()
    nodes = []
    for order, box in enumerate(boxes, start=1):
        first, path = box.parts[0], box.levels[-1][0]
        kind: FlowKind = "module" if box.closed else first.kind
        is_row = kind == "module" and path not in groups
        whole = not box.closed and len(box.parts) == 1
        sums = first.costs if whole else summed_costs([part.costs for part in box.parts])
        row = deepest.rows.get(path) if is_row else None
        only = times[box.levels, box.closed] == 1
        nodes.append(
            FlowNode(
                id=f"n{order}",
                kind=kind,
                path=path,
                title=_title(box, deepest),
                parents=tuple(level for level in box.levels[:-1] if level[0]),
                order=order,
                costs={
                    **module_costs(sums, row, first=box.levels not in seen, only=only),
                    **deepest.figures_of(box.parts),
                },
                lower_bounds=joined_bounds(
                    [row.lower_bounds] if row and only else [part.lower_bounds for part in box.parts]
                ),
            )
        )
        seen.add(box.levels)
    return nodes


def _title(box: _Box, deepest: DeepestFlow) -> str:
    """The class, or the operators where the file names no modules; those of a box as it is may be joined."""
    if not box.closed:
        titles = dict.fromkeys(part.title for part in box.parts)
        nodes = deepest.run_by(box.parts) if len(titles) > 1 else []
        return operators_of(nodes) if nodes else ", ".join(titles)
    return level_title(deepest, box.levels[-1], box.parts)


def level_title(deepest: DeepestFlow, level: Level, boxes: Sequence[FlowNode]) -> str:
    """What a person calls a module or group: as it is called, or what its boxes run."""
    path, title = level
    if not deepest.names_modules and path and not title:
        return operators_of(deepest.run_by(boxes))
    return title or path


def _model_title(deepest: DeepestFlow) -> str:
    row = deepest.rows.get("")
    return (row.class_name if row else "") or deepest.flow.graph
