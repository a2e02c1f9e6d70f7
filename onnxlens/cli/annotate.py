"""``onnxlens annotate``: the control image of a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

import onnxlens
from onnxlens.cli import progress
from onnxlens.cli.options import OutPath

KINDS = ("canny", "hed", "mlsd", "openpose", "depth", "normal", "seg", "scribble", "scribble-drawing")


@click.command()
@click.argument("picture", type=click.Path(path_type=Path))
@click.option("--kind", required=True, type=click.Choice(KINDS), help="What the control image shows.")
@click.option("--out", required=True, type=OutPath(), help="The control image, a .png.")
@click.option("--backend", type=click.Choice(["torch", "onnx"]), default="torch", show_default=True)
@click.option(
    "--checkpoint",
    metavar="FILE|DIR",
    default="seeded",
    help="Trained weights; for openpose a folder with both files [seeded].",
)
def annotate(picture: Path, kind: str, out: Path, backend: Literal["torch", "onnx"], checkpoint: str) -> None:
    """Make the control image of PICTURE that a ControlNet reads."""
    with progress.shown(f"annotate {picture.name}") as report:
        path = onnxlens.annotate_picture(
            picture, kind, out, backend=backend, weights=checkpoint, progress=report
        )
    click.echo(path)
