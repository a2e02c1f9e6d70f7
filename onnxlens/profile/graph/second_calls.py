"""Modules that TorchScript called more than once: it names every call after the first as if it were another."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from onnxlens.profile.graph.weight_owners import PRODUCTS, TracedNode, WeightOwners

COUNTED = re.compile(r"(_\d+)+")


def first_calls(nodes: Sequence[TracedNode], paths: Sequence[str | None], owners: WeightOwners) -> Mapping[int, str]:
    """The module of each node that a later call of it made, by index, where weights prove that it is one.

    The second call of ``block.conv`` is named ``block.conv_1``, and reads ``block.conv.weight``; without a
    name, the weight that the first one reads. A real ``block.conv_1`` reads its own. What has no weight goes
    with the rest of its call: the whole of ``block_1`` is ``block`` if that is true of some part, and of no
    part the opposite.
    """
    found: dict[int, str] = {}
    own: set[str] = set()
    renamed: dict[str, set[str]] = {}
    readers: dict[str, str] = {}
    for index, (node, path) in enumerate(zip(nodes, paths, strict=True)):
        if not path or node.constant_folded:
            continue
        owner = owners.owner(node) or _first_reader(node, path, owners, readers)
        if owner is None:
            continue
        first = _first_call(path, owner)
        for called, real in zip(_prefixes(path), _prefixes(first or ""), strict=False):
            if called == real:
                own.add(called)
            else:
                renamed.setdefault(called, set()).add(real)
        if first not in (None, path):
            found[index] = first
    sure = {called: next(iter(real)) for called, real in renamed.items() if len(real) == 1 and called not in own}
    if sure:
        for index, path in enumerate(paths):
            if path and index not in found and (first := _renamed(path, sure)) != path:
                found[index] = first
    return found


def _first_reader(node: TracedNode, path: str, owners: WeightOwners, readers: dict[str, str]) -> str | None:
    """Where a product with the same nameless weight stood first; None where this is the first."""
    weight = owners.weight(node) if node.view.op_type in PRODUCTS else None
    return readers.setdefault(weight, path) if weight else None


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
    return element == real or (
        element.startswith(real) and COUNTED.fullmatch(element, len(real)) is not None
    )


def _prefixes(path: str) -> Sequence[str]:
    elements = path.split(".")
    return [".".join(elements[:length]) for length in range(1, len(elements) + 1)]


def _renamed(path: str, sure: Mapping[str, str]) -> str:
    """The path with its longest part that is a later call under the name of the first."""
    for called in reversed(_prefixes(path)):
        if called in sure:
            return sure[called] + path[len(called) :]
    return path
