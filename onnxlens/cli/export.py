"""``onnxlens export``: a graph as ONNX, with weights and manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import onnxlens
from onnxlens.cli import progress
from onnxlens.cli.options import OutPath, print_text, settings_from, with_settings
from onnxlens.specs.workload import WORKLOAD_FORMATS


@click.command()
@click.argument("target")
@click.option("--out", required=True, type=OutPath(), help="Folder to write into.")
@click.option(
    "--workload",
    type=click.Choice(WORKLOAD_FORMATS),
    help="Instead of ONNX, write the matrix products of TARGET for this cost model.",
)
@with_settings
def export(target: str, out: Path, workload: Any, **options: Any) -> None:
    """Export TARGET to ONNX: graph, one file of weights (seeded by default), and manifest.

    With --workload TARGET may be an .onnx file; FILE.WORKLOAD.json leads from each layer back to its node.
    """
    settings = settings_from(options)
    with progress.shown(f"export {target}") as report:
        if workload:
            made = onnxlens.write_workload(target, out, workload, settings, report)
        else:
            exported = onnxlens.export_graph(target, out, settings, report)
    if workload:
        from onnxlens.reports.tables.workload import workload_text

        print_text(workload_text(made, out))
        return
    click.echo(exported.onnx_path)
    if exported.manifest.has_weights:
        click.echo(exported.data_path)
    click.echo(exported.manifest_path)
