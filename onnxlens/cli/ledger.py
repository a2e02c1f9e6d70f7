"""``onnxlens ledger``: every cost of every module."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

import onnxlens
from onnxlens.cli import progress
from onnxlens.cli.options import (
    OutPath,
    format_option,
    print_result,
    settings_from,
    with_network_settings,
    with_run,
)
from onnxlens.errors import UsageError
from onnxlens.specs.bounds import MOST_LEVELS


@click.command()
@click.argument("target")
@click.option("--depth", type=click.IntRange(0, MOST_LEVELS), help="Module levels to show [all].")
@click.option("--sort", metavar="COLUMN[:asc|desc]", help="Order of the rows [execution order].")
@click.option(
    "--where",
    multiple=True,
    metavar="EXPR",
    help="Only rows that match, such as 'macs>1e9', class=Linear, 'path~blocks.*attn'; may be repeated.",
)
@click.option("--columns", metavar="A,B,..", help="Only these columns, in this order.")
@click.option("--latency", is_flag=True, help="Run TARGET in ONNX Runtime and time it.")
@click.option("--parity", is_flag=True, help="Run TARGET in ONNX Runtime and PyTorch and compare.")
@click.option("--out", type=OutPath(), help="File for --format trace.")
@format_option("table", "json", "csv", "md", "trace")
@with_run
@with_network_settings
def ledger(
    target: str,
    depth: int | None,
    sort: str | None,
    where: tuple[str, ...],
    columns: str | None,
    latency: bool,
    parity: bool,
    out: Path | None,
    output_format: str,
    **options: Any,
) -> None:
    """List MACs, params, bytes, latency and error of every module of TARGET.

    Nothing is run unless --latency or --parity is given; a column that was not computed is absent.
    """
    from onnxlens.reports.tables.ledger import ledger_document, ledger_table
    from onnxlens.reports.tables.query import parse_query

    query = parse_query(columns, where, sort, depth)
    if output_format == "trace":
        _require_trace_options(latency, out)
    elif out is not None:
        raise UsageError("--out is for --format trace; other formats go to standard output")
    with (
        progress.shown(f"ledger {target}") as report,
        onnxlens.OpenedTarget(target, settings_from(options), report) as opened,
    ):
        measured = onnxlens.measure_graph(opened, latency=latency, parity=parity)
        result = onnxlens.ledger_of(
            opened, timings=measured.timings, errors=measured.errors, notes=measured.notes
        )
    if out is not None:
        click.echo(onnxlens.write_trace(result, measured.nodes, out))
    else:
        print_result(
            output_format, partial(ledger_document, result, query), partial(ledger_table, result, query)
        )


def _require_trace_options(latency: bool, out: Path | None) -> None:
    if not latency:
        raise UsageError("--format trace shows measured times; give --latency")
    if out is None:
        raise UsageError("--format trace writes a file; give --out FILE, such as trace.json")
