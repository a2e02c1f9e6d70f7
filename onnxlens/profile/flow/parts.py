"""Levels for a long row of modules, so that no page has more of it than a person can follow."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate, chain, pairwise

from onnxlens.profile.flow.deepest import DeepestFlow, ran
from onnxlens.profile.flow.fold import folded
from onnxlens.profile.flow.frames import Level
from onnxlens.profile.flow.levels import joined, steps_to
from onnxlens.profile.flow.shrinking import Shrinking
from onnxlens.specs.flow import FlowNode


def with_parts(deepest: DeepestFlow, most: int, share: int) -> DeepestFlow:
    """The flow with parts of up to ``share`` boxes in every level that has more than ``most``.

    A row that is short enough when equal blocks are folded is left as it is.
    """
    inserted: dict[str, dict[str, tuple[Level, ...]]] = {}
    levels = Shrinking(deepest)
    for path in reversed(_long(deepest, most)):
        shown, flow, held = levels.row(path)
        row = ran(flow)
        if len(row) <= most or len(ran(folded(shown, flow, held))) <= most:
            continue
        parts_of = [
            tuple(accumulate((path, *steps[:-1]), joined))[1:]
            for steps in steps_to("box", len(row), most, share)
        ]
        members: dict[str, list[FlowNode]] = defaultdict(list)
        for box, names in zip(row, parts_of, strict=True):
            for name in names:
                members[name].append(box)
        titles = {name: f"{_name(boxes[0])} to {_name(boxes[-1])}" for name, boxes in members.items()}
        within = inserted[path] = {}
        for box, names in zip(row, parts_of, strict=True):
            ids = chain.from_iterable(map(levels.ids, held[box.id]))
            within.update(dict.fromkeys(ids, tuple((name, titles[name]) for name in names)))
    if not inserted:
        return deepest
    nodes = [node.within(tuple(_parents(node, inserted))) for node in deepest.flow.nodes]
    return replace(deepest, flow=replace(deepest.flow, nodes=tuple(nodes)))


def _name(box: FlowNode) -> str:
    return box.path if box.kind == "module" else box.title


def _parents(node: FlowNode, inserted: Mapping[str, Mapping[str, tuple[Level, ...]]]) -> Iterator[Level]:
    for level in (("", ""), *node.parents):
        if level[0]:
            yield level
        yield from inserted.get(level[0], {}).get(node.id, ())


def _long(deepest: DeepestFlow, most: int) -> Sequence[str]:
    """The paths of the levels that may have a row of more than ``most`` boxes in them; "" is the model.

    Those inside others come later.
    """
    inside: dict[str, set[Hashable]] = defaultdict(set)
    for node in ran(deepest.flow):
        paths = ["", *(path for path, _ in node.parents)]
        for outer, inner in pairwise(paths):
            inside[outer].add(inner)
        inside[paths[-1]].add(("box", node.id))
    return [path for path, found in inside.items() if len(found) > most]
