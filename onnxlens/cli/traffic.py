"""``onnxlens traffic``: memory traffic under fusion, and what a small chip reads again."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

import onnxlens
from onnxlens.api.opened import opened
from onnxlens.cli import progress
from onnxlens.cli.options import (
    format_option,
    keep_until_exit,
    plot_option,
    print_result,
    settings_from,
    with_run,
    with_settings,
    with_wide,
)
from onnxlens.cli.table import as_dtype_option, on_chip_option, screen_width
from onnxlens.specs.bounds import MOST_LEVELS
from onnxlens.specs.traffic import FUSION_MODES, ROW_KINDS


@click.command()
@click.argument("target")
@click.option(
    "--fusion",
    type=click.Choice(FUSION_MODES),
    default="attention",
    show_default=True,
    help="What is fused in the columns by kind, the spills and the knee.",
)
@on_chip_option
@as_dtype_option
@click.option("--by", type=click.Choice(ROW_KINDS), default="module", show_default=True)
@click.option("--depth", type=click.IntRange(0, MOST_LEVELS), help="Module levels to show [2; all as data].")
@plot_option("Plot traffic by kind, and the knee.")
@with_wide
@format_option("table", "json", "csv", "md")
@with_run
@with_settings
def traffic(
    target: str,
    fusion: Any,
    on_chip: int | None,
    stored_as: str | None,
    by: Any,
    depth: int | None,
    plot: Path | None,
    wide: bool,
    output_format: str,
    **options: Any,
) -> None:
    """Say what TARGET reads and writes in memory as more is fused, and what a small chip reads again.

    The least memory on the chip that spills nothing is shown for every row. No weight is read.
    """
    from onnxlens.reports.tables.traffic import TrafficLayout, traffic_document, traffic_table

    with progress.shown(f"traffic {target}") as shown, opened(target, settings_from(options), shown) as it:
        keep_until_exit(it)
        report = onnxlens.traffic_of(
            it, fusion=fusion, on_chip_bytes=on_chip, by=by, stored_as=stored_as or ""
        )
    if plot is not None:
        onnxlens.write_traffic_plot(report, plot)
    layout = TrafficLayout(depth, None if wide else screen_width())
    print_result(
        output_format,
        partial(traffic_document, report, layout),
        lambda table_format: traffic_table(report, table_format, layout),
    )
