"""``onnxlens ledger``: every cost of every module side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import click

import onnxlens
from onnxlens.cli import progress
from onnxlens.cli.options import format_option, settings_from, with_settings, with_sizes
from onnxlens.errors import UsageError
from onnxlens.specs.measured import Measurements


@click.command()
@click.argument("target")
@click.option("--depth", type=click.IntRange(min=0), help="Module levels to show [all].")
@click.option("--sort", metavar="COLUMN[:asc|desc]", help="Order of the rows [that of execution].")
@click.option(
    "--where",
    multiple=True,
    metavar="EXPR",
    help="Only rows such as 'macs>1e9', class=Linear, 'path~blocks.*attn'; may be repeated.",
)
@click.option("--columns", metavar="A,B,..", help="Only these columns, in this order.")
@click.option("--latency", is_flag=True, help="Run TARGET in ONNX Runtime and time it.")
@click.option("--parity", is_flag=True, help="Run TARGET in ONNX Runtime and PyTorch and compare.")
@click.option("--out", type=click.Path(path_type=Path), help="File for --format trace.")
@format_option("table", "json", "csv", "md", "trace")
@with_sizes
@with_settings
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
    """Lay MACs, params, bytes, latency and error of every module of TARGET side by side.

    Nothing is run unless --latency or --parity is given; a column that was not computed is absent.
    """
    from onnxlens.reports.tables.ledger import ledger_document, ledger_table
    from onnxlens.reports.tables.query import parse_query
    from onnxlens.reports.tables.render import TableFormat
    from onnxlens.specs.codec import to_text

    query = parse_query(columns, where, sort, depth)
    if output_format == "trace":
        _require_trace_options(latency, out)
    elif out is not None:
        raise UsageError("--out is for --format trace; other formats go to standard output")
    with (
        progress.shown(f"ledger {target}") as report,
        onnxlens.OpenedTarget(target, settings_from(options), report) as opened,
    ):
        measured = Measurements()
        if latency or parity:
            measured = onnxlens.measure_graph(opened, latency=latency, parity=parity)
        result = onnxlens.ledger_of(
            opened, timings=measured.timings, errors=measured.errors, notes=measured.notes
        )
    if out is not None:
        click.echo(onnxlens.write_trace(result, measured.nodes, out))
    elif output_format == "json":
        click.echo(to_text(ledger_document(result, query)), nl=False)
    else:
        click.echo(ledger_table(result, query, cast(TableFormat, output_format)))


def _require_trace_options(latency: bool, out: Path | None) -> None:
    if not latency:
        raise UsageError("--format trace shows measured times; give --latency")
    if out is None:
        raise UsageError("--format trace writes a file; give --out FILE, such as trace.json")
