"""The columns that hold counts: our MACs, or what a peer counts in their place; and a reconciliation's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from onnxlens.reports.numbers import share, short_count
from onnxlens.reports.tables.column import Column
from onnxlens.specs.ledger import Ledger, ModuleCost, NodeCost, OperatorCost
from onnxlens.specs.peers import PEERS, PeerCost, ReconciledOperator

Costed = TypeVar("Costed", ModuleCost, OperatorCost)

UNITS: Mapping[str, str] = {
    "matrix": "MACs",
    "onnx-tool": "onnx-tool MACs",
    "fvcore": "fvcore flops",
    "thop": "thop MACs",
}
"""What each calls its count, by convention."""


def count_and_share(ledger: Ledger) -> tuple[Column[Costed], ...]:
    """The rows' counts in the ledger's convention, and their share of the whole."""
    whole = _whole(ledger)
    unit = UNITS[ledger.convention]
    return (
        Column(unit, lambda row: _exact(row), lambda row: _short(row), True),
        Column(
            f"{unit} %" if ledger.convention == "matrix" else "%",
            lambda row: round(100 * _macs(row) / whole, 3) if whole else 0,
            lambda row: share(_macs(row), whole),
            True,
        ),
    )


def _whole(ledger: Ledger) -> int:
    """The total; 0 where the peer has none, because a share of a part would be wrong."""
    peer = ledger.totals.peer
    if peer is None:
        return ledger.totals.macs
    return 0 if peer.unknown_nodes else peer.macs


def unknown_nodes(row: Costed) -> int:
    """How many nodes of the row cannot be counted in the ledger's convention."""
    return row.unknown_nodes if row.peer is None else row.peer.unknown_nodes


def node_counts(ledger: Ledger) -> tuple[Column[NodeCost], ...]:
    """A node's counts: ours of all kinds, or the one that the peer makes, and why it makes none."""
    if ledger.convention == "matrix":
        return (
            operations("MACs", lambda node: node.macs),
            operations("vector ops", lambda node: node.vector_ops),
            operations("special ops", lambda node: node.special_ops),
        )
    return (
        Column(
            UNITS[ledger.convention],
            lambda node: exact_peer(node.peer),
            lambda node: short_peer(node.peer, short_count),
            True,
        ),
        Column("why not as ours", lambda node: node.peer.cause if node.peer else ""),
    )


def operations(title: str, value: Callable[[NodeCost], int]) -> Column[NodeCost]:
    """Operations of a node; of an unknown one no figure at all, because 0 would be one."""
    return Column(
        title,
        lambda node: "" if node.status == "unknown" else value(node),
        lambda node: "?" if node.status == "unknown" else short_count(value(node)),
        right=True,
    )


def _macs(row: Costed) -> int:
    return row.macs if row.peer is None else row.peer.macs


def _exact(row: Costed) -> int | str:
    return row.macs if row.peer is None else exact_peer(row.peer)


def _short(row: Costed) -> str:
    return short_count(row.macs) if row.peer is None else short_peer(row.peer, short_count)


def exact_peer(cost: PeerCost | None) -> int | str:
    """The count for machines; nothing where some of it cannot be counted, because a part would be wrong."""
    return "" if cost is None or cost.unknown_nodes else cost.macs


def short_peer(cost: PeerCost | None, shown: Callable[[int], str]) -> str:
    """The count for people: ``?`` where it cannot be made, ``1.2 G + ?`` where that holds for a part."""
    if cost is None or not cost.unknown_nodes:
        return shown(cost.macs if cost else 0)
    return f"{shown(cost.macs)} + ?" if cost.macs else "?"


def reconciliation_columns() -> Sequence[Column[ReconciledOperator]]:
    """An operator type's count in every convention, whole, and where the differences come from."""
    return (
        Column("operator", lambda row: _name(row), lambda row: _name(row) or "total"),
        Column("nodes", lambda row: row.nodes, right=True),
        Column(
            "MACs",
            lambda row: "" if row.unknown_nodes else row.macs,
            lambda row: short_peer(PeerCost(row.macs, row.unknown_nodes), thousands),
            True,
        ),
        *(_peer_column(peer) for peer in PEERS),
        Column("where the difference comes from", _causes),
    )


def _peer_column(peer: str) -> Column[ReconciledOperator]:
    return Column(
        UNITS[peer],
        lambda row: exact_peer(row.peers[peer]),
        lambda row: short_peer(row.peers[peer], thousands),
        True,
    )


def thousands(count: int) -> str:
    """``401,636,720,640``."""
    return f"{count:,}"


def _name(row: ReconciledOperator) -> str:
    return f"{row.domain}::{row.op_type}" if row.domain else row.op_type


def _causes(row: ReconciledOperator) -> str:
    """``onnx-tool: bias adds; thop: not seen by hooks``; the whole names none again."""
    if not row.op_type:
        return ""
    return " | ".join(f"{peer}: {row.peers[peer].cause}" for peer in PEERS if row.peers[peer].cause)
