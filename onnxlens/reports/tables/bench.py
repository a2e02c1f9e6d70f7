"""Benchmarks as text: a row for each module, operator or node, and below them how it was measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

from onnxlens.reports.numbers import COSTS, share, short_bytes, short_count, short_time
from onnxlens.reports.tables.columns import MODULE_CLASS, MODULE_ORDER, module_name, timed_in
from onnxlens.reports.tables.render import (
    By,
    Cell,
    Column,
    TableFormat,
    figure_column,
    first_of,
    render_table,
    with_notes,
)
from onnxlens.specs.bench import BenchReport, LatencyResult, ModuleTime, NodeTime, OperatorTime

SHOWN_UNATTRIBUTED = 5
"""Nodes without a module that a table names, costliest first; the JSON document has all."""

SHOWN_ELSEWHERE = ("load", "processor")
"""Facts of the machine that other notes give: the load before and after, and the device."""


Row = TypeVar("Row", bound=ModuleTime | OperatorTime | NodeTime)


def bench_table(report: BenchReport, by: By, depth: int, table_format: TableFormat) -> str:
    """The times by module down to ``depth``, by operator type, or by node; for people with notes.

    A file that names no modules is grouped by operator type instead, and the table says so.
    """
    if by == "module" and report.attribution != "none":
        modules = [module for module in report.modules if module.depth <= depth]
        table = render_table(modules, _module_columns(report, table_format), table_format)
    elif by != "node":
        table = render_table(report.operators, _operator_columns(report), table_format)
    else:
        table = render_table(report.nodes, _node_columns(report), table_format)
    weights = f", weights: {report.weights}" if report.weights else ""
    heading = (
        f"{report.graph} from {report.source} (opset {report.opset}{weights}): ONNX Runtime on "
        f"{report.provider}, level {report.level}, threads {report.threads}"
    )
    return with_notes(heading, table, _notes(report), table_format)


def _module_columns(report: BenchReport, table_format: TableFormat) -> Sequence[Column[ModuleTime]]:
    name = module_name(report.modules, report.graph, nested=table_format == "table")
    elsewhere: Column[ModuleTime] = Column("timed in", lambda m: timed_in(m.timed_in, report.graph))
    return (
        MODULE_ORDER,
        Column("module", lambda m: m.path, name),
        MODULE_CLASS,
        *_times(report),
        *((elsewhere,) if table_format == "csv" else ()),
        Column("layout", lambda m: m.layout_s, lambda m: short_time(m.layout_s) if m.layout_s else "-", True),
        *_rates(report),
    )


def _operator_columns(report: BenchReport) -> Sequence[Column[OperatorTime]]:
    return (
        Column("operator", lambda o: o.op_type),
        Column("nodes", lambda o: o.nodes, right=True),
        *_times(report),
        *_rates(report),
    )


def _node_columns(report: BenchReport) -> Sequence[Column[NodeTime]]:
    return (
        Column("node", lambda n: n.node),
        Column("operator", lambda n: n.op_type),
        Column("kind", lambda n: n.kind),
        Column(
            "module",
            lambda n: n.module_path or "",
            lambda n: "unattributed" if n.module_path is None else n.module_path or report.graph,
        ),
        Column("from", lambda n: ", ".join(n.sources)),
        *_times(report),
        *_rates(report),
    )


def _times(report: BenchReport) -> tuple[Column[Row], ...]:
    """The time and its share of all node time: seconds for machines, short for people."""
    whole = report.node_sum_s
    time: Column[Row] = _time_column("time", "median_s", short_time)

    def text(row: Row) -> Cell:
        elsewhere = timed_in(row.timed_in, report.graph, 1) if isinstance(row, ModuleTime) else None
        return f"in {elsewhere}" if elsewhere else time.cell(row, exact=False)

    return (
        replace(time, short=text),
        _time_column("p10", "p10_s", short_time),
        _time_column("p90", "p90_s", short_time),
        Column(
            "time %",
            lambda r: (round(100 * r.time.median_s / whole, 3) if whole else 0) if r.time else None,
            lambda r: _share(report, r.time.median_s, whole) if r.time else "-",
            True,
        ),
    )


def _share(report: BenchReport, part: float, whole: float) -> str:
    """A percentage; of a noisy run in whole ones, as it tells no more."""
    return share(part, whole, digits=0 if report.noise else 1)


def _rates(report: BenchReport) -> tuple[Column[Row], ...]:
    """MACs, and MACs per second; ``?`` and an empty cell where they are unknown."""
    return (
        _time_column("MACs", "macs", COSTS["macs"].short, "?"),
        _time_column("MACs/s", "macs_per_s", COSTS["achieved_macs_per_s"].short),
        _time_column(
            "% of peak", "share_of_best", lambda part: _share(report, part, 1), csv_title="share of peak"
        ),
    )


def _time_column(
    title: str, name: str, short: Callable[[float], str], missing: str = "-", csv_title: str = ""
) -> Column[Row]:
    def figure(row: Row) -> float | None:
        found: float | None = None if row.time is None else getattr(row.time, name)
        return found

    known: Column[Row] = figure_column(title, figure, short, missing, csv_title)
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
    yield from _torch(report)
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
            f"{convolution.side}, {convolution.dtype}); % of peak is of the higher"
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


def _torch(report: BenchReport) -> Iterator[str]:
    for name, latency in (("PyTorch eager", report.eager), ("torch.compile", report.compiled)):
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
