"""``onnxlens profile``: MACs, params and bytes by module, operator or node."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import click

import onnxlens
from onnxlens.cli import progress
from onnxlens.cli.options import (
    format_option,
    print_result,
    settings_from,
    shown_from,
    with_run,
    with_settings,
    with_table,
)
from onnxlens.specs.peers import CONVENTIONS, Convention

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
    from onnxlens.reports.tables.ledger import cost_document, cost_table
    from onnxlens.reports.tables.query import Asked, understood

    shown = shown_from(options, output_format)
    asked = shown.asked
    whole = output_format == "json" and asked == Asked()
    if output_format != "json" and asked == Asked(asked.by, asked.columns):
        asked = replace(asked, depth=LEVELS)
    query = understood(asked)
    settings = settings_from(options)
    with (
        progress.shown(f"profile {target}") as report,
        onnxlens.OpenedTarget(target, settings, report) as opened,
    ):
        if whole:
            from onnxlens.reports.documents import profile_document  # tables do without most specs

            ledger, flow = onnxlens.profile_with_flow(opened, convention=convention)
            document = partial(profile_document, ledger, flow)
        else:
            ledger = onnxlens.profile_graph(opened, convention=convention)
            ledger = shown.with_working_sets(opened, ledger, query)
            document = partial(cost_document, ledger, query)
    print_result(output_format, document, partial(cost_table, ledger, query, layout=shown.layout))
    count, reason = ledger.unknown
    if strict and count:
        click.echo(f"onnxlens: unknown nodes: {count} (first: {reason})", err=True)
        return UNKNOWN_NODES
    return 0
