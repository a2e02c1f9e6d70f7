"""What groups of nodes cost: sums over their nodes, whose sum is the whole to the digit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from math import fsum

from onnxlens.errors import GraphError
from onnxlens.specs.grouping import OTHER, Grouping
from onnxlens.specs.ledger import COUNTS, Ledger, NodeCost, OperatorCost, joined_bounds, operator_cost
from onnxlens.specs.peers import summed
from onnxlens.specs.record import record

ADDED = (*COUNTS, "nodes", "free_nodes", "unknown_nodes", "params")
"""The figures of a group whose sum over all groups is the whole's."""


@record(frozen=True, slots=True)
class GroupCost(OperatorCost):
    """What the nodes of one group cost together; ``latency_s`` is None until measured."""

    name: str = ""
    params: int = 0
    latency_s: float | None = None

    @property
    def achieved_macs_per_s(self) -> float | None:
        """MACs / latency, or None where no time was measured, or one too short to distinguish from 0."""
        return self.macs / self.latency_s if self.latency_s else None


def by_operator(ledger: Ledger) -> Grouping:
    """The nodes by operator type."""
    names = tuple(f"{node.domain}::{node.op_type}" if node.domain else node.op_type for node in ledger.nodes)
    return grouping_by_node(ledger, names)


def grouping_by_node(ledger: Ledger, names: tuple[str, ...], *, ranked: bool = True) -> Grouping:
    """A grouping whose parameters are those that its nodes use first; those that no node uses are (other)."""
    params = dict.fromkeys(names, 0)
    for node, name in zip(ledger.nodes, names, strict=True):
        params[name] += node.params
    unused = ledger.totals.params - sum(params.values())
    if unused:
        params[OTHER] = params.get(OTHER, 0) + unused
    return Grouping(names, params, ranked)


def group_costs(ledger: Ledger, grouping: Grouping | None = None) -> tuple[GroupCost, ...]:
    """The row of each group: those that cost most first, or those that run first; (other) is last.

    Args:
        ledger: with its nodes in groups, such as ``with_groups`` makes.
        grouping: in place of that; without any, by operator type.

    Raises:
        GraphError: they do not add up to the whole.
    """
    grouping = grouping or ledger.grouping or by_operator(ledger)
    members: dict[str, list[int]] = {}
    for index, name in enumerate(grouping.names):
        members.setdefault(name, []).append(index)
    for name, params in grouping.params.items():
        if params:
            members.setdefault(name, [])
    seconds = _seconds(ledger, grouping.names)
    if None in ledger.node_seconds:
        members.setdefault(OTHER, [])
    groups = [
        _group(name, [ledger.nodes[index] for index in indices], grouping.params.get(name, 0), seconds)
        for name, indices in members.items()
    ]
    for figure in ADDED:
        whole = getattr(ledger.totals, figure)
        if (found := sum(getattr(group, figure) for group in groups)) != whole:
            raise GraphError(f"graph {ledger.graph!r}: {figure} is {whole} in total, {found} over the groups")

    def rank(group: GroupCost) -> tuple[object, ...]:
        cost = (
            (-(group.peer or group).macs, -group.read_bytes - group.write_bytes, group.name)
            if grouping.ranked
            else ()
        )
        return (group.name == OTHER, *cost)

    return tuple(sorted(groups, key=rank))


def groups_together(groups: Sequence[GroupCost]) -> GroupCost:
    """What several groups cost together: no node is in two of them."""
    counted = {name: sum(getattr(group, name) for group in groups) for name in ADDED}
    peers = [(group.macs, group.peer) for group in groups if group.peer is not None]
    return GroupCost(
        "sum", "", **counted, name="sum", latency_s=_time(group.latency_s for group in groups),
        peer=summed(peers) if peers else None,
        lower_bounds=joined_bounds(group.lower_bounds for group in groups),
    )  # fmt: skip


def _group(name: str, nodes: Sequence[NodeCost], params: int, seconds: Mapping[str, float]) -> GroupCost:
    cost = operator_cost(nodes[0].op_type if nodes else "", nodes[0].domain if nodes else "", nodes)
    counted = {each.name: getattr(cost, each.name) for each in fields(cost)}
    return GroupCost(
        **counted, name=name, params=params, latency_s=seconds.get(name, 0.0) if seconds else None
    )


def _seconds(ledger: Ledger, names: Sequence[str]) -> Mapping[str, float]:
    """The time of each group; empty where none was measured."""
    found: dict[str, list[float]] = {}
    for index, spent in ledger.node_seconds.items():
        found.setdefault(OTHER if index is None else names[index], []).append(spent)
    return {name: fsum(spent) for name, spent in found.items()}


def _time(seconds: Iterable[float | None]) -> float | None:
    known = [spent for spent in seconds if spent is not None]
    return fsum(known) if known else None
