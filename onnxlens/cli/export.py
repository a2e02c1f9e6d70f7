"""``onnxlens export``: a graph as ONNX, with weights and manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import onnxlens
from onnxlens.cli import progress
from onnxlens.cli.options import OutPath, settings_from, with_export_settings


@click.command()
@click.argument("target")
@click.option("--out", required=True, type=OutPath(), help="Folder to write into.")
@with_export_settings
def export(target: str, out: Path, **options: Any) -> None:
    """Export TARGET to ONNX: graph, one file of weights (seeded by default), and manifest."""
    with progress.shown(f"export {target}") as report:
        exported = onnxlens.export_graph(target, out, settings_from(options), report)
    click.echo(exported.onnx_path)
    if exported.manifest.has_weights:
        click.echo(exported.data_path)
    click.echo(exported.manifest_path)
