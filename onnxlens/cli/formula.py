"""``onnxlens formula``: costs as exact polynomials in the dimensions of a graph."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import click

import onnxlens
from onnxlens.api.opened import opened
from onnxlens.cli import progress
from onnxlens.cli.options import (
    format_option,
    keep_until_exit,
    print_result,
    settings_from,
    size_pairs,
    with_dims_or_names,
    with_rows,
    with_wide,
)
from onnxlens.cli.table import screen_width
from onnxlens.errors import UsageError

if TYPE_CHECKING:
    from onnxlens.api.opened import OpenedTarget
    from onnxlens.reports.tables.query import Query
    from onnxlens.specs.formula import FormulaReport, FormulaRow

LEVELS = 2


@click.command()
@click.argument("target")
@size_pairs("--at", "at", "Evaluate the formulas there, such as sequence_length=4096")
@click.option("--by", type=click.Choice(["module", "op", "node"]), default="module", show_default=True)
@with_rows
@with_wide
@format_option("table", "json", "csv", "md")
@with_dims_or_names
def formula(
    target: str,
    at: dict[str, int],
    by: Any,
    depth: int | None,
    columns: str | None,
    sort: str | None,
    top: int | None,
    where: Sequence[str],
    leaves: bool,
    wide: bool,
    output_format: str,
    **options: Any,
) -> None:
    """Give the costs of TARGET as exact polynomials in its dimensions.

    They are those that a file leaves open, or the batch, height and width of a graph of the catalog.
    Formulas are held to the counts at dozens of sizes; what has none is named. A table shows two levels of
    modules, and layers that are alike as one.
    """
    from onnxlens.reports.tables.formula import (
        FormulaLayout,
        formula_document,
        formula_table,
        understood_columns,
    )
    from onnxlens.reports.tables.query import Asked, understood

    names = understood_columns(columns)
    if (
        by == "module"
        and depth is None
        and output_format in ("table", "md")
        and not (where or leaves or top or sort)
    ):
        depth = LEVELS
    query = understood(Asked(by=by, where=where, sort=sort, top=top, depth=depth, leaves=leaves))
    variables, options["dims"] = options["dims"]
    with progress.shown(f"formula {target}") as report, opened(target, settings_from(options), report) as it:
        keep_until_exit(it)
        found = onnxlens.formulas_of(it, variables=variables, by=by)
        rows = _asked(it, found, query, at)
    layout = FormulaLayout(names, at or None, None if wide else screen_width())
    print_result(
        output_format,
        partial(formula_document, found, rows, layout),
        lambda table_format: formula_table(found, rows, table_format, layout),
    )


def _asked(it: OpenedTarget, found: FormulaReport, query: Query, at: dict[str, int]) -> Sequence[FormulaRow]:
    """The rows that are asked for, tested and sorted by what they cost at the sizes given."""
    from onnxlens.reports.tables.columns import TEXTS
    from onnxlens.reports.tables.rows import rows_of, selected

    figures = [name for name in query.named if name not in TEXTS]
    if (figures or query.asked.top) and not at:
        asked = figures[0] if figures else "--top"
        raise UsageError(f"{asked} is of figures, which formulas have at sizes only: add --at NAME=SIZE")
    ledger = onnxlens.ledger_at(it, at or found.example)
    by_key = {row.key: row for row in found.rows}
    chosen = selected(rows_of(ledger, query), query).rows
    keys = [
        row.whole.path if query.by == "module" else row.node if query.by == "node" else row.op_type
        for row in chosen
    ]
    return [by_key[key] for key in dict.fromkeys(keys)]
