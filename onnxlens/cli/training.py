"""``onnxlens training``: what a training step computes and holds."""

from __future__ import annotations

from functools import partial
from typing import Any

import click

import onnxlens
from onnxlens.cli import progress
from onnxlens.cli.options import format_option, print_result, with_wide
from onnxlens.cli.table import screen_width
from onnxlens.errors import UsageError
from onnxlens.specs.bounds import MOST_BATCH, MOST_LEVELS, MOST_PIXELS
from onnxlens.specs.tensor import DTYPES
from onnxlens.specs.training import MODES, OPTIMIZERS, REFERENCE, REFERENCE_UNITS, TrainingRequest


@click.command()
@click.argument("target", default=REFERENCE)
@click.option("--mode", type=click.Choice(MODES), help="Of control-ldm, module by module [all, in total].")
@click.option("--optimizer", type=click.Choice([*OPTIMIZERS]), default="adamw", show_default=True)
@click.option("--checkpointing", is_flag=True, help="Run units again instead of keeping what is in them.")
@click.option("--units", metavar="CLASS,..", help="Their classes [of control-ldm those published].")
@click.option("--batch", type=click.IntRange(max=MOST_BATCH), help="Batch size of a graph [4].")
@click.option("--height", type=click.IntRange(max=MOST_PIXELS), help="Picture height in pixels [512].")
@click.option("--width", type=click.IntRange(max=MOST_PIXELS), help="Picture width in pixels [512].")
@click.option("--dtype", type=click.Choice(DTYPES), help="Of weights, gradients and all else [float32].")
@click.option("--depth", type=click.IntRange(0, MOST_LEVELS), help="Module levels to show [2; all as data].")
@with_wide
@format_option("table", "json", "csv", "md")
def training(
    target: str,
    mode: Any,
    optimizer: str,
    checkpointing: bool,
    units: str | None,
    depth: int | None,
    wide: bool,
    output_format: str,
    **sizes: Any,
) -> None:
    """Count what one training step of TARGET [control-ldm] computes and holds.

    Without --mode, the three published ways to train a ControlNet are compared. All parameters of another
    TARGET are trained. Nothing is computed.
    """
    from onnxlens.reports.tables.training import training_document, training_table

    reference = target == REFERENCE
    if units is not None and not checkpointing:
        raise UsageError("--units are of --checkpointing; give that too")
    if checkpointing and units is None and not reference:
        raise UsageError("--checkpointing needs --units CLASS,..: the classes of the modules that run again")
    classes = tuple(units.split(",")) if units else REFERENCE_UNITS if checkpointing else ()
    modes = (mode,) if mode else MODES if reference else ()
    request = TrainingRequest(modes, optimizer, classes)
    settings = onnxlens.Settings(**sizes)
    with progress.shown(f"training {target}") as report:
        found = onnxlens.training_cost(target, settings, request, report)
    print_result(
        output_format,
        partial(training_document, found),
        lambda table_format: training_table(found, table_format, depth, None if wide else screen_width()),
    )
