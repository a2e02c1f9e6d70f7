"""``onnxlens compile``: what the chips' own compilers say of a graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

import onnxlens
from onnxlens.cli import progress
from onnxlens.cli.options import (
    Number,
    OutPath,
    format_option,
    list_of,
    print_result,
    print_text,
    repeated,
    settings_from,
    with_inputs,
    with_network_settings,
)
from onnxlens.cli.table import table_from, taken, with_layer_table
from onnxlens.errors import UsageError
from onnxlens.specs.compiled import CompileAsk

if TYPE_CHECKING:
    from onnxlens.api.target import Settings
    from onnxlens.cli.table import Table
    from onnxlens.reports.tables.render import TableFormat
    from onnxlens.specs.compiled import CompileReport
    from onnxlens.specs.ledger import Ledger

FAILED = 1

MOST_SECONDS = 30 * 24 * 3600
"""One run may take so long: a month."""

LEVELS = 2
"""Of modules, unless rows are chosen."""


def _named(context: click.Context, option: click.Parameter, given: Sequence[str]) -> tuple[str, ...]:
    return tuple(name.strip() for text in given for name in text.split(",") if name.strip())


@click.command()
@click.argument("target", required=False)
@click.option(
    "--with", "tools", multiple=True, metavar="TOOL[,TOOL]", callback=_named,
    help="The tools to compile with; --list shows them.",
)  # fmt: skip
@click.option("--list", "listed", is_flag=True, help="List the tools: what is there, and how to install it.")
@repeated("--chip", "chips", "TOOL=CHIP[,CHIP]", list_of(str), "The chips that a tool compiles for")
@repeated("--tool-path", "paths", "TOOL=PATH", Path, "The Python, or its environment, that has a tool")
@repeated("--given", "given", "TOOL=FILE", Path, "The file that a tool compiles: ethos-u an int8 .tflite")
@click.option(
    "--timeout",
    "timeout_s",
    type=Number(1, MOST_SECONDS),
    default=1800,
    show_default=True,
    metavar="SECONDS",
    help="How long one run of a tool may take.",
)
@click.option(
    "--support-only", is_flag=True, help="Compile nothing: what the tool takes, by a table of its runs."
)
@click.option("--support", metavar="FILE.toml", help="The same by a table of your own (docs/support-map.md).")
@click.option("--plot", type=OutPath(), metavar="FILE.svg|.png", help="Draw what the table leaves out.")
@click.option("--keep", type=OutPath(), metavar="DIR", help="Keep what the tools were given and wrote.")
@with_layer_table
@format_option("table", "json", "csv", "md")
@with_inputs
@with_network_settings
def compile(  # noqa: A001 - the verb's name
    target: str | None,
    tools: tuple[str, ...],
    listed: bool,
    chips: Mapping[str, Sequence[str]],
    paths: Mapping[str, Path],
    given: Mapping[str, Path],
    timeout_s: float,
    keep: Path | None,
    support_only: bool,
    support: str | None,
    plot: Path | None,
    output_format: str,
    **options: Any,
) -> int:
    """Compile TARGET with other tools, and show what each says of its modules; exit with 1 when one cannot.

    Each runs in a process of its own: one that crashes costs its own row. Figures of a layer that stands for
    nodes of several modules are divided among them, and marked with ~.
    """
    from onnxlens.api.compile import require_compilers

    if listed:
        _list(paths, output_format)
        return 0
    options["model"] = None  # --model vendor is of verbs that count
    rows = taken(options)
    if support_only or support:
        of_runs = {"with": support and tools, "chip": chips, "tool_path": paths, "given": given, "keep": keep}
        if len(tools) > 1 and not support:
            told = " and ".join(tools)
            raise UsageError(f"--support-only reads the table of one tool; ask for {told} apart")
        table_of = support or "".join(tools)
        _map(target, table_of, plot, output_format, {**of_runs, **rows}, settings_from(options))
        return 0
    if plot is not None:
        raise UsageError("--plot draws what a table leaves out; add --support-only, or --support FILE.toml")
    if target is None or not tools:
        raise UsageError("give a TARGET and --with TOOL; 'onnxlens compile --list' shows the tools")
    table = table_from(rows, output_format, levels=LEVELS, by=None, computed=("--layers",))
    ask = CompileAsk(tools, chips, paths, given, timeout_s, keep)
    require_compilers(ask)
    with (
        progress.shown(f"compile {target}") as show,
        onnxlens.OpenedTarget(target, settings_from(options), show) as opened,
    ):
        opened.require_weights()
        # bounds divide what a tool says of several nodes, and are refused before any tool is run
        ledger = replace(table, reports=()).completed(opened, opened.ledger)
        report = onnxlens.compile_graph(opened, ask)
        found = [each.report for each in report.compilations if each.report is not None]
        ledger = replace(ledger, weights=report.ledger.weights)
        ledger = onnxlens.with_layers(opened, ledger, *found, doubted=False)
        ledger = onnxlens.with_layers(opened, ledger, *table.reports)
    _print(report, table, ledger)
    return 0 if report.passed else FAILED


def _print(report: CompileReport, table: Table, ledger: Ledger) -> None:
    """What came of each tool, and below it the rows of the graph; as CSV these alone."""
    from onnxlens.reports.tables.compiled import compile_document, compile_table

    if table.output_format in ("table", "md"):
        print_text(compile_table(report, cast("TableFormat", table.output_format)))
        print_text("")
    if table.output_format == "json" or any(each.report is not None for each in report.compilations):
        table.print(ledger, partial(compile_document, report, ledger, table.query))


def _list(paths: Mapping[str, Path], output_format: str) -> None:
    from onnxlens.reports.tables.compiled import compilers_document, compilers_table

    states = onnxlens.list_compilers(paths)
    print_result(output_format, partial(compilers_document, states), partial(compilers_table, states))


def _map(
    target: str | None,
    table: str,
    plot: Path | None,
    output_format: str,
    rows: Mapping[str, Any],
    settings: Settings,
) -> None:
    from onnxlens.reports.tables.support import support_document, support_table

    if target is None or not table:
        raise UsageError("give a TARGET, and --with TOOL or --support FILE.toml")
    if others := [name for name, given in rows.items() if given and name != "depth"]:
        raise UsageError(f"--{others[0].replace('_', '-')} is of layers that are compiled; leave it out")
    with progress.shown(f"compile {target}") as show:
        report = onnxlens.support_of(target, table, settings, plot=plot, progress=show)
    text = partial(support_table, report, depth=rows.get("depth"))
    print_result(output_format, partial(support_document, report), text)
