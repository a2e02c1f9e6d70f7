"""``onnxlens phases``: what a language model costs to read a prompt, and to make one more token."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

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
    size_pairs,
    with_values,
    with_wide,
)
from onnxlens.cli.table import as_dtype_option, screen_width
from onnxlens.specs.bounds import MOST_LEVELS, MOST_RUNS
from onnxlens.specs.phases import BATCHES, CONTEXTS, PROMPTS, PhasesRequest

Verb = TypeVar("Verb", bound=Callable[..., Any])


def _sizes(context: click.Context, option: click.Parameter, text: str | None) -> tuple[int, ...] | None:
    """``128,1024`` as numbers."""
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and len(part) < 20 for part in parts):
        raise click.BadParameter(f"{text[:40]!r} is no list of whole numbers, such as 128,1024")
    return tuple(map(int, parts))


def _size_option(flag: str, name: str, default: tuple[int, ...], purpose: str) -> Callable[[Verb], Verb]:
    shown = ",".join(map(str, default))
    return click.option(flag, name, metavar="N,..", callback=_sizes, help=f"{purpose} [{shown}].")


@click.command()
@click.argument("target", metavar="MODEL.onnx")
@_size_option("--prompt", "prompts", PROMPTS, "Tokens of a prompt")
@_size_option("--context", "contexts", CONTEXTS, "Tokens in the cache before a step")
@_size_option("--batch", "batches", BATCHES, "Sequences at once")
@click.option(
    "--cache", metavar="PATTERN", help="A regular expression for the inputs that are caches [found]."
)
@click.option("--hardware", metavar="CHIP,..", help="Lower bounds of the times on these chips, or CHIP.toml.")
@as_dtype_option
@click.option("--latency", is_flag=True, help="Run every point in ONNX Runtime, its caches handed on.")
@click.option(
    "--runs", type=click.IntRange(1, MOST_RUNS), default=10, show_default=True, help="Of each with --latency."
)
@click.option("--depth", type=click.IntRange(0, MOST_LEVELS), help="Module levels to show [3; all as data].")
@plot_option("Plot a step over its context.")
@with_wide
@format_option("table", "json", "csv", "md")
@size_pairs("--dim", "dims", "Fix a dimension that no phase decides, such as kv_cache_dim=128")
@with_values
def phases(
    target: str,
    cache: str | None,
    hardware: str | None,
    stored_as: str | None,
    latency: bool,
    runs: int,
    depth: int | None,
    plot: Path | None,
    wide: bool,
    output_format: str,
    dims: dict[str, int],
    values: dict[str, Any],
    **sizes: Any,
) -> None:
    """Say what the language model MODEL.onnx costs: to read a prompt, and to make one more token.

    Its caches are inputs, found by what reads them or by their names; all other sizes follow from these
    three, or are given by --dim. No weight is read, unless --latency runs it.
    """
    from onnxlens.reports.tables.phases import PhasesLayout, phases_document, phases_table

    given = {name: size for name, size in sizes.items() if size is not None}
    request = PhasesRequest(**given, given=frozenset(given), cache=cache or "", runs=runs)
    settings = settings_from({"dims": dims, "values": values})
    with progress.shown(f"phases {target}") as shown, opened(target, settings, shown) as it:
        keep_until_exit(it)
        report = onnxlens.phases_of(
            it, request=request, hardware=hardware or "", stored_as=stored_as or "", has_latency=latency
        )
    if plot is not None:
        onnxlens.write_phases_plot(report, plot)
    layout = PhasesLayout(depth, None if wide else screen_width())
    print_result(
        output_format,
        partial(phases_document, report, layout),
        lambda table_format: phases_table(report, table_format, layout),
    )
