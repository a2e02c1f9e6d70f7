"""Which modules a group means: paths and ranges held against the modules that run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from onnxlens.errors import UsageError
from onnxlens.specs.flow import FlowGraph
from onnxlens.specs.grouping import Group

RANGE = ".."
NEAREST = 3
"""So many names are offered where a module is not there."""


@dataclass(frozen=True, slots=True)
class PlacedGroup:
    """A group with the modules that it means.

    Attributes:
        path: what it holds, as text: ``input_blocks.1..3, zero_convs.1..3``.
    """

    name: str
    path: str
    closed: bool


Membership = Mapping[str, tuple[PlacedGroup, ...]]
"""For each module that is named the groups that it stands in, outermost first."""


def membership(groups: Iterable[Group], flow: FlowGraph) -> Membership:
    """Every named module of the groups, with its groups.

    Raises:
        UsageError: a module is not there or stands in two groups, or a range has ends that are no siblings.
    """
    tree = _Modules(flow)
    members: dict[str, tuple[PlacedGroup, ...]] = {}
    for group in groups:
        for module, chain in _placed(group, (), tree):
            _require_free(module, chain[-1].name, members)
            members[module] = chain
    return members


def within(path: str, module: str) -> bool:
    """Whether ``path`` is ``module`` or stands in it."""
    return path == module or path.startswith(f"{module}.")


def _placed(
    group: Group, outer: tuple[PlacedGroup, ...], tree: _Modules
) -> Iterator[tuple[str, tuple[PlacedGroup, ...]]]:
    chain = (*outer, PlacedGroup(group.name, _text(tuple(_all_modules(group))), group.closed))
    for text in group.modules:
        for module in tree.meant(text, group.name):
            yield module, chain
    for inner in group.groups:
        yield from _placed(inner, chain, tree)


def _require_free(module: str, name: str, members: Membership) -> None:
    """No module may be named twice, nor one that stands in another that is named."""
    for other, chain in members.items():
        if within(module, other) or within(other, module):
            inner = max(module, other, key=len)
            both = " and in ".join(repr(each) for each in (chain[-1].name, name))
            raise UsageError(f"module {inner!r} stands in group {both}; leave it in one of them")


def _all_modules(group: Group) -> Iterator[str]:
    yield from group.modules
    for inner in group.groups:
        yield from _all_modules(inner)


def _text(modules: Sequence[str]) -> str:
    """The modules as one text, what all of their paths start with said once."""
    containers = [module.partition(RANGE)[0].split(".")[:-1] for module in modules]
    length = 0
    while all(len(each) > length and each[length] == containers[0][length] for each in containers):
        length += 1
    common = "".join(f"{element}." for element in containers[0][:length])
    return common + ", ".join(module.removeprefix(common) for module in modules)


class _Modules:
    """The modules of a flow, containers that only hold others among them, by when they first run."""

    def __init__(self, flow: FlowGraph) -> None:
        self._first: dict[str, int] = {}
        for node in sorted(flow.nodes, key=lambda node: node.order):
            if node.order:
                self._add(node.path, node.order)

    def _add(self, path: str, order: int) -> None:
        elements = path.split(".")
        for length in range(1, len(elements) + 1):
            self._first.setdefault(".".join(elements[:length]), order)

    def meant(self, text: str, group: str) -> Sequence[str]:
        """The module, or all siblings from the range's first to its last in the order of execution."""
        if RANGE not in text or text in self._first:
            return (self._known(text, group),)
        start, _, end = text.partition(RANGE)
        first = self._known(start, group)
        container = first.rpartition(".")[0]
        sibling = f"{container}.{end}" if container else end
        last = sibling if sibling in self._first else self._known(end, group, sibling)
        if last.rpartition(".")[0] != container:
            raise UsageError(
                f"group {group!r}: the ends of {text!r} are no siblings; a range goes from a module to "
                "another of the same container: blocks.1..3"
            )
        if self._first[last] < self._first[first]:
            raise UsageError(
                f"group {group!r}: {last!r} runs before {first!r}; turn the range {text!r} round"
            )
        return [
            path
            for path, order in self._first.items()
            if path.rpartition(".")[0] == container and self._first[first] <= order <= self._first[last]
        ]

    def _known(self, path: str, group: str, meant: str = "") -> str:
        if path and path in self._first:
            return path
        near = get_close_matches(meant or path, self._first, n=NEAREST)
        hint = f"the nearest are {', '.join(near)}" if near else "'onnxlens profile' lists them"
        raise UsageError(f"group {group!r}: no module {meant or path!r} runs in this graph; {hint}")
