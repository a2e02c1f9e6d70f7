"""``onnxlens reconcile``: our counts beside other counters'."""

from __future__ import annotations

from typing import Any, cast

import click

import onnxlens
from onnxlens.cli import progress
from onnxlens.cli.options import format_option, settings_from, with_settings, with_sizes


@click.command()
@click.argument("target")
@format_option("table", "json", "csv", "md")
@with_sizes
@with_settings
def reconcile(target: str, output_format: str, **options: Any) -> None:
    """Set MACs beside what onnx-tool, fvcore and thop count, by operator type, and say why they differ.

    A file must say which PyTorch modules ran: torch.onnx.export(dynamo=True) writes that.
    """
    from onnxlens.reports.documents import reconciliation_document
    from onnxlens.reports.tables.reconciliation import reconciliation_table
    from onnxlens.reports.tables.render import TableFormat
    from onnxlens.specs.codec import to_text

    with progress.shown(f"reconcile {target}") as report:
        result = onnxlens.reconcile_graph(target, settings_from(options), report)
    if output_format == "json":
        click.echo(to_text(reconciliation_document(result)), nl=False)
    else:
        click.echo(reconciliation_table(result, cast(TableFormat, output_format)))
