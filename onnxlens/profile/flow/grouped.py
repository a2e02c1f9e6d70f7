"""The data flow with the groups that a person gives, as frames or as boxes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from onnxlens.errors import UsageError
from onnxlens.profile.flow.building import build_flow
from onnxlens.profile.flow.group_alone import shown_alone
from onnxlens.profile.flow.group_boxes import Level, collapsed
from onnxlens.profile.flow.group_members import Membership, PlacedGroup, membership, within
from onnxlens.profile.flow.pages import READABLE_BOXES
from onnxlens.profile.graph.graph import Graph
from onnxlens.specs.flow import FlowGraph, FlowNode, FlowRequest
from onnxlens.specs.grouping import Group
from onnxlens.specs.ledger import Ledger

Chain = tuple[PlacedGroup, ...]
"""The groups that a box stands in, outermost first."""


@dataclass(frozen=True, slots=True)
class Framed:
    """A flow at its deepest, with groups among the frames that its boxes stand in.

    Attributes:
        groups: their paths, as frames, by name.
        closed: the paths of those that are boxes at any depth.
    """

    flow: FlowGraph
    groups: Mapping[str, str]
    closed: frozenset[str]

    def at(self, depth: int) -> FlowGraph:
        """The flow down to ``depth``, a group being a level, below what is shown alone."""
        level = depth + bool(self.flow.module)
        flow = collapsed(self.flow, level, frozenset(self.groups.values()), self.closed)
        return replace(flow, depth=depth)

    def readable(self) -> FlowGraph:
        """The flow as deep as a person can follow."""
        deepest = max(len(node.parents) + 1 for node in self.flow.nodes)
        flows = (self.at(depth) for depth in range(deepest, 0, -1))
        return next(flow for flow in flows if flow.depth == 1 or _boxes(flow) <= READABLE_BOXES)

    def alone(self, name: str) -> Framed:
        """One group, or the module at a path, without what surrounds it; it is opened where it was closed."""
        path = self.groups.get(name, name)
        names = {path: name for name, path in self.groups.items()}
        return replace(self, flow=shown_alone(self.flow, path, names), closed=self.closed - {path})


def grouped_flow(graph: Graph, ledger: Ledger, request: FlowRequest) -> FlowGraph:
    """What is asked for, on one page, with the request's groups; its module may be one of them.

    Raises:
        UsageError: a group cannot be meant, or there is no such module.
    """
    deepest = max(module.depth for module in ledger.modules)
    found = framed(build_flow(graph, ledger, deepest), request.groups)
    if request.module:
        found = found.alone(request.module)
    return found.readable() if request.depth is None else found.at(request.depth)


def grouped(flow: FlowGraph, groups: Iterable[Group], depth: int | None = None) -> FlowGraph:
    """The flow down to ``depth``, None for as deep as a person can follow, drawn with ``framed`` groups.

    Raises:
        UsageError: a group cannot be meant.
    """
    found = framed(flow, groups)
    return found.readable() if depth is None else found.at(depth)


def framed(flow: FlowGraph, groups: Iterable[Group]) -> Framed:
    """The flow with each group as a level between its modules and what contains them.

    What the containing module runs for a group alone is the group's too: operators whose results no box
    outside reads, and operators between two of its modules.

    Args:
        flow: at its deepest: one box for each innermost module.
        groups: of modules that stand in the same module.

    Raises:
        UsageError: a group cannot be meant: see ``membership``, or its modules stand in different modules.
    """
    members = membership(groups, flow)
    chains = {node.id: chain for node in flow.nodes if (chain := _chain_of(node, members))}
    levels = _common_levels(flow, members)
    _absorb(flow, chains, levels)
    placed = {group for chain in members.values() for group in chain}
    return Framed(
        _framed(flow, chains, levels),
        {group.name: group.path for group in placed},
        frozenset(group.path for group in placed if group.closed),
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
    nodes = (
        _in_frames(node, chains[node.id], len(levels[chains[node.id][0]])) if node.id in chains else node
        for node in flow.nodes
    )
    return replace(flow, nodes=tuple(nodes))


def _in_frames(node: FlowNode, chain: Chain, place: int) -> FlowNode:
    """The box with its groups ``place`` levels deep; a group of one module is that module's level renamed."""
    frames = tuple((group.path, group.name) for group in chain)
    path, name = frames[-1]
    if node.path == path and node.kind == "module":
        frames, node = frames[:-1], replace(node, title=name)
    below = node.parents[place:]
    if below and below[0][0] == path:
        below = below[1:]
    return replace(node, parents=(*node.parents[:place], *frames, *below))
