"""The nodes of a ledger in groups, and what only the graph knows of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from onnxlens.api.opened import OpenedTarget
from onnxlens.errors import UsageError
from onnxlens.profile.count import grouping
from onnxlens.specs.grouping import OTHER, Grouping

if TYPE_CHECKING:
    from onnxlens.specs.ledger import Ledger

SURVEY = "survey"
"""The grouping by the file that the reference model has for a graph of the catalog."""


def with_facts(opened: OpenedTarget, ledger: Ledger) -> Ledger:
    """The ledger with shapes, attributes, the kind of work and the positions of every node."""
    from onnxlens.profile.count.facts import with_facts as found

    return found(ledger, opened.graph)


def with_groups(opened: OpenedTarget, ledger: Ledger, by: str) -> Ledger:
    """The ledger with every node in one group, the rest in ``(other)``.

    Args:
        opened: what the ledger is of.
        ledger: its costs.
        by: ``class``, ``family``, ``stage``, ``resolution``, ``dtype``, ``survey``, a file of groups
            (``.toml``), or ``COLUMN~PATTERN`` with path, class, operator or node as the column.

    Raises:
        UsageError: the file cannot be used, or nothing matches.
    """
    if by == SURVEY or by.endswith(".toml"):
        return _by_file(opened, ledger, _survey(ledger) if by == SURVEY else Path(by))
    if by in grouping.OF_FACTS and not ledger.facts:
        ledger = with_facts(opened, ledger)
    found = grouping.with_groups(ledger, by)
    if by in ("class", "stage") and found.grouping is not None and {*found.grouping.names} == {OTHER}:
        raise UsageError(f"--by {by}: {ledger.source} names no modules; --by op and --by family need none")
    return found


def _survey(ledger: Ledger) -> Path:
    from onnxlens.reference_model import catalog

    if ledger.graph not in catalog.grouped():
        known = ", ".join(catalog.grouped())
        raise UsageError(f"--by survey names parts of {known}; give a file of groups for {ledger.graph}")
    return catalog.groups_file(ledger.graph)


def _by_file(opened: OpenedTarget, ledger: Ledger, file: Path) -> Ledger:
    from dataclasses import replace

    from onnxlens.profile.flow.deepest import build_flow
    from onnxlens.profile.flow.group import group_names
    from onnxlens.profile.flow.group_file import read_groups

    groups = read_groups(file)
    paths = [module.path for module in ledger.modules]
    nodes, modules = group_names(build_flow(opened.graph, ledger), groups, paths)
    found = grouping.grouping_by_module(ledger, lambda path: modules.get(path, OTHER))
    names = tuple(nodes.get(index, name) for index, name in enumerate(found.names))
    return replace(ledger, grouping=Grouping(names, found.params, ranked=False))
