"""Costs as formulas: a row per module, operator type or node, layers that are alike as one."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from onnxlens.errors import UsageError
from onnxlens.reports.numbers import AT_LEAST, COST_NAMES, COSTS, bounded
from onnxlens.reports.tables.render import Column, TableFormat, first_of, fitted, render_table, with_notes
from onnxlens.specs.codec import to_plain
from onnxlens.specs.formula import FORMULAS, FormulaReport, FormulaRow, Polynomial, evaluated, ranges, total
from onnxlens.specs.record import record

DERIVED: Mapping[str, Mapping[str, int]] = {
    "flops": {"macs": 2, "vector_ops": 1, "special_ops": 1},
    "moved_bytes": {"weight_read_bytes": 1, "read_bytes": 1, "write_bytes": 1},
}
"""What is a sum of other columns."""

SHOWN = ("macs", "params", "read_bytes", "write_bytes", "weight_read_bytes", "vector_ops", "special_ops")
SHOWN_NODES = 3
DIGITS = re.compile(r"\d+")


@record(frozen=True, slots=True)
class FormulaLayout:
    """What is shown, and how.

    Attributes:
        columns: by name; none for all.
        at: sizes to evaluate at; None shows formulas.
        width: of the screen; None where nothing is left out.
    """

    columns: tuple[str, ...] = ()
    at: Mapping[str, int] | None = None
    width: int | None = None


@record(frozen=True, slots=True)
class _Folded:
    """Rows that are alike: one of them, what they are called together, and how many there are."""

    row: FormulaRow
    name: str
    times: int


def understood_columns(text: str | None) -> tuple[str, ...]:
    """The columns that an option names.

    Raises:
        UsageError: there is no formula of one.
    """
    names = [part.strip().lower() for part in (text or "").split(",") if part.strip()]
    found = [COST_NAMES.get(name, name) for name in names if name not in ("path", "module", "name")]
    for name in found:
        if name not in FORMULAS and name not in DERIVED:
            raise UsageError(
                f"column {name!r} has no formula; there are {', '.join((*FORMULAS, *DERIVED))}: what is "
                "alive at once, or takes time, is no sum over nodes"
            )
    return tuple(found)


def formula_table(
    report: FormulaReport, rows: Sequence[FormulaRow], table_format: TableFormat, layout: FormulaLayout
) -> str:
    """The rows with a formula or its value in each column; for people, layers that are alike are one."""
    exact = table_format == "csv"
    shown = [_Folded(row, row.key or report.graph, 1) for row in rows] if exact else _folded(report, rows)
    sizes = None if layout.at is None else report.sizes_at(layout.at)
    names = layout.columns or SHOWN
    columns: list[Column[_Folded]] = [Column(_kind(report), lambda each: each.name)]
    if any(each.times > 1 for each in shown):
        columns.append(Column("times", lambda each: each.times, _times, right=True))
    columns += [_column(name, sizes) for name in names]
    if any(each.row.open_nodes for each in shown):
        columns.append(Column("open", lambda each: each.row.open_nodes, right=True))
    if table_format != "table" or layout.width is None:
        fit, others = columns, []
    else:
        fit, others = map(list, fitted(shown, columns, layout.width))
    notes = [
        *_notes(report),
        *([f"more columns: {', '.join(c.title for c in others)} (--wide)"] if others else []),
    ]
    return with_notes(_heading(report, layout), render_table(shown, fit, table_format), notes, table_format)


def _times(each: _Folded) -> str:
    return f"x{each.times}" if each.times > 1 else ""


def _kind(report: FormulaReport) -> str:
    return {"module": "module", "op": "operator", "node": "node"}[report.by]


def formula_of(row: FormulaRow, name: str) -> Polynomial:
    """The formula of a column."""
    if name not in DERIVED:
        return row.formulas[name]
    return total([part for other, times in DERIVED[name].items() for part in [row.formulas[other]] * times])


def _column(name: str, sizes: Mapping[str, int] | None) -> Column[_Folded]:
    cost = COSTS[name]

    def exact(each: _Folded) -> str | int:
        formula = formula_of(each.row, name)
        return str(formula) if sizes is None else evaluated(formula, sizes)

    def short(each: _Folded) -> str:
        value, lower = exact(each), bool(each.row.open_nodes)
        if isinstance(value, str):
            return f"{AT_LEAST} {value}" if lower and value != "0" else "?" if lower else value
        return bounded(cost.short(value), value, lower=lower)

    return Column(cost.head or name, exact, short, right=sizes is not None, csv_title=name)


def _heading(report: FormulaReport, layout: FormulaLayout) -> str:
    listed = "; ".join(map(str, report.variables)) or "no dimension"
    at = ", ".join(f"{name}={size}" for name, size in (layout.at or {}).items())
    fixed = ", ".join(f"{name}={size}" for name, size in report.fixed.items())
    told = [f"formulas in {listed}", f"at {at}" if at else "", f"with {fixed}" if fixed else ""]
    return f"{report.graph} ({report.source}, opset {report.opset}): {', '.join(filter(None, told))}"


def _notes(report: FormulaReport) -> Sequence[str]:
    notes = [f"{part.name} = {part}" for part in report.parts]
    notes.append(f"held to the exact counts at {report.checked_points} points, to the digit")
    if report.limit:
        notes.append(str(report.limit))
    if report.open_nodes:
        texts = [f"{each.op_type} {each.node} ({each.reason})" for each in report.open_nodes]
        listed = first_of(texts, SHOWN_NODES, "; ")
        notes.append(f"in no formula, so that formulas with {AT_LEAST} give what the others cost: {listed}")
    return [*notes, *report.notes]


def _folded(report: FormulaReport, rows: Sequence[FormulaRow]) -> Sequence[_Folded]:
    """Rows whose names differ in numbers only, with the same formulas, as one, where the first of them is."""
    groups: dict[object, list[FormulaRow]] = {}
    for row in rows:
        formulas = tuple((name, tuple(formula.terms.items())) for name, formula in row.formulas.items())
        template = DIGITS.sub("*", row.key) if report.by == "module" else row.key
        groups.setdefault((template, row.class_name, row.depth, formulas, row.open_nodes), []).append(row)
    return [
        _Folded(alike[0], _together([row.key for row in alike]) or report.graph, len(alike))
        for alike in groups.values()
    ]


def _together(names: Sequence[str]) -> str:
    """``layers.0..31.attn`` for 32 names: each number from its least to its greatest value, or listed."""
    numbers = [sorted(set(map(int, column))) for column in zip(*map(DIGITS.findall, names), strict=True)]
    texts = (",".join(ranges(column, "..")) for column in numbers)
    return DIGITS.sub(lambda match: next(texts), names[0])


def formula_document(
    report: FormulaReport, rows: Sequence[FormulaRow], layout: FormulaLayout
) -> dict[str, Any]:
    """All of it, exact: each formula as text and as terms, and its value where sizes are given."""
    sizes = None if layout.at is None else report.sizes_at(layout.at)
    names, limit = layout.columns or FORMULAS, report.limit

    def formula(row: FormulaRow, name: str) -> dict[str, Any]:
        found = formula_of(row, name)
        value = {} if sizes is None else {"value": evaluated(found, sizes)}
        return {"text": str(found), "terms": _terms(found), **value}

    return {
        "schema": "onnxlens.formula/1",
        "graph": report.graph,
        "source": report.source,
        "opset": report.opset,
        "by": report.by,
        "variables": [to_plain(each) for each in report.variables],
        "parts": [
            {
                "name": each.name,
                "kind": each.kind,
                "of": _terms(each.of),
                "number": each.number,
                "text": str(each),
            }
            for each in report.parts
        ],
        "fixed": dict(report.fixed),
        **({} if layout.at is None else {"at": dict(layout.at)}),
        "checked_points": report.checked_points,
        **(
            {}
            if limit is None
            else {"limit": {"of": _terms(limit.of), "most": limit.most, "text": str(limit)}}
        ),
        "rows": [
            {
                "name": row.key or report.graph,
                "class": row.class_name,
                "depth": row.depth,
                "open_nodes": row.open_nodes,
                "formulas": {name: formula(row, name) for name in names},
            }
            for row in rows
        ],
        "open_nodes": [
            {"node": each.node, "op_type": each.op_type, "module": each.module_path, "reason": each.reason}
            for each in report.open_nodes
        ],
        "notes": list(report.notes),
    }


def _terms(formula: Polynomial) -> list[dict[str, Any]]:
    return [{"factor": str(factor), "powers": dict(powers)} for powers, factor in formula.terms.items()]
