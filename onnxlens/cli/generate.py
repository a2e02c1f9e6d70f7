"""``onnxlens generate``: a picture from a prompt and a control image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

import onnxlens
from onnxlens.cli import progress
from onnxlens.cli.annotate import KINDS
from onnxlens.cli.options import OutPath, Verb, all_of, format_option, print_result
from onnxlens.errors import UsageError
from onnxlens.specs.generate import Control, GenerateRequest

DEFAULT = GenerateRequest("", (Control("canny", Path()),))
"""Where the options' defaults are."""


def _control(text: str) -> Control:
    """``KIND:IMAGE[:STRENGTH]``; a path that ends in a colon and a number is the path where it exists."""
    kind, _, rest = text.partition(":")
    if kind not in KINDS or not rest:
        raise click.BadParameter(f"{text!r}: expected KIND:IMAGE[:STRENGTH], KIND one of {', '.join(KINDS)}")
    path, _, strength = rest.rpartition(":")
    if path and not Path(rest).exists():
        with suppress(ValueError):
            return Control(kind, Path(path), float(strength))
    return Control(kind, Path(rest))


def _controls(context: click.Context, option: click.Parameter, given: Sequence[str]) -> tuple[Control, ...]:
    return tuple(map(_control, given))


def _require_given(names: Sequence[str], what: str, given: bool) -> None:
    """Refuse options of something that is not there."""
    context = click.get_current_context()
    for name in names:
        if not given and context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise UsageError(f"--{name} is of {what}; give that too")


def _number(flag: str, name: str, kind: type, help_text: str) -> Callable[[Verb], Verb]:
    return click.option(
        flag, name, type=kind, default=getattr(DEFAULT, name), show_default=True, help=help_text
    )


with_prompts = all_of(
    click.option("--prompt", required=True, help="What the picture shows."),
    click.option("--added-prompt", default=DEFAULT.added_prompt, show_default=True, help="Joined to it."),
    click.option("--negative", default="", help="What it does not show."),
)

with_sampling = all_of(
    _number("--steps", "steps", int, "Steps of DDIM."),
    _number("--scale", "scale", float, "Of guidance; 1 leaves the negative prompt out."),
    _number("--eta", "eta", float, "Noise that each step adds again, 0 to 1."),
    _number("--seed", "seed", int, "Of the first picture; the next ones count on."),
    _number("--images", "images", int, "How many pictures."),
    _number("--size", "size", int, "The short side in pixels."),
    click.option("--guess-mode", is_flag=True, help="No control on the negative prompt, less of fine ones."),
    click.option("--start", type=click.Path(path_type=Path), help="Start from this picture, not from noise."),
    _number("--denoising", "denoising", float, "With --start: the share of the steps that are run."),
    click.option(
        "--schedule", type=click.Choice(["batched", "two-pass"]), default="batched", show_default=True,
        help="Both prompts in one batch, or one after the other.",
    ),
)  # fmt: skip


@click.command()
@click.option("--image", type=click.Path(path_type=Path), help="The picture that is annotated as --kind.")
@with_prompts
@click.option("--kind", type=click.Choice(KINDS), default="canny", show_default=True, help="Of control.")
@click.option("--strength", type=float, default=1.0, show_default=True, help="Of the control.")
@click.option(
    "--control", "more", multiple=True, metavar="KIND:IMAGE[:STRENGTH]", callback=_controls,
    help="A further ControlNet; may be repeated.",
)  # fmt: skip
@_number("--low", "low", float, "Of canny: an edge goes on down to this gradient.")
@_number("--high", "high", float, "Of canny: a gradient over this is an edge.")
@click.option(
    "--weights", metavar="seeded|FILE|DIR", default="seeded", show_default=True,
    help="A checkpoint of all, or a folder of published ones.",
)  # fmt: skip
@click.option(
    "--tokenizer", type=click.Path(path_type=Path, exists=True, file_okay=False), metavar="DIR",
    help="CLIP's vocab.json and merges.txt [those of --weights; of seeded ones a surrogate].",
)  # fmt: skip
@with_sampling
@click.option("--backend", type=click.Choice(["torch", "onnx"]), default="torch", show_default=True)
@click.option("--out", required=True, type=OutPath(), help="Folder to write into.")
@format_option("table", "json", "csv", "md")
def generate(
    image: Path | None,
    kind: str,
    strength: float,
    more: tuple[Control, ...],
    out: Path,
    output_format: str,
    **options: Any,
) -> None:
    """Generate a picture from a prompt, steered by the control image of a picture."""
    from onnxlens.reports.documents import generated_document
    from onnxlens.reports.tables.generate import generated_table

    kinds = [control.kind for control in more] + ([kind] if image else [])
    _require_given(("kind", "strength"), "--image", image is not None)
    _require_given(("denoising",), "--start", options["start"] is not None)
    _require_given(("low", "high"), "canny", not kinds or "canny" in kinds)
    first = () if image is None else (Control(kind, image, strength),)
    if not first and not more:
        raise UsageError("there is no picture to steer by; give --image or --control")
    request = GenerateRequest(controls=(*first, *more), **options)
    with progress.shown("generate") as report:
        generated = onnxlens.generate_pictures(request, out, report)
    print_result(
        output_format, partial(generated_document, generated), partial(generated_table, generated, out)
    )
