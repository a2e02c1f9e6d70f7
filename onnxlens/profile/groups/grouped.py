"""The data flow with the groups that a person gives, as frames or as boxes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from onnxlens.errors import UsageError
from onnxlens.profile.flow import READABLE_BOXES
from onnxlens.profile.groups.boxes import Level, collapsed
from onnxlens.profile.groups.members import Membership, PlacedGroup, membership, within
from onnxlens.specs.flow import FlowGraph, FlowNode
from onnxlens.specs.grouping import Group

Chain = tuple[PlacedGroup, ...]
"""The groups that a box stands in, outermost first."""


def grouped(flow: FlowGraph, groups: Iterable[Group], depth: int | None = None) -> FlowGraph:
    """The flow down to ``depth``, with each group as a level between its modules and what contains them.

    What the containing module runs for a group alone is the group's too: operators whose results no box
    outside reads, and operators between two of its modules.

    Args:
        flow: at its deepest: one box for each innermost module.
        groups: of modules that stand in the same module.
        depth: how many levels to open; None for as many as a person can follow.

    Raises:
        UsageError: a group cannot be meant: see ``membership``, or its modules stand in different modules.
    """
    members = membership(groups, flow)
    chains = {node.id: chain for node in flow.nodes if (chain := _chain_of(node, members))}
    levels = _common_levels(flow, members)
    _absorb(flow, chains, levels)
    framed = _framed(flow, chains, levels)
    placed = {group for chain in members.values() for group in chain}
    paths = frozenset(group.path for group in placed)
    closed = frozenset(group.path for group in placed if group.closed)
    if depth is not None:
        return collapsed(framed, depth, paths, closed)
    deepest = max(len(node.parents) + 1 for node in framed.nodes)
    return next(
        drawn
        for level in range(deepest, 0, -1)
        if _boxes(drawn := collapsed(framed, level, paths, closed)) <= READABLE_BOXES or level == 1
    )


def _boxes(flow: FlowGraph) -> int:
    return sum(node.order > 0 for node in flow.nodes)


def _chain_of(node: FlowNode, members: Membership) -> Chain:
    if not node.order:
        return ()
    return next((chain for module, chain in members.items() if within(node.path, module)), ())


def _outer_levels(node: FlowNode, module: str) -> tuple[Level, ...]:
    """The modules that contain ``module``, told by a node that stands in it or is it."""
    levels = [level for level in node.parents if not within(level[0], module)]
    return tuple(levels)


def _common_levels(flow: FlowGraph, members: Membership) -> Mapping[PlacedGroup, tuple[Level, ...]]:
    """Where each outermost group stands.

    Raises:
        UsageError: its modules stand in different modules.
    """
    found: dict[PlacedGroup, tuple[Level, ...]] = {}
    first: dict[PlacedGroup, str] = {}
    for node in flow.nodes:
        for module, (group, *_) in members.items():
            if node.order and within(node.path, module):
                levels = _outer_levels(node, module)
                first.setdefault(group, module)
                if found.setdefault(group, levels) != levels:
                    raise UsageError(
                        f"group {group.name!r}: {first[group]!r} and {module!r} stand in different modules; "
                        "put only what stands side by side into a group"
                    )
    return found


def _absorb(
    flow: FlowGraph, chains: dict[str, Chain], levels: Mapping[PlacedGroup, tuple[Level, ...]]
) -> None:
    """Give the groups the operators that the module around them runs for them alone."""
    readers, makers = _neighbours(flow)
    homes = set(levels.values())
    loose = [
        node
        for node in sorted(flow.nodes, key=lambda node: -node.order)
        if node.kind == "operators" and node.id not in chains and node.parents in homes
    ]
    for node in loose:  # the last first: what feeds one of them may be a group's with it
        chain = _shared([chains.get(reader, ()) for reader in readers[node.id]])
        if chain and levels[chain[0]] == node.parents:
            chains[node.id] = chain
    for chain in sorted({shared for each in chains.values() for shared in _prefixes(each)}, key=_innermost):
        inside = {box for box, other in chains.items() if other[: len(chain)] == chain}
        between = _reached(inside, readers) & _reached(inside, makers)
        for node in loose:
            if node.id in between and node.id not in chains and node.parents == levels[chain[0]]:
                chains[node.id] = chain


def _prefixes(chain: Chain) -> Iterable[Chain]:
    return (chain[:length] for length in range(1, len(chain) + 1))


def _innermost(chain: Chain) -> tuple[int, str]:
    return -len(chain), chain[-1].path


def _neighbours(flow: FlowGraph) -> tuple[Mapping[str, list[str]], Mapping[str, list[str]]]:
    readers: dict[str, list[str]] = defaultdict(list)
    makers: dict[str, list[str]] = defaultdict(list)
    for edge in flow.edges:
        readers[edge.source].append(edge.target)
        makers[edge.target].append(edge.source)
    return readers, makers


def _shared(chains: Sequence[Chain]) -> Chain:
    """What all of the chains start with."""
    length = 0
    while chains and all(len(chain) > length and chain[length] == chains[0][length] for chain in chains):
        length += 1
    return chains[0][:length] if chains else ()


def _reached(start: Iterable[str], following: Mapping[str, list[str]]) -> set[str]:
    """All boxes to which a way leads from ``start``."""
    waiting, found = list(start), set[str]()
    while waiting:
        for box in following.get(waiting.pop(), ()):
            if box not in found:
                found.add(box)
                waiting.append(box)
    return found


def _framed(
    flow: FlowGraph, chains: Mapping[str, Chain], levels: Mapping[PlacedGroup, tuple[Level, ...]]
) -> FlowGraph:
    """The flow with the groups among the frames that its boxes stand in."""
    nodes = []
    for node in flow.nodes:
        if node.id in chains:
            chain = chains[node.id]
            place = len(levels[chain[0]])
            frames = tuple((group.path, group.name) for group in chain)
            node = replace(node, parents=(*node.parents[:place], *frames, *node.parents[place:]))
        nodes.append(node)
    return replace(flow, nodes=tuple(nodes))
