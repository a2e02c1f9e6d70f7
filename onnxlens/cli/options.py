"""Options that several verbs share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from onnxlens.targets import Settings

Verb = TypeVar("Verb", bound=Callable[..., Any])


def with_settings(verb: Verb) -> Verb:
    """Add the options of ``Settings``; the verb takes them as keywords, for ``settings_from``."""
    for option in (
        click.option("--width", type=int, help="Picture width in pixels [512]."),
        click.option("--height", type=int, help="Picture height in pixels [512]."),
        click.option("--batch", type=int, help="Batch size [2 for the guided graphs, else 1]."),
        click.option("--opset", type=int, help="ONNX opset to export, 18 to 25 [18]."),
        click.option("--weights", metavar="none|seeded|FILE", help="Where the weights come from."),
    ):
        verb = option(verb)
    return verb


def settings_from(options: dict[str, Any]) -> Settings:
    """The settings that were given; those left out keep their defaults."""
    return Settings(**{name: value for name, value in options.items() if value is not None})


def format_option(*formats: str) -> Callable[[Verb], Verb]:
    """``--format``, the first of ``formats`` by default."""
    return click.option(
        "--format", "output_format", type=click.Choice(formats), default=formats[0], show_default=True
    )
