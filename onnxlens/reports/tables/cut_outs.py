"""What was cut out of a graph, as text."""

from __future__ import annotations

from collections.abc import Sequence

from onnxlens.reports.numbers import short_bytes
from onnxlens.reports.tables.column import Column
from onnxlens.reports.tables.text_tables import rendered
from onnxlens.specs.extract import ExtractedTensor, ExtractReport

Row = tuple[str, ExtractedTensor]

COLUMNS: Sequence[Column[Row]] = (
    Column("", lambda row: row[0]),
    Column("tensor", lambda row: row[1].tensor.name),
    Column("type", lambda row: row[1].tensor.dtype),
    Column("shape", lambda row: row[1].tensor.shape_text()),
    Column("in PyTorch", lambda row: row[1].role),
)


def cut_text(report: ExtractReport) -> str:
    """What was cut out, its tensors in the order in which the file takes and gives them, and the files."""
    name = f"{report.module} ({report.class_name})" if report.class_name else report.module
    weights = {"": "as in the file", "none": "left out"}.get(report.weights, report.weights)
    heading = (
        f"{name or 'the whole'} of {report.graph}: {report.nodes} nodes at run time, "
        f"{short_bytes(report.weight_bytes)} of weights, {weights}"
    )
    rows = [("in", border) for border in report.inputs] + [("out", border) for border in report.outputs]
    lines = [*(f"note: {note}" for note in report.notes), *map(str, report.files)]
    return "\n".join((heading, "", rendered(rows, COLUMNS, "table"), "", *lines))
