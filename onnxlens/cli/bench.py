"""``onnxlens bench``: time by module, operator or node."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click

import onnxlens
from onnxlens.cli import progress
from onnxlens.cli.options import (
    format_option,
    print_result,
    settings_from,
    with_inputs,
    with_network_settings,
    with_rows,
)
from onnxlens.specs.bench import BenchRequest
from onnxlens.specs.bounds import MOST_RUNS, MOST_THREADS

if TYPE_CHECKING:
    from onnxlens.reports.tables.render import By

LEVELS = ("disabled", "basic", "extended", "all")


@click.command()
@click.argument("target")
@click.option("--provider", type=click.Choice(["cpu", "cuda", "tensorrt"]), default="cpu", show_default=True)
@click.option(
    "--runs", type=click.IntRange(1, MOST_RUNS), default=10, show_default=True, help="Runs to time."
)
@click.option(
    "--warmup",
    type=click.IntRange(0, MOST_RUNS),
    default=2,
    show_default=True,
    help="Runs before, not timed.",
)
@click.option(
    "--level",
    type=click.Choice(LEVELS),
    default="all",
    show_default=True,
    help="How far ONNX Runtime optimizes the graph.",
)
@click.option(
    "--threads",
    type=click.IntRange(1, MOST_THREADS),
    help="Threads that one operator may use [the usable cores].",
)
@click.option("--against", type=click.Choice(["torch"]), help="Time PyTorch too, eager and compiled.")
@with_rows
@format_option("table", "json", "csv", "md")
@with_inputs
@with_network_settings
def bench(
    target: str,
    provider: str,
    runs: int,
    warmup: int,
    level: str,
    threads: int | None,
    against: str | None,
    by: By,
    depth: int,
    output_format: str,
    **options: Any,
) -> None:
    """Time TARGET in ONNX Runtime, and show which modules, operators or nodes the time goes to."""
    from onnxlens.reports.documents import bench_document
    from onnxlens.reports.tables.bench import bench_table

    request = BenchRequest(provider, runs, warmup, level, threads, against is not None)
    with progress.shown(f"bench {target}") as show:
        report = onnxlens.bench_graph(target, settings_from(options), request, show)
    print_result(output_format, partial(bench_document, report), partial(bench_table, report, by, depth))
    if report.noise:
        reasons = "; ".join(report.noise)
        click.echo(f"onnxlens: warning: the machine was noisy ({reasons}); measure on an idle one", err=True)
