"""The options of a table of costs, which ``profile`` and ``ledger`` share, and how it is printed."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

import onnxlens
from onnxlens.cli.options import PlotPath, all_of, print_result, with_rows, with_wide
from onnxlens.errors import UsageError
from onnxlens.specs.record import record
from onnxlens.specs.text import printable
from onnxlens.specs.traffic import FUSION_MODES

if TYPE_CHECKING:
    from onnxlens.api.hardware import OnChips
    from onnxlens.api.opened import OpenedTarget
    from onnxlens.reports.documents import Document
    from onnxlens.reports.tables.files import FileFormat
    from onnxlens.reports.tables.ledger import Layout
    from onnxlens.reports.tables.query import Query
    from onnxlens.specs.layers import LayerReport
    from onnxlens.specs.ledger import Ledger


def _bytes(context: click.Context, option: click.Parameter, text: str | None) -> int | None:
    """``2MiB`` in bytes, at least one."""
    from onnxlens.reports.tables.query import size_from

    return None if text is None else int(size_from(text, "--on-chip"))


on_chip_option = click.option(
    "--on-chip", callback=_bytes, metavar="SIZE", help="The memory on the chip, such as 2MiB: what it spills."
)

as_dtype_option = click.option(
    "--as-dtype",
    "stored_as",
    type=click.Choice(["float32", "float16", "bfloat16", "float8e4m3fn", "int16", "int8", "int4"]),
    help="As if floats were held so: working sets, weights, live; with --hardware also bounds.",
)

hardware_option = click.option(
    "--hardware",
    metavar="CHIP,..",
    help="Lower bounds of the time on these chips ('onnxlens hardware' lists them), or CHIP.toml.",
)

model_option = click.option(
    "--model",
    type=click.Choice(["vendor"]),
    help="With --hardware: also the cycles that the chip vendor's own tool computes (docs/bounds.md).",
)

fusion_option = click.option(
    "--fusion", type=click.Choice(FUSION_MODES), help="Memory traffic as if operators were fused so."
)

layers_option = click.option(
    "--layers",
    multiple=True,
    metavar="[NAME=]FILE[:TOOL]",
    help="What another tool reports of the layers, as columns; may be repeated (see 'onnxlens import').",
)

with_layer_table = all_of(
    click.option(
        "--by",
        metavar="KIND",
        help="What a row is: module [default], op, node; or groups by class, family, stage, resolution, "
        "dtype, survey, 'path~(attn[12])$', or a file.toml.",
    ),
    with_rows,
    click.option("--own", is_flag=True, help="Costs of each module without the modules inside it."),
    click.option(
        "--fits", metavar="SIZE", help="Mark the modules that take at most this alone, such as 2MiB."
    ),
    as_dtype_option,
    hardware_option,
    click.option(
        "--roofline", type=PlotPath(), metavar="FILE.svg", help="Plot modules under the roofs of --hardware."
    ),
    fusion_option,
    on_chip_option,
    layers_option,
    with_wide,
    click.option("--explain", is_flag=True, help="Say below the table how everything was counted."),
)
"""What a table of costs shows: ``taken`` and ``table_from`` read it."""

with_table = all_of(model_option, with_layer_table)
"""The same, with ``--model vendor``."""

FILES = ("xlsx", "parquet")
"""The formats that are written to ``--out``, not printed."""

ROWS = ("by", "columns", "where", "sort", "top", "depth", "own", "leaves", "fits")
"""The options that say which rows and columns."""

TYPED = ("stored_as", "hardware", "model", "roofline", "fusion", "on_chip", "layers")


@record(frozen=True, slots=True)
class Table:
    """What is asked, and how it is shown on this screen.

    Attributes:
        chips: the columns of chips, and the dtype that working sets are held in.
        every_column: all columns are shown, also those that take time.
        reports: of other tools.
        out: the file of a format that is not printed.
    """

    query: Query
    layout: Layout
    output_format: str
    chips: OnChips
    every_column: bool
    out: Path | None = None
    roofline: Path | None = None
    roofline_depth: int | None = None
    reports: tuple[LayerReport, ...] = ()

    def __post_init__(self) -> None:
        if self.roofline is not None and not self.chips.hardware:
            raise UsageError("--roofline needs --hardware CHIP")
        if self.chips.stored_as and not (self._has_working_sets or self.chips):
            raise UsageError(
                "--as-dtype is of memory and bounds; add --hardware CHIP, --fusion, --fits SIZE, --peak, or "
                "working to --columns"
            )

    @property
    def _has_working_sets(self) -> bool:
        """Whether the working sets of modules are shown or tested."""
        all_columns = self.every_column and not self.query.columns and self.query.by == "module"
        return all_columns or self.query.names_working_sets()

    def completed(self, opened: OpenedTarget, ledger: Ledger) -> Ledger:
        """The ledger with groups, facts of nodes and working sets, where they are shown or tested."""
        if self.query.by == "group":
            ledger = onnxlens.with_groups(opened, ledger, self.query.asked.by or "")
        if self.query.names_facts():
            ledger = onnxlens.with_facts(opened, ledger)
        if self._has_working_sets:
            ledger = onnxlens.with_working_sets(opened, ledger, self.chips.stored_as)
        ledger = onnxlens.with_chips(opened, ledger, self.chips)
        return onnxlens.with_layers(opened, ledger, *self.reports)

    def print(self, ledger: Ledger, document: Callable[[], Document] | None = None) -> None:
        """Print the rows in the format that is asked for; as JSON inside ``document``, if one is given."""
        from onnxlens.reports.tables.ledger import cost_document, cost_table

        warn_of_layers(ledger)
        if self.roofline is not None:
            drawn = onnxlens.plot_roofline(ledger, self.roofline, self.roofline_depth)
            click.echo(f"onnxlens: wrote {drawn}", err=True)
        if self.out is not None:
            written = onnxlens.write_table(
                ledger, self.query, cast("FileFormat", self.output_format), self.out
            )
            click.echo(written)
            return
        print_result(
            self.output_format,
            document or partial(cost_document, ledger, self.query),
            partial(cost_table, ledger, self.query, layout=self.layout),
        )


def taken(options: dict[str, Any]) -> dict[str, Any]:
    """The options of ``with_table``, taken out of those of a verb."""
    return {name: options.pop(name) for name in (*ROWS, *TYPED, "wide", "explain")}


def chips_from(given: dict[str, Any]) -> OnChips:
    """The columns of chips that the options of ``with_table`` ask for.

    Raises:
        UsageError: there is no such chip.
    """
    if given["hardware"]:
        onnxlens.chips_of(given["hardware"])  # refused before anything is counted
    return onnxlens.OnChips(
        given["hardware"] or "",
        given["stored_as"] or "",
        given["fusion"],
        given["on_chip"],
        has_vendor=bool(given["model"]),
    )


def asks_rows(given: dict[str, Any]) -> bool:
    """Whether one of the options of a table chooses rows or columns."""
    chosen = [given[name] for name in (*ROWS, "roofline", "fusion", "on_chip")]
    if not given["hardware"]:  # else it is of bounds, which the whole record has
        chosen.append(given["stored_as"])
    return any(value is not None and value is not False and value != () for value in chosen)


def table_from(
    given: dict[str, Any],
    output_format: str,
    *,
    levels: int | None,
    by: str | None,
    out: Path | None = None,
    computed: Collection[str] = (),
) -> Table:
    """What the options of a table ask.

    Args:
        given: as ``taken`` has them.
        output_format: of ``--format``.
        levels: of modules that a table shows unless rows are chosen or sorted; None for all.
        by: what a row is unless that is asked.
        out: of ``--out``.
        computed: the options that were given and compute columns, such as ``--latency``.

    Raises:
        UsageError: an option cannot be understood, or does not go with another.
    """
    from onnxlens.reports.tables.ledger import Layout
    from onnxlens.reports.tables.query import Asked, understood
    from onnxlens.reports.tables.remedies import require_computed

    _require_out(output_format, out)
    if (given["by"] or "").endswith(".toml"):
        onnxlens.read_groups(given["by"])  # refused before anything is counted
    asked = Asked(**{**{name: given[name] for name in ROWS}, "by": given["by"] or by})
    of_modules = asked.by in (None, "module")
    if of_modules and output_format != "json" and asked == Asked(asked.by, asked.columns):
        asked = replace(asked, depth=levels)
    query = understood(asked)
    chips = chips_from(given)
    options = {"--hardware": "hardware", "--fusion": "fusion", "--on-chip": "on_chip", "--layers": "layers"}
    asked_for = [option for option, name in options.items() if given[name] not in (None, ())]
    if "--on-chip" in asked_for:
        asked_for.append("--fusion")  # of none, unless it is given
    require_computed(query, (*computed, *asked_for))
    return Table(
        query,
        Layout(None if given["wide"] else screen_width(), given["explain"]),
        output_format,
        chips,
        given["wide"] or output_format not in ("table", "md"),
        out if output_format in FILES else None,
        given["roofline"],
        given["depth"],
        layers_from(given),
    )


def layers_from(given: dict[str, Any]) -> tuple[LayerReport, ...]:
    """The reports that ``--layers`` names.

    Raises:
        UsageError: one cannot be read.
    """
    return tuple(map(onnxlens.layers_from, given["layers"]))


def has_times(reports: Iterable[LayerReport]) -> bool:
    """Whether a report says how long layers take."""
    return any("time_s" in layer.figures for report in reports for layer in report.records)


def warn_of_layers(ledger: Ledger) -> None:
    """Say where a report looks like that of another model."""
    for doubt in onnxlens.layer_doubts(ledger) if ledger.tools else ():
        click.echo(f"onnxlens: warning: {printable(doubt)}", err=True)


def _require_out(output_format: str, out: Path | None) -> None:
    from onnxlens.reports.tables.files import require_library

    require_library(output_format)
    if output_format in FILES and out is None:
        raise UsageError(f"--format {output_format} writes a file; give --out FILE.{output_format}")
    if out is not None and output_format not in (*FILES, "trace"):
        raise UsageError(f"--out is for --format {', '.join(FILES)} and trace; others go to standard output")


def screen_width() -> int | None:
    """How many characters fit a line of the screen; None where it is not printed on one."""
    seen = sys.stdout.isatty() or "COLUMNS" in os.environ
    return shutil.get_terminal_size().columns if seen else None
