"""Modules that TorchScript called more than once: it names each call after the first as another module."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence, Set

from onnxlens.profile.graph.weight_owners import PRODUCTS, TracedNode, WeightOwners

COUNTED = re.compile(r"(_\d+)+")
COUNTED_LAST = re.compile(r"_\d+$")
NUMBERED = re.compile(r"_\d+(\.|$)")
NUMBERED_CHILD = re.compile(r"((?:.*\.)?\d+)(?:_\d+)+")
"""A later call of a Sequential's child, ``layers.2_1``: a child whose name is a number shows it by that."""


def first_calls(
    nodes: Sequence[TracedNode], paths: Sequence[str | None], owners: Callable[[], WeightOwners]
) -> Mapping[int, str]:
    """The module of each node that a later call of it made, by index, where weights prove that it is one.

    The second call of ``block.conv`` is named ``block.conv_1``, and reads ``block.conv.weight``; without a
    name, the weight that the first one reads. A real ``block.conv_1`` reads its own. What has no weight goes
    with the rest of its call: the whole of ``block_1`` is ``block`` if that is true of some part, and of no
    part the opposite.
    """
    numbered = {path for path in {*paths} if path and NUMBERED.search(path)}
    found: dict[int, str] = {}
    if numbered:
        calls = _Calls(owners())
        for index, (node, path) in enumerate(zip(nodes, paths, strict=True)):
            if not path or node.constant_folded:
                continue
            if path not in numbered:
                calls.see(node, path)
            elif (first := calls.first(node, path)) not in (None, path):
                found[index] = str(first)
        sure = calls.sure({path for path in paths if path})
        renamed = {path: _renamed(path, sure) for path in numbered}
        for index, path in enumerate(paths):
            if path in numbered and index not in found and renamed[path] != path:
                found[index] = renamed[path]
    return found


class _Calls:
    """What the weights say about the calls, and the parts of paths that follow from it."""

    def __init__(self, owners: WeightOwners) -> None:
        self._owners = owners
        self._first_readers: dict[str, str] = {}
        self._own: set[str] = set()
        self._later: dict[str, set[str]] = {}

    def see(self, node: TracedNode, path: str) -> str | None:
        """Where a product with the same weight stood first."""
        weight = self._owners.weight(node) if node.view.op_type in PRODUCTS else None
        return self._first_readers.setdefault(weight, path) if weight else None

    def first(self, node: TracedNode, path: str) -> str | None:
        """The module that runs the node, by the weight that it reads; None where that says nothing."""
        owner = self._owners.owner(node) or self.see(node, path)
        first = None if owner is None else _first_call(path, owner)
        if first is not None:
            for called, real in zip(_prefixes(path), _prefixes(first), strict=True):
                if called == real:
                    self._own.add(called)
                else:
                    self._later.setdefault(called, set()).add(real)
        return first

    def sure(self, paths: Set[str]) -> Mapping[str, str]:
        """The beginnings of paths that are later calls and nothing else, with the module that is called."""
        named = {prefix for path in paths for prefix in _prefixes(path)}
        for called in named:
            if (numbered := NUMBERED_CHILD.fullmatch(called)) is not None:
                self._later.setdefault(called, {numbered[1]})
        self._callers(named)
        return {
            called: next(iter(real))
            for called, real in self._later.items()
            if len(real) == 1 and called not in self._own
        }

    def _callers(self, named: Set[str]) -> None:
        """Later calls of what contains others: ``layer.linear_1`` shows that ``layer_1`` is one of ``layer``.

        Children keep the first call's path: a later one has what runs between them, and contains nothing.
        Of such a call ``layer.act_1`` is ``layer.act``, unless there is an ``act_1_1``.
        """
        alone = named - {path.rpartition(".")[0] for path in named} - self._own
        waiting = [(called, real) for called, found in self._later.items() for real in found]
        for called, real in waiting:
            outer, number = real.rpartition(".")[0], called.removeprefix(real)
            caller = outer + number
            if outer and COUNTED.fullmatch(number) and caller in alone and caller not in self._later:
                self._later[caller] = {outer}
                waiting.append((caller, outer))
        inside: dict[str, list[str]] = {}
        for child in alone - {COUNTED_LAST.sub("", path) for path in named} - self._later.keys():
            inside.setdefault(child.rpartition(".")[0], []).append(child)
        for called, real in waiting:
            number = called.removeprefix(real)
            for child in inside.get(real, ()):
                first = child.removesuffix(number)
                if first != child and first in named:
                    self._later[child] = {first}


def _first_call(path: str, owner: str) -> str | None:
    """The module that ``path`` is a call of, going by who owns a weight there; None if it is another's.

    The owner's path may begin earlier, as names are relative to the module that was traced; and it may go
    further, where a module uses its child's weight itself.
    """
    elements, real = path.split("."), owner.split(".")
    for start in range(len(real) - len(elements), -1, -1):
        part = real[start : start + len(elements)]
        if all(map(_is_call_of, elements, part)):
            return ".".join(part)
    return None


def _is_call_of(element: str, real: str) -> bool:
    return element == real or (element.startswith(real) and COUNTED.fullmatch(element, len(real)) is not None)


def _prefixes(path: str) -> Sequence[str]:
    elements = path.split(".")
    return [".".join(elements[:length]) for length in range(1, len(elements) + 1)]


def _renamed(path: str, sure: Mapping[str, str]) -> str:
    """The path with its longest part that is a later call under the name of the first."""
    for called in reversed(_prefixes(path)):
        if called in sure:
            return sure[called] + path[len(called) :]
    return path
