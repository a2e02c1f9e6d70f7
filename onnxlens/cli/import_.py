"""``onnxlens import``: what another tool reports of its layers, led back to the modules of a model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

import onnxlens
from onnxlens.cli import progress
from onnxlens.cli.options import (
    OutPath,
    format_option,
    plot_option,
    settings_from,
    with_run,
    with_settings,
)
from onnxlens.cli.table import table_from, taken, with_layer_table
from onnxlens.errors import UsageError
from onnxlens.reports.tables.tools import require_metric

LEVELS = 2
"""Of modules, unless rows are chosen."""


@click.command("import")
@click.argument("profile", type=click.Path(path_type=Path))
@click.option("--model", "target", required=True, metavar="TARGET", help="What the tool was given.")
@click.option("--tool", default="", metavar="TOOL", help="Whose report PROFILE is [recognized].")
@click.option(
    "--like", default="", metavar="TOOL", help="The tool whose columns PROFILE has; --tool is then any name."
)
@click.option(
    "--names", type=click.Path(path_type=Path), help="FILE that says what the names in PROFILE mean."
)
@click.option("--chip", default="", metavar="NAME", help="What PROFILE is of, if it does not say it.")
@with_layer_table
@click.option(
    "--metric", default="", metavar="METRIC", help="What --plot shows, such as cycles [what each says first]."
)
@plot_option("Draw the metric of every module as bars.")
@click.option("--out", type=OutPath(), help="FILE.json for the report in our own form, which --layers takes.")
@format_option("table", "json", "csv", "md")
@with_run
@with_settings
def import_(
    profile: Path,
    target: str,
    metric: str,
    plot: Path | None,
    out: Path | None,
    output_format: str,
    **options: Any,
) -> None:
    """Lead PROFILE, what another tool reports of its layers, back to the modules of the model it was given.

    PROFILE is a file or a folder of TensorRT, OpenVINO, QNN, Vela, and others; docs/readers.md lists them. Of
    a folder that 'compile --keep' left, all tools are read. Figures of a layer that stands for nodes of
    several modules are divided among them, and marked with ~.
    """
    require_metric(metric)
    reports, faults = onnxlens.read_all_layers(
        profile, **{name: options.pop(name) for name in ("tool", "like", "names", "chip")}
    )
    if out is not None and len(reports) > 1:
        raise UsageError(
            f"--out is of one report, and {profile} has {len(reports)}; give the folder of a tool"
        )
    for fault in faults:
        click.echo(f"onnxlens: warning: {fault}", err=True)
    options["model"] = None  # --model vendor is of verbs whose TARGET is an argument
    given = taken(options)
    table = table_from(given, output_format, levels=LEVELS, by=None, computed=("--layers",))
    table = replace(table, reports=(*reports, *table.reports))
    with (
        progress.shown(f"import {profile}") as show,
        onnxlens.OpenedTarget(target, settings_from(options), show) as opened,
    ):
        ledger = table.completed(opened, onnxlens.profile_graph(opened))
    if plot is not None:  # first, as it may be refused: no report may have the metric
        click.echo(f"onnxlens: wrote {onnxlens.plot_layers(ledger, plot, metric, given['depth'])}", err=True)
    if out is not None:
        click.echo(f"onnxlens: wrote {onnxlens.write_layers(ledger, reports[0].label, out)}", err=True)
    table.print(ledger)
