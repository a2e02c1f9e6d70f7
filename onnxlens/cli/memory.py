"""``onnxlens memory``: the memory plan of a graph's activations."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

import onnxlens
from onnxlens.api.opened import opened
from onnxlens.cli import progress
from onnxlens.cli.options import (
    OutPath,
    format_option,
    keep_until_exit,
    plot_option,
    print_result,
    settings_from,
    with_run,
    with_settings,
    with_wide,
)
from onnxlens.cli.table import as_dtype_option, screen_width


@click.command()
@click.argument("target")
@click.option(
    "--in-place", is_flag=True, help="Let elementwise outputs take the memory of inputs that end there."
)
@click.option(
    "--order",
    type=click.Choice(["file", "better"]),
    default="file",
    show_default=True,
    help="Run nodes in the file's order, or search for one with a lower peak.",
)
@click.option("--align", type=int, default=1, show_default=True, help="Bytes that offsets are multiples of.")
@as_dtype_option
@click.option("--arena", type=OutPath(), metavar="FILE.csv|.json", help="Write the place of every tensor.")
@plot_option("Plot memory over the execution.")
@with_wide
@format_option("table", "json", "csv", "md")
@with_run
@with_settings
def memory(
    target: str,
    in_place: bool,
    order: Any,
    align: int,
    stored_as: str | None,
    arena: Path | None,
    plot: Path | None,
    wide: bool,
    output_format: str,
    **options: Any,
) -> None:
    """Plan the memory of the activations of TARGET: the peak and its tensors, and an arena for all.

    A view shares its source's memory; weights are apart. What runs inside a branch or a loop adds to what
    waits outside. No weight is read.
    """
    from onnxlens.reports.tables.memory import memory_document, memory_table, require_arena_suffix

    if arena is not None:
        require_arena_suffix(arena)
    held_as = stored_as or ""
    with progress.shown(f"memory {target}") as report, opened(target, settings_from(options), report) as it:
        keep_until_exit(it)
        plan = onnxlens.memory_plan(
            it, in_place=in_place, order=order, stored_as=held_as, alignment_bytes=align
        )
        ledger = onnxlens.with_working_sets(it, it.ledger, held_as) if held_as else it.ledger
    if arena is not None:
        onnxlens.write_arena(ledger, plan, arena, held_as)
    if plot is not None:
        onnxlens.write_memory_plot(ledger, plan, plot)
    print_result(
        output_format,
        partial(memory_document, ledger, plan, held_as),
        lambda form: memory_table(ledger, plan, form, None if wide else screen_width(), held_as),
    )
