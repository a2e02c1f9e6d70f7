"""Benchmarks as text: a row for each module, operator or node, and below them how they were measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, TypeVar

from onnxlens.reports.numbers import share, short_bytes, short_count, short_time
from onnxlens.reports.tables.column import Column
from onnxlens.reports.tables.columns import module_name
from onnxlens.reports.tables.text_tables import By, TableFormat, rendered
from onnxlens.specs.bench import BenchReport, LatencyResult, ModuleTime, NodeTime, OperatorTime, Timed

SHOWN_STRAYS = 5
"""Nodes without a module that a table names, costliest first; the JSON document has all."""


SAID_ELSEWHERE = ("load", "processor")
"""Of the machine: the load is given before and after, the processor is the device or beside the point."""


class TimedRow(Protocol):
    """A row with a time."""

    @property
    def time(self) -> Timed:
        """Of one run."""
        ...


Row = TypeVar("Row", bound=TimedRow)


def bench_table(report: BenchReport, by: By, depth: int, table_format: TableFormat) -> str:
    """The times by module down to ``depth``, by operator type, or by node; how they were taken, for people.

    A file that names no modules is grouped by operator type instead, and the table says so.
    """
    if by == "module" and report.attribution != "none":
        modules = [module for module in report.modules if module.depth <= depth]
        table = rendered(modules, _module_columns(report, nested=table_format == "table"), table_format)
    elif by != "node":
        table = rendered(report.operators, _operator_columns(report), table_format)
    else:
        table = rendered(report.nodes, _node_columns(report), table_format)
    if table_format == "csv":
        return table
    bullet = "- " if table_format == "md" else ""  # Markdown would run plain lines together
    footer = "\n".join(bullet + line for line in _footer(report))
    weights = f", weights: {report.weights}" if report.weights else ""
    heading = (
        f"{report.graph} from {report.source} (opset {report.opset}{weights}): ONNX Runtime on "
        f"{report.provider}, level {report.level}, threads {report.threads}"
    )
    return f"{heading}\n\n{table}\n\n{footer}"


def _module_columns(report: BenchReport, *, nested: bool) -> Sequence[Column[ModuleTime]]:
    name = module_name(report.modules, report.graph, nested=nested)
    return (
        Column("#", lambda m: m.order, lambda m: m.order if m.order else "-", right=True),
        Column("module", lambda m: m.path, name),
        Column("class", lambda m: m.class_name),
        *_times(report),
        Column("layout", lambda m: m.layout_s, lambda m: short_time(m.layout_s) if m.layout_s else "-", True),
        *_rates(),
    )


def _operator_columns(report: BenchReport) -> Sequence[Column[OperatorTime]]:
    return (
        Column("operator", lambda o: o.op_type),
        Column("nodes", lambda o: o.nodes, right=True),
        *_times(report),
        *_rates(),
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
        *_rates(),
    )


def _times(report: BenchReport) -> tuple[Column[Row], ...]:
    """Seconds for machines; of all node time the share for people."""
    whole = report.node_sum_s
    return (
        Column("time", lambda r: r.time.median_s, lambda r: short_time(r.time.median_s), True),
        Column("p10", lambda r: r.time.p10_s, lambda r: short_time(r.time.p10_s), True),
        Column("p90", lambda r: r.time.p90_s, lambda r: short_time(r.time.p90_s), True),
        Column(
            "time %",
            lambda r: round(100 * r.time.median_s / whole, 3) if whole else 0,
            lambda r: share(r.time.median_s, whole),
            True,
        ),
    )


def _rates() -> tuple[Column[Row], ...]:
    """MACs and what became of them in a second; ``?`` and an empty cell where a node's own are not known."""
    return (
        Column("MACs", lambda r: _exact(r.time.macs), lambda r: _macs(r.time), True),
        Column("MACs/s", lambda r: _exact(r.time.macs_per_s), lambda r: _rate(r.time), True),
        Column(
            "of best",
            lambda r: _exact(r.time.share_of_best),
            lambda r: "-" if r.time.share_of_best is None else share(r.time.share_of_best, 1),
            True,
        ),
    )


def _exact(value: float | None) -> float | str:
    return "" if value is None else value


def _macs(time: Timed) -> str:
    return "?" if time.macs is None else short_count(time.macs)


def _rate(time: Timed) -> str:
    return "-" if time.macs_per_s is None else short_count(round(time.macs_per_s))


def _footer(report: BenchReport) -> Iterator[str]:
    product, profiled = report.matrix_product, report.profiled
    yield f"latency: {_latency(report.latency)}, profiling off"
    yield (
        f"latency with profiling on: {_latency(profiled)}, {_change(profiled, report.latency)}; "
        f"sum of nodes {short_time(report.node_sum_s)}, {share(report.node_sum_s, profiled.median_s)} of it"
    )
    yield from _torch(report)
    yield from _unattributed(report)
    layout = share(report.layout_share, 1)
    yield f"layout (reorders, transposes, reshapes and casts put in): {layout} of node time"
    yield (
        f"best plain matrix product: {short_count(round(product.macs_per_s))} MACs/s "
        f"({product.side} x {product.side}, {product.dtype}); weights of the graph: {report.dtype}"
    )
    peak = report.memory.peak_bytes
    yield f"peak memory: {'' if peak is None else f'{short_bytes(peak)} '}{report.memory.method}"
    yield "; ".join(
        (
            f"measured on {report.device}",
            *(f"{name}: {report.machine[name]}" for name in report.machine if name not in SAID_ELSEWHERE),
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


def _change(latency: LatencyResult, before: LatencyResult) -> str:
    return f"{100 * (latency.median_s / before.median_s - 1):+.1f} %"


def _torch(report: BenchReport) -> Iterator[str]:
    for name, latency in (("PyTorch eager", report.eager), ("torch.compile", report.compiled)):
        if latency is not None:
            ratio = latency.median_s / report.latency.median_s
            yield f"{name}: {_latency(latency)}, {ratio:.2f} times ONNX Runtime's"


def _unattributed(report: BenchReport) -> Iterator[str]:
    strays = sorted(
        (node for node in report.nodes if node.module_path is None), key=lambda node: -node.time.median_s
    )
    if not strays:
        yield f"unattributed: none of {len(report.nodes)} nodes"
        return
    named = ", ".join(f"{node.node} {short_time(node.time.median_s)}" for node in strays[:SHOWN_STRAYS])
    hidden = f", +{len(strays) - SHOWN_STRAYS} more" if len(strays) > SHOWN_STRAYS else ""
    yield (
        f"unattributed: {share(report.profiled.unattributed or 0, 1)} of node time, "
        f"{len(strays)} of {len(report.nodes)} nodes: {named}{hidden}"
    )
