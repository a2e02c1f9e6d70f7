"""What groups of nodes cost, sums over nodes whose sum is the whole to the digit; modules taken apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from functools import cached_property
from math import fsum

from onnxlens.errors import GraphError
from onnxlens.specs.grouping import OTHER, Grouping
from onnxlens.specs.ledger import (
    COUNTS,
    Bounds,
    Ledger,
    ModuleCost,
    NodeCost,
    OperatorCost,
    is_lower_bound,
    joined_bounds,
    lower_bounds,
    operator_cost,
    peer_of,
)
from onnxlens.specs.peers import PeerCost
from onnxlens.specs.record import record
from onnxlens.specs.text import around, enclosing

ADDED = (*COUNTS, "nodes", "free_nodes", "unknown_nodes", "params")
"""The figures of a group whose sum over all groups is the whole's."""


@record(frozen=True, slots=True)
class GroupCost(OperatorCost):
    """What the nodes of one group cost together.

    Attributes:
        members: the nodes, by their positions in the ledger.
        latency_s: None until measured.
    """

    name: str = ""
    members: tuple[int, ...] = ()
    params: int = 0
    latency_s: float | None = None

    @property
    def achieved_macs_per_s(self) -> float | None:
        """MACs / latency, or None where no time was measured, or one too short to distinguish from 0."""
        return self.macs / self.latency_s if self.latency_s else None


def nodes_inside(ledger: Ledger) -> Mapping[str, Sequence[int]]:
    """The nodes in each module and in those that it contains, by its path."""
    found: dict[str, list[int]] = {module.path: [] for module in ledger.modules}
    around = {path: enclosing(path, found) for path in {node.module_path for node in ledger.nodes}}
    for index, node in enumerate(ledger.nodes):
        for path in around[node.module_path]:
            found[path].append(index)
    return found


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
        _group(ledger, name, indices, grouping.params.get(name, 0), seconds)
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
    return GroupCost(
        "sum", "", **counted, name="sum", latency_s=_time(group.latency_s for group in groups),
        members=tuple(sorted(index for group in groups for index in group.members)), peer=peer_of(groups),
        lower_bounds=joined_bounds(group.lower_bounds for group in groups),
    )  # fmt: skip


def _group(
    ledger: Ledger, name: str, members: Sequence[int], params: int, seconds: Mapping[str, float]
) -> GroupCost:
    nodes = [ledger.nodes[index] for index in members]
    cost = operator_cost(nodes[0].op_type if nodes else "", nodes[0].domain if nodes else "", nodes)
    counted = {each.name: getattr(cost, each.name) for each in fields(cost)}
    return GroupCost(
        **counted,
        name=name,
        members=tuple(members),
        params=params,
        latency_s=seconds.get(name, 0.0) if seconds else None,
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


OF_PARTS = (*COUNTS, "params", "unknown_nodes")
"""The figures of a module that are the sum of those of its parts."""


class Parts:
    """The modules of a ledger taken apart, so that any of them add up: every node counts once."""

    def __init__(self, ledger: Ledger) -> None:
        """Take the modules of ``ledger`` apart."""
        self._nodes = ledger.nodes
        self._modules = {module.path: module for module in ledger.modules}
        self.inner: dict[str, list[str]] = {path: [] for path in self._modules}
        """The modules right inside each, by path."""
        for path in self._modules:
            if path:
                self.inner[around(path, self._modules)].append(path)
        self._seconds = ledger.own_seconds

    @cached_property
    def own(self) -> Mapping[str, ModuleCost]:
        """The row of each module with what its own nodes and parameters cost, by path.

        What is not a sum over the nodes, such as the bytes alive, is that of the whole module still.
        """
        nodes: dict[str, list[NodeCost]] = {path: [] for path in self._modules}
        for node in self._nodes:
            nodes[node.module_path].append(node)
        return {path: self._own(path, nodes[path]) for path in self._modules}

    def is_leaf(self, module: ModuleCost) -> bool:
        """Whether no other module is inside it."""
        return not self.inner[module.path]

    def together(self, modules: Sequence[ModuleCost], *, own: bool = False) -> ModuleCost:
        """What the modules cost together, those inside them included unless ``own``; its path is "sum"."""
        paths = {module.path for module in modules}
        outermost = [
            module
            for module in modules
            if own or paths.isdisjoint(enclosing(module.path, self._modules)[:-1])
        ]
        parts = [self.own[path] for path in self._inside(outermost, deep=not own)]
        timed = [self.own[module.path] for module in outermost] if own else outermost
        seconds = [module.latency_s for module in timed if module.latency_s is not None]
        return ModuleCost(
            "sum", "", 0, 0, (), (), _operators(parts),
            **{name: sum(getattr(part, name) for part in parts) for name in OF_PARTS},
            resident_weight_bytes=0,
            live_bytes=max((module.live_bytes for module in modules), default=0),
            latency_s=fsum(seconds) if seconds and (own or len(seconds) == len(outermost)) else None,
            peer=peer_of(parts),
            lower_bounds=joined_bounds(
                (
                    *(part.lower_bounds for part in parts),
                    _lacking("live_bytes", modules),
                    _lacking("latency_s", timed),
                )
            ),
        )  # fmt: skip

    def _inside(self, modules: Iterable[ModuleCost], *, deep: bool) -> Iterator[str]:
        """The paths of the modules; if ``deep`` none contains another, and those inside them follow."""
        waiting = [module.path for module in modules]
        while waiting:
            path = waiting.pop()
            yield path
            waiting += self.inner[path] if deep else ()

    def _own(self, path: str, nodes: Sequence[NodeCost]) -> ModuleCost:
        module = self._modules[path]
        return replace(
            module,
            **{name: sum(getattr(node, name) for node in nodes) for name in COUNTS},
            operators=Counter(node.op_type for node in nodes if node.status != "free"),
            params=module.params - sum(self._modules[inner].params for inner in self.inner[path]),
            unknown_nodes=sum(node.status == "unknown" for node in nodes),
            latency_s=self._seconds.get(path),
            timed_in=None if path in self._seconds else module.timed_in,
            parity_error=None,
            peer=None if module.peer is None else peer_of(nodes) or PeerCost(),
            lower_bounds=lower_bounds(nodes),
        )


def _operators(parts: Iterable[ModuleCost]) -> Mapping[str, int]:
    found: Counter[str] = Counter()
    for part in parts:
        found.update(part.operators)
    return dict(found.most_common())


def _lacking(name: str, modules: Iterable[ModuleCost]) -> Bounds:
    return (name,) if any(is_lower_bound(name, each.lower_bounds) for each in modules) else None
