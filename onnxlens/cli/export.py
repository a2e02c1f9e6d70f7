"""``onnxlens export``: a graph as ONNX, with weights and manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import onnxlens
from onnxlens.cli import progress
from onnxlens.cli.options import OutPath, print_text, settings_from, with_settings
from onnxlens.errors import UsageError
from onnxlens.specs.text import printable
from onnxlens.specs.workload import WORKLOAD_FORMATS

REFUSED = 1


@click.command()
@click.argument("target")
@click.option("--out", required=True, type=OutPath(), help="Folder to write into.")
@click.option("--single-file", is_flag=True, help="The weights inside the .onnx file, up to 2 GiB.")
@click.option("--producer-name", metavar="NAME", help="The name that the file says it is produced by.")
@click.option("--dialect", metavar="TOOL", help="Only operators that this tool takes: k230.")
@click.option(
    "--workload",
    type=click.Choice(WORKLOAD_FORMATS),
    help="Instead of ONNX, the matrix products of TARGET as this cost model is given them.",
)
@with_settings
def export(
    target: str,
    out: Path,
    single_file: bool,
    producer_name: str | None,
    dialect: str | None,
    workload: Any,
    **options: Any,
) -> int:
    """Export TARGET to ONNX: graph, one file of weights (seeded by default), and manifest.

    With --single-file, --producer-name, --dialect or --workload, TARGET may be an .onnx file. Exit with 1 if
    the dialect or the cost model has no form for an operator.
    """
    form = onnxlens.FileForm(single_file, producer_name or "", dialect or "")
    is_formed = bool(single_file or producer_name or dialect)
    if workload:
        if is_formed:
            raise UsageError("--workload writes no ONNX file; leave out what says how that is")
        return _workload(target, out, workload, options)
    with progress.shown(f"export {target}") as report:
        if is_formed:
            formed = onnxlens.export_form(target, out, form, settings_from(options), report)
        else:
            exported = onnxlens.export_graph(target, out, settings_from(options), report)
    if is_formed:
        for path in formed.files:
            click.echo(path)
        for line in formed.left:
            click.echo(f"onnxlens: {printable(line)}", err=True)
        return REFUSED if formed.left else 0
    click.echo(exported.onnx_path)
    if exported.manifest.has_weights:
        click.echo(exported.data_path)
    click.echo(exported.manifest_path)
    return 0


def _workload(target: str, out: Path, workload: Any, options: dict[str, Any]) -> int:
    from onnxlens.reports.tables.workload import workload_text

    with progress.shown(f"export {target}") as report:
        made = onnxlens.write_workload(target, out, workload, settings_from(options), report)
    print_text(workload_text(made, out))
    return REFUSED if made.refused else 0
