"""Ledgers and parity results as text: a terminal's table, Markdown, or CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Literal, TypeVar

from tabulate import tabulate

from onnxlens.reports.numbers import share, short_bytes, short_count, short_time
from onnxlens.reports.tables.column import Cell, Column
from onnxlens.reports.tables.columns import module_columns, node_columns, operator_columns
from onnxlens.reports.tables.peer_columns import UNITS, reconciliation_columns
from onnxlens.specs.graph import GraphSpec
from onnxlens.specs.ledger import Ledger, Totals
from onnxlens.specs.parity import ParityReport, ParityResult
from onnxlens.specs.peers import PeerCost, Reconciliation
from onnxlens.specs.tensor import TensorSpec

Row = TypeVar("Row")
TableFormat = Literal["table", "csv", "md"]
By = Literal["module", "op", "node"]

TABULATE_FORMATS = {"table": "simple", "md": "pipe"}


def ledger_table(ledger: Ledger, by: By, depth: int, table_format: TableFormat) -> str:
    """The ledger by module down to ``depth``, by operator type, or by node; with totals and notes for people.

    A file that names no modules is grouped by operator type instead, and the table says so.
    """
    if by == "module" and ledger.attribution != "none":
        modules = [module for module in ledger.modules if module.depth <= depth]
        table = rendered(modules, module_columns(ledger, nested=table_format == "table"), table_format)
    elif by != "node":
        table = rendered(ledger.operators, operator_columns(ledger), table_format)
    else:
        table = rendered(ledger.nodes, node_columns(ledger), table_format)
    if table_format == "csv":
        return table
    bullet = "- " if table_format == "md" else ""  # Markdown would run plain lines together
    lines = footer_of(ledger)
    if ledger.attribution == "none" and by == "module":
        lines.append("modules: the file names none, so its nodes are grouped by operator type")
    footer = "\n".join(bullet + line for line in lines)
    convention = "" if ledger.convention == "matrix" else f", as {ledger.convention} counts"
    return f"{heading_of(ledger)}{convention}\n\n{table}\n\n{footer}"


def parity_table(report: ParityReport, table_format: TableFormat) -> str:
    """One row for each output."""
    table = rendered(report.outputs, PARITY_COLUMNS, table_format)
    if table_format == "csv":
        return table
    reference = "PyTorch" if report.reference == "pytorch" else "ONNX Runtime without optimisations"
    heading = (
        f"{report.graph} (opset {report.opset}): ONNX Runtime on {report.provider} against {reference}, "
        f"weights: {report.weights or 'as in the file'}"
    )
    verdict = "all outputs agree" if report.passed else "the outputs do NOT agree"
    return f"{heading}\n\n{table}\n\n{verdict}"


def reconciliation_table(reconciliation: Reconciliation, table_format: TableFormat) -> str:
    """One row for each operator type and one for all; for people, less the types that nobody counts."""
    rows = reconciliation.operators
    if table_format != "csv":
        rows = tuple(row for row in rows if _is_counted(row.macs, row.unknown_nodes, *row.peers.values()))
    table = rendered((*rows, reconciliation.totals), reconciliation_columns(), table_format)
    if table_format == "csv":
        return table
    bullet = "- " if table_format == "md" else ""
    lines = [f"{name}: {meaning}" for name, meaning in reconciliation.notes.items()]
    if left_out := [row.op_type for row in reconciliation.operators if row not in rows]:
        lines.insert(0, f"counted by nobody: {', '.join(left_out)}")
    footer = "\n".join(bullet + line for line in lines)
    return f"{heading_of(reconciliation)}: MACs and other counters' figures\n\n{table}\n\n{footer}"


def _is_counted(macs: int, unknown_nodes: int, *peers: PeerCost) -> bool:
    return bool(macs or unknown_nodes or any(cost.macs or cost.unknown_nodes for cost in peers))


def catalog_table(specs: Sequence[GraphSpec], table_format: TableFormat) -> str:
    """One row for each graph of the catalog."""
    return rendered(specs, CATALOG_COLUMNS, table_format)


PARITY_COLUMNS: Sequence[Column[ParityResult]] = (
    Column("output", lambda r: r.tensor),
    Column("max abs", lambda r: r.max_abs, lambda r: f"{r.max_abs:.2e}", True),
    Column("mean abs", lambda r: r.mean_abs, lambda r: f"{r.mean_abs:.2e}", True),
    Column("reference max", lambda r: r.reference_max_abs, lambda r: f"{r.reference_max_abs:.2e}", True),
    Column("relative L2", lambda r: r.rel_l2, lambda r: f"{r.rel_l2:.2e}", True),
    Column("cosine", lambda r: r.cosine, lambda r: f"{r.cosine:.9f}", True),
    Column("tolerance", lambda r: r.tolerance, lambda r: f"{r.tolerance:.0e}", True),
    Column("result", lambda r: "pass" if r.passed else "FAIL"),
)

CATALOG_COLUMNS: Sequence[Column[GraphSpec]] = (
    Column("graph", lambda g: g.name),
    Column("what it is", lambda g: g.title),
    Column("family", lambda g: g.family),
    Column("inputs", lambda g: _tensors(g.inputs), lambda g: _tensors(g.inputs, 4)),
    Column("outputs", lambda g: _tensors(g.outputs), lambda g: _tensors(g.outputs, 4)),
    Column("sizes", lambda g: _sizes(g)),
)


def _tensors(tensors: Sequence[TensorSpec], limit: int | None = None) -> str:
    texts = [f"{tensor.name} {tensor.shape_text()}" for tensor in tensors]
    hidden = len(texts) - len(texts[:limit])
    return ", ".join(texts[:limit]) + (f", +{hidden} more" if hidden else "")


def _sizes(spec: GraphSpec) -> str:
    if spec.size_multiple == 1 and spec.min_size == 1:
        return "fixed"
    multiple = f"multiples of {spec.size_multiple}" if spec.size_multiple > 1 else "any"
    return multiple + (f" from {spec.min_size}" if spec.min_size > spec.size_multiple else "")


def rendered(rows: Sequence[Row], columns: Sequence[Column[Row]], table_format: TableFormat) -> str:
    """Any rows under their columns: exact figures for CSV, short ones for people."""
    exact = table_format == "csv"
    cells = [[column.cell(row, exact=exact) for column in columns] for row in rows]
    titles = [column.title for column in columns]
    if exact:
        return _csv(titles, cells)
    if table_format == "md":
        cells = [[_escaped(cell) for cell in row] for row in cells]
    text = tabulate(
        cells,
        headers=titles,
        tablefmt=TABULATE_FORMATS[table_format],
        colalign=["right" if column.right else "left" for column in columns] if cells else None,
        disable_numparse=True,
        preserve_whitespace=True,
    )
    return "\n".join(line.rstrip() for line in text.splitlines())


def _escaped(cell: Cell) -> Cell:
    """A bar would end the cell of a Markdown table."""
    return cell.replace("|", "\\|") if isinstance(cell, str) else cell


def _csv(titles: Sequence[str], cells: Sequence[Sequence[Cell]]) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(titles)
    writer.writerows(cells)
    return file.getvalue().rstrip("\n")


def heading_of(counted: Ledger | Reconciliation) -> str:
    """Which graph of which file, at which opset, with which weights."""
    weights = f", weights: {counted.weights}" if counted.weights else ""
    return f"{counted.graph} from {counted.source} (opset {counted.opset}{weights})"


def footer_of(ledger: Ledger) -> list[str]:
    """What stands under the rows for people: the whole, the notes, and how it was counted."""
    totals = ledger.totals
    lines = [
        f"total: {totals.macs:,} MACs ({short_count(totals.macs)}), "
        f"{totals.flops:,} FLOPs, {totals.params:,} params",
        f"bytes moved unfused: {short_bytes(totals.moved_bytes)}; "
        f"live activations at the peak: {short_bytes(totals.peak_live_bytes)}; "
        f"weights resident: {short_bytes(totals.resident_weight_bytes)}",
    ]
    if totals.peer is not None:
        lines[0] = _peer_total(ledger, totals.peer)
    elif totals.arithmetic_intensity is not None:
        lines.append(f"arithmetic intensity: {totals.arithmetic_intensity:.1f} FLOPs/byte")
    if totals.peer is None or totals.unknown_nodes:
        lines.append(_unknown(totals))
    lines += _measured(totals)
    lines += [f"note: {note}" for note in ledger.notes]
    lines += [f"{name}: {meaning}" for name, meaning in ledger.conventions.items()]
    return lines


def _measured(totals: Totals) -> list[str]:
    lines = []
    if totals.latency_s:
        rate = short_count(round(totals.macs / totals.latency_s))
        lines.append(f"latency: {short_time(totals.latency_s)}, so {rate} MACs/s achieved")
    if totals.parity_error is not None:
        lines.append(f"error: {totals.parity_error:.2e} relative L2 at the outputs")
    return lines


def _peer_total(ledger: Ledger, peer: PeerCost) -> str:
    """The whole in the peer's convention beside ours, or why it cannot be told."""
    told = f"{peer.macs:,} {UNITS[ledger.convention]} ({short_count(peer.macs)})"
    if peer.unknown_nodes:
        told = f"unknown, because of {peer.unknown_nodes} nodes ({peer.reason}); all others: {told}"
    return f"total: {told}; ours: {ledger.totals.macs:,} MACs, {ledger.totals.params:,} params"


def _unknown(totals: Totals) -> str:
    """The share of the graph that the figures leave out."""
    if not totals.unknown_nodes:
        return f"unknown: none of {totals.nodes} nodes"
    moved = totals.moved_bytes
    nodes_share, bytes_share = share(totals.unknown_nodes, totals.nodes), share(totals.unknown_bytes, moved)
    return (
        f"unknown: {totals.unknown_nodes} of {totals.nodes} nodes ({nodes_share}), "
        f"{short_bytes(totals.unknown_bytes)} of {short_bytes(moved)} moved ({bytes_share})"
    )
