"""The files of a run: those of each graph, the summary of all graphs, and the page that links everything."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from onnxlens.errors import ToolError
from onnxlens.reports.documents import parity_document, profile_document, summary_document
from onnxlens.reports.drawing.files import write_picture
from onnxlens.reports.numbers import AT_LEAST, COSTS, figure_text, shapes
from onnxlens.reports.tables.columns import LOWER_BOUNDS
from onnxlens.reports.tables.ledger import cost_table
from onnxlens.reports.tables.parity import parity_table
from onnxlens.reports.tables.query import Asked, understood
from onnxlens.reports.tables.render import By, Column, TableFormat, figure_column, render_table, with_notes
from onnxlens.specs.codec import to_text
from onnxlens.specs.flow import FlowGraph
from onnxlens.specs.ledger import Ledger
from onnxlens.specs.parity import ParityReport
from onnxlens.specs.summary import GraphSummary, RunSummary
from onnxlens.specs.tensor import TensorSpec

SUFFIXES: Mapping[str, TableFormat] = {".txt": "table", ".md": "md", ".csv": "csv"}
TABLES: Mapping[str, By | None] = {"modules": None, "operators": "op"}

Files = dict[str, str]
"""File names by what the files hold."""

SEEDED_NOTE = (
    "errors with seeded weights show that the export is right; they say nothing of a trained model's accuracy"
)

RUN_FILES = ("summary.txt", "summary.md", "summary.csv", "summary.json", "index.md")
"""What ``write_run`` writes."""


def write_counts(ledger: Ledger, flow: FlowGraph, folder: Path) -> Files:
    """The profile document, and the module and operator tables in every format."""
    (folder / "profile.json").write_text(to_text(profile_document(ledger, flow)), encoding="utf-8")
    files = {"profile json": "profile.json"}
    for name, by in TABLES.items():
        for suffix, table_format in SUFFIXES.items():
            text = cost_table(ledger, understood(Asked(by)), table_format)
            (folder / f"{name}{suffix}").write_text(text + "\n", encoding="utf-8")
            files[f"{name} {suffix.removeprefix('.')}"] = f"{name}{suffix}"
    return files


def write_parity(report: ParityReport, folder: Path) -> Files:
    """The comparison as a document and as a table."""
    (folder / "parity.json").write_text(to_text(parity_document(report)), encoding="utf-8")
    (folder / "parity.txt").write_text(parity_table(report, "table") + "\n", encoding="utf-8")
    return {"parity json": "parity.json", "parity txt": "parity.txt"}


def write_pictures(flow: FlowGraph, folder: Path) -> tuple[Files, str]:
    """The data flow as SVG and PNG; where Graphviz is missing, its source alone, and a line that says so."""
    try:
        for name in ("flow.svg", "flow.png"):
            write_picture(flow, folder / name)
    except ToolError as error:
        write_picture(flow, folder / "flow.dot")
        return {"flow dot": "flow.dot"}, f"{error}; wrote flow.dot"
    return {"flow svg": "flow.svg", "flow png": "flow.png"}, ""


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
    failed = [f"{graph.graph}: {graph.outcome}: {graph.reason}" for graph in summary.graphs if graph.reason]
    bounded = table_format == "csv" and any(graph.lower_bounds for graph in summary.graphs)
    columns = (*SUMMARY_COLUMNS, LOWER_BOUNDS) if bounded else SUMMARY_COLUMNS
    table = render_table(summary.graphs, columns, table_format)
    return with_notes("", table, (*failed, *_conditions(summary)), table_format)


def index_page(summary: RunSummary) -> str:
    """A page for a code host: the summary, and for each graph its figures, its picture and its files."""
    parts = [
        "# The reference model, graph by graph",
        "",
        summary_table(summary, "md"),
        "",
        "The same table: [text](summary.txt), [CSV](summary.csv), [JSON](summary.json).",
        *(line for graph in summary.graphs for line in ("", *_section(graph))),
    ]
    return "\n".join(parts) + "\n"


def _section(graph: GraphSummary) -> list[str]:
    lines = [f"## {graph.graph}", ""]
    if graph.outcome != "done":
        lines += [f"**{graph.outcome}**: {graph.reason}", ""]
    if graph.outputs:
        macs = figure_text("macs", graph.macs, graph.lower_bounds, "{:,}".format)
        lines += [
            f"- in: {_tensors(graph.inputs)}",
            f"- out: {_tensors(graph.outputs)}",
            f"- {macs} MACs, {graph.params:,} params, {graph.nodes:,} nodes at opset {graph.opset}",
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


def _tensors(tensors: Sequence[TensorSpec]) -> str:
    return ", ".join(f"`{tensor.name}` {tensor.dtype} {tensor.shape_text()}" for tensor in tensors)


def _conditions(summary: RunSummary) -> list[str]:
    machine = "; ".join(f"{name}: {value}" for name, value in summary.machine.items())
    lines = [
        f"measured on {machine}",
        "latency: median of up to 3 runs of ONNX Runtime after one warm-up",
        f"all of it took {summary.seconds:.0f} s",
    ]
    if any(graph.lower_bounds for graph in summary.graphs):
        lines.append(f"{AT_LEAST}: at least; what some nodes cost is unknown, and not in the figure")
    return [*lines, SEEDED_NOTE] if any(graph.weights == "seeded" for graph in summary.graphs) else lines


def _figure(
    title: str, value: Callable[[GraphSummary], int], short: Callable[[float], str] = str
) -> Column[GraphSummary]:
    """A figure of the exported graph; of one that failed none at all, because 0 would be one."""
    return figure_column(title, lambda graph: None if graph.outcome == "failed" else value(graph), short)


SUMMARY_COLUMNS: Sequence[Column[GraphSummary]] = (
    Column("graph", lambda g: g.graph),
    Column("family", lambda g: g.family),
    Column("in", lambda g: shapes(g.inputs), lambda g: shapes(g.inputs, 3)),
    Column("out", lambda g: shapes(g.outputs), lambda g: shapes(g.outputs, 2)),
    _figure("opset", lambda g: g.opset),
    Column("weights", lambda g: g.weights),
    _figure("nodes", lambda g: g.nodes),
    Column(
        "MACs",
        lambda g: None if g.outcome == "failed" else g.macs,
        lambda g: "-" if g.outcome == "failed" else figure_text("macs", g.macs, g.lower_bounds),
        True,
    ),
    _figure("params", lambda g: g.params, COSTS["params"].short),
    figure_column("max abs error", lambda g: g.worst.max_abs if g.worst else None, "{:.1e}".format),
    figure_column("relative L2", lambda g: g.worst.rel_l2 if g.worst else None, "{:.1e}".format),
    figure_column(
        "latency", lambda g: g.latency.median_s if g.latency else None, lambda s: f"{s * 1000:,.0f} ms"
    ),
    Column("result", lambda g: g.outcome),
    Column("files", lambda g: f"{g.graph}/" if g.files else ""),
)
