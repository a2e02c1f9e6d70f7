"""``onnxlens hardware``: the chips, and what is published of each."""

from __future__ import annotations

import click

import onnxlens
from onnxlens.cli.options import format_option, print_result
from onnxlens.reports.tables.hardware import chip_table, chips_document, chips_table


@click.command()
@click.argument("name", required=False)
@format_option("table", "json", "csv", "md")
def hardware(name: str | None, output_format: str) -> None:
    """List the chips that --hardware takes, or every figure of NAME with its source and grade.

    NAME is a chip of the list, one with @SYSTEM behind for another clock and memory, or a chip file.
    """
    if name is None:
        chips = onnxlens.list_chips()
        print_result(output_format, lambda: chips_document(chips), lambda shown: chips_table(chips, shown))
        return
    chip = onnxlens.chip_of(name)
    print_result(output_format, lambda: chips_document([chip]), lambda shown: chip_table(chip, shown))
