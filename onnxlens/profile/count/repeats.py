"""How often each node runs: once, as often as the loops around it, or not at all in a branch not taken."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from math import prod

from onnxlens.profile.graph.graph import GraphNode
from onnxlens.specs.bounds import MOST_ROUNDS, OutOfBoundsError, short
from onnxlens.specs.ledger import COUNTS, BodyCost, NodeCost

Runs = Sequence[tuple[NodeCost, int]]
"""What a node costs in runs of different shapes, and how often it runs so."""


@dataclass(slots=True)
class _Tally:
    """What some runs of a body cost, bodies inside it included."""

    nodes: int = 0
    macs: int = 0
    vector_ops: int = 0
    special_ops: int = 0
    moved_bytes: int = 0
    unknown_nodes: int = 0

    def add(self, cost: NodeCost | BodyCost, times: int = 1) -> None:
        self.macs += times * cost.macs
        self.vector_ops += times * cost.vector_ops
        self.special_ops += times * cost.special_ops
        self.moved_bytes += times * cost.moved_bytes

    def add_nodes(self, nodes: int, unknown: int) -> None:
        self.nodes += nodes
        self.unknown_nodes += unknown

    @property
    def size(self) -> tuple[int, int]:
        """What branches are compared by: FLOPs, then bytes."""
        return 2 * self.macs + self.vector_ops + self.special_ops, self.moved_bytes


@dataclass(slots=True)
class _Inside:
    """What a body costs: in one run of it, and in all of them if they are known one by one.

    Attributes:
        is_mixed: whether its runs differ.
    """

    one: _Tally = field(default_factory=_Tally)
    every: _Tally = field(default_factory=_Tally)
    is_observed: bool = False
    is_mixed: bool = False

    def add(self, cost: NodeCost, runs: Runs, bodies: Iterable[BodyCost]) -> None:
        """Add a node: the cost of one run of it, of each if that is known, and what runs inside it."""
        self.is_observed |= bool(runs)
        self.is_mixed |= len(runs) > 1
        self.one.add(cost)
        for part, times in runs or ((cost, 1),):
            self.every.add(part, times)
        times = sum(times for _, times in runs) if runs else 1
        unknown = any(part.status == "unknown" for part, _ in (*runs, (cost, 1)))
        for tally in (self.one, self.every):
            tally.add_nodes(1, unknown)
        for body in bodies:
            self.is_mixed |= body.all_runs
            for tally in (self.one, self.every):
                tally.add_nodes(body.nodes, body.unknown_nodes)
            self.one.add(body, body.repeats)
            self.every.add(body, bool(body.repeats) if body.all_runs else body.repeats * times)

    def tally(self, trip_count: int | None) -> tuple[_Tally, bool]:
        """What to show: one run, or all of them together where they differ; which of these it is."""
        all_runs = self.is_mixed or (trip_count is None and self.is_observed)
        return (self.every if all_runs else self.one), all_runs


def with_repeats(
    nodes: Sequence[GraphNode], costs: Sequence[NodeCost], observed: Mapping[int, Runs]
) -> Sequence[NodeCost]:
    """The costs of all runs of every node, from those of one run, or of each where their shapes change.

    Of an If the larger branch counts (by FLOPs, then by bytes), unless its condition is known. A body whose
    trip count is not known counts once. Either is recorded in the ``bodies`` of the node that runs them.
    """
    if not any(node.bodies for node in nodes):
        return costs
    inside = _costs_inside(nodes, costs, observed)
    repeats = {
        body.key: cost.repeats
        for index, found in inside.items()
        for body, cost in zip(nodes[index].bodies, found, strict=True)
    }
    never = {body.key for node in nodes for body in node.bodies if body.trip_count == 0}
    return [
        _all_runs(node, cost, repeats, never, inside.get(index, ()), observed.get(index, ()))
        for index, (node, cost) in enumerate(zip(nodes, costs, strict=True))
    ]


def _all_runs(
    node: GraphNode,
    cost: NodeCost,
    repeats: Mapping[str, int],
    never: Set[str],
    bodies: tuple[BodyCost, ...],
    runs: Runs,
) -> NodeCost:
    times = prod(repeats[key] for key in node.within)
    if times > MOST_ROUNDS:
        raise OutOfBoundsError(
            f"the loops around {short(node.view.name)} run it more than 2**63 - 1 times; "
            "repair their trip counts"
        )
    total = cost.repeated(times, bodies)
    if not never.isdisjoint(node.within):  # known not to run: whatever it is, it costs nothing
        return replace(total, status="free", reason="")
    return _summed(total, runs) if runs and times else total


def _summed(cost: NodeCost, runs: Runs) -> NodeCost:
    """The sum over all runs of a node inside a body, where they are known one by one."""
    sums = {name: sum(times * getattr(part, name) for part, times in runs) for name in COUNTS}
    unknown = next((part for part, _ in runs if part.reason), cost)
    return replace(
        cost, **sums, repeats=sum(times for _, times in runs), status=unknown.status, reason=unknown.reason
    )


def _costs_inside(
    nodes: Sequence[GraphNode], costs: Sequence[NodeCost], observed: Mapping[int, Runs]
) -> Mapping[int, tuple[BodyCost, ...]]:
    """What the bodies of each node cost, by the node's index.

    A body's nodes stand before the node that runs it, so its tally is complete when that node is reached.
    """
    insides: dict[str, _Inside] = {}
    costs_inside: dict[int, tuple[BodyCost, ...]] = {}
    for index, (node, cost) in enumerate(zip(nodes, costs, strict=True)):
        if node.bodies:
            costs_inside[index] = _body_costs(node, insides)
        if node.within:
            inside = insides.setdefault(node.within[-1], _Inside())
            inside.add(cost, observed.get(index, ()), costs_inside.get(index, ()))
    return costs_inside


def _body_costs(node: GraphNode, insides: Mapping[str, _Inside]) -> tuple[BodyCost, ...]:
    runs = [insides.get(body.key, _Inside()).tally(body.trip_count) for body in node.bodies]
    counted = [1 if body.trip_count is None else body.trip_count for body in node.bodies]
    if node.view.op_type == "If" and all(body.trip_count for body in node.bodies):
        larger = max(range(len(runs)), key=lambda branch: runs[branch][0].size)
        counted = [int(branch == larger) for branch in range(len(runs))]
    return tuple(
        BodyCost(
            name=body.name,
            nodes=tally.nodes,
            macs=tally.macs,
            vector_ops=tally.vector_ops,
            special_ops=tally.special_ops,
            moved_bytes=tally.moved_bytes,
            unknown_nodes=tally.unknown_nodes,
            repeats=times,
            doubt=body.unknown_reason,
            all_runs=all_runs,
        )
        for body, (tally, all_runs), times in zip(node.bodies, runs, counted, strict=True)
    )


AT_MOST = ", so MACs are at most what runs"
"""Of an If whose condition the data decides."""

SHOWN_NOTES = 4
"""Beyond this many, notes are summed up: the table by node has them all."""


def control_notes(nodes: Sequence[GraphNode], costs: Sequence[NodeCost]) -> Sequence[str]:
    """What a reader must know of branches and loops: both branches of an If, and loops of unknown length."""
    running = [
        (len(node.within), cost)
        for node, cost in zip(nodes, costs, strict=True)
        if cost.repeats and node.bodies and not _is_decided(node)
    ]
    running.sort(key=lambda entry: entry[0])  # the outer ones first, else in order
    notes = [note for _, cost in running for note in _notes(cost)]
    hidden = len(notes) - SHOWN_NOTES
    if hidden <= 0:
        return notes
    unsure = AT_MOST if is_at_most(notes[SHOWN_NOTES:]) else ""
    more = f"{hidden} more branches and loops: see the table by node (--by node){unsure}"
    return [*notes[:SHOWN_NOTES], more]


def is_at_most(notes: Iterable[str]) -> bool:
    """Whether the larger branch of an If counts, by the notes: less may run."""
    return any(note.endswith(AT_MOST) for note in notes)


def _is_decided(node: GraphNode) -> bool:
    """Whether it is known how often each branch of an If runs: one always, or either in some rounds."""
    counts = [body.trip_count for body in node.bodies]
    return 0 in counts or (node.view.op_type == "If" and None in counts)


def _notes(cost: NodeCost) -> Sequence[str]:
    if cost.op_type == "If":
        branches = ", ".join(_told(body) for body in cost.bodies)
        taken = next((body.name for body in cost.bodies if body.repeats), "neither")
        least, most = sorted(body.macs for body in cost.bodies)
        counted = max((body.macs for body in cost.bodies if body.repeats), default=0)
        unsure = AT_MOST if least < most == counted else ""
        return [f"If {cost.node}: {branches}; {taken} counts{unsure}"]
    return [
        f"{cost.op_type} {cost.node}: counted for one iteration, as {body.doubt}"
        for body in cost.bodies
        if body.doubt
    ]


def _told(body: BodyCost) -> str:
    unknown = f", {body.unknown_nodes} unknown" if body.unknown_nodes else ""
    return f"{body.name} {body.macs:,} MACs ({body.nodes} nodes{unknown})"
