"""``onnxlens compile``: what the chips' own compilers say of a graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click

import onnxlens
from onnxlens.cli import progress
from onnxlens.cli.options import (
    OutPath,
    format_option,
    list_of,
    print_result,
    repeated,
    settings_from,
    with_inputs,
    with_network_settings,
)
from onnxlens.errors import UsageError
from onnxlens.specs.compiled import CompileAsk

FAILED = 1


@click.command()
@click.argument("target", required=False)
@click.option("--with", "tools", metavar="TOOL[,TOOL]", help="The tools to compile with; --list shows them.")
@click.option("--list", "listed", is_flag=True, help="List the tools: what is there, and how to install it.")
@repeated("--chip", "chips", "TOOL=CHIP[,CHIP]", list_of(str), "The chips that a tool compiles for")
@repeated("--tool-path", "paths", "TOOL=PATH", Path, "The Python, or its environment, that has a tool")
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=1),
    default=1800,
    show_default=True,
    metavar="SECONDS",
    help="How long one run of a tool may take.",
)
@click.option("--keep", type=OutPath(), metavar="DIR", help="Keep what the tools were given and wrote.")
@format_option("table", "json", "csv", "md")
@with_inputs
@with_network_settings
def compile(  # noqa: A001 - the verb's name
    target: str | None,
    tools: str | None,
    listed: bool,
    chips: Mapping[str, Sequence[str]],
    paths: Mapping[str, Path],
    timeout_s: float,
    keep: Path | None,
    output_format: str,
    **options: Any,
) -> int:
    """Compile TARGET with other tools, and show what each says of it; exit with 1 when one cannot.

    Each runs in a process of its own: one that crashes costs its own row.
    """
    if listed:
        _list(paths, output_format)
        return 0
    if target is None or tools is None:
        raise UsageError("give a TARGET and --with TOOL; 'onnxlens compile --list' shows the tools")
    from onnxlens.reports.tables.compiled import compile_document, compile_table

    named = tuple(name.strip() for name in tools.split(",") if name.strip())
    ask = CompileAsk(named, chips, paths, timeout_s, keep)
    with progress.shown(f"compile {target}") as show:
        report = onnxlens.compile_graph(target, ask, settings_from(options), show)
    print_result(output_format, partial(compile_document, report), partial(compile_table, report))
    return 0 if report.passed else FAILED


def _list(paths: Mapping[str, Path], output_format: str) -> None:
    from onnxlens.reports.tables.compiled import compilers_document, compilers_table

    states = onnxlens.list_compilers(paths)
    print_result(output_format, partial(compilers_document, states), partial(compilers_table, states))
