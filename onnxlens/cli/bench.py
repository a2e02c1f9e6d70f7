"""``onnxlens bench``: time by module, operator or node."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

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
    with_wide,
)
from onnxlens.cli.table import screen_width
from onnxlens.specs.bench import BenchRequest
from onnxlens.specs.bounds import MOST_RUNS, MOST_THREADS

LEVELS = ("disabled", "basic", "extended", "all")


@click.command()
@click.argument("target")
@click.option(
    "--provider",
    type=click.Choice(["cpu", "cuda", "tensorrt", "openvino"]),
    default="cpu",
    show_default=True,
    help="What runs it; openvino: ONNX Runtime's cpu, and OpenVINO beside it in turns.",
)
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
@click.option("--by", metavar="KIND", help="What a row is: module [default], op, node.")
@with_rows
@with_wide
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
    wide: bool,
    output_format: str,
    **options: Any,
) -> None:
    """Time TARGET in ONNX Runtime, and show which modules, operators or nodes the time goes to.

    A table shows two levels of modules, and all of them where rows are chosen or sorted. As JSON all that was
    measured is printed, or the rows that are asked for.
    """
    from onnxlens.reports.documents import bench_document
    from onnxlens.reports.tables.bench import BENCH_COLUMNS, LEVELS, bench_table
    from onnxlens.reports.tables.query import Asked, understood

    asked = Asked(
        **{name: options.pop(name) for name in ("by", "depth", "columns", "sort", "top", "where", "leaves")}
    )
    query = understood(asked, BENCH_COLUMNS, "latency_s")  # refused before anything is run
    whole = output_format == "json" and asked == Asked()
    if query.by == "module" and output_format != "json" and asked == Asked(asked.by, asked.columns):
        query = replace(query, asked=replace(asked, depth=LEVELS))
    request = BenchRequest(provider, runs, warmup, level, threads, against is not None)
    with progress.shown(f"bench {target}") as show:
        report = onnxlens.bench_graph(target, settings_from(options), request, show)
    print_result(
        output_format,
        partial(bench_document, report, None if whole else query),
        partial(bench_table, report, query, width=None if wide else screen_width()),
    )
    if report.noise:
        reasons = "; ".join(report.noise)
        click.echo(f"onnxlens: warning: the machine was noisy ({reasons}); measure on an idle one", err=True)
