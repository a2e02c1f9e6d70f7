"""``onnxlens reconcile``: our counts compared with other counters'."""

from __future__ import annotations

from functools import partial
from typing import Any

import click

import onnxlens
from onnxlens.cli import progress
from onnxlens.cli.options import format_option, print_result, settings_from, with_settings, with_sizes
from onnxlens.reports.documents import reconciliation_document
from onnxlens.reports.tables.reconciliation import reconciliation_table


@click.command()
@click.argument("target")
@format_option("table", "json", "csv", "md")
@with_sizes
@with_settings
def reconcile(target: str, output_format: str, **options: Any) -> None:
    """Set MACs beside what onnx-tool, fvcore and thop count, by operator type, and say why they differ.

    A file must say which PyTorch modules ran: torch.onnx.export(dynamo=True) writes that.
    """
    with progress.shown(f"reconcile {target}") as report:
        result = onnxlens.reconcile_graph(target, settings_from(options), report)
    print_result(
        output_format, partial(reconciliation_document, result), partial(reconciliation_table, result)
    )
