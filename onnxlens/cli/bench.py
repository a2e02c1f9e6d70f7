"""``onnxlens bench``: time by module, operator or node."""

from __future__ import annotations

import sys
from typing import Any, cast

import click

import onnxlens
from onnxlens.cli import progress
from onnxlens.cli.options import format_option, settings_from, with_settings, with_sizes

LEVELS = ("disabled", "basic", "extended", "all")


@click.command()
@click.argument("target")
@click.option("--provider", type=click.Choice(["cpu", "cuda", "tensorrt"]), default="cpu", show_default=True)
@click.option("--runs", type=click.IntRange(min=1), default=10, show_default=True, help="Runs to time.")
@click.option(
    "--warmup", type=click.IntRange(min=0), default=2, show_default=True, help="Runs before, not counted."
)
@click.option(
    "--level",
    type=click.Choice(LEVELS),
    default="all",
    show_default=True,
    help="How far ONNX Runtime optimises the graph.",
)
@click.option(
    "--threads", type=click.IntRange(min=1), help="Threads that one operator may use [the usable cores]."
)
@click.option("--against", type=click.Choice(["torch"]), help="Time PyTorch too, eager and compiled.")
@click.option("--by", type=click.Choice(["module", "op", "node"]), default="module", show_default=True)
@click.option(
    "--depth", type=click.IntRange(min=0), default=2, show_default=True, help="Module levels to show."
)
@format_option("table", "json", "csv", "md")
@with_sizes
@with_settings
def bench(
    target: str,
    provider: str,
    runs: int,
    warmup: int,
    level: str,
    threads: int | None,
    against: str | None,
    by: str,
    depth: int,
    output_format: str,
    **options: Any,
) -> None:
    """Time TARGET in ONNX Runtime, and show which modules, operators or nodes the time goes to."""
    from onnxlens.reports.documents import bench_document
    from onnxlens.reports.tables.bench import bench_table
    from onnxlens.reports.tables.render import By, TableFormat
    from onnxlens.specs.bench import BenchRequest
    from onnxlens.specs.codec import to_text

    request = BenchRequest(provider, runs, warmup, level, threads, against is not None)
    with progress.shown(f"bench {target}") as show:
        report = onnxlens.bench_graph(target, settings_from(options), request, show)
    if output_format == "json":
        click.echo(to_text(bench_document(report)), nl=False)
    else:
        click.echo(bench_table(report, cast(By, by), depth, cast(TableFormat, output_format)))
    if report.noise:
        reasons = "; ".join(report.noise)
        print(
            f"onnxlens: warning: the machine was noisy ({reasons}); measure on an idle one", file=sys.stderr
        )
