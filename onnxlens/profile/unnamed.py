"""Levels for a graph whose file names no modules, found in its data flow."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, groupby

from onnxlens.profile.graph import Graph
from onnxlens.profile.node_view import NotCountable, ValueView
from onnxlens.profile.scopes import Owner
from onnxlens.specs.ledger import Ledger, NodeCost

MANY_READERS = 3
"""A tensor with more readers, over half of the graph, is a mask or the like, and no link of a chain."""
SHAPE_ELEMENTS = 8
"""A tensor of no more elements is taken for a shape or a scalar, which is no link of a chain either."""

MATRIX_WORK = re.compile("Conv|MatMul|Gemm|Attention|LSTM|GRU|RNN|Einsum")

NOTE = (
    "the file names no modules: a block stands between two tensors that all later work hangs on alone; "
    "at depth 2 a box begins with each matrix work, at depth 3 each node has one"
)


def with_levels(graph: Graph, ledger: Ledger) -> Graph:
    """The graph with three levels in place of modules, where its file names none; else as it is.

    ``block3``: what stands between two tensors that all later work hangs on alone, such as a residual block,
    or a chain of such; what has no matrix work goes with the block before it. ``block3.group2``: nodes from
    one with matrix work up to the next. ``block3.group2.node41``: a node. A level of one part is left out.
    """
    if graph.attribution != "none":
        return graph
    nodes = list(graph.nodes)
    levels: dict[str, str] = {}
    for index, steps in _places(graph, list(map(_is_heavy, ledger.nodes))):
        paths = list(accumulate(steps, "{}.{}".format))
        levels.update(dict.fromkeys(paths[:-1], ""))
        nodes[index] = replace(nodes[index], owner=Owner(paths[-1]))
    return replace(graph, nodes=tuple(nodes), called=levels)


def _places(graph: Graph, heavy: Sequence[bool]) -> Iterator[tuple[int, Sequence[str]]]:
    """Each node that runs, by its index; its block, its group and itself, where those have several parts."""
    for number, block in enumerate(_blocks(_segments(graph), heavy), start=1):
        groups = list(_groups(block, heavy))
        for place, group in enumerate(groups, start=1):
            within = [f"block{number}"] if len(groups) == 1 else [f"block{number}", f"group{place}"]
            for index in group:
                yield index, within if len(group) == 1 else [*within, f"node{index + 1}"]


@dataclass(slots=True)
class _Life:
    """From the place that makes a tensor to the last that reads it, in the order of what runs."""

    made: int
    last: int
    readers: set[int] = field(default_factory=set)


def _segments(graph: Graph) -> Iterator[Sequence[int]]:
    """The nodes that run, by their indices, cut wherever a single tensor is all that goes on."""
    running = [index for index, node in enumerate(graph.nodes) if not node.offline]
    changes = [0] * (len(running) + 1)
    for life in _links(graph, running):
        changes[life.made + 1] += 1  # alive from the place behind its maker ...
        if life.last + 1 < len(changes):
            changes[life.last + 1] -= 1  # ... to its last reader
    start = 0
    for place, alive in enumerate(accumulate(changes[:-1])):
        if place > start and alive == 1:
            yield running[start:place]
            start = place
    yield running[start:]


def _links(graph: Graph, running: Sequence[int]) -> Iterator[_Life]:
    """The lives of the tensors that are links of the chain."""
    small = {
        value.name
        for index in running
        for value in graph.nodes[index].view.outputs
        if value and _is_small(value)
    }
    for name, life in _lives(graph, running).items():
        spread = 2 * (life.last - life.made) > len(running)
        everywhere = spread and (life.made < 0 or len(life.readers) > MANY_READERS)
        if life.last > life.made and name not in small and not everywhere:
            yield life


def _lives(graph: Graph, running: Sequence[int]) -> Mapping[str, _Life]:
    lives = {tensor.name: _Life(-1, -1) for tensor in graph.inputs}
    for place, index in enumerate(running):
        for read in graph.nodes[index].reads:
            if read.name in lives:
                lives[read.name].last = place
                lives[read.name].readers.add(place)
        for made in graph.nodes[index].view.outputs:
            if made is not None:
                lives[made.name] = _Life(place, place)
    for tensor in graph.outputs:
        if tensor.name in lives:
            lives[tensor.name].last = len(running)
    return lives


def _is_heavy(node: NodeCost) -> bool:
    """Whether it is matrix work; by its type where that cannot be counted."""
    return bool(node.macs) or (node.status == "unknown" and MATRIX_WORK.search(node.op_type) is not None)


def _is_small(value: ValueView) -> bool:
    try:
        return value.elements <= SHAPE_ELEMENTS
    except NotCountable:
        return False


def _blocks(segments: Iterator[Sequence[int]], heavy: Sequence[bool]) -> Iterator[Sequence[int]]:
    """Branching segments with matrix work, each with the light ones behind it, and chains between them."""

    def is_branching(segment: Sequence[int]) -> bool:
        return len(segment) > 1 and any(heavy[index] for index in segment)

    before: list[int] = []
    for branching, run in groupby(segments, is_branching):
        parts = [list(segment) for segment in run]
        if branching:
            for part in parts:
                if before:
                    yield before
                before = part
            continue
        chain = [index for part in parts for index in part]
        light = next((place for place, index in enumerate(chain) if heavy[index]), len(chain))
        if before:
            before, chain = before + chain[:light], chain[light:]
        if before and chain:
            yield before
        before = chain or before
    if before:
        yield before


def _groups(block: Sequence[int], heavy: Sequence[bool]) -> Iterator[Sequence[int]]:
    """The nodes of a block, a group for each with matrix work; those before the first go with it."""
    group: list[int] = []
    for index in block:
        if heavy[index] and any(heavy[other] for other in group):
            yield group
            group = []
        group.append(index)
    yield group
