"""``onnxlens extract``: one module as a file of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import onnxlens
from onnxlens.cli import progress
from onnxlens.cli.options import OutPath, print_text, settings_from, with_network_settings
from onnxlens.specs.bounds import MOST_RUNS


@click.command()
@click.argument("target")
@click.option("--module", required=True, metavar="PATH", help="Path of the module, as in profile and ledger.")
@click.option("--out", required=True, type=OutPath(), help="FILE.onnx to write.")
@click.option(
    "--call",
    type=click.IntRange(max=MOST_RUNS),
    help="Which call of a module that is called several times [the first].",
)
@click.option("--data", is_flag=True, help="Also write its inputs and outputs in PyTorch (.npz).")
@with_network_settings
def extract(target: str, module: str, out: Path, call: int | None, data: bool, **options: Any) -> None:
    """Write one module of TARGET as an ONNX file of its own, with its weights."""
    from onnxlens.reports.tables.graphs import subgraph_text

    settings = settings_from(options)
    with progress.shown(f"extract {module}") as report:
        result = onnxlens.extract_module(target, module, out, settings, call=call, data=data, progress=report)
    print_text(subgraph_text(result))
