"""Verbs that draw."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from onnxlens import api
from onnxlens.cli import progress
from onnxlens.cli.options import settings_from, with_settings, with_sizes


@click.command()
@click.argument("target")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="FILE.svg, .png, .pdf or .dot.")
@click.option("--depth", type=click.IntRange(min=0), help="Module levels to open [as many as stay readable].")
@click.option("--groups", type=click.Path(path_type=Path), help="FILE.toml that names stretches of modules.")
@with_sizes
@with_settings
def render(target: str, out: Path, depth: int | None, groups: Path | None, **options: Any) -> None:
    """Draw the data flow between the modules of TARGET."""
    with progress.shown(f"render {target}") as report:
        click.echo(api.render_graph(target, out, depth, settings_from(options), report, groups))
