"""``onnxlens add-control``: a fresh ControlNet beside Stable Diffusion."""

from __future__ import annotations

from pathlib import Path

import click

import onnxlens
from onnxlens.cli import progress
from onnxlens.cli.options import OutPath


@click.command()
@click.argument("source", type=click.Path(path_type=Path), metavar="SD.ckpt")
@click.argument("out", type=OutPath())
@click.option("--seed", type=int, default=0, show_default=True, help="Of the hint block's weights.")
def add_control(source: Path, out: Path, seed: int) -> None:
    """Add a ControlNet that has learned nothing to a checkpoint of Stable Diffusion 1.5, to be trained.

    Its encoder and middle block are copies of the UNet's, its zero convolutions zero. OUT ends in
    .safetensors, .pth, .pt or .ckpt.
    """
    with progress.shown(f"add-control {source}") as report:
        click.echo(onnxlens.add_control(source, out, seed, report))
