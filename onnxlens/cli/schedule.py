"""``onnxlens schedule``: what of a graph can overlap on several engines."""

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
)
from onnxlens.cli.table import as_dtype_option, fusion_option
from onnxlens.specs.bounds import MOST_LEVELS
from onnxlens.specs.schedule import MOST_STREAMS


@click.command()
@click.argument("target")
@click.option(
    "--streams", type=click.IntRange(1, MOST_STREAMS), default=2, show_default=True, metavar="N",
    help="How many engines there are.",
)  # fmt: skip
@click.option("--hardware", metavar="CHIP", help="Times are the lower bounds on this chip [else MACs].")
@as_dtype_option
@fusion_option
@click.option("--latency", is_flag=True, help="Times are measured in ONNX Runtime, and so is the overlap.")
@click.option("--by", type=click.Choice(["module", "node"]), default="module", show_default=True,
              help="What runs on one engine without a pause.")  # fmt: skip
@click.option("--depth", type=click.IntRange(1, MOST_LEVELS), help="The level of modules [the innermost].")
@plot_option("Draw what runs when on which engine.")
@format_option("table", "json", "csv", "md")
@with_run
@with_settings
def schedule(target: str, plot: Path | None, output_format: str, **options: Any) -> None:
    """Say which modules of TARGET can run at the same time, and how much sooner N engines are done.

    Each module waits for those whose outputs it reads. Engines share nothing, their memory, or all of a chip.
    """
    from onnxlens.reports.tables.schedule import schedule_document, schedule_table

    names = {"hardware": "", "stored_as": "", "fusion": "none"}
    asked = {name: options.pop(name) for name in ("streams", "latency", "by", "depth")}
    asked |= {name: options.pop(name) or default for name, default in names.items()}
    onnxlens.ScheduleRequest(**asked)  # refused before any work
    with progress.shown(f"schedule {target}") as shown, opened(target, settings_from(options), shown) as it:
        keep_until_exit(it)
        report = onnxlens.schedule_graph(it, **asked)
    if plot is not None:
        onnxlens.write_gantt(report, plot)
    print_result(output_format, partial(schedule_document, report), partial(schedule_table, report))
