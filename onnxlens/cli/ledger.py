"""``onnxlens ledger``: every cost of every module."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import onnxlens
from onnxlens.api.staging import staged
from onnxlens.cli import progress
from onnxlens.cli.options import (
    OutPath,
    format_option,
    settings_from,
    with_network_settings,
    with_run,
)
from onnxlens.cli.table import has_times, table_from, taken, warn_of_layers, with_table
from onnxlens.errors import UsageError


@click.command()
@click.argument("target")
@with_table
@click.option("--latency", is_flag=True, help="Run TARGET in ONNX Runtime and time it.")
@click.option("--parity", is_flag=True, help="Run TARGET in ONNX Runtime and PyTorch and compare.")
@click.option("--out", type=OutPath(), help="File for --format xlsx, parquet or trace.")
@format_option("table", "json", "csv", "md", "xlsx", "parquet", "trace")
@with_run
@with_network_settings
def ledger(
    target: str,
    latency: bool,
    parity: bool,
    out: Path | None,
    output_format: str,
    **options: Any,
) -> None:
    """List MACs, params, bytes, latency and error of every module of TARGET.

    Nothing is run unless --latency or --parity is given; a column that was not computed is absent.
    """
    computed = [f"--{name}" for name, asked in (("latency", latency), ("parity", parity)) if asked]
    table = table_from(taken(options), output_format, levels=None, by="module", out=out, computed=computed)
    if output_format == "trace":
        _require_trace_options(latency or has_times(table.reports), out)
    if out is not None:
        with staged(out.parent):  # a folder that cannot be written is reported before any work
            pass
    with (
        progress.shown(f"ledger {target}") as report,
        onnxlens.OpenedTarget(target, settings_from(options), report) as opened,
    ):
        measured = onnxlens.measure_graph(opened, latency=latency, parity=parity)
        result = onnxlens.ledger_of(
            opened,
            timings=measured.timings,
            errors=measured.errors,
            nodes=measured.nodes,
            notes=measured.notes,
        )
        result = table.completed(opened, result)
    if out is not None and output_format == "trace":
        warn_of_layers(result)
        click.echo(onnxlens.write_trace(result, measured.nodes, out))
    else:
        table.print(result)


def _require_trace_options(timed: bool, out: Path | None) -> None:
    if not timed:
        raise UsageError("--format trace shows measured times; give --latency, or --layers with times")
    if out is None:
        raise UsageError("--format trace writes a file; give --out FILE, such as trace.json")
