"""The files of one graph in a run's folder: its counts, its comparison, its picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from onnxlens.errors import ToolError
from onnxlens.reports.documents import parity_document, profile_document
from onnxlens.reports.drawing.pictures import write_picture
from onnxlens.reports.tables.text_tables import By, TableFormat, ledger_table, parity_table
from onnxlens.specs.codec import to_text
from onnxlens.specs.flow import FlowGraph
from onnxlens.specs.ledger import Ledger
from onnxlens.specs.parity import ParityReport

EVERY_DEPTH = 1_000
SUFFIXES: Mapping[str, TableFormat] = {".txt": "table", ".md": "md", ".csv": "csv"}
TABLES: Mapping[str, By] = {"modules": "module", "operators": "op"}

Files = dict[str, str]
"""File names by what the files hold."""


def write_counts(ledger: Ledger, flow: FlowGraph, folder: Path) -> Files:
    """The profile document, and the module and operator tables in every format."""
    (folder / "profile.json").write_text(to_text(profile_document(ledger, flow)), encoding="utf-8")
    files = {"profile json": "profile.json"}
    for name, by in TABLES.items():
        for suffix, table_format in SUFFIXES.items():
            text = ledger_table(ledger, by, EVERY_DEPTH, table_format)
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
