"""Graphs as text: those of the catalog, and one that was extracted from another."""

from __future__ import annotations

from collections.abc import Sequence

from onnxlens.reports.numbers import short_bytes
from onnxlens.reports.tables.render import Column, TableFormat, first_of, render_table
from onnxlens.specs.graph import GraphSpec
from onnxlens.specs.manifest import ExtractedTensor, ExtractReport
from onnxlens.specs.tensor import TensorSpec

CATALOG_COLUMNS: Sequence[Column[GraphSpec]] = (
    Column("graph", lambda g: g.name),
    Column("what it is", lambda g: g.title),
    Column("family", lambda g: g.family),
    Column("inputs", lambda g: _tensors(g.inputs), lambda g: _tensors(g.inputs, 4)),
    Column("outputs", lambda g: _tensors(g.outputs), lambda g: _tensors(g.outputs, 4)),
    Column("sizes", lambda g: _sizes(g)),
)

SUBGRAPH_COLUMNS: Sequence[Column[tuple[str, ExtractedTensor]]] = (
    Column("", lambda row: row[0]),
    Column("tensor", lambda row: row[1].tensor.name),
    Column("type", lambda row: row[1].tensor.dtype),
    Column("shape", lambda row: row[1].tensor.shape_text()),
    Column("in PyTorch", lambda row: row[1].role),
)


def catalog_table(specs: Sequence[GraphSpec], table_format: TableFormat) -> str:
    """One row for each graph of the catalog."""
    return render_table(specs, CATALOG_COLUMNS, table_format)


def subgraph_text(report: ExtractReport) -> str:
    """What was extracted, its inputs and outputs in the order of the file, and the files written."""
    name = f"{report.module} ({report.class_name})" if report.class_name else report.module
    weights = {"": "as in the file", "none": "left out"}.get(report.weights, report.weights)
    heading = (
        f"{name or 'the whole'} of {report.graph}: {report.nodes} nodes at run time, "
        f"{short_bytes(report.weight_bytes)} of weights, {weights}"
    )
    rows = [("in", border) for border in report.inputs] + [("out", border) for border in report.outputs]
    lines = [*(f"note: {note}" for note in report.notes), *map(str, report.files)]
    return "\n".join((heading, "", render_table(rows, SUBGRAPH_COLUMNS, "table"), "", *lines))


def _tensors(tensors: Sequence[TensorSpec], limit: int | None = None) -> str:
    return first_of([f"{tensor.name} {tensor.shape_text()}" for tensor in tensors], limit)


def _sizes(spec: GraphSpec) -> str:
    if spec.size_multiple == 1 and spec.min_size == 1:
        return "fixed"
    multiple = f"multiples of {spec.size_multiple}" if spec.size_multiple > 1 else "any"
    return multiple + (f" from {spec.min_size}" if spec.min_size > spec.size_multiple else "")
