"""A flow with equal blocks that follow each other folded into one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import groupby

from onnxlens.profile.flow.blocks import Block, Wiring, joint_levels, jointly_named, structure_of
from onnxlens.profile.flow.costs import merged_costs
from onnxlens.profile.flow.deepest import DeepestFlow
from onnxlens.specs.flow import FlowEdge, FlowGraph, FlowNode

LONGEST_UNIT = 24
"""So many boxes or clusters are tried as one block."""
NAMED = 3
"""A cluster around a block of several is named by so many of them."""


def folded(deepest: DeepestFlow, flow: FlowGraph, parts: Mapping[str, Sequence[FlowNode]]) -> FlowGraph:
    """What ``collapsed_with_parts`` returned, equal blocks that follow each other as one, with ``repeats``.

    A block is a box, a cluster, or several of them in a row. Blocks are equal if they run the same operators
    on the same shapes at the same costs, their names differ in one number that rises evenly, and they are
    wired alike: each reads the one before it in the same way, or none reads another. A cluster that stands
    for several is in ``frames``. Numbers are those of the unfolded flow; tensors that only go from one of the
    blocks to the next are not shown, all others are.
    """
    folding = _Folding(flow, lambda box: structure_of(deepest.run_by(parts[box])))
    boxes = tuple(folding.level([node for node in flow.nodes if node.order], 0))
    nodes = {node.id: node for node in (*flow.nodes, *boxes) if node.id not in folding.stands_for}
    edges: dict[FlowEdge, None] = {}
    for edge in flow.edges:
        if folding.is_repeat(edge):
            continue
        source = nodes[folding.representative(edge.source)]
        target = nodes[folding.representative(edge.target)]
        if not (source.order and target.order) or source.order < target.order:
            edges[FlowEdge(source.id, target.id, edge.tensor)] = None
    return replace(
        flow,
        nodes=tuple(nodes.values()),
        edges=tuple(edges),
        frames=folding.clusters,
        notes=(*flow.notes, *folding.notes()),
    )


@dataclass(frozen=True, slots=True)
class _Found:
    """``times`` blocks of ``length`` items from ``start`` on."""

    start: int
    length: int
    times: int

    @property
    def covered(self) -> int:
        return self.length * self.times


class _Folding:
    """Goes through the clusters from the outside in, and records what is folded."""

    def __init__(self, flow: FlowGraph, structure: Callable[[str], Hashable]) -> None:
        self._structure = cache(structure)
        self._wiring = Wiring(flow)
        self.stands_for: dict[str, str] = {}
        self._fold_of: dict[str, int] = {}
        self._folds = 0
        self.clusters: dict[str, int] = {}
        self._side_by_side: list[str] = []

    def representative(self, box: str) -> str:
        """The id of the box that is shown for it."""
        while box in self.stands_for:
            box = self.stands_for[box]
        return box

    def is_repeat(self, edge: FlowEdge) -> bool:
        """Whether both ends are in blocks of one fold that are not shown."""
        fold = self._fold_of.get(edge.source)
        return fold is not None and fold == self._fold_of.get(edge.target)

    def notes(self) -> tuple[str, ...]:
        """What a reader of the picture must know."""
        if not self.stands_for:
            return ("nothing is folded: no equal blocks follow each other",)
        parallel = f"; side by side are {', '.join(self._side_by_side)}" if self._side_by_side else ""
        return (f"xN stands for N equal blocks, one after the other{parallel}",)

    def level(self, boxes: Sequence[FlowNode], depth: int) -> Iterator[FlowNode]:
        """The boxes that have the same ``depth`` outermost parents, folded."""
        items = _items(boxes, depth)
        rough = [tuple(_rough(box, depth) for box in item) for item in items]
        times = Counter(rough)
        # what runs inside is compared last: it takes longest to tell
        full = [
            (signature, tuple(self._structure(box.id) for box in item) if times[signature] > 1 else None)
            for signature, item in zip(rough, items, strict=True)
        ]
        numbers: dict[Hashable, int] = {}  # compared far more often than made
        signatures = [numbers.setdefault(signature, len(numbers)) for signature in full]
        index = 0
        while index < len(items):
            found = self._repeat(items, signatures, index)
            start = found.start if found else index + 1
            for item in items[index:start]:
                yield from self._inside(item, depth)
            if found:
                yield from self._inside(self._fold(items, found, depth), depth)
            index = start + (found.covered if found else 0)

    def _inside(self, item: Block, depth: int) -> Iterable[FlowNode]:
        return self.level(item, depth + 1) if len(item[0].parents) > depth else item

    def _repeat(self, items: Sequence[Block], signatures: Sequence[int], index: int) -> _Found | None:
        """The block from ``index`` on whose repeats cover most; rotated to begin with matrix work."""
        longest = min(LONGEST_UNIT, (len(items) - index) // 2)
        lengths = [
            length for length in range(1, longest + 1) if signatures[index + length] == signatures[index]
        ]
        tried = (self._times(items, signatures, _Found(index, length, 0)) for length in lengths)
        best = max(filter(None, tried), key=lambda found: (found.covered, -found.length), default=None)
        if best is None or best.length == 1 or _macs(items[index]):
            return best
        for start in range(index + 1, min(index + best.length, len(items) - best.length)):
            rotated = self._times(items, signatures, replace(best, start=start))
            if rotated and rotated.covered >= best.covered and _macs(items[start]):
                return rotated
        return best

    def _times(self, items: Sequence[Block], signatures: Sequence[int], unit: _Found) -> _Found | None:
        """How often the unit follows itself; None for once."""
        start, length = unit.start, unit.length
        pattern = signatures[start : start + length]
        if signatures[start + length] != pattern[0]:
            return None
        if signatures[start + length : start + 2 * length] != pattern:
            return None
        pair = _blocks(items, replace(unit, times=2))
        if self._wiring.alike(pair) < 2 or joint_levels(pair) is None:  # most end here, at little cost
            return None
        times = 2
        while signatures[start + times * length : start + (times + 1) * length] == pattern:
            times += 1
        blocks = _blocks(items, replace(unit, times=times))
        return replace(unit, times=jointly_named(blocks[: self._wiring.alike(blocks)]))

    def _fold(self, items: Sequence[Block], found: _Found, depth: int) -> Block:
        """The one block that stands for all, in its cluster."""
        blocks = _blocks(items, found)
        joint = joint_levels(blocks)
        assert joint is not None  # the blocks are jointly named
        shown = []
        self._folds += 1
        for (path, parents), boxes in zip(joint, zip(*blocks, strict=True), strict=True):
            self.stands_for.update((box.id, boxes[0].id) for box in boxes[1:])
            self._fold_of.update((box.id, self._folds) for box in boxes[1:])
            costs = merged_costs([box.costs for box in boxes])
            repeats = found.times * boxes[0].repeats
            shown.append(replace(boxes[0], path=path, parents=parents, costs=costs, repeats=repeats))
        if found.length > 1:
            sizes = [len(item) for item in items[found.start : found.start + found.length]]
            shown = self._clustered(shown, sizes, depth)
        name = shown[0].path
        if len(shown[0].parents) > depth:
            name = shown[0].parents[depth][0]
            self.clusters[name] = found.times
        if not self._wiring.chained(blocks):
            self._side_by_side.append(name)
        return shown

    def _clustered(self, boxes: Sequence[FlowNode], sizes: Sequence[int], depth: int) -> list[FlowNode]:
        """The boxes of several items in a cluster of their own, named by them."""
        firsts = [boxes[sum(sizes[:item])] for item in range(len(sizes))]
        names = [_name(box, depth) for box in firsts]
        around = boxes[0].parents[:depth]
        within = around[-1][0] + "." if around else ""
        listed = [name.removeprefix(within) for name in dict.fromkeys(names)]
        more = f" + {len(listed) - NAMED} more" if len(listed) > NAMED else ""
        path = f"{within}{' + '.join(listed[:NAMED])}{more}"
        if path in self.clusters:
            path = f"{path} ({boxes[0].order})"
        around = (*around, (path, "repeated"))
        return [replace(box, parents=(*around, *box.parents[depth:])) for box in boxes]


def _rough(box: FlowNode, depth: int) -> Hashable:
    """What is the same of equal boxes, apart from what runs inside."""
    classes = tuple(class_name for _, class_name in box.parents[depth:])
    return box.kind, box.title, classes, box.macs, box.params


def _items(boxes: Sequence[FlowNode], depth: int) -> Sequence[Block]:
    """The boxes at ``depth``, and the clusters there, each a run of boxes."""

    def key(box: FlowNode) -> Hashable:
        return box.parents[depth] if len(box.parents) > depth else box.id

    return [list(run) for _, run in groupby(boxes, key)]


def _blocks(items: Sequence[Block], found: _Found) -> Sequence[Block]:
    """The boxes of each block."""
    return [
        [box for item in items[start : start + found.length] for box in item]
        for start in range(found.start, found.start + found.covered, found.length)
    ]


def _macs(item: Block) -> int:
    return sum(box.macs for box in item)


def _name(box: FlowNode, depth: int) -> str:
    """The name of an item, from its first box."""
    if len(box.parents) > depth:
        return box.parents[depth][0]
    return box.title if box.kind == "operators" else box.path
