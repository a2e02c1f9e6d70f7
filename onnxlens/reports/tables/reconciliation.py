"""Our MACs beside the counts of other packages, and how a count that is partly unknown is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from onnxlens.reports.tables.render import Column, TableFormat, render_table, with_notes
from onnxlens.specs.ledger import Ledger
from onnxlens.specs.peers import PEERS, PeerCost, ReconciledOperator, Reconciliation

UNITS: Mapping[str, str] = {
    "matrix": "MACs",
    "onnx-tool": "onnx-tool MACs",
    "fvcore": "fvcore flops",
    "thop": "thop MACs",
}
"""What each calls its count, by convention."""


def reconciliation_table(reconciliation: Reconciliation, table_format: TableFormat) -> str:
    """One row for each operator type and one for all; for people, less the types that nobody counts."""
    rows = reconciliation.operators
    if table_format != "csv":
        rows = tuple(row for row in rows if _is_counted(row.macs, row.unknown_nodes, *row.peers.values()))
    table = render_table((*rows, reconciliation.totals), _columns(), table_format)
    lines = [f"{name}: {meaning}" for name, meaning in reconciliation.notes.items()]
    if left_out := [row.op_type for row in reconciliation.operators if row not in rows]:
        lines.insert(0, f"counted by nobody: {', '.join(left_out)}")
    heading = f"{heading_of(reconciliation)}: MACs and other counters' figures"
    return with_notes(heading, table, lines, table_format)


def heading_of(counted: Ledger | Reconciliation) -> str:
    """Which graph of which file, at which opset, with which weights."""
    weights = f", weights: {counted.weights}" if counted.weights else ""
    return f"{counted.graph} from {counted.source} (opset {counted.opset}{weights})"


def exact_peer(cost: PeerCost | None) -> int | str:
    """The count for machines; nothing where some of it cannot be counted, because a part would be wrong."""
    return "" if cost is None or cost.unknown_nodes else cost.macs


def short_peer(cost: PeerCost | None, shown: Callable[[int], str]) -> str:
    """The count for people: ``?`` where it is unknown, ``1.2 G + ?`` where a part of it is."""
    if cost is None or not cost.unknown_nodes:
        return shown(cost.macs if cost else 0)
    return f"{shown(cost.macs)} + ?" if cost.macs else "?"


def _is_counted(macs: int, unknown_nodes: int, *peers: PeerCost) -> bool:
    return bool(macs or unknown_nodes or any(cost.macs or cost.unknown_nodes for cost in peers))


def _columns() -> Sequence[Column[ReconciledOperator]]:
    """An operator type's count in every convention, whole, and where the differences come from."""
    return (
        Column("operator", lambda row: _name(row), lambda row: _name(row) or "total"),
        Column("nodes", lambda row: row.nodes, right=True),
        _count_column("matrix", lambda row: PeerCost(row.macs, row.unknown_nodes)),
        *(_count_column(peer, _peer_count(peer)) for peer in PEERS),
        Column("where the difference comes from", _causes),
    )


def _peer_count(peer: str) -> Callable[[ReconciledOperator], PeerCost]:
    return lambda row: row.peers[peer]


def _count_column(
    convention: str, count: Callable[[ReconciledOperator], PeerCost]
) -> Column[ReconciledOperator]:
    return Column(
        UNITS[convention],
        lambda row: exact_peer(count(row)),
        lambda row: short_peer(count(row), "{:,}".format),
        right=True,
    )


def _name(row: ReconciledOperator) -> str:
    return f"{row.domain}::{row.op_type}" if row.domain else row.op_type


def _causes(row: ReconciledOperator) -> str:
    """``onnx-tool: bias adds; thop: not seen by hooks``; the whole names none again."""
    if not row.op_type:
        return ""
    return " | ".join(f"{peer}: {row.peers[peer].cause}" for peer in PEERS if row.peers[peer].cause)
