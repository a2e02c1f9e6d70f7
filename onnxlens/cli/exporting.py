"""Verbs that list and write graphs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from onnxlens import api
from onnxlens.cli import progress
from onnxlens.cli.options import settings_from, with_settings


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of a table.")
def graphs(as_json: bool) -> None:
    """List the graphs of the reference model."""
    from onnxlens.reports.documents import catalog_document
    from onnxlens.reports.tables.graphs import catalog_table
    from onnxlens.specs.codec import to_text

    specs = api.list_graphs()
    click.echo(to_text(catalog_document(specs)).rstrip() if as_json else catalog_table(specs, "table"))


@click.command()
@click.argument("target")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder to write into.")
@with_settings
def export(target: str, out: Path, **options: Any) -> None:
    """Export TARGET to ONNX: graph, one file of weights (seeded by default), and manifest."""
    with progress.shown(f"export {target}") as report:
        exported = api.export_graph(target, out, settings_from(options), report)
    click.echo(exported.onnx_path)
    if exported.manifest.has_weights:
        click.echo(exported.data_path)
    click.echo(exported.manifest_path)
