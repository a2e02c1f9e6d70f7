"""``onnxlens profile``: MACs, params and bytes by module, operator or node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import click

import onnxlens
from onnxlens.api.opened import opened
from onnxlens.cli import progress
from onnxlens.cli.options import (
    format_option,
    keep_until_exit,
    print_text,
    settings_from,
    with_rows,
    with_run,
    with_settings,
)
from onnxlens.specs.codec import to_text
from onnxlens.specs.peers import CONVENTIONS, Convention
from onnxlens.specs.text import printable

if TYPE_CHECKING:
    from onnxlens.reports.tables.render import By, TableFormat

UNKNOWN_NODES = 1
"""The exit code of ``--strict``."""


@click.command()
@click.argument("target")
@with_rows
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
def profile(
    target: str, by: By, depth: int, convention: Convention, strict: bool, output_format: str, **options: Any
) -> int:
    """Count MACs, params and bytes of TARGET by module, operator or node. No weight is read."""
    settings = settings_from(options)
    with progress.shown(f"profile {target}") as report, opened(target, settings, report) as it:
        keep_until_exit(it)
        if output_format == "json":
            from onnxlens.reports.documents import profile_document  # tables do without most specs

            ledger, flow = onnxlens.profile_with_flow(it, convention=convention)
            click.echo(to_text(profile_document(ledger, flow)), nl=False)
        else:
            from onnxlens.reports.tables.ledger import profile_table

            ledger = onnxlens.profile_graph(it, convention=convention)
            table_format = cast("TableFormat", output_format)
            print_text(profile_table(ledger, by, depth, table_format), output_format)
    count, reason = ledger.unknown
    if strict and count:
        click.echo(f"onnxlens: unknown nodes: {count} (first: {printable(reason)})", err=True)
        return UNKNOWN_NODES
    return 0
