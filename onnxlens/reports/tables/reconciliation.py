"""Our MACs and the counts of other packages, and how a count that is partly unknown is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from onnxlens.reports.numbers import bounded
from onnxlens.reports.tables.render import Column, TableFormat, render_table, with_notes
from onnxlens.specs.ledger import Ledger, NodeCost, OperatorCost
from onnxlens.specs.peers import PeerCost, ReconciledOperator, Reconciliation

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
    conventions = ("matrix", *reconciliation.totals.peers)
    if table_format != "csv":
        rows = tuple(row for row in rows if any(exact_peer(_count(row, name)) != 0 for name in conventions))
    table = render_table((*rows, reconciliation.totals), _columns(conventions), table_format)
    lines = [f"{name}: {meaning}" for name, meaning in reconciliation.notes.items()]
    if left_out := [row.op_type for row in reconciliation.operators if row not in rows]:
        lines.insert(0, f"counted by nobody: {', '.join(left_out)}")
    heading = f"{heading_of(reconciliation)}: MACs and other counters' figures"
    return with_notes(heading, table, lines, table_format)


def heading_of(counted: Ledger | Reconciliation) -> str:
    """Which graph of which file, at which opset, with which weights."""
    weights = f", weights: {counted.weights}" if counted.weights else ""
    return f"{counted.graph} from {counted.source} (opset {counted.opset}{weights})"


def exact_peer(cost: PeerCost | None) -> int | None:
    """The count for machines; nothing where some of it cannot be counted, because a part would be wrong."""
    return None if cost is None or cost.unknown_nodes else cost.macs


def short_peer(cost: PeerCost | None, shown: Callable[[int], str]) -> str:
    """The count for people: ``?`` where it is unknown, ``>= 1.2 G`` where a part of it is."""
    macs = cost.macs if cost else 0
    return bounded(shown(macs), macs, lower=cost is not None and cost.unknown_nodes > 0)


def operator_name(row: OperatorCost | NodeCost | ReconciledOperator) -> str:
    """``Conv``; outside ONNX's own domain with the domain before it."""
    return f"{row.domain}::{row.op_type}" if row.domain else row.op_type


def _count(row: ReconciledOperator, convention: str) -> PeerCost:
    return PeerCost(row.macs, row.unknown_nodes) if convention == "matrix" else row.peers[convention]


def _count_column(convention: str) -> Column[ReconciledOperator]:
    return Column(
        UNITS[convention],
        lambda row: exact_peer(_count(row, convention)),
        lambda row: short_peer(_count(row, convention), "{:,}".format),
        right=True,
    )


def _causes(row: ReconciledOperator) -> str:
    """``onnx-tool: bias adds; thop: not seen by hooks``; the whole names none again."""
    if not row.op_type:
        return ""
    return " | ".join(f"{peer}: {cost.cause}" for peer, cost in row.peers.items() if cost.cause)


def _columns(conventions: Sequence[str]) -> Sequence[Column[ReconciledOperator]]:
    """An operator type's count in every convention, whole, and where the differences come from."""
    return (
        Column("operator", operator_name, lambda row: operator_name(row) or "total"),
        Column("nodes", lambda row: row.nodes, right=True),
        *map(_count_column, conventions),
        Column("where the difference comes from", _causes),
    )
