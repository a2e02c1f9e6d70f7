"""One frame of a data flow shown alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches

from onnxlens.errors import UsageError
from onnxlens.profile.flow.group_boxes import Level
from onnxlens.specs.flow import FlowEdge, FlowGraph, FlowKind, FlowNode

NEAR = 3
"""So many names are offered to somebody who asks for one that there is not."""


@dataclass(frozen=True, slots=True)
class _Border:
    """What is inside of a frame, and what surrounds it.

    Attributes:
        around: the frames that contain it, outermost first.
    """

    nodes: Mapping[str, FlowNode]
    inside: frozenset[str]
    around: tuple[Level, ...]
    groups: Mapping[str, str]


def shown_alone(flow: FlowGraph, path: str, groups: Mapping[str, str]) -> FlowGraph:
    """The boxes in the frame at ``path``; a tensor that crosses its border ends where it comes from or goes.

    Such an end is called by what stands beside the frame: ``from input_blocks.0``, ``to SD_Encoder_2``.
    What ran last comes first among what is read. The frame stays around what is in it. ``groups`` has the
    names of those frames that are groups, by path.

    Raises:
        UsageError: there is no such frame.
    """
    inside = [node for node in flow.nodes if any(level[0] == path for level in node.parents)]
    if not inside:
        frames = dict.fromkeys(level[0] for node in flow.nodes for level in node.parents)
        names = [groups.get(frame, frame) for frame in frames]
        near = get_close_matches(path, names) or names[:NEAR]
        raise UsageError(
            f"{flow.graph}: no module or group {path!r} holds others; there is {', '.join(near)}"
        )
    place = [level[0] for level in inside[0].parents].index(path)
    border = _Border(
        {node.id: node for node in flow.nodes},
        frozenset(node.id for node in inside),
        inside[0].parents[:place],
        groups,
    )
    ends: dict[str, FlowNode] = {}
    edges = tuple(dict.fromkeys(_edges(flow, border, ends)))
    cut = [replace(node, parents=node.parents[place:]) for node in inside]
    inputs, outputs = ([end for end in ends.values() if end.kind == kind] for kind in ("input", "output"))
    return replace(flow, nodes=(*inputs, *cut, *outputs), edges=edges, module=groups.get(path, path))


def _edges(flow: FlowGraph, border: _Border, ends: dict[str, FlowNode]) -> Iterator[FlowEdge]:
    from_outside_first = sorted(
        flow.edges,
        key=lambda edge: 1 if edge.source in border.inside else -border.nodes[edge.source].order,
    )
    for edge in from_outside_first:
        starts, stops = edge.source in border.inside, edge.target in border.inside
        if starts and stops:
            yield edge
        elif starts:
            end = _end("output", border.nodes[edge.target], border)
            yield FlowEdge(edge.source, ends.setdefault(end.id, end).id, edge.tensor)
        elif stops:
            end = _end("input", border.nodes[edge.source], border)
            yield FlowEdge(ends.setdefault(end.id, end).id, edge.target, edge.tensor)


def _end(kind: FlowKind, outside: FlowNode, border: _Border) -> FlowNode:
    title = _beside(outside, border)
    if outside.order:
        title = f"{'from' if kind == 'input' else 'to'} {title}"
    return FlowNode(f"{kind}/{title}", kind, outside.path, title)


def _beside(outside: FlowNode, border: _Border) -> str:
    """The outermost frame around a box that is not around ours; the box itself where there is none."""
    if not outside.order:
        return outside.title
    levels = [level for level in outside.parents if level not in border.around]
    if not levels and outside.kind == "operators":
        return outside.title
    path = levels[0][0] if levels else outside.path
    return border.groups.get(path, path)
