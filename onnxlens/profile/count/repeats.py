"""How often each node runs: once, as often as the loops around it, or not at all in a branch not taken."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from math import prod

from onnxlens.profile.graph.graph import GraphNode
from onnxlens.specs.bounds import MOST_ROUNDS, OutOfBoundsError, short
from onnxlens.specs.ledger import BodyCost, NodeCost


@dataclass(slots=True)
class _Tally:
    """What one run of a body costs, bodies inside it included."""

    nodes: int = 0
    macs: int = 0
    vector_ops: int = 0
    special_ops: int = 0
    moved_bytes: int = 0
    unknown_nodes: int = 0

    def add(self, cost: NodeCost) -> None:
        self.nodes += 1
        self.macs += cost.macs
        self.vector_ops += cost.vector_ops
        self.special_ops += cost.special_ops
        self.moved_bytes += cost.moved_bytes
        self.unknown_nodes += cost.status == "unknown"

    def add_body(self, body: BodyCost) -> None:
        self.nodes += body.nodes
        self.macs += body.repeats * body.macs
        self.vector_ops += body.repeats * body.vector_ops
        self.special_ops += body.repeats * body.special_ops
        self.moved_bytes += body.repeats * body.moved_bytes
        self.unknown_nodes += body.unknown_nodes

    @property
    def size(self) -> tuple[int, int]:
        """What branches are compared by: FLOPs, then bytes."""
        return 2 * self.macs + self.vector_ops + self.special_ops, self.moved_bytes


def with_repeats(nodes: Sequence[GraphNode], costs: Sequence[NodeCost]) -> Sequence[NodeCost]:
    """The costs of all runs of every node, from those of one run.

    Of an If the larger branch counts (by FLOPs, then by bytes), unless its condition is known. A body whose
    trip count is not known counts once. Either is recorded in the ``bodies`` of the node that runs them.
    """
    if not any(node.bodies for node in nodes):
        return costs
    inside = _costs_inside(nodes, costs)
    repeats = {
        body.key: cost.repeats
        for index, found in inside.items()
        for body, cost in zip(nodes[index].bodies, found, strict=True)
    }
    never = {body.key for node in nodes for body in node.bodies if body.trip_count == 0}
    return [
        _all_runs(node, cost, repeats, never, inside.get(index, ()))
        for index, (node, cost) in enumerate(zip(nodes, costs, strict=True))
    ]


def _all_runs(
    node: GraphNode,
    cost: NodeCost,
    repeats: Mapping[str, int],
    never: Set[str],
    bodies: tuple[BodyCost, ...],
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
    return total


def _costs_inside(
    nodes: Sequence[GraphNode], costs: Sequence[NodeCost]
) -> Mapping[int, tuple[BodyCost, ...]]:
    """What the bodies of each node cost, by the node's index.

    A body's nodes stand before the node that runs it, so its tally is complete when that node is reached.
    """
    tallies: dict[str, _Tally] = {}
    inside: dict[int, tuple[BodyCost, ...]] = {}
    for index, (node, cost) in enumerate(zip(nodes, costs, strict=True)):
        if node.bodies:
            inside[index] = _body_costs(node, tallies)
        if node.within:
            tally = tallies.setdefault(node.within[-1], _Tally())
            tally.add(cost)
            for body in inside.get(index, ()):
                tally.add_body(body)
    return inside


def _body_costs(node: GraphNode, tallies: Mapping[str, _Tally]) -> tuple[BodyCost, ...]:
    runs = [tallies.get(body.key, _Tally()) for body in node.bodies]
    counted = [1 if body.trip_count is None else body.trip_count for body in node.bodies]
    if node.view.op_type == "If" and all(body.trip_count for body in node.bodies):
        larger = max(range(len(runs)), key=lambda branch: runs[branch].size)
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
        )
        for body, tally, times in zip(node.bodies, runs, counted, strict=True)
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
