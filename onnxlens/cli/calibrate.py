"""``onnxlens calibrate``: this machine as a chip."""

from __future__ import annotations

import click

import onnxlens
from onnxlens.cli import progress
from onnxlens.cli.options import format_option, print_result
from onnxlens.reports.tables.hardware import chip_table, chips_document


@click.command()
@format_option("table", "json", "csv", "md")
def calibrate(output_format: str) -> None:
    """Measure the peaks of this machine's processor and its memory, for --hardware host.

    Takes less than a minute, and wants an otherwise idle machine. What is measured is kept in the user's
    folder of configurations (or in the file that ONNXLENS_HOST names).
    """
    with progress.shown("calibrate") as report:
        path, chip = onnxlens.calibrate_host(report)
    click.echo(f"onnxlens: wrote {path}", err=True)
    print_result(output_format, lambda: chips_document([chip]), lambda shown: chip_table(chip, shown))
