"""``onnxlens reconcile``: our counts compared with other counters'."""

from __future__ import annotations

from functools import partial
from typing import Any

import click

import onnxlens
from onnxlens.cli import progress
from onnxlens.cli.options import format_option, print_result, settings_from, with_settings


@click.command()
@click.argument("target")
@format_option("table", "json", "csv", "md")
@with_settings
def reconcile(target: str, output_format: str, **options: Any) -> None:
    """Compare MACs with what onnx-tool, fvcore and thop count, by operator type, and say why they differ.

    fvcore and thop need a file that names its PyTorch calls, as torch.onnx.export(dynamo=True) does.
    """
    from onnxlens.reports.documents import reconciliation_document
    from onnxlens.reports.tables.reconciliation import reconciliation_table

    with progress.shown(f"reconcile {target}") as report:
        result = onnxlens.reconcile_graph(target, settings_from(options), report)
    print_result(
        output_format, partial(reconciliation_document, result), partial(reconciliation_table, result)
    )
