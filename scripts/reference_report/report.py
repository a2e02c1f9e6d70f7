"""The published report on the reference model: its tables, its pictures, and onnx-tool's tables."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from onnxlens import export_graph, profile_with_flow, render_graph
from onnxlens.api.target import Settings
from onnxlens.reports.drawing.files import write_picture
from onnxlens.specs.flow import FlowGraph
from onnxlens.specs.ledger import Ledger
from onnxlens.specs.progress import Progress, silent
from reference_report.figures.figures import Sources, figure
from reference_report.onnx_tool_table import onnx_tool_table
from reference_report.tables.cells import PEER_TABLES, peer_table_of, picture_of
from reference_report.tables.evidence import Counter, Evidence, peer_total
from reference_report.tables.figures import FIGURES
from reference_report.tables.other_tables import TABLE_GRAPHS
from reference_report.tables.page import document_report

OPSET = 18
"""The newest whose operators onnx-tool can all read."""
PICTURED = (*TABLE_GRAPHS, "control-ldm")


def weightless_ledger(graph: str, pixels: int | None = None) -> Ledger:
    """The counts of a graph of the catalog at so many pixels; None is 512. Counted once in a process."""
    return _counted_once(graph, pixels, None)[0]


def deepest_flow(graph: str, batch: int | None = None) -> FlowGraph:
    """The data flow between the innermost modules of a graph of the catalog. Made once in a process."""
    return _counted_once(graph, None, batch)[1]


@cache
def _counted_once(graph: str, pixels: int | None, batch: int | None) -> tuple[Ledger, FlowGraph]:
    return profile_with_flow(graph, Settings(opset=OPSET, batch=batch, height=pixels, width=pixels))


def write_tables(folder: Path, committed: Path, count: Counter = weightless_ledger) -> None:
    """The page and the CSV files into ``folder``.

    What is slow to make is read in ``committed``: onnx-tool's tables, those of overlap and of training.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in document_report(Evidence(count, _peer_totals(committed)), committed).items():
        (folder / name).write_text(text, encoding="utf-8")


def write_pictures(folder: Path, progress: Progress = silent) -> None:
    """The data flow of every graph of the catalog, as deep as a person can follow.

    Raises:
        ToolError: Graphviz is missing.
    """
    for done, graph in enumerate(PICTURED):
        progress(f"drawing {graph}", done, len(PICTURED))
        render_graph(graph, folder / picture_of(graph), settings=Settings(opset=OPSET))


def write_figures(folder: Path, progress: Progress = silent) -> None:
    """The document's figures: the pipeline, a step, its blocks, and the ways to train.

    Raises:
        ToolError: Graphviz is missing.
    """
    sources = Sources(deepest_flow, weightless_ledger)
    for done, listed in enumerate(FIGURES):
        progress(f"drawing {listed.title}", done, len(FIGURES))
        file = folder / listed.file
        file.parent.mkdir(parents=True, exist_ok=True)
        write_picture(figure(listed.name, sources), file, listed.color)


def write_peer_tables(folder: Path, progress: Progress = silent) -> None:
    """onnx-tool's table of every graph of the tables: minutes, 7 GB of memory, 4 GB of disk for a while.

    Raises:
        ToolError: onnx-tool is missing, or cannot read a graph.
    """
    for done, graph in enumerate(TABLE_GRAPHS):
        progress(f"onnx-tool reads {graph}", done, len(TABLE_GRAPHS))
        file = folder / peer_table_of(graph)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(peer_table(graph), encoding="utf-8")


def peer_table(graph: str) -> str:
    """onnx-tool's table of one graph, exported with seeded weights into a temporary folder.

    Raises:
        ToolError: onnx-tool is missing, or cannot read the graph.
    """
    folder = tempfile.mkdtemp(prefix="onnxlens-")
    try:
        exported = export_graph(graph, folder, Settings(weights="seeded", opset=OPSET))
        return onnx_tool_table(exported.onnx_path)
    finally:
        shutil.rmtree(folder)


def _peer_totals(folder: Path) -> Mapping[str, int]:
    """onnx-tool's count of each graph whose table is in the report's folder."""
    tables = sorted((folder / PEER_TABLES).glob("*.txt"))
    return {table.stem: peer_total(table.read_text(encoding="utf-8")) for table in tables}
