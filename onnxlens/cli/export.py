"""``onnxlens export``: a graph as ONNX, with weights and manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import onnxlens
from onnxlens.cli import progress
from onnxlens.cli.options import OutPath, settings_from, with_settings
from onnxlens.specs.text import printable

REFUSED = 1


@click.command()
@click.argument("target")
@click.option("--out", required=True, type=OutPath(), help="Folder to write into.")
@click.option("--single-file", is_flag=True, help="The weights inside the .onnx file, up to 2 GiB.")
@click.option("--producer-name", metavar="NAME", help="The name that the file says it is produced by.")
@click.option("--dialect", metavar="TOOL", help="Only operators that this tool takes: k230.")
@with_settings
def export(
    target: str, out: Path, single_file: bool, producer_name: str | None, dialect: str | None, **options: Any
) -> int:
    """Export TARGET to ONNX: graph, one file of weights (seeded by default), and manifest.

    With --single-file, --producer-name or --dialect, TARGET may be an .onnx file. Exit with 1 if the dialect
    has no form for an operator.
    """
    if single_file or producer_name or dialect:
        form = onnxlens.FileForm(single_file, producer_name or "", dialect or "")
        with progress.shown(f"export {target}") as report:
            formed = onnxlens.export_form(target, out, form, settings_from(options), report)
        for path in formed.files:
            click.echo(path)
        for line in formed.left:
            click.echo(f"onnxlens: {printable(line)}", err=True)
        return REFUSED if formed.left else 0
    with progress.shown(f"export {target}") as report:
        exported = onnxlens.export_graph(target, out, settings_from(options), report)
    click.echo(exported.onnx_path)
    if exported.manifest.has_weights:
        click.echo(exported.data_path)
    click.echo(exported.manifest_path)
    return 0
