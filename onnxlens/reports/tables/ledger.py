"""What is counted and measured, as text: by module, operator or node, all of it or what is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from onnxlens.reports.numbers import (
    AT_LEAST,
    UNKNOWN,
    bounded,
    figure_text,
    share,
    share_text,
    short_bytes,
    short_count,
    short_time,
)
from onnxlens.reports.tables.chips import with_chips
from onnxlens.reports.tables.columns import (
    COLUMNS,
    NAMED_ONLY,
    OWN,
    PEER_NAMES,
    PERCENT,
    SHARE,
    TEXTS,
    TIME_SHARE,
    shown_name,
)
from onnxlens.reports.tables.fused import SHOWN, fused_note
from onnxlens.reports.tables.led import led_documents
from onnxlens.reports.tables.module_names import module_name
from onnxlens.reports.tables.query import Asked, Query
from onnxlens.reports.tables.reconciliation import UNITS, heading_of
from onnxlens.reports.tables.remedies import KINDS
from onnxlens.reports.tables.render import (
    By,
    Cell,
    Column,
    TableFormat,
    fitted,
    hidden_note,
    render_table,
    with_notes,
)
from onnxlens.reports.tables.rows import Rows, Selection, rows_of, selected
from onnxlens.specs.codec import to_plain
from onnxlens.specs.ledger import Ledger, Totals, is_lower_bound
from onnxlens.specs.peers import PeerCost
from onnxlens.specs.record import record

FOR_PEOPLE: Mapping[By, Sequence[str]] = {
    "module": (
        "path", "class", "macs", SHARE, "latency_s", TIME_SHARE, "achieved_macs_per_s", "parity_error",
        "params", "moved_bytes", "live_bytes", "resident_weight_bytes", "working_bytes", "unknown_nodes",
        "inputs", "outputs", "arithmetic_intensity", "operators", "evidence",
    ),
    "op": (
        "operator", "nodes", "macs", SHARE, "latency_s", TIME_SHARE, "moved_bytes", "params", "vector_ops",
        "special_ops", "free_nodes", "unknown_nodes", "weight_read_bytes", "read_bytes", "write_bytes",
        "arithmetic_intensity",
    ),
    "group": (
        "group", "macs", SHARE, "latency_s", TIME_SHARE, "params", "moved_bytes", "achieved_macs_per_s",
        "nodes", "vector_ops", "special_ops", "free_nodes", "unknown_nodes", "weight_read_bytes",
        "read_bytes", "write_bytes", "arithmetic_intensity",
    ),
    "node": (
        "node", "operator", "path", "macs", SHARE, "moved_bytes", "status", "repeats", "vector_ops",
        "special_ops", "params", "weight_read_bytes", "read_bytes", "write_bytes", "why_not_as_ours",
    ),
}  # fmt: skip
"""What a table shows unless columns are chosen, those that matter most first."""

OF_THE_WHOLE = ("live_bytes", "achieved_macs_per_s", "parity_error")
"""What a table of own costs does not show: it is of a module with all that is inside."""

GROUP_TIME = (
    "latency of rows: the medians of their nodes, added; that of a kernel that runs nodes of several is "
    "split by MACs, or else by bytes, and (other) has what runs none"
)

RESOLUTIONS = (
    "resolution: of maps (N, C, H, W) and tokens (N, tokens, C); a file with other layouts shows what stands "
    "in those places"
)

NAMELESS: Mapping[By, str] = {
    "op": "modules: the file names none, so its nodes are grouped by operator type",
    "module": "modules: the file names none; --by op groups by operator type",
}


@record(frozen=True, slots=True)
class Layout:
    """How a table is shown to people.

    Attributes:
        width: of the screen in characters: columns that do not fit are left out; None shows all.
        explain: whether it ends with how everything was counted.
    """

    width: int | None = None
    explain: bool = True


def cost_table(
    ledger: Ledger, query: Query, table_format: TableFormat = "table", layout: Layout | None = None
) -> str:
    """The rows that are asked for; as CSV exact, else short, with sums, totals and notes.

    Raises:
        UsageError: a column is asked for that holds no figure, or a text that no row has.
    """
    layout = layout or Layout()
    query = _resolved(ledger, query)
    rows = rows_of(ledger, query, None if table_format == "csv" else _showable(ledger, query))
    found = selected(rows, query)
    if table_format == "csv":
        return render_table(found.rows, titled(rows, _for_machines(rows, query)), "csv")
    columns = titled(rows, _for_people(ledger, rows, query), people=True)
    if table_format == "table" and query.by == "module" and not query.filters and query.sort is None:
        columns = [_nested(ledger, column) if column.title == "path" else column for column in columns]
    sums = _sums(rows, found) if query.filters or query.asked.own else ()
    if query.by == "group" and not sums:
        sums = (("total", rows.together(rows.every)),)
    width = layout.width if table_format == "table" else None
    columns, hidden = fitted(found.rows, columns, width)
    table = render_table(found.rows, columns, table_format, sums)
    notes = [
        *hidden_note(hidden),
        *left_out(rows, found, query),
        *_about(rows, query),
        *_notes(ledger, layout.explain),
    ]
    if ledger.attribution == "none" and query.by in NAMELESS:
        notes.append(NAMELESS[query.by])
    convention = "" if ledger.convention == "matrix" else f", as {ledger.convention} counts"
    return with_notes(f"{heading_of(ledger)}{convention}", table, notes, table_format)


def cost_cells(ledger: Ledger, query: Query) -> tuple[Sequence[str], Sequence[Sequence[Cell]]]:
    """The names of the columns that are asked for, and under them the exact cells of each row.

    Raises:
        UsageError: a column is asked for that holds no figure, or a text that no row has.
    """
    query = _resolved(ledger, query)
    rows = rows_of(ledger, query)
    names = _for_machines(rows, query)
    return names, [[rows.columns[name].exact(row) for name in names] for row in selected(rows, query).rows]


def cost_document(ledger: Ledger, query: Query) -> dict[str, Any]:
    """The rows that are asked for, exact, what they are together, and the whole.

    A figure that was not computed is absent.

    Raises:
        UsageError: a column is asked for that holds no figure, or a text that no row has.
    """
    query = _resolved(ledger, query)
    rows = rows_of(ledger, query)
    found = selected(rows, query)
    chosen = _for_machines(rows, query)
    return {
        "schema": "onnxlens.ledger/2",
        "graph": ledger.graph,
        "source": ledger.source,
        "opset": ledger.opset,
        "weights": ledger.weights,
        "attribution": ledger.attribution,
        "convention": ledger.convention,
        "by": query.asked.by,
        "columns": list(chosen),
        "rows": [to_plain({name: rows.columns[name].exact(row) for name in chosen}) for row in found.rows],
        "sum": to_plain(
            {
                name: column.exact(rows.together(found.rows))
                for name, column in rows.columns.items()
                if name in chosen and (column.sums or name.endswith("lower_bounds"))
            }
        ),
        "totals": {**to_plain(ledger.totals), "arithmetic_intensity": ledger.totals.arithmetic_intensity},
        "notes": list(ledger.notes),
        "conventions": dict(ledger.conventions),
        **led_documents(ledger),
    }


def _resolved(ledger: Ledger, query: Query) -> Query:
    """With the kind of its rows (operators, if the file names no modules and no more is asked), and rank."""
    asked = query.asked
    plain = asked == Asked(top=asked.top, depth=asked.depth)
    by = "op" if plain and ledger.attribution == "none" else "module"
    sort = query.sort
    if ledger.convention != "matrix" and sort is not None and asked.sort is None:
        sort = replace(sort, column=sort.column.replace("macs", PEER_NAMES[ledger.convention]))
    return replace(query, asked=replace(asked, by=asked.by or by), sort=sort)


def titled(rows: Rows, names: Sequence[str], *, people: bool = False) -> Sequence[Column[Any]]:
    """The columns of these names, headed by them; for people by their short ones."""
    return [replace(rows.columns[name], title=shown_name(name) if people else name) for name in names]


def _nested(ledger: Ledger, column: Column[Any]) -> Column[Any]:
    """The path set in by depth, relative to that of the module above."""
    name = module_name(ledger.modules, ledger.graph, nested=True)
    return replace(column, short=lambda row: name(row.whole))


def _for_machines(rows: Rows, query: Query) -> Sequence[str]:
    """The columns for machines: with the figures comes which of them are lower bounds."""
    if not query.columns:
        return tuple(name for name in rows.columns if name not in NAMED_ONLY)
    own = any(name.startswith(OWN) for name in query.columns)
    bounds = ("lower_bounds", *((f"{OWN}lower_bounds",) if own else ()))
    return tuple(dict.fromkeys((*query.columns, *(name for name in bounds if name in rows.columns))))


def _candidates(ledger: Ledger, query: Query) -> Sequence[str]:
    """The columns that a table for people may show without being asked, in their order."""
    names = list(FOR_PEOPLE[query.by])
    if query.fits is not None:
        names[2:2] = ["fits", "working_bytes", "resident_weight_bytes"]
    moved = names.index("moved_bytes") + 1
    names[moved:moved] = SHOWN
    names = with_chips(names, SHARE, ledger)
    if ledger.convention != "matrix":
        peer = PEER_NAMES[ledger.convention]
        return [{"macs": peer, SHARE: peer + PERCENT}.get(name, name) for name in names]
    return names


def _showable(ledger: Ledger, query: Query) -> Sequence[str]:
    """The columns that are looked into: a table for people shows no other without being asked."""
    names = _candidates(ledger, query)
    return [*names, *(OWN + name for name in names if query.asked.own)]


def _for_people(ledger: Ledger, rows: Rows, query: Query) -> Sequence[str]:
    if query.columns:
        return query.columns
    names = _candidates(ledger, query)
    hidden = {
        name
        for name, wanted in (
            ("unknown_nodes", ledger.unknown[0] > 0 or query.by == "op"),
            ("evidence", any(module.evidence == "weights" for module in ledger.modules)),
            ("resident_weight_bytes", "working_bytes" in rows.columns and not query.asked.own),
            ("vector_ops", ledger.convention == "matrix"),
            ("special_ops", ledger.convention == "matrix"),
            ("repeats", any(node.repeats != 1 for node in ledger.nodes)),
            *((each, not query.asked.own) for each in OF_THE_WHOLE),
        )
        if not wanted
    }
    having_own = {*COLUMNS["module"], *rows.columns} if query.asked.own else ()
    owned = (OWN + name if OWN + name in having_own else name for name in names if name not in hidden)
    shown = [name for name in dict.fromkeys(owned) if name in rows.columns]
    sought = [name for name in dict.fromkeys(query.named) if name not in shown]
    return [*shown[:2], *sought, *shown[2:]]  # what rows are chosen by can be seen


def _sums(rows: Rows, found: Selection) -> Sequence[tuple[str, Any]]:
    """What the rows shown cost together, and what all rows do."""
    return (
        (f"sum of {len(found.rows)}", rows.together(found.rows)),
        ("total", rows.together(rows.every)),
    )


def left_out(rows: Rows, found: Selection, query: Query) -> list[str]:
    """Which rows are left out, and why."""
    kind, every = KINDS[query.by], len(rows.every)
    lines = []
    if len(found.rows) < every:
        lines.append(f"rows: {len(found.rows)} of {every} {kind}")
        if len(found.rows) < found.matching < every:
            lines[0] += f", the first of {found.matching} that pass"
        if query.where is not None and not found.matching:
            lines[0] += f": none passes --where{_ranges(rows, query)}"
        if found.deeper and query.where is not None:
            lines.append(f"deeper than --depth {query.asked.depth}: {found.deeper} more that pass")
    if found.undecided:
        lines.append(
            f"undecided: {found.undecided} {kind}, of which only a lower bound is known, are left out"
        )
    return lines


def _about(rows: Rows, query: Query) -> Sequence[str]:
    """What must be known of the rows."""
    lines, every = [], len(rows.every)
    if query.fits is not None:
        column = rows.columns.get("fits")
        fitting = sum(column.exact(row) == "yes" for row in rows.every) if column else UNKNOWN
        lines.append(f"fits: {fitting} of {every} modules take at most {short_bytes(query.fits)} alone")
    if query.asked.top is not None and query.by == "module" and not query.asked.own:
        lines.append("rows include the modules inside them; --own ranks each module without those")
    if query.by in ("op", "group") and "latency_s" in rows.columns:
        lines.append(GROUP_TIME)
    if query.asked.by == "resolution" or "resolution" in query.named:
        lines.append(RESOLUTIONS)
    return lines


def _ranges(rows: Rows, query: Query) -> str:
    """``; macs goes from 0 to 12.5 G`` for each column of numbers that is compared."""
    texts = []
    for name in dict.fromkeys(query.named):
        if name in TEXTS:
            continue
        column = rows.columns[name]
        having = [row for row in rows.every if column.exact(row) is not None]
        if not having:
            texts.append(f"; {shown_name(name)} has no figure in any row")
            continue
        figure: Callable[[Any], Any] = column.exact
        low, high = min(having, key=figure), max(having, key=figure)
        texts.append(
            f"; {name} goes from {column.cell(low, exact=False)} to {column.cell(high, exact=False)}"
        )
    return "".join(texts)


def _notes(ledger: Ledger, explain: bool) -> list[str]:
    """The totals, what was measured, the notes, and if ``explain`` the conventions of counting."""
    totals = ledger.totals
    macs = _total(totals, "macs", "{:,}".format)
    also = "" if macs == UNKNOWN else f" ({short_count(totals.macs)})"
    lines = [
        f"total: {macs} MACs{also}, {_total(totals, 'flops', '{:,}'.format)} FLOPs, {totals.params:,} params",
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
        lines.append(_latency(totals))
    if totals.parity_error is not None:
        lines.append(f"error: {totals.parity_error:.2e} relative L2 at the outputs")
    lines += fused_note(ledger)
    lines += [f"note: {note}" for note in ledger.notes]
    if explain:
        lines += [f"{name}: {meaning}" for name, meaning in ledger.conventions.items()]
    else:
        lines.append(f"what {', '.join(ledger.conventions)} mean: --explain")
    return lines


def _latency(totals: Totals) -> str:
    text = f"latency: {_total(totals, 'latency_s', short_time)}"
    if is_lower_bound("latency_s", totals.lower_bounds):
        return f"{text}, of the modules that were timed"
    lower = is_lower_bound("macs", totals.lower_bounds)
    rate = bounded(short_count(round(totals.macs / (totals.latency_s or 1))), totals.macs, lower=lower)
    return f"{text}, so {rate} MACs/s achieved"


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
