"""The files of a run as a whole: the summary of its graphs, and a page that links everything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from onnxlens.reports.documents import summary_document
from onnxlens.reports.numbers import shapes, short_count
from onnxlens.reports.tables.column import Column
from onnxlens.reports.tables.text_tables import TableFormat, rendered
from onnxlens.specs.codec import to_text
from onnxlens.specs.summary import GraphSummary, RunSummary

SEEDED_NOTE = (
    "errors with seeded weights show that the export is right; they say nothing of a trained model's accuracy"
)

RUN_FILES = ("summary.txt", "summary.md", "summary.csv", "summary.json", "index.md")
"""What ``write_run`` writes."""


def write_run(summary: RunSummary, folder: Path) -> None:
    """The summary in every format, and the page that links everything."""
    texts = (
        summary_table(summary, "table") + "\n",
        summary_table(summary, "md") + "\n",
        summary_table(summary, "csv") + "\n",
        to_text(summary_document(summary)),
        index_page(summary),
    )
    for name, text in zip(RUN_FILES, texts, strict=True):
        (folder / name).write_text(text, encoding="utf-8")


def summary_table(summary: RunSummary, table_format: TableFormat) -> str:
    """One row for each graph; people's formats say where it was measured."""
    table = rendered(summary.graphs, SUMMARY_COLUMNS, table_format)
    if table_format == "csv":
        return table
    failed = [f"{graph.graph}: {graph.outcome}: {graph.reason}" for graph in summary.graphs if graph.reason]
    bullet = "- " if table_format == "md" else ""  # Markdown would run plain lines together
    return "\n".join([table, "", *(bullet + line for line in (*failed, *_conditions(summary)))])


def index_page(summary: RunSummary) -> str:
    """A page for a code host: the summary, and for each graph its figures, its picture and its files."""
    parts = [
        "# The reference model, graph by graph",
        "",
        summary_table(summary, "md"),
        "",
        "The same table: [text](summary.txt), [CSV](summary.csv), [JSON](summary.json).",
    ]
    for graph in summary.graphs:
        parts += ["", *_section(graph)]
    return "\n".join(parts) + "\n"


def _section(graph: GraphSummary) -> list[str]:
    lines = [f"## {graph.graph}", ""]
    if graph.outcome != "done":
        lines += [f"**{graph.outcome}**: {graph.reason}", ""]
    if graph.outputs:
        lines += [
            f"- in: {_tensors(graph, 'inputs')}",
            f"- out: {_tensors(graph, 'outputs')}",
            f"- {graph.macs:,} MACs, {graph.params:,} params, {graph.nodes:,} nodes at opset {graph.opset}",
            "- " + _links(graph),
        ]
    if graph.note:
        lines += ["", graph.note]
    if "flow svg" in graph.files:
        lines += ["", f"![data flow of {graph.graph}]({graph.files['flow svg']})"]
    return lines


def _links(graph: GraphSummary) -> str:
    """The files, those of one content in several formats together: ``modules: [txt](..) [md](..)``."""
    kinds: dict[str, list[str]] = {}
    for what, path in graph.files.items():
        kind, _, file_format = what.partition(" ")
        kinds.setdefault(kind, []).append(f"[{file_format or path.rpartition('/')[2]}]({path})")
    return "; ".join(f"{kind}: {' '.join(links)}" for kind, links in kinds.items())


def _tensors(graph: GraphSummary, side: str) -> str:
    tensors = graph.inputs if side == "inputs" else graph.outputs
    return ", ".join(f"`{tensor.name}` {tensor.dtype} {tensor.shape_text()}" for tensor in tensors)


def _conditions(summary: RunSummary) -> list[str]:
    machine = "; ".join(f"{name}: {value}" for name, value in summary.machine.items())
    lines = [
        f"measured on {machine}",
        "latency: median of up to 3 runs of ONNX Runtime after one warm-up",
        f"all of it took {summary.seconds:.0f} s",
    ]
    return [*lines, SEEDED_NOTE] if any(graph.weights == "seeded" for graph in summary.graphs) else lines


def _latency(graph: GraphSummary) -> str:
    return f"{graph.latency.median_s * 1000:,.0f} ms" if graph.latency else "-"


def _figure(
    title: str, value: Callable[[GraphSummary], int], short: Callable[[int], str] = str
) -> Column[GraphSummary]:
    """A figure of the exported graph; of one that failed none at all, because 0 would be one."""
    return Column(
        title,
        lambda graph: "" if graph.outcome == "failed" else value(graph),
        lambda graph: "-" if graph.outcome == "failed" else short(value(graph)),
        right=True,
    )


SUMMARY_COLUMNS: Sequence[Column[GraphSummary]] = (
    Column("graph", lambda g: g.graph),
    Column("family", lambda g: g.family),
    Column("in", lambda g: shapes(g.inputs), lambda g: shapes(g.inputs, 3)),
    Column("out", lambda g: shapes(g.outputs), lambda g: shapes(g.outputs, 2)),
    _figure("opset", lambda g: g.opset),
    Column("weights", lambda g: g.weights),
    _figure("nodes", lambda g: g.nodes),
    _figure("MACs", lambda g: g.macs, short_count),
    _figure("params", lambda g: g.params, short_count),
    Column(
        "max abs error", lambda g: g.worst.max_abs if g.worst else "", lambda g: _error(g, "max_abs"), True
    ),
    Column("relative L2", lambda g: g.worst.rel_l2 if g.worst else "", lambda g: _error(g, "rel_l2"), True),
    Column("latency", lambda g: g.latency.median_s if g.latency else "", _latency, True),
    Column("result", lambda g: g.outcome),
    Column("files", lambda g: f"{g.graph}/" if g.files else ""),
)


def _error(graph: GraphSummary, measure: str) -> str:
    return f"{getattr(graph.worst, measure):.1e}" if graph.worst else "-"
