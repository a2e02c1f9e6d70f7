"""``onnxlens profile``: MACs, params and bytes by module, operator or node."""

from __future__ import annotations

import sys
from typing import Any, cast

import click

import onnxlens
from onnxlens.cli import progress
from onnxlens.cli.options import format_option, settings_from, with_settings, with_sizes
from onnxlens.specs.peers import CONVENTIONS, Convention

UNKNOWN_NODES = 1
"""The exit code of ``--strict``."""


@click.command()
@click.argument("target")
@click.option("--by", type=click.Choice(["module", "op", "node"]), default="module", show_default=True)
@click.option(
    "--depth", type=click.IntRange(min=0), default=2, show_default=True, help="Module levels to show."
)
@click.option(
    "--convention",
    type=click.Choice(CONVENTIONS),
    default=CONVENTIONS[0],
    show_default=True,
    help="Whose counts to show: ours, or another counter's.",
)
@click.option("--strict", is_flag=True, help="Exit with 1 when any operator is unknown.")
@format_option("table", "json", "csv", "md")
@with_sizes
@with_settings
def profile(
    target: str, by: str, depth: int, convention: str, strict: bool, output_format: str, **options: Any
) -> int:
    """Count MACs, params and bytes of TARGET by module, operator or node. No weight is read."""
    from onnxlens.reports.documents import profile_document
    from onnxlens.reports.tables.ledger import profile_table
    from onnxlens.reports.tables.render import By, TableFormat
    from onnxlens.specs.codec import to_text

    settings, counted = settings_from(options), cast(Convention, convention)
    with progress.shown(f"profile {target}") as report:
        if output_format == "json":
            ledger, flow = onnxlens.profile_with_flow(target, settings, report, counted)
        else:
            ledger, flow = onnxlens.profile_graph(target, settings, report, counted), None
    if flow is not None:
        click.echo(to_text(profile_document(ledger, flow)), nl=False)
    else:
        click.echo(profile_table(ledger, cast(By, by), depth, cast(TableFormat, output_format)))
    count, reason = ledger.unknown
    if strict and count:
        print(f"onnxlens: unknown nodes: {count} (first: {reason})", file=sys.stderr)
        return UNKNOWN_NODES
    return 0
