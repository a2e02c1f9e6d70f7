"""Benchmarks as text: a row for each module, operator or node, and below them how it was measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from onnxlens.reports.numbers import COSTS, share, short_bytes, short_count, short_time
from onnxlens.reports.tables.columns import MODULE_CLASS, MODULE_ORDER, TIME_SHARE
from onnxlens.reports.tables.ledger import left_out, titled
from onnxlens.reports.tables.module_names import module_name, root_name, timed_in
from onnxlens.reports.tables.query import Asked, Query
from onnxlens.reports.tables.render import (
    By,
    Cell,
    Column,
    TableFormat,
    figure_column,
    first_of,
    fitted,
    hidden_note,
    render_table,
    with_notes,
)
from onnxlens.reports.tables.rows import Rows, checked, selected
from onnxlens.reports.tables.shares import LATENCY
from onnxlens.specs.bench import BenchReport, LatencyResult, ModuleTime, NodeTime, OperatorTime
from onnxlens.specs.codec import to_plain

SHOWN_UNATTRIBUTED = 5
"""Nodes without a module that a table names, costliest first; the JSON document has all."""

SHOWN_ELSEWHERE = ("load", "processor")
"""Facts of the machine that other notes give: the load before and after, and the device."""


Row = TypeVar("Row", bound=ModuleTime | OperatorTime | NodeTime)
Builder = Callable[[BenchReport], Column[Any]]
LEVELS = 2
"""Of modules that a table shows, unless rows are chosen."""


def bench_table(
    report: BenchReport,
    query: Query | None = None,
    table_format: TableFormat = "table",
    width: int | None = None,
) -> str:
    """The times by module, by operator type, or by node; for people short, within ``width``, with notes.

    A file that names no modules is grouped by operator type instead, and the table says so.

    Raises:
        UsageError: a column is asked for that holds no figure, or a text that no row has.
    """
    query, rows = _rows(report, query or Query(Asked(depth=LEVELS)))
    found = selected(rows, query)
    names = query.columns or tuple(rows.columns)
    if table_format == "csv":
        return render_table(found.rows, titled(rows, names), "csv")
    columns = titled(rows, query.columns or [name for name in names if name not in FOR_MACHINES], people=True)
    if table_format == "table" and query.by == "module" and not query.filters and query.sort is None:
        name = module_name(report.modules, report.graph, nested=True)
        columns = [replace(each, short=name) if each.title == "path" else each for each in columns]
    columns, hidden = fitted(found.rows, columns, width if table_format == "table" else None)
    table = render_table(found.rows, columns, table_format)
    weights = f", weights: {report.weights}" if report.weights else ""
    heading = (
        f"{report.graph} from {report.source} (opset {report.opset}{weights}): ONNX Runtime on "
        f"{report.provider}, level {report.level}, threads {report.threads}"
    )
    notes = [*hidden_note(hidden), *left_out(rows, found, query)]
    if query.asked.top is not None and query.by == "module" and not query.asked.leaves:
        notes.append("rows include the modules inside them; ledger --latency --own ranks each without those")
    notes += _notes(report)
    return with_notes(heading, table, notes, table_format)


def bench_rows(report: BenchReport, query: Query) -> dict[str, Any]:
    """The rows and columns that are asked for, exact; a figure that is not known is absent.

    Raises:
        UsageError: a column is asked for that holds no figure, or a text that no row has.
    """
    query, rows = _rows(report, query)
    columns = {name: rows.columns[name] for name in query.columns or rows.columns}
    found = selected(rows, query).rows
    return {
        "by": query.by,
        "columns": list(columns),
        "rows": [to_plain({name: column.exact(row) for name, column in columns.items()}) for row in found],
    }


def _rows(report: BenchReport, query: Query) -> tuple[Query, Rows]:
    if query.by == "module" and report.attribution == "none":
        query = replace(query, asked=replace(query.asked, by="op"))
    every: Mapping[By, Sequence[Any]] = {
        "module": report.modules, "op": report.operators, "node": report.nodes,
    }  # fmt: skip
    inner = [each.path.split(".") for each in report.modules if each.path]
    outer = {".".join(elements[:length]) for elements in inner for length in range(len(elements))}
    rows = Rows(
        every[query.by],
        {name: build(report) for name, build in BENCH_COLUMNS[query.by].items()},
        together=lambda rows: None,
        depth=lambda row: row.depth if query.by == "module" else 0,
        is_leaf=lambda row: query.by != "module" or row.path not in outer,
    )
    return query, checked("matrix", rows, query)


def _latency_column(report: BenchReport) -> Column[Row]:
    """The time; of a module whose nodes were fused into another's, which has it."""
    time: Column[Row] = _time_column("median_s", short_time)

    def text(row: Row) -> Cell:
        elsewhere = timed_in(row.timed_in, root_name(report), 1) if isinstance(row, ModuleTime) else None
        return f"in {elsewhere}" if elsewhere else time.cell(row, exact=False)

    return replace(time, short=text)


def _latency_share(report: BenchReport) -> Column[Row]:
    whole = report.node_sum_s
    return Column(
        "",
        lambda r: (round(100 * r.time.median_s / whole, 3) if whole else 0) if r.time else None,
        lambda r: _share(report, r.time.median_s, whole) if r.time else "-",
        True,
    )


def _peak_share(report: BenchReport) -> Column[Row]:
    share_of: Column[Row] = _time_column("share_of_best", lambda part: _share(report, part, 1))

    def exact(row: Row) -> float | None:
        part = row.time.share_of_best if row.time else None
        return None if part is None else round(100 * part, 3)

    return replace(share_of, exact=exact)


def _same(column: Column[Any]) -> Builder:
    return lambda report: column


def _path(report: BenchReport) -> Column[ModuleTime]:
    root = root_name(report)
    return Column("", lambda m: m.path or root)


def _node_path(report: BenchReport) -> Column[NodeTime]:
    root = root_name(report)

    def path(node: NodeTime) -> str | None:
        return None if node.module_path is None else node.module_path or root

    return Column("", path, lambda node: path(node) or "unattributed")


def _timed_in(report: BenchReport) -> Column[ModuleTime]:
    root = root_name(report)
    return Column("", lambda m: timed_in(m.timed_in, root))


_TIMES: Mapping[str, Builder] = {
    LATENCY: _latency_column,
    TIME_SHARE: _latency_share,
    "achieved_macs_per_s": lambda report: _time_column("macs_per_s", COSTS["achieved_macs_per_s"].short),
    "peak_percent": _peak_share,
    "macs": lambda report: _time_column("macs", COSTS["macs"].short, "?"),
    "p10_s": lambda report: _time_column("p10_s", short_time),
    "p90_s": lambda report: _time_column("p90_s", short_time),
}
BENCH_COLUMNS: Mapping[By, Mapping[str, Builder]] = {
    "module": {
        "path": _path,
        "class": _same(MODULE_CLASS),
        **_TIMES,
        "layout_s": _same(
            Column("", lambda m: m.layout_s, lambda m: short_time(m.layout_s) if m.layout_s else "-", True)
        ),
        "timed_in": _timed_in,
        "order": _same(MODULE_ORDER),
        "depth": _same(Column("", lambda m: m.depth, right=True)),
    },
    "op": {
        "operator": _same(Column("", lambda o: o.op_type)),
        "nodes": _same(Column("", lambda o: o.nodes, right=True)),
        **_TIMES,
    },
    "node": {
        "node": _same(Column("", lambda n: n.node)),
        "operator": _same(Column("", lambda n: n.op_type)),
        "path": _node_path,
        **_TIMES,
        "kind": _same(Column("", lambda n: n.kind)),
        "sources": _same(Column("", lambda n: ", ".join(n.sources))),
    },
}
"""Every column, by the kind of the rows and the name that all options call it; what tells most first."""

FOR_MACHINES = ("depth", "timed_in")
"""What a table shows in other columns, unless it is named."""


def _share(report: BenchReport, part: float, whole: float) -> str:
    """A percentage; of a noisy run in whole ones, as it tells no more."""
    return share(part, whole, digits=0 if report.noise else 1)


def _time_column(name: str, short: Callable[[float], str], missing: str = "-") -> Column[Row]:
    def figure(row: Row) -> float | None:
        found: float | None = None if row.time is None else getattr(row.time, name)
        return found

    known: Column[Row] = figure_column("", figure, short, missing)
    return replace(known, short=lambda row: "-" if row.time is None else known.cell(row, exact=False))


def _notes(report: BenchReport) -> Iterator[str]:
    peak, profiled = report.matrix_product, report.profiled
    slower = 100 * (profiled.median_s / report.latency.median_s - 1)
    yield f"latency: {_latency(report.latency)}, profiling off"
    yield (
        f"latency with profiling on: {_latency(profiled)}, {slower:+.{0 if report.noise else 1}f} %; "
        f"sum of nodes {short_time(report.node_sum_s)}, "
        f"{_share(report, report.node_sum_s, profiled.median_s)} of it"
    )
    yield from _others(report)
    yield from _unattributed(report)
    layout = _share(report, report.layout_share, 1)
    yield f"layout (reorders, transposes, reshapes and casts inserted): {layout} of node time"
    if peak is not None:
        yield (
            f"matmul peak: {short_count(round(peak.macs_per_s))} MACs/s "
            f"({peak.side} x {peak.side}, {peak.dtype}); weights of the graph: {report.dtype}"
        )
    if (convolution := report.convolution) is not None:
        yield (
            f"convolution peak: {short_count(round(convolution.macs_per_s))} MACs/s ({convolution.channels} "
            f"channels, {convolution.kernel} x {convolution.kernel} over {convolution.side} x "
            f"{convolution.side}, {convolution.dtype}); peak_share is of the higher"
        )
    used = report.memory.peak_bytes
    yield f"peak memory: {'' if used is None else f'{short_bytes(used)} '}{report.memory.method}"
    yield "; ".join(
        (
            f"measured on {report.device}",
            *(f"{name}: {report.machine[name]}" for name in report.machine if name not in SHOWN_ELSEWHERE),
            f"load average: {report.load_before:.1f} before, {report.load_after:.1f} after",
        )
    )
    yield "times: medians over the runs; a row's p10 and p90 are of its own sums, so rows need not add up"
    yield from (f"noisy: {reason}" for reason in report.noise)
    if report.attribution == "none":
        yield "modules: the file names none, so its nodes are grouped by operator type"
    yield from (f"note: {note}" for note in report.notes)


def _latency(latency: LatencyResult) -> str:
    return (
        f"{short_time(latency.median_s)} (p10 {short_time(latency.p10_s)}, p90 {short_time(latency.p90_s)}; "
        f"runs {latency.runs}, warm-ups {latency.warmup})"
    )


def _others(report: BenchReport) -> Iterator[str]:
    other = report.beside.provider if report.beside else ""
    timed = ((other, report.beside), ("PyTorch eager", report.eager), ("torch.compile", report.compiled))
    for name, latency in timed:
        if latency is not None:
            ratio = latency.median_s / report.latency.median_s
            yield f"{name}: {_latency(latency)}, {ratio:.2f} times ONNX Runtime's"


def _unattributed(report: BenchReport) -> Iterator[str]:
    nodes = sorted(
        (node for node in report.nodes if node.module_path is None), key=lambda node: -node.time.median_s
    )
    if not nodes:
        yield f"unattributed: none of {len(report.nodes)} nodes"
        return
    named = first_of([f"{node.node} {short_time(node.time.median_s)}" for node in nodes], SHOWN_UNATTRIBUTED)
    yield (
        f"unattributed: {_share(report, report.profiled.unattributed or 0, 1)} of node time, "
        f"{len(nodes)} of {len(report.nodes)} nodes: {named}"
    )
