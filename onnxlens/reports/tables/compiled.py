"""What came of compiling a graph with other tools, and which tools there are, as text and as documents."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, isfinite
from operator import attrgetter
from typing import Any

from onnxlens.reports.numbers import short_count, short_time
from onnxlens.reports.tables.ledger import cost_document
from onnxlens.reports.tables.query import Query
from onnxlens.reports.tables.render import Column, TableFormat, render_table, with_notes
from onnxlens.specs.codec import to_plain
from onnxlens.specs.compiled import Compilation, CompileReport, CompilerState
from onnxlens.specs.layers import METRICS, together
from onnxlens.specs.ledger import Ledger


def compilers_table(states: Sequence[CompilerState], table_format: TableFormat = "table") -> str:
    """A row for each tool; below, how to install those that are not there."""
    columns: list[Column[CompilerState]] = [
        Column("tool", lambda state: state.name),
        Column("version", lambda state: state.version, lambda state: state.version or "missing"),
        Column("chips", lambda state: ", ".join(state.chips), _few_chips),
        Column("says", lambda state: state.doc),
    ]
    if table_format == "csv":
        columns += [Column(name, attrgetter(name)) for name in ("missing", "install")]
    lacking = [f"{state.name}: {state.missing}: {state.install}" for state in states if state.missing]
    if lacking:
        lacking.append("of another environment give its folder: --tool-path TOOL=FOLDER")
    return with_notes("compilers", render_table(states, columns, table_format), lacking, table_format)


def _few_chips(state: CompilerState) -> str:
    first, *others = state.chips or ("-",)
    return f"{first}, +{len(others)} more" if others else first


def compilers_document(states: Sequence[CompilerState]) -> dict[str, Any]:
    """Every tool, what it lacks, and how to install it."""
    return {"schema": "onnxlens.compilers/1", "compilers": [to_plain(state) for state in states]}


def compile_table(report: CompileReport, table_format: TableFormat = "table") -> str:
    """A row for each tool, with the sums of what it says; below, why one failed."""
    found = [each.report for each in report.compilations if each.report is not None]
    present = {name for each in found for layer in each.records for name in layer.figures}
    columns: list[Column[Compilation]] = [
        Column("tool", lambda run: run.tool),
        Column("chip", lambda run: run.chip or "-"),
        Column("result", _result),
        Column("took", lambda run: run.seconds, lambda run: short_time(run.seconds), right=True),
        Column("layers", lambda run: _layers(run), right=True),
        Column("refused", lambda run: len(run.report.refused) if run.report else None, right=True),
        *(_sum_column(name) for name in METRICS if name in present),
        *([OUTPUT_ERROR] if any(each.output_error for each in found) else []),
    ]
    notes = [f"{each.tool}: {each.failure}" for each in report.compilations if each.failure]
    heading = f"{report.graph} ({report.source}){f', weights: {report.weights}' if report.weights else ''}"
    return with_notes(heading, render_table(report.compilations, columns, table_format), notes, table_format)


def _layers(run: Compilation) -> int | None:
    """Those with figures, unless it has none at all."""
    records = run.report.records if run.report else ()
    return len([each for each in records if each.figures] or records) if run.report else None


def _result(run: Compilation) -> str:
    if run.report is None:
        return "failed"
    return "compiled" if run.passed else "refused"


def _sum_column(metric: str) -> Column[Compilation]:
    def value(run: Compilation) -> int | float | None:
        layers = run.report.records if run.report else ()
        return together(metric, (layer.figures[metric] for layer in layers if metric in layer.figures))

    def short(run: Compilation) -> str:
        figure = value(run)
        if figure is None:
            return "-"
        return short_time(figure) if METRICS[metric].unit == "s" else short_count(figure)

    return Column(metric, value, short, right=True)


def _worst_error(run: Compilation) -> float | None:
    errors = run.report.output_error.values() if run.report else ()
    return max((inf if error is None else error for error in errors), default=None)


def _short_error(run: Compilation) -> str:
    worst = _worst_error(run)
    return "-" if worst is None else f"{worst:.1e}" if isfinite(worst) else "not finite"


OUTPUT_ERROR: Column[Compilation] = Column("output_error", _worst_error, _short_error, right=True)
"""Of the output that is farthest from ONNX Runtime's."""


def compile_document(report: CompileReport, ledger: Ledger, query: Query) -> dict[str, Any]:
    """Everything that the tools said of the layers, and the rows that are asked for."""
    return {
        "schema": "onnxlens.compile/1",
        "graph": report.graph,
        "source": report.source,
        "weights": report.weights,
        "compilations": [{**to_plain(each), "passed": each.passed} for each in report.compilations],
        "costs": cost_document(ledger, query),
    }
