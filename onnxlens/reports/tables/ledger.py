"""What is counted and measured, as text: the profile by module, operator or node, and the queried ledger."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from onnxlens.errors import UsageError
from onnxlens.reports.numbers import (
    AT_LEAST,
    COSTS,
    UNKNOWN,
    bounded,
    figure_text,
    share,
    share_text,
    short_bytes,
    short_count,
    short_time,
)
from onnxlens.reports.tables.columns import (
    FOR_PEOPLE,
    LOWER_BOUNDS,
    ModuleColumn,
    module_column,
    module_columns,
    node_columns,
    operator_columns,
    present_columns,
)
from onnxlens.reports.tables.reconciliation import UNITS, heading_of
from onnxlens.reports.tables.render import By, TableFormat, render_table, with_notes
from onnxlens.specs.codec import to_plain
from onnxlens.specs.ledger import Ledger, ModuleCost, Totals, is_lower_bound
from onnxlens.specs.peers import PeerCost

if TYPE_CHECKING:
    from onnxlens.reports.tables.query import LedgerQuery


def profile_table(ledger: Ledger, by: By, depth: int, table_format: TableFormat) -> str:
    """The counts by module down to ``depth``, by operator type, or by node; with totals and notes for people.

    A file that names no modules is grouped by operator type instead, and the table says so.
    """
    notes = _notes(ledger)
    bounds = (LOWER_BOUNDS,) if table_format == "csv" and ledger.totals.lower_bounds else ()
    if by == "module" and ledger.attribution != "none":
        modules = [module for module in ledger.modules if module.depth <= depth]
        columns = (*module_columns(ledger, nested=table_format == "table"), *bounds)
        table = render_table(modules, columns, table_format)
    elif by != "node":
        table = render_table(ledger.operators, (*operator_columns(ledger), *bounds), table_format)
    else:
        table = render_table(ledger.nodes, node_columns(ledger), table_format)
    if ledger.attribution == "none" and by == "module":
        notes.append("modules: the file names none, so its nodes are grouped by operator type")
    convention = "" if ledger.convention == "matrix" else f", as {ledger.convention} counts"
    return with_notes(f"{heading_of(ledger)}{convention}", table, notes, table_format)


def ledger_table(ledger: Ledger, query: LedgerQuery, table_format: TableFormat) -> str:
    """The modules that are asked for; as CSV exact under the columns' names, else short, with totals.

    Raises:
        UsageError: a column is asked for that holds no figure.
    """
    columns = _present(ledger, query)
    rows = _rows(ledger, query, columns)
    if table_format == "csv":
        chosen = _chosen(query, columns)
        return render_table(rows, [replace(columns[name], csv_title=name) for name in chosen], "csv")
    if table_format == "table" and not query.where and query.sort is None:
        columns = {**columns, "path": module_column(ledger, nested=True)}
    table = render_table(rows, [columns[name] for name in _for_people(ledger, query, columns)], table_format)
    notes = (*_left_out(ledger, rows), *_notes(ledger))
    return with_notes(heading_of(ledger), table, notes, table_format)


def ledger_document(ledger: Ledger, query: LedgerQuery) -> dict[str, Any]:
    """The modules that are asked for, exact; a figure that was not computed is absent.

    Raises:
        UsageError: a column is asked for that holds no figure.
    """
    columns = _present(ledger, query)
    chosen = _chosen(query, columns)
    return {
        "schema": "onnxlens.ledger/1",
        "graph": ledger.graph,
        "source": ledger.source,
        "opset": ledger.opset,
        "weights": ledger.weights,
        "attribution": ledger.attribution,
        "columns": list(chosen),
        "rows": [
            to_plain({name: columns[name].exact(module) for name in chosen})
            for module in _rows(ledger, query, columns)
        ],
        "totals": {**to_plain(ledger.totals), "arithmetic_intensity": ledger.totals.arithmetic_intensity},
        "notes": list(ledger.notes),
        "conventions": dict(ledger.conventions),
    }


def _present(ledger: Ledger, query: LedgerQuery) -> Mapping[str, ModuleColumn]:
    columns = present_columns(ledger)
    for name in query.named:
        if name not in columns:
            option = COSTS[name].measured_by if name in COSTS else ""
            remedy = f"give --{option}" if option else "no module has one"
            raise UsageError(f"column {name} holds no figure; {remedy}")
    return columns


def _chosen(query: LedgerQuery, columns: Mapping[str, ModuleColumn]) -> Sequence[str]:
    """The columns for machines: with the figures comes which of them are lower bounds."""
    bounds = ("lower_bounds",) if "lower_bounds" in columns else ()
    return tuple(dict.fromkeys((*query.columns, *bounds))) if query.columns else tuple(columns)


def _rows(ledger: Ledger, query: LedgerQuery, columns: Mapping[str, ModuleColumn]) -> Sequence[ModuleCost]:
    rows = [
        module
        for module in ledger.modules
        if (query.depth is None or module.depth <= query.depth)
        and all(condition.holds(columns[condition.column].exact(module)) for condition in query.where)
    ]
    if query.sort is None:
        return rows
    figure: Callable[[ModuleCost], Any] = columns[query.sort.column].exact
    lacking = [module for module in rows if figure(module) is None]  # they come last
    having = [module for module in rows if figure(module) is not None]
    return [*sorted(having, key=figure, reverse=query.sort.descending), *lacking]


def _for_people(ledger: Ledger, query: LedgerQuery, columns: Mapping[str, ModuleColumn]) -> Sequence[str]:
    if query.columns:
        return query.columns
    has_unknown = ledger.unknown[0] > 0
    return [name for name in FOR_PEOPLE if name in columns and (name != "unknown_nodes" or has_unknown)]


def _left_out(ledger: Ledger, rows: Sequence[ModuleCost]) -> Sequence[str]:
    """What the rows leave out."""
    lines = []
    if len(rows) < len(ledger.modules):
        lines.append(f"rows: {len(rows)} of {len(ledger.modules)} modules")
    if ledger.attribution == "none":
        lines.append("modules: the file names none; 'onnxlens profile --by op' groups by operator type")
    return lines


def _notes(ledger: Ledger) -> list[str]:
    """The totals, what was measured, the notes, and the conventions of counting."""
    totals = ledger.totals
    macs = _total(totals, "macs", "{:,}".format)
    short = "" if macs == UNKNOWN else f" ({short_count(totals.macs)})"
    lines = [
        f"total: {macs} MACs{short}, "
        f"{_total(totals, 'flops', '{:,}'.format)} FLOPs, {totals.params:,} params",
        f"memory traffic, unfused: {_total(totals, 'moved_bytes', short_bytes)}; "
        f"activation memory at the peak: {_total(totals, 'peak_live_bytes', short_bytes)}; "
        f"resident weights: {short_bytes(totals.resident_weight_bytes)}",
    ]
    if totals.peer is not None:
        lines[0] = _peer_total(ledger, totals.peer)
    elif totals.arithmetic_intensity is not None:
        intensity = _total(totals, "arithmetic_intensity", "{:.1f}".format)
        lines.append(f"arithmetic intensity: {intensity} FLOPs/byte")
    if totals.peer is None or totals.unknown_nodes:
        lines.append(_unknown(totals))
    if totals.latency_s:
        rate = bounded(
            short_count(round(totals.macs / totals.latency_s)),
            totals.macs,
            lower=is_lower_bound("macs", totals.lower_bounds),
        )
        lines.append(f"latency: {short_time(totals.latency_s)}, so {rate} MACs/s achieved")
    if totals.parity_error is not None:
        lines.append(f"error: {totals.parity_error:.2e} relative L2 at the outputs")
    lines += [f"note: {note}" for note in ledger.notes]
    lines += [f"{name}: {meaning}" for name, meaning in ledger.conventions.items()]
    return lines


def _peer_total(ledger: Ledger, peer: PeerCost) -> str:
    """The whole in the peer's convention, and ours; or why it is unknown."""
    total = f"{peer.macs:,} {UNITS[ledger.convention]} ({short_count(peer.macs)})"
    ours = _total(ledger.totals, "macs", "{:,}".format)
    if peer.unknown_nodes:
        total = f"unknown, because of {peer.unknown_nodes} nodes ({peer.reason}); all others: {total}"
    return f"total: {total}; ours: {ours} MACs, {ledger.totals.params:,} params"


def _total(totals: Totals, name: str, shown: Callable[[float], str]) -> str:
    """A figure of the whole; what is a lower bound says so."""
    return figure_text(name, getattr(totals, name), totals.lower_bounds, shown)


def _unknown(totals: Totals) -> str:
    """The share of the graph that the figures leave out."""
    if not totals.unknown_nodes:
        return f"unknown: none of {totals.nodes} nodes"
    traffic = _total(totals, "moved_bytes", short_bytes)
    lower = is_lower_bound("moved_bytes", totals.lower_bounds)
    bytes_share = share_text(totals.unknown_bytes, totals.moved_bytes, part_lower=lower, whole_lower=lower)
    unknown_bytes = bounded(short_bytes(totals.unknown_bytes), totals.unknown_bytes, lower=lower)
    nodes_share = share(totals.unknown_nodes, totals.nodes)
    return (
        f"unknown: {totals.unknown_nodes} of {totals.nodes} nodes ({nodes_share}), "
        f"{unknown_bytes} of {traffic} of memory traffic ({bytes_share}); "
        f"{AT_LEAST}: at least, without what they cost; {UNKNOWN}: unknown"
    )
