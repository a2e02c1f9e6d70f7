"""Whether blocks of a data flow are equal: named alike, wired alike, and running the same operators."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from itertools import pairwise

from onnxlens.profile.flow.frames import Level
from onnxlens.profile.graph.graph import GraphNode
from onnxlens.profile.graph.node_view import ValueView
from onnxlens.specs.flow import FlowEdge, FlowGraph, FlowNode

Block = Sequence[FlowNode]
"""Boxes that follow each other."""

NUMBER = re.compile(r"(\d+)")
LISTED = 3
"""So many numbers that do not follow each other are listed; of more, the first two and the last are named."""

_Position = tuple[int, int]
"""The number of a block, and of a box in it."""
_Wires = tuple[frozenset[Hashable], frozenset[Hashable] | None, Counter[Hashable]]
"""Links inside a block, links from the block before (None: one is not allowed), shapes read from outside."""


def joint_path(paths: Sequence[str]) -> str | None:
    """The paths as one, if at most one number in them differs and it rises evenly; else None.

    ``layers.0``, ``layers.1``, ``layers.2`` are ``layers.0..2``; ``features.3``, ``features.5`` are
    ``features.3,5``; four or more such are ``features.3,5..9``.
    """
    if len(set(paths)) == 1:
        return paths[0]
    split = [NUMBER.split(path) for path in paths]
    if len({len(parts) for parts in split}) > 1:
        return None
    columns = list(zip(*split, strict=True))
    differing = [index for index, column in enumerate(columns) if len(set(column)) > 1]
    if len(differing) != 1 or not columns[differing[0]][0].isdecimal():
        return None
    numbers = [int(number) for number in columns[differing[0]]]
    step = numbers[1] - numbers[0]
    if step < 1 or any(after - before != step for before, after in pairwise(numbers)):
        return None
    joint = list(split[0])
    joint[differing[0]] = _joint_number(numbers, step)
    return "".join(joint)


def _joint_number(numbers: Sequence[int], step: int) -> str:
    if step == 1:
        return f"{numbers[0]}..{numbers[-1]}"
    if len(numbers) <= LISTED:
        return ",".join(map(str, numbers))
    return f"{numbers[0]},{numbers[1]}..{numbers[-1]}"


def joint_levels(blocks: Sequence[Block]) -> Sequence[tuple[str, tuple[Level, ...]]] | None:
    """One path and parents for the boxes at the same index of every block; None if their names differ."""
    joint = []
    for boxes in zip(*blocks, strict=True):
        path = joint_path([box.path for box in boxes])
        parents = []
        for levels in zip(*(box.parents for box in boxes), strict=True):
            parent = joint_path([path for path, _ in levels])
            if parent is None:
                return None
            parents.append((parent, levels[0][1]))
        if path is None:
            return None
        joint.append((path, tuple(parents)))
    return joint


def jointly_named(blocks: Sequence[Block]) -> int:
    """How many of the blocks, from the first on, have joint names; what holds for some holds for fewer."""
    counts = range(2, len(blocks) + 1)
    return 1 + bisect_left(counts, True, key=lambda count: joint_levels(blocks[:count]) is None)


class Wiring:
    """Which tensors go into each box."""

    def __init__(self, flow: FlowGraph) -> None:
        """Sort the edges by the box that reads them."""
        self._incoming: Mapping[str, list[FlowEdge]] = defaultdict(list)
        for edge in flow.edges:
            self._incoming[edge.target].append(edge)

    def alike(self, blocks: Sequence[Block]) -> int:
        """How many blocks, from the first on, are alike inside, to the one before, and in what they take.

        A tensor of the block before is read at the same index or later: a link to an earlier one could not be
        distinguished from one inside a block. What goes out of a block may differ.
        """
        positions: dict[str, _Position] = {}
        wires: list[_Wires] = []
        for number, block in enumerate(blocks):
            positions.update({box.id: (number, index) for index, box in enumerate(block)})
            wires.append(self._wires(block, number, positions))
            inside, before, shapes = wires[-1]
            is_alike = (inside, shapes) == (wires[0][0], wires[0][2])
            if not is_alike or before is None or before != wires[min(number, 1)][1]:
                return number
        return len(blocks)

    def chained(self, blocks: Sequence[Block]) -> bool:
        """Whether the second block reads the first."""
        first = {box.id for box in blocks[0]}
        return any(edge.source in first for box in blocks[1] for edge in self._incoming[box.id])

    def _wires(self, block: Block, number: int, positions: Mapping[str, _Position]) -> _Wires:
        inside: set[Hashable] = set()
        before: set[Hashable] = set()
        shapes: Counter[Hashable] = Counter()
        for index, box in enumerate(block):
            for edge in self._incoming[box.id]:
                tensor = (edge.tensor.dtype, edge.tensor.shape)
                producer, source = positions.get(edge.source, (-1, -1))
                if producer == number:
                    inside.add((source, index, tensor))
                    continue
                shapes[index, tensor] += 1
                if producer >= 0:
                    if producer != number - 1 or source < index:
                        return frozenset(), None, shapes
                    before.add((source, index, tensor))
        return frozenset(inside), frozenset(before), shapes


def structure_of(nodes: Iterable[GraphNode]) -> Hashable:
    """Equal for two boxes that run the same operators on the same shapes, wired alike inside.

    Module paths, tensor names and weights do not count.
    """
    produced: dict[str, int] = {}
    structure: list[Hashable] = []
    for node in nodes:
        structure.append(_node_structure(node, produced))
        for value in node.view.outputs:
            if value is not None:
                produced[value.name] = len(produced)
    return tuple(structure)


def _node_structure(node: GraphNode, produced: Mapping[str, int]) -> Hashable:
    view = node.view
    attributes = tuple((name, _plain(view.attributes[name])) for name in sorted(view.attributes))
    inputs = tuple(_input_structure(value, produced) for value in view.inputs)
    outputs = tuple(value and (value.dtype, value.shape) for value in view.outputs)
    return view.domain, view.op_type, attributes, inputs, outputs


def _input_structure(value: ValueView | None, produced: Mapping[str, int]) -> Hashable:
    """Which tensor of the box, by its number, or what kind of tensor from outside it."""
    if value is None:
        return None
    return produced.get(value.name, (value.dtype, value.shape, value.is_weight))


def _plain(attribute: object) -> Hashable:
    """Arrays as their bytes."""
    tobytes = getattr(attribute, "tobytes", None)
    return tobytes() if callable(tobytes) else repr(attribute)
