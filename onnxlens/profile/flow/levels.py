"""Levels for a graph whose file names no modules, or only the weights of layers, found in its data flow."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, groupby
from math import ceil

from onnxlens.profile.flow.frames import bodies_of, frame_path, is_dead, readers, runs, source_of
from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.graph.node_view import NotCountable, ValueView
from onnxlens.profile.graph.scopes import ModuleRef
from onnxlens.specs.flow import FlowGraph
from onnxlens.specs.ledger import Ledger, NodeCost

MANY_CONSUMERS = 3
"""A tensor with more consumers, over half of the graph, is a mask or the like, and not a link of a chain.

Nor is an input that is read so far on, unless parallel branches begin with it.
"""
SHAPE_ELEMENTS = 8
"""A tensor of no more elements is taken for a shape or a scalar, which is not a link of a chain either."""

MATRIX_WORK = re.compile("Conv|MatMul|Gemm|Attention|LSTM|GRU|RNN|Einsum")

FOUND = "the file does not name these levels: onnxlens found them in the data flow"
KINDS: Mapping[str, str] = {
    "part": "a part is a share of a long row, cut by number alone",
    "block": "a block stands between two tensors that the flow narrows to",
    "group": "a group begins with each convolution or matrix product",
    "node": "a node is one of the file's",
}
"""What each level is, outermost first."""


def with_levels(graph: Graph, ledger: Ledger, most: int, share: int) -> Graph:
    """The graph with levels in place of modules if its file names none, or only weights; else as it is.

    ``block3``: what is between two tensors that the flow narrows to, such as a residual block, or a chain of
    such; what has no matrix work goes with the block before it. ``block3.group2``: nodes from one with matrix
    work up to the next. ``block3.group2.node1``: a node. A level of one item is left out; one of more than
    ``most`` has another above it, ``part1`` and so on, of ``share`` items each at most. What runs inside a
    node has levels of its own, below that node's.
    """
    if graph.attribution in ("metadata", "names"):
        return graph
    nodes = list(graph.nodes)
    levels: dict[str, str] = {}
    taken = set[str]()
    prefixes = {"": ""}
    heavy = list(map(_is_heavy, ledger.nodes))
    for scope in sorted(_scopes(graph, heavy), key=lambda scope: scope.depth):
        prefix = prefixes[scope.key]
        for index, steps in _steps(scope, most, share):
            paths = list(accumulate((prefix, *steps), joined))
            if nodes[index].bodies:
                around = paths[:-1] if steps else paths
                paths = [*around, frame_path(nodes[index], around[-1], taken)]
            levels.update((path, "") for path in paths[:-1] if path)
            nodes[index] = replace(nodes[index], module=ModuleRef(paths[-1]))
            prefixes.update((body.key, path) for body, path in bodies_of(nodes[index], paths[-1]))
    return replace(graph, nodes=tuple(nodes), called=levels, attribution="none")


def joined(path: str, step: str) -> str:
    """The path of a level below another; "" is the model."""
    return f"{path}.{step}" if path else step


def notes_on(flow: FlowGraph) -> tuple[str, ...]:
    """What a reader of a flow that shows such levels must know; nothing if it shows none."""
    steps = [step for box in flow.nodes if box.order for step in box.path.split(".")]
    shown = [said for kind, said in KINDS.items() if any(step.startswith(kind) for step in steps)]
    return ("; ".join([FOUND, *shown]),) if shown else ()


Steps = tuple[str, ...]
"""What leads from the graph to an item: its block, its group, itself."""


def steps_to(kind: str, count: int, most: int, share: int) -> Sequence[Steps]:
    """What leads to each item of a level: nothing to a single one, its part and itself if there are many."""
    if count <= 1:
        return [()] * count
    if count <= most:
        return [(f"{kind}{number}",) for number in range(1, count + 1)]
    parts = ceil(count / share)
    size = ceil(count / parts)
    within = steps_to("part", ceil(count / size), most, share)
    return [(*within[index // size], f"{kind}{index % size + 1}") for index in range(count)]


@dataclass(frozen=True, slots=True)
class _Scope:
    """The graph of the file, or one inside a node, whose nodes are divided into levels.

    Attributes:
        key: of the body; "" for the file's.
        depth: how many bodies it is in.
        items: the nodes that run in it itself, by their indices.
        positions: which item each node is that runs in it, itself or inside an item.
        heavy: the items with matrix work in them.
        never: it is known not to run.
    """

    graph: Graph
    key: str
    depth: int
    items: Sequence[int]
    positions: Mapping[int, int]
    heavy: frozenset[int]
    never: bool


def _scopes(graph: Graph, heavy: Sequence[bool]) -> Iterator[_Scope]:
    owners = {body.key: index for index, node in enumerate(graph.nodes) for body in node.bodies}
    never = {body.key for node in graph.nodes for body in node.bodies if is_dead(body)}
    inside: dict[tuple[str, ...], dict[int, int]] = {(): {}}
    for index, node in enumerate(graph.nodes):
        if runs(node):
            around = ("", *node.within)
            for level, inner in enumerate((*node.within, None)):
                item = index if inner is None else owners[inner]
                inside.setdefault(around[1 : level + 1], {})[index] = item
    for within, item_of in inside.items():
        items = sorted(set(item_of.values()))
        position = {item: number for number, item in enumerate(items)}
        yield _Scope(
            graph,
            within[-1] if within else "",
            len(within),
            items,
            {index: position[item] for index, item in item_of.items()},
            frozenset(item for index, item in item_of.items() if heavy[index]),
            never=not never.isdisjoint(within),
        )


def _steps(scope: _Scope, most: int, share: int) -> Iterator[tuple[int, Steps]]:
    """Each node of the scope, by its index, and what leads to it."""
    if scope.never:
        yield from ((index, ()) for index in scope.items)
        return
    heavy = scope.heavy
    blocks = list(_blocks(_segments(scope), heavy))
    for to_block, block in zip(steps_to("block", len(blocks), most, share), blocks, strict=True):
        groups = list(_groups(block, heavy))
        for to_group, group in zip(steps_to("group", len(groups), most, share), groups, strict=True):
            for to_node, index in zip(steps_to("node", len(group), most, share), group, strict=True):
                yield index, (*to_block, *to_group, *to_node)


@dataclass(frozen=True, slots=True)
class _Life:
    """Where a tensor is produced and read, by position among the items; -1 is before the first."""

    produced: int
    consumers: Sequence[int]
    is_small: bool = False


def _segments(scope: _Scope) -> Iterator[Sequence[int]]:
    """The items, by their indices, divided wherever a single tensor is all that goes on.

    No matrix work may come before that tensor is read: it would be parallel to it, not depend on it.
    """
    running = scope.items
    work = [0, *accumulate(index in scope.heavy for index in running)]
    alive, consumer = [0] * (len(running) + 1), [0] * (len(running) + 1)
    for life in _links(scope):
        for position, change in (life.produced + 1, 1), (life.consumers[-1] + 1, -1):
            alive[position] += change
            consumer[position] += change * life.consumers[0]
    start = 0
    # where one is alive, the sum of the first consumers is its own
    sums = zip(accumulate(alive[:-1]), accumulate(consumer[:-1]), strict=True)
    for position, (count, first) in enumerate(sums):
        if position > start and count == 1 and work[max(first, position)] == work[position]:
            yield running[start:position]
            start = position
    yield running[start:]


def _links(scope: _Scope) -> Iterator[_Life]:
    """The lives of the tensors that are links of the chain."""
    work = [position for position, index in enumerate(scope.items) if index in scope.heavy]
    for life in _lives(scope):
        if life.is_small or not life.consumers:
            continue
        spread = 2 * (life.consumers[-1] - life.produced) > len(scope.items)
        everywhere = spread and (life.produced < 0 or len(life.consumers) > MANY_CONSUMERS)
        branches = len(set(work).intersection(life.consumers)) > 1 and work[0] in life.consumers
        if branches or not everywhere:
            yield life


def _lives(scope: _Scope) -> Iterator[_Life]:
    """The life of every tensor; the graph itself is not a consumer of its outputs."""
    graph, positions = scope.graph, scope.positions

    def consumers(tensor: str) -> Sequence[int]:
        return sorted({positions[index] for index in readers(graph, tensor) if index in positions})

    entering = [tensor.name for tensor in graph.inputs]
    if scope.key:
        made = {value.name for index in positions for value in graph.nodes[index].view.outputs if value}
        read = (
            value.name for index in positions for value in graph.nodes[index].reads if not value.is_weight
        )
        entering = [
            name for name in dict.fromkeys(source_of(graph, name) for name in read) if name not in made
        ]
    for name in entering:
        yield _Life(-1, consumers(name))
    for position, index in enumerate(scope.items):
        for output in graph.nodes[index].view.outputs:
            if output is not None:
                yield _Life(position, consumers(output.name), _is_small(output))


def _is_heavy(node: NodeCost) -> bool:
    """Whether it is matrix work; by its type if it cannot be counted."""
    return bool(node.macs) or (node.status == "unknown" and MATRIX_WORK.search(node.op_type) is not None)


def _is_small(value: ValueView) -> bool:
    try:
        return value.elements <= SHAPE_ELEMENTS
    except NotCountable:
        return False


def _blocks(segments: Iterator[Sequence[int]], heavy: frozenset[int]) -> Iterator[Sequence[int]]:
    """Branching segments with matrix work, each with the light ones after it, and the chains between them."""

    def is_branching(segment: Sequence[int]) -> bool:
        return len(segment) > 1 and not heavy.isdisjoint(segment)

    before: list[int] = []
    for branching, run in groupby(segments, is_branching):
        if branching:
            for part in run:
                if before:
                    yield before
                before = list(part)
            continue
        chain = [index for part in run for index in part]
        light = next((position for position, index in enumerate(chain) if index in heavy), len(chain))
        if before:
            before, chain = before + chain[:light], chain[light:]
        if before and chain:
            yield before
        before = chain or before
    if before:
        yield before


def _groups(block: Sequence[int], heavy: frozenset[int]) -> Iterator[Sequence[int]]:
    """The nodes of a block, a group for each with matrix work; those before the first go with it."""
    group: list[int] = []
    for index in block:
        if index in heavy and not heavy.isdisjoint(group):
            yield group
            group = []
        group.append(index)
    yield group
