"""``onnxlens profile``: MACs, params and bytes by module, operator or node."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import onnxlens
from onnxlens.api.opened import opened
from onnxlens.cli import progress
from onnxlens.cli.options import (
    OutPath,
    format_option,
    keep_until_exit,
    print_result,
    settings_from,
    with_run,
    with_settings,
)
from onnxlens.cli.table import (
    asks_rows,
    chips_from,
    layers_from,
    screen_width,
    table_from,
    taken,
    warn_of_layers,
    with_table,
)
from onnxlens.errors import UsageError
from onnxlens.specs.codec import to_text
from onnxlens.specs.peers import CONVENTIONS, Convention
from onnxlens.specs.text import printable

if TYPE_CHECKING:
    from onnxlens.specs.ledger import Ledger

UNKNOWN_NODES = 1
"""The exit code of ``--strict``."""

LEVELS = 2
"""Of modules, unless rows are chosen."""


@click.command()
@click.argument("target")
@with_table
@click.option(
    "--convention",
    type=click.Choice(CONVENTIONS),
    default=CONVENTIONS[0],
    show_default=True,
    help="Whose counts to show: ours, or another counter's.",
)
@click.option("--strict", is_flag=True, help="Exit with 1 when any operator is unknown.")
@click.option("--peak", is_flag=True, help="The tensors that are alive where most activations are.")
@click.option("--out", type=OutPath(), help="File for --format xlsx or parquet.")
@format_option("table", "json", "csv", "md", "xlsx", "parquet")
@with_run
@with_settings
def profile(
    target: str,
    convention: Convention,
    strict: bool,
    peak: bool,
    out: Path | None,
    output_format: str,
    **options: Any,
) -> int:
    """Count MACs, params and bytes of TARGET by module, operator or node. No weight is read.

    A table shows two levels of modules, and all of them where rows are chosen or sorted. As JSON all that was
    counted is printed, or the rows that are asked for.
    """
    given = taken(options)
    if peak:
        if out is not None or output_format in ("xlsx", "parquet"):
            raise UsageError("--peak is printed as table, json, csv or md; leave --out out")
        return _strictly(strict, _peak(target, given, convention, output_format, options))
    rows = output_format != "json" or asks_rows(given) or out is not None
    computed = (f"--convention {convention}",)
    table = (
        table_from(given, output_format, levels=LEVELS, by=None, out=out, computed=computed) if rows else None
    )
    reports = layers_from(given) if table is None else ()
    settings = settings_from(options)
    with progress.shown(f"profile {target}") as report, opened(target, settings, report) as it:
        keep_until_exit(it)
        if table is None:
            ledger, flow = onnxlens.profile_with_flow(it, convention=convention)
            ledger = onnxlens.with_chips(it, ledger, chips_from(given))
            ledger = onnxlens.with_layers(it, ledger, *reports)
        else:
            ledger = onnxlens.profile_graph(it, convention=convention)
            ledger = table.completed(it, ledger)
    if table is None:
        from onnxlens.reports.documents import profile_document  # tables do without most specs

        warn_of_layers(ledger)
        click.echo(to_text(profile_document(ledger, flow)), nl=False)
    else:
        table.print(ledger)
    return _strictly(strict, ledger)


def _strictly(strict: bool, ledger: Ledger) -> int:
    """The exit code."""
    count, reason = ledger.unknown
    if strict and count:
        click.echo(f"onnxlens: unknown nodes: {count} (first: {printable(reason)})", err=True)
        return UNKNOWN_NODES
    return 0


def _peak(
    target: str, given: dict[str, Any], convention: Convention, output_format: str, options: dict[str, Any]
) -> Ledger:
    """Print the tensors alive at the peak instead of modules."""
    from onnxlens.reports.tables.peak import peak_document, peak_table

    stored_as = given.pop("stored_as") or ""
    if (
        asks_rows({**given, "stored_as": None})
        or given["hardware"]
        or given["model"]
        or given["layers"]
        or convention != CONVENTIONS[0]
    ):
        raise UsageError("--peak shows tensors; of the options of rows and counts it takes --as-dtype alone")
    with progress.shown(f"profile {target}") as report, opened(target, settings_from(options), report) as it:
        ledger = onnxlens.with_working_sets(it, it.ledger, stored_as) if stored_as else it.ledger
        found = onnxlens.memory_peak(it, stored_as=stored_as)
    width = None if given["wide"] else screen_width()
    print_result(
        output_format,
        lambda: peak_document(ledger, found, stored_as),
        lambda table_format: peak_table(ledger, found, table_format, width, stored_as=stored_as),
    )
    return ledger
