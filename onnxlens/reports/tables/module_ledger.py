"""The ledger of modules as it is asked for: rows chosen and sorted, as a table, Markdown, CSV or JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from onnxlens.errors import UsageError
from onnxlens.reports.tables.columns import module_column
from onnxlens.reports.tables.ledger_columns import FOR_PEOPLE, MEASURED_BY, ModuleColumn, present_columns
from onnxlens.reports.tables.ledger_query import LedgerQuery, Order
from onnxlens.reports.tables.text_tables import TableFormat, footer_of, heading_of, rendered
from onnxlens.specs.codec import to_plain
from onnxlens.specs.ledger import Ledger, ModuleCost


def module_ledger_table(ledger: Ledger, query: LedgerQuery, table_format: TableFormat) -> str:
    """The modules that are asked for; as CSV exact under the columns' names, else short, with totals.

    Raises:
        UsageError: a column is asked for that holds no figure.
    """
    columns = _present(ledger, query)
    rows = _rows(ledger, query, columns)
    if table_format == "csv":
        chosen = query.columns or tuple(columns)
        return rendered(rows, [replace(columns[name], title=name) for name in chosen], "csv")
    if table_format == "table" and not query.where and query.sort is None:
        columns = {**columns, "path": module_column(ledger, nested=True)}
    table = rendered(rows, [columns[name] for name in _for_people(ledger, query, columns)], table_format)
    bullet = "- " if table_format == "md" else ""
    footer = "\n".join(bullet + line for line in (*_chosen_lines(ledger, rows), *footer_of(ledger)))
    return f"{heading_of(ledger)}\n\n{table}\n\n{footer}"


def ledger_document(ledger: Ledger, query: LedgerQuery) -> dict[str, Any]:
    """The modules that are asked for, exact; a figure that was not computed is absent.

    Raises:
        UsageError: a column is asked for that holds no figure.
    """
    columns = _present(ledger, query)
    chosen = query.columns or tuple(columns)
    return {
        "schema": "onnxlens.ledger/1",
        "graph": ledger.graph,
        "source": ledger.source,
        "opset": ledger.opset,
        "weights": ledger.weights,
        "attribution": ledger.attribution,
        "columns": list(chosen),
        "rows": [
            to_plain({name: columns[name].exact(module) for name in chosen})
            for module in _rows(ledger, query, columns)
        ],
        "totals": {**to_plain(ledger.totals), "arithmetic_intensity": ledger.totals.arithmetic_intensity},
        "notes": list(ledger.notes),
        "conventions": dict(ledger.conventions),
    }


def _present(ledger: Ledger, query: LedgerQuery) -> Mapping[str, ModuleColumn]:
    columns = present_columns(ledger)
    for name in query.named:
        if name not in columns:
            remedy = f"give {MEASURED_BY[name]}" if name in MEASURED_BY else "no module has one"
            raise UsageError(f"column {name} holds no figure; {remedy}")
    return columns


def _rows(ledger: Ledger, query: LedgerQuery, columns: Mapping[str, ModuleColumn]) -> Sequence[ModuleCost]:
    rows = [
        module
        for module in ledger.modules
        if (query.depth is None or module.depth <= query.depth)
        and all(condition.holds(columns[condition.column].exact(module)) for condition in query.where)
    ]
    return rows if query.sort is None else _sorted(rows, query.sort, columns[query.sort.column])


def _sorted(rows: Sequence[ModuleCost], order: Order, column: ModuleColumn) -> Sequence[ModuleCost]:
    """Equal rows stay in execution order, those without a figure come last."""

    def figure(module: ModuleCost) -> Any:
        return column.exact(module)

    having = [module for module in rows if figure(module) is not None]
    lacking = [module for module in rows if figure(module) is None]
    return [*sorted(having, key=figure, reverse=order.descending), *lacking]


def _for_people(ledger: Ledger, query: LedgerQuery, columns: Mapping[str, ModuleColumn]) -> Sequence[str]:
    if query.columns:
        return query.columns
    has_unknown = ledger.unknown[0] > 0
    return [name for name in FOR_PEOPLE if name in columns and (name != "unknown_nodes" or has_unknown)]


def _chosen_lines(ledger: Ledger, rows: Sequence[ModuleCost]) -> Sequence[str]:
    """What the rows leave out."""
    lines = []
    if len(rows) < len(ledger.modules):
        lines.append(f"rows: {len(rows)} of {len(ledger.modules)} modules")
    if ledger.attribution == "none":
        lines.append("modules: the file names none; 'onnxlens profile --by op' groups by operator type")
    return lines
