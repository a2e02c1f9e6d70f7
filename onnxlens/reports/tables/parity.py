"""Comparisons of ONNX Runtime with PyTorch as text: by output of the graph, and by module."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from operator import attrgetter

from onnxlens.reports.tables.render import (
    Column,
    Row,
    TableFormat,
    figure_column,
    first_of,
    fitted,
    hidden_note,
    render_table,
)
from onnxlens.specs.parity import ModuleParity, ModuleParityReport, ParityReport, ParityResult

SHOWN = 20
"""About as many rows as a person compares."""

OUTPUT_COLUMNS: Sequence[Column[ParityResult]] = (
    Column("output", lambda r: r.tensor),
    Column("rel_l2", lambda r: r.rel_l2, lambda r: f"{r.rel_l2:.2e}", True),
    Column("tolerance", lambda r: r.tolerance, lambda r: f"{r.tolerance:.0e}", True),
    Column("result", lambda r: "pass" if r.passed else "FAIL"),
    Column("max_abs", lambda r: r.max_abs, lambda r: f"{r.max_abs:.2e}", True),
    Column("mean_abs", lambda r: r.mean_abs, lambda r: f"{r.mean_abs:.2e}", True),
    Column("reference_max_abs", lambda r: r.reference_max_abs, lambda r: f"{r.reference_max_abs:.2e}", True),
    Column("cosine", lambda r: r.cosine, lambda r: f"{r.cosine:.9f}", True),
)
"""What tells most first, as a narrow screen shows no more."""


def runtime(provider: str) -> str:
    """What ran, by its provider: OpenVINO is a runtime of its own."""
    return "OpenVINO" if provider == "openvino" else f"ONNX Runtime on {provider}"


def parity_table(report: ParityReport, table_format: TableFormat, width: int | None = None) -> str:
    """One row for each output; for people the columns that fit ``width`` characters, and the verdict."""
    table, hidden = _fitted(report.outputs, OUTPUT_COLUMNS, table_format, width)
    if table_format == "csv":
        return table
    reference = "PyTorch" if report.reference == "pytorch" else "ONNX Runtime without optimizations"
    heading = (
        f"{report.graph} (opset {report.opset}): {runtime(report.provider)} against {reference}, "
        f"weights: {report.weights or 'as in the file'}"
    )
    verdict = "all outputs agree" if report.passed else "the outputs do NOT agree"
    told = "".join(f"{result.tensor}: {result.reason}\n" for result in report.outputs if result.reason)
    return f"{heading}\n\n{table}\n\n{hidden}{told}{verdict}"


def module_parity_table(
    report: ModuleParityReport, table_format: TableFormat, width: int | None = None
) -> str:
    """For people the largest local errors, and the verdict; as CSV every row in execution order."""
    rows = report.layers if table_format == "csv" else report.ranked[:SHOWN]
    table, hidden = _fitted(rows, _module_columns(report), table_format, width)
    if table_format == "csv":
        return table
    samples = "1 sample" if report.samples == 1 else f"{report.samples} samples"
    heading = (
        f"{report.graph} (opset {report.opset}): modules in {runtime(report.provider)} against PyTorch"
        f", {samples}, weights: {report.weights or 'as in the file'}\n"
        f"largest local errors, relative L2, {min(SHOWN, len(report.ranked))} of {len(report.ranked)}; "
        f"tolerance {report.tolerance:.0e}"
    )
    return "\n\n".join((heading, table, hidden + "\n".join(_verdict(report))))


def _fitted(
    rows: Sequence[Row], columns: Sequence[Column[Row]], table_format: TableFormat, width: int | None
) -> tuple[str, str]:
    """The table, and the line that says which columns did not fit."""
    columns, hidden = fitted(rows, columns, width if table_format == "table" else None)
    return render_table(rows, columns, table_format), "".join(f"{line}\n" for line in hidden_note(hidden))


def _module_columns(report: ModuleParityReport) -> Sequence[Column[ModuleParity]]:
    return (
        Column("path", lambda r: r.path or report.graph),
        Column("class", lambda r: r.class_name),
        _error_column("local_error", "introduced"),
        _error_column("output_error", "output"),
        Column("result", lambda r: r.reason or r.verdict),
        _error_column("input_error", "inherited"),
        _error_column("max_abs", "max_abs"),
        Column("what", lambda r: _what(r), lambda r: _what(r, 3)),
        Column("call", lambda r: r.call or "", right=True),
        Column("order", lambda r: r.order, right=True),
        Column("shape", lambda r: str(r.shape)),
    )


def _error_column(title: str, name: str) -> Column[ModuleParity]:
    return figure_column(title, attrgetter(name), "{:.2e}".format, csv_title=name)


def _what(row: ModuleParity, limit: int | None = None) -> str:
    """``module``, or the operators that a module runs between its children."""
    return "module" if row.kind == "module" else first_of(list(dict.fromkeys(row.operators)), limit)


def _verdict(report: ModuleParityReport) -> Sequence[str]:
    """How many modules agree, which is the first diverging one, and which could not be compared."""
    verdicts = Counter(layer.verdict for layer in report.layers)
    lines = [
        f"{len(report.layers)} rows: " + ", ".join(f"{count} {name}" for name, count in verdicts.items())
    ]
    reasons = Counter(f"{layer.path}: {layer.reason}" for layer in report.layers if layer.reason)
    lines += [f"not comparable: {reason}" for reason in reasons]
    if report.stopped:
        lines.append("stopped at the first module over the tolerance; those after it were not compared")
    if report.first_diverging is not None:
        lines.append(f"FIRST DIVERGING MODULE: {_named(report, report.first_diverging)}")
    elif report.first_over is not None:
        lines.append(
            "no module alone is over the tolerance: the error builds up, and passes it first at "
            + _named(report, report.first_over)
        )
    else:
        lines.append("all modules agree" if report.passed else "nothing could be compared")
    return lines


def _named(report: ModuleParityReport, row: ModuleParity) -> str:
    path = row.path or f"{report.graph} itself"
    what = row.class_name if row.kind == "module" else f"its own {_what(row)}"
    return f"{path} ({what}), which produces {', '.join(row.tensors)}"
