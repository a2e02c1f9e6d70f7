"""Nodes in groups: by what a node is, by the module that runs it, or by a pattern."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from onnxlens.errors import UsageError
from onnxlens.specs.grouping import OTHER, Grouping
from onnxlens.specs.groups import Parts, by_operator, grouping_by_node
from onnxlens.specs.ledger import Ledger, ModuleCost
from onnxlens.specs.text import enclosing

OF_FACTS = ("family", "resolution", "dtype")
"""What tells nodes apart that only the graph knows."""


def with_groups(ledger: Ledger, by: str) -> Ledger:
    """The ledger with its nodes in groups.

    Args:
        ledger: with the facts of its nodes for ``family``, ``resolution`` and ``dtype``.
        by: one of those, ``class``, ``stage``, or ``COLUMN~PATTERN`` with a column of ``PATTERNS``.

    Raises:
        UsageError: nothing matches the pattern.
    """
    if by in OF_FACTS:
        names = tuple(getattr(facts, by) for facts in ledger.facts)
        grouping = grouping_by_node(ledger, names, ranked=by != "resolution")
    elif by == "class":
        classes = {module.path: module.class_name for module in ledger.modules}
        grouping = grouping_by_module(ledger, lambda path: classes[path] or OTHER, ranked=True)
    elif by == "stage":
        tops = {path: _stage(around) for path, around in _around(ledger).items()}
        grouping = grouping_by_module(ledger, tops.__getitem__)
    else:
        grouping = _by_pattern(ledger, by)
    return replace(ledger, grouping=grouping)


def grouping_by_module(ledger: Ledger, name: Callable[[str], str], *, ranked: bool = False) -> Grouping:
    """The nodes by the module that runs them; each module's own parameters with them."""
    params: dict[str, int] = {}
    for path, own in Parts(ledger).own.items():
        params[name(path)] = params.get(name(path), 0) + own.params
    return Grouping(tuple(name(node.module_path) for node in ledger.nodes), params, ranked)


def _around(ledger: Ledger) -> dict[str, list[ModuleCost]]:
    """For each module those that contain it and itself, the innermost first."""
    rows = {module.path: module for module in ledger.modules}
    return {path: [rows[outer] for outer in enclosing(path, rows)[:0:-1]] for path in rows}


def _stage(around: Sequence[ModuleCost]) -> str:
    return around[-1].path if around else OTHER


def _by_pattern(ledger: Ledger, by: str) -> Grouping:
    column, _, text = by.partition("~")
    pattern = re.compile(text)
    if column in ("node", "operator"):
        texts = (
            by_operator(ledger).names if column == "operator" else tuple(node.node for node in ledger.nodes)
        )
        names = tuple(captured(pattern, each) or OTHER for each in texts)
        _require_match(by, pattern, texts)
        return grouping_by_node(ledger, names)
    attribute = "path" if column == "path" else "class_name"
    around = _around(ledger)
    _require_match(by, pattern, [getattr(module, attribute) for module in ledger.modules if module.path])
    groups = {
        path: next(filter(None, (captured(pattern, getattr(each, attribute)) for each in modules)), OTHER)
        for path, modules in around.items()
    }
    return grouping_by_module(ledger, groups.__getitem__, ranked=True)


def captured(pattern: re.Pattern[str], text: str) -> str:
    """What the pattern's parentheses hold where it is found, all of it if it has none; "" if it is not."""
    found = pattern.search(text)
    if found is None:
        return ""
    return " ".join(filter(None, found.groups())) if pattern.groups else found.group()


def _require_match(by: str, pattern: re.Pattern[str], texts: Sequence[str]) -> None:
    if any(captured(pattern, text) for text in texts):
        return
    column = by.partition("~")[0]
    small = re.compile(pattern.pattern, pattern.flags | re.IGNORECASE)
    other = next((text for text in texts if captured(small, text)), None)
    held = list(dict.fromkeys(filter(None, texts)))
    there = ", ".join(map(repr, held[:4])) + (f" and {len(held) - 4} more" if len(held) > 4 else "")
    hint = f"{other!r} matches in other letters: (?i){pattern.pattern}" if other else f"there are {there}"
    if not held:
        hint = "the file names none; --by op groups by operator type"
    raise UsageError(f"--by {by!r}: no {column} matches {pattern.pattern!r}; {hint}")
