"""Options that several verbs share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from onnxlens.api.target import Settings
from onnxlens.specs.tensor import DTYPES

Verb = TypeVar("Verb", bound=Callable[..., Any])


def with_settings(verb: Verb) -> Verb:
    """Add the options of ``Settings``; the verb takes them as keywords, for ``settings_from``."""
    for option in (
        with_cache,
        click.option("--width", type=int, help="Picture width in pixels [512]."),
        click.option("--height", type=int, help="Picture height in pixels [512]."),
        click.option("--batch", type=int, help="Batch size [2 for the guided graphs, else 1]."),
        click.option("--dtype", type=click.Choice(DTYPES), help="Type of weights and tensors [float32]."),
        click.option("--opset", type=int, help="ONNX opset to export, 18 to 25 [18]."),
        click.option("--weights", metavar="none|seeded|FILE", help="Where the weights come from."),
    ):
        verb = option(verb)
    return verb


def with_cache(verb: Verb) -> Verb:
    """Add ``--no-cache``; the verb takes it as the keyword ``cache``, for ``settings_from``."""
    return click.option(
        "--no-cache",
        "cache",
        is_flag=True,
        flag_value=False,
        default=True,
        help="Export a graph of the catalog anew; leave the user's cache (ONNXLENS_CACHE) alone.",
    )(verb)


def with_sizes(verb: Verb) -> Verb:
    """Add the options that fix what is dynamic in a file; they are part of ``Settings`` too."""
    for option in (
        click.option(
            "--value",
            "values",
            multiple=True,
            metavar="INPUT=NUMBER,..",
            callback=_values,
            help="Fix the value of an input that decides shapes or branches; may be repeated.",
        ),
        click.option(
            "--dim",
            "dims",
            multiple=True,
            metavar="NAME=SIZE",
            callback=_dims,
            help="Fix a dynamic dimension of an .onnx file, such as batch=2; may be repeated.",
        ),
        click.option(
            "--shape",
            "shapes",
            multiple=True,
            metavar="INPUT=SIZE,..",
            callback=_shapes,
            help="Fix an input of an .onnx file, such as x=1,3,512,512; may be repeated.",
        ),
    ):
        verb = option(verb)
    return verb


def with_browser(verb: Verb) -> Verb:
    """Add ``--browser``; the verb takes it as a keyword."""
    return click.option(
        "--browser", metavar="PATH", help="The Chromium that Netron draws in [the system's]."
    )(verb)


def with_module(verb: Verb) -> Verb:
    """Add ``--module``; the verb takes it as a keyword."""
    return click.option(
        "--module", metavar="PATH", help="Only this module, such as input_blocks.1 [the whole graph]."
    )(verb)


def _shapes(
    context: click.Context, option: click.Parameter, given: Sequence[str]
) -> dict[str, Sequence[int]]:
    """``x=1,3,512,512`` as a name and sizes; a name may hold ``=`` itself. ``x=`` is a scalar."""
    return {name: tuple(map(_size, filter(None, sizes.split(",")))) for name, sizes in map(_pair, given)}


def _dims(context: click.Context, option: click.Parameter, given: Sequence[str]) -> dict[str, int]:
    return {name: _size(size) for name, size in map(_pair, given)}


def _values(
    context: click.Context, option: click.Parameter, given: Sequence[str]
) -> dict[str, Sequence[float]]:
    return {
        name: tuple(map(_number, filter(None, numbers.split(",")))) for name, numbers in map(_pair, given)
    }


def _number(text: str) -> float:
    try:
        return int(text) if text.strip().lstrip("+-").isdigit() else float(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is not a number") from error


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.rpartition("=")
    if not equals or not name:
        raise click.BadParameter(f"{text!r} has no NAME=")
    return name, value


def _size(text: str) -> int:
    if not text.strip().isdigit():
        raise click.BadParameter(f"{text!r} is not a size; give a whole number")
    return int(text)


def settings_from(options: dict[str, Any]) -> Settings:
    """The settings that were given; those left out keep their defaults."""
    return Settings(**{name: value for name, value in options.items() if value is not None})


def format_option(*formats: str) -> Callable[[Verb], Verb]:
    """``--format``, the first of ``formats`` by default."""
    return click.option(
        "--format", "output_format", type=click.Choice(formats), default=formats[0], show_default=True
    )
