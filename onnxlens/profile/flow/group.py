"""A flow with the groups that a person names, as levels between their modules and what contains those."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from itertools import accumulate, takewhile
from typing import TypeVar

from onnxlens.errors import UsageError
from onnxlens.profile.flow.deepest import DeepestFlow, ran, reached
from onnxlens.profile.flow.frames import Level
from onnxlens.specs.flow import FlowGraph, FlowNode, Group

T = TypeVar("T")

RANGE = ".."
NEAREST = 3
"""An error message about an unknown module suggests at most this many others."""


@dataclass(frozen=True, slots=True)
class _Placed:
    """A group; its path is its modules as text: ``input_blocks.1..3, zero_convs.1..3``."""

    name: str
    path: str
    closed: bool


_Chain = tuple[_Placed, ...]
"""The groups that contain a module or a box, outermost first."""


def grouped(deepest: DeepestFlow, groups: Iterable[Group]) -> DeepestFlow:
    """The whole flow with each group as a level between its modules, of one parent, and what contains them.

    What the containing module runs for a group alone belongs to the group too: operators whose results no box
    outside reads, and operators between two of its modules.

    Raises:
        UsageError: a module does not run or is in two groups, the ends of a range are not siblings, or the
            modules of a group have different parents.
    """
    flow = deepest.flow
    members = _members(groups, flow)
    chains = {node.id: chain for node in ran(flow) if (chain := _chain_of(node, members))}
    levels = _common_levels(flow, members)
    _absorb(deepest, chains, levels)
    placed = dict.fromkeys(group for chain in members.values() for group in chain)
    nodes = (
        _in_groups(node, chains[node.id], len(levels[chains[node.id][0]])) if node.id in chains else node
        for node in flow.nodes
    )
    return replace(
        deepest,
        flow=replace(flow, nodes=tuple(nodes)),
        groups={group.name: group.path for group in placed},
        closed=deepest.closed | {group.path for group in placed if group.closed},
    )


def group_names(
    deepest: DeepestFlow, groups: Iterable[Group], modules: Iterable[str]
) -> tuple[Mapping[int, str], Mapping[str, str]]:
    """The innermost group of each node, by its index, as a picture has it; and of each module, by its path.

    Raises:
        UsageError: as ``grouped``.
    """
    groups = tuple(groups)
    whole = grouped(deepest, groups)
    names = {path: name for name, path in whole.groups.items()}
    nodes = {
        index: names[inside[-1]]
        for box in ran(whole.flow)
        if (inside := [path for path in _levels(box) if path in names])
        for index in deepest.nodes.get(box.id, ())
    }
    members = _members(groups, deepest.flow)
    return nodes, {
        path: chain[-1].name
        for path in modules
        if (chain := next((c for module, c in members.items() if _within(path, module)), ()))
    }


def _levels(box: FlowNode) -> Sequence[str]:
    """The paths of what contains a box; a module contains what it runs."""
    return [*(path for path, _ in box.parents), *([box.path] if box.kind == "module" else [])]


def _in_groups(node: FlowNode, chain: _Chain, position: int) -> FlowNode:
    """The box with its groups after ``position`` levels; a group of one module is that level, renamed."""
    added = tuple((group.path, group.name) for group in chain)
    path, name = added[-1]
    if node.path == path and node.kind == "module":
        added, node = added[:-1], replace(node, title=name)
    below = node.parents[position:]
    if below and below[0][0] == path:
        below = below[1:]
    return replace(node, parents=(*node.parents[:position], *added, *below))


def _within(path: str, module: str) -> bool:
    return path == module or path.startswith(f"{module}.")


def _chain_of(node: FlowNode, members: Mapping[str, _Chain]) -> _Chain:
    return next((chain for module, chain in members.items() if _within(node.path, module)), ())


def _common_levels(flow: FlowGraph, members: Mapping[str, _Chain]) -> Mapping[_Placed, tuple[Level, ...]]:
    """What contains each outermost group."""
    found: dict[_Placed, tuple[Level, ...]] = {}
    first: dict[_Placed, str] = {}
    for node in flow.nodes:
        for module, (group, *_) in members.items():
            if node.order and _within(node.path, module):
                levels = tuple(level for level in node.parents if not _within(level[0], module))
                first.setdefault(group, module)
                if found.setdefault(group, levels) != levels:
                    raise UsageError(
                        f"group {group.name!r}: {first[group]!r} and {module!r} have different parents; a "
                        "group takes modules with the same parent"
                    )
    return found


def _absorb(
    deepest: DeepestFlow, chains: dict[str, _Chain], levels: Mapping[_Placed, tuple[Level, ...]]
) -> None:
    """Give the groups the operators that the module around them runs for them alone."""
    consumers, producers = deepest.neighbors
    parents = set(levels.values())
    loose = [
        node
        for node in reversed(ran(deepest.flow))
        if node.kind == "operators" and node.id not in chains and node.parents in parents
    ]
    for node in loose:  # the last first: what only one of them reads may belong to the same group
        chain = _shared(chains.get(consumer, ()) for consumer in consumers[node.id])
        if chain and levels[chain[0]] == node.parents:
            chains[node.id] = chain
    prefixes = {chain[:length] for chain in chains.values() for length in range(1, len(chain) + 1)}
    for chain in sorted(prefixes, key=lambda chain: (-len(chain), chain[-1].path)):
        inside = {box for box, other in chains.items() if other[: len(chain)] == chain}
        between = reached(inside, consumers) & reached(inside, producers)
        for node in loose:
            if node.id in between and node.id not in chains and node.parents == levels[chain[0]]:
                chains[node.id] = chain


def _shared(sequences: Iterable[Sequence[T]]) -> tuple[T, ...]:
    """What all of the sequences start with."""
    at_each_index = takewhile(lambda items: len(set(items)) == 1, zip(*sequences, strict=False))
    return tuple(items[0] for items in at_each_index)


def _members(groups: Iterable[Group], flow: FlowGraph) -> Mapping[str, _Chain]:
    """For each module that is named the groups that contain it, outermost first."""
    modules = _Modules(flow)
    members: dict[str, _Chain] = {}
    for group in groups:
        for module, chain in _placed(group, (), modules):
            for other, taken in members.items():
                if _within(module, other) or _within(other, module):
                    inner = max(module, other, key=len)
                    both = f"{taken[-1].name!r} and in {chain[-1].name!r}"
                    raise UsageError(f"module {inner!r} is in group {both}; leave it in one of them")
            members[module] = chain
    return members


def _placed(group: Group, outer: _Chain, modules: _Modules) -> Iterator[tuple[str, _Chain]]:
    chain = (*outer, _Placed(group.name, _text(_all_modules(group)), group.closed))
    for text in group.modules:
        for module in modules.meant(text, group.name):
            yield module, chain
    for inner in group.groups:
        yield from _placed(inner, chain, modules)


def _all_modules(group: Group) -> Sequence[str]:
    return [*group.modules, *(module for inner in group.groups for module in _all_modules(inner))]


def _text(modules: Sequence[str]) -> str:
    """The modules as one text, with what all of their paths start with written once."""
    shared = _shared([module.partition(RANGE)[0].split(".")[:-1] for module in modules])
    common = "".join(f"{element}." for element in shared)
    return common + ", ".join(module.removeprefix(common) for module in modules)


class _Modules:
    """The modules of a flow, those that only contain others included, by when they first run."""

    def __init__(self, flow: FlowGraph) -> None:
        self._first: dict[str, int] = {}
        for node in ran(flow):
            for path in accumulate(node.path.split("."), "{}.{}".format):
                self._first.setdefault(path, node.order)

    def meant(self, text: str, group: str) -> Sequence[str]:
        """The module, or all siblings from the first to the last of a range, in execution order."""
        if RANGE not in text or text in self._first:
            return (self._known(text, group),)
        start, _, end = text.partition(RANGE)
        first = self._known(start, group)
        parent = first.rpartition(".")[0]
        sibling = f"{parent}.{end}" if parent else end
        last = sibling if sibling in self._first else self._known(end, group, sibling)
        if last.rpartition(".")[0] != parent:
            raise UsageError(
                f"group {group!r}: the ends of {text!r} are not siblings; a range goes from a module to "
                "another with the same parent: blocks.1..3"
            )
        if self._first[last] < self._first[first]:
            raise UsageError(f"group {group!r}: {last!r} runs before {first!r}; reverse the range {text!r}")
        return [
            path
            for path, order in self._first.items()
            if path.rpartition(".")[0] == parent and self._first[first] <= order <= self._first[last]
        ]

    def _known(self, path: str, group: str, meant: str = "") -> str:
        if path and path in self._first:
            return path
        near = get_close_matches(meant or path, self._first, n=NEAREST)
        hint = f"the nearest are {', '.join(near)}" if near else "'onnxlens profile' lists them"
        raise UsageError(f"group {group!r}: no module {meant or path!r} runs in this graph; {hint}")
