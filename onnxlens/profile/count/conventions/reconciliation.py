"""One graph in every convention, side by side by operator type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from onnxlens.profile.count.conventions.counting import NOTES, peer_costs
from onnxlens.profile.count.counting import count_nodes
from onnxlens.profile.graph.graph import Graph
from onnxlens.specs.ledger import NodeCost
from onnxlens.specs.peers import PEERS, PeerCost, ReconciledOperator, Reconciliation, summed


def build_reconciliation(graph: Graph) -> Reconciliation:
    """Every operator type's MACs and peers' counts; those with the largest figures first.

    Raises:
        UsageError: the file does not say which PyTorch modules ran.
    """
    costs = count_nodes(graph)
    peers: dict[str, Sequence[PeerCost]] = {peer: peer_costs(graph, costs, peer) for peer in PEERS}
    groups: dict[tuple[str, str], list[int]] = {}
    for index, cost in enumerate(costs):
        groups.setdefault((cost.domain, cost.op_type), []).append(index)
    rows = [_row(*operator, costs, peers, places) for operator, places in groups.items()]
    rows.sort(key=lambda row: (-row.macs, -max(cost.macs for cost in row.peers.values()), row.op_type))
    return Reconciliation(
        graph=graph.name,
        source=graph.path.name,
        opset=graph.opset,
        weights=graph.manifest.weights if graph.manifest else "",
        operators=tuple(rows),
        totals=_row("", "", costs, peers, range(len(costs))),
        notes={
            "MACs": "multiply-accumulates of matrix work, no bias",
            **{peer: NOTES[peer] for peer in PEERS},
        },
    )


def _row(
    domain: str,
    op_type: str,
    costs: Sequence[NodeCost],
    peers: Mapping[str, Sequence[PeerCost]],
    places: Sequence[int],
) -> ReconciledOperator:
    nodes = [costs[place] for place in places]
    return ReconciledOperator(
        op_type=op_type,
        domain=domain,
        nodes=len(nodes),
        macs=sum(node.macs for node in nodes),
        unknown_nodes=sum(node.status == "unknown" for node in nodes),
        peers={
            peer: summed((costs[place].macs, counts[place]) for place in places)
            for peer, counts in peers.items()
        },
    )
