"""``onnxlens run``: the main job, over every graph of the reference model."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

import onnxlens
from onnxlens.cli import progress
from onnxlens.cli.options import OutPath, with_browser, with_cache
from onnxlens.errors import UsageError
from onnxlens.specs.bounds import MOST_PROCESSES
from onnxlens.specs.text import printable

NOT_ALL_DONE = 1


@click.command()
@click.argument("targets", metavar="[TARGET]..", nargs=-1)
@click.option(
    "--out", type=OutPath(), default=Path("onnxlens-out"), show_default=True,
    help="Folder to write into.",
)  # fmt: skip
@click.option("--graphs", "names", metavar="G,..", help="Only these graphs of the catalog.")
@click.option("--weights", metavar="seeded|none|FILE|DIR", default="seeded", show_default=True,
              help="A checkpoint for all chosen graphs, or a folder of published checkpoints.")  # fmt: skip
@click.option("--opset", type=int, default=18, show_default=True, help="ONNX opset to export, 11 to 25.")
@click.option("--quick", is_flag=True, help="At 128 x 128 pixels instead of 512 x 512.")
@click.option("--netron", is_flag=True, help="Also draw each graph as Netron does; needs a Chromium.")
@click.option("--processes", type=click.IntRange(1, MOST_PROCESSES),
              default=lambda: min(2, os.cpu_count() or 1),
              show_default="2, or 1 on a single core",
              help="How many graphs to export at once; they are measured one by one.")  # fmt: skip
@with_browser
@with_cache
def run(
    targets: tuple[str, ...],
    out: Path,
    names: str | None,
    weights: str,
    opset: int,
    quick: bool,
    netron: bool,
    processes: int,
    browser: str | None,
    cache: bool,
) -> int:
    """Export, count, compare, time and draw every TARGET, by default every graph of the reference model."""
    from onnxlens.reports.run_files import summary_table

    if browser is not None and not netron:
        raise UsageError("--browser is of --netron; give that too")
    graphs = () if names is None else tuple(name.strip() for name in names.split(","))
    with progress.watched() as watch:
        summary = onnxlens.run_reference(
            onnxlens.Job(out, (*graphs, *targets), weights, quick, opset, netron, browser, cache, processes),
            watch,
        )
    click.echo(summary_table(summary, "table"))
    click.echo(f"everything is linked from {out / 'index.md'}")
    for note in dict.fromkeys(graph.note for graph in summary.graphs if graph.note):
        print(f"onnxlens: {printable(note)}", file=sys.stderr)
    return 0 if summary.succeeded else NOT_ALL_DONE
