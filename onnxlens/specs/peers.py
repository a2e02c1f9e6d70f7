"""Counts in the conventions of other counters, compared with our own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Literal, get_args

from onnxlens.specs.record import record

Convention = Literal["matrix", "onnx-tool", "fvcore", "thop"]
"""``matrix`` is ours; the others are those of the packages of that name."""

CONVENTIONS: tuple[Convention, ...] = get_args(Convention)

Peer = Literal["onnx-tool", "fvcore", "thop"]
PEERS: tuple[Peer, ...] = ("onnx-tool", "fvcore", "thop")

SHOWN_CAUSES = 3
"""Of a sum, the causes that explain most of its difference."""


@record(frozen=True, slots=True)
class PeerCost:
    """What a peer counts where we count MACs; it calls that MACs or FLOPs, and means its own unit.

    Attributes:
        unknown_nodes: nodes that cannot be counted as the peer does; ``macs`` leaves them out.
        reason: why they cannot, for the first of them.
        cause: where the difference from our MACs comes from; "" where there is none.
    """

    macs: int = 0
    unknown_nodes: int = 0
    reason: str = ""
    cause: str = ""


def summed(costs: Iterable[tuple[int, PeerCost]]) -> PeerCost:
    """The sum of a peer's costs, given with our MACs; the largest differences give the causes."""
    differences: Counter[str] = Counter()
    macs = unknown_nodes = 0
    reason = ""
    for ours, cost in costs:
        macs += cost.macs
        unknown_nodes += cost.unknown_nodes
        reason = reason or cost.reason
        if cost.cause:
            differences[cost.cause] += abs(cost.macs - ours)
    return PeerCost(
        macs, unknown_nodes, reason, "; ".join(cause for cause, _ in differences.most_common(SHOWN_CAUSES))
    )


@record(frozen=True, slots=True)
class ReconciledOperator:
    """All nodes of one operator type: our MACs, the nodes that we cannot count, and what each peer counts.

    ``peers`` has the same ones for every type of a graph: those that can count its file.
    """

    op_type: str
    domain: str
    nodes: int
    macs: int
    unknown_nodes: int
    peers: Mapping[str, PeerCost]


@record(frozen=True, slots=True)
class Reconciliation:
    """One graph in every convention; ``op_type`` of the totals is "". Notes say what each peer counts."""

    graph: str
    source: str
    opset: int
    weights: str
    operators: tuple[ReconciledOperator, ...]
    totals: ReconciledOperator
    notes: Mapping[str, str]
