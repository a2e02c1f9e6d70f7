"""``onnxlens profile``: MACs, params and bytes by module, operator or node."""

from __future__ import annotations

from typing import Any

import click

import onnxlens
from onnxlens.api.opened import opened
from onnxlens.cli import progress
from onnxlens.cli.options import format_option, keep_until_exit, settings_from, with_run, with_settings
from onnxlens.cli.table import asks_rows, table_from, taken, with_table
from onnxlens.specs.codec import to_text
from onnxlens.specs.peers import CONVENTIONS, Convention
from onnxlens.specs.text import printable

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
@format_option("table", "json", "csv", "md")
@with_run
@with_settings
def profile(target: str, convention: Convention, strict: bool, output_format: str, **options: Any) -> int:
    """Count MACs, params and bytes of TARGET by module, operator or node. No weight is read.

    A table shows two levels of modules, and all of them where rows are chosen or sorted. As JSON all that was
    counted is printed, or the rows that are asked for.
    """
    given = taken(options)
    rows = output_format != "json" or asks_rows(given)
    computed = (f"--convention {convention}",)
    table = table_from(given, output_format, levels=LEVELS, by=None, computed=computed) if rows else None
    settings = settings_from(options)
    with progress.shown(f"profile {target}") as report, opened(target, settings, report) as it:
        keep_until_exit(it)
        if table is None:
            ledger, flow = onnxlens.profile_with_flow(it, convention=convention)
        else:
            ledger = onnxlens.profile_graph(it, convention=convention)
            ledger = table.with_working_sets(it, ledger)
    if table is None:
        from onnxlens.reports.documents import profile_document  # tables do without most specs

        click.echo(to_text(profile_document(ledger, flow)), nl=False)
    else:
        table.print(ledger)
    count, reason = ledger.unknown
    if strict and count:
        click.echo(f"onnxlens: unknown nodes: {count} (first: {printable(reason)})", err=True)
        return UNKNOWN_NODES
    return 0
