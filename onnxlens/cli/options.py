"""Options that several verbs share, and how a verb prints its result."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from onnxlens.api.target import Settings
from onnxlens.specs.bounds import MOST_BATCH, MOST_ELEMENTS, MOST_LEVELS, MOST_PIXELS
from onnxlens.specs.codec import to_text
from onnxlens.specs.tensor import DTYPES
from onnxlens.specs.text import printable_lines

if TYPE_CHECKING:
    from onnxlens.reports.documents import Document
    from onnxlens.reports.tables.render import TableFormat

Verb = TypeVar("Verb", bound=Callable[..., Any])


class Number(click.FloatRange):
    """A number in a range; one that is not finite is in none, which ``FloatRange`` lets through."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number."""
        number = float(super().convert(value, param, ctx))
        if not isfinite(number):
            self.fail(f"{value} is not in the range of finite numbers", param, ctx)
        return number


class OutPath(click.Path):
    """A path to write to, which the file system can have: refused before any work if not."""

    LONGEST = 255
    """Of one name, in bytes: what the file systems of Linux, macOS and Windows take."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path."""
        text = str(value)
        if not text:
            self.fail("it is empty; give a path, or . for the current folder", param, ctx)
        if "\0" in text or any(len(os.fsencode(name)) > self.LONGEST for name in Path(text).parts):
            self.fail(f"{text[:40]!r}... holds a name that no file can have", param, ctx)
        return super().convert(value, param, ctx)


class PlotPath(OutPath):
    """A plot to write: a suffix that cannot be drawn is refused before any work, too."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path."""
        from onnxlens.reports.plots.style import require_suffix

        path = super().convert(value, param, ctx)
        require_suffix(path)
        return path


def plot_option(what: str) -> Callable[[Verb], Verb]:
    """``--plot``; ``what`` is its help."""
    return click.option("--plot", type=PlotPath(), metavar="FILE.svg|.png", help=what)


def all_of(*options: Callable[[Callable[..., Any]], Callable[..., Any]]) -> Callable[[Verb], Verb]:
    """A decorator that adds several options; ``--help`` lists them in this order."""

    def decorated(verb: Verb) -> Verb:
        for option in reversed(options):
            option(verb)  # click notes the option on the function itself
        return verb

    return decorated


class Format(click.Choice[str]):
    """A format, which may be given by its whole name."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The format's short name."""
        return super().convert("md" if value == "markdown" else value, param, ctx)


def format_option(*formats: str) -> Callable[[Verb], Verb]:
    """``--format``, the first of ``formats`` by default."""
    return click.option(
        "--format", "output_format", type=Format(formats), default=formats[0], show_default=True
    )


def print_result(
    output_format: str, document: Callable[[], Document], table: Callable[[TableFormat], str]
) -> None:
    """Print the document for ``--format json``, the table for any other format."""
    if output_format == "json":
        click.echo(to_text(document()), nl=False)
    else:
        print_text(table(cast("TableFormat", output_format)), output_format)


def print_text(text: str, output_format: str = "table") -> None:
    """Print what people read line by line, escaped where a terminal would obey it; CSV as it is."""
    if output_format == "csv":
        click.echo(text, color=True)  # else click takes terminals' codes out of names
    else:
        click.echo(printable_lines(text))


_HELD: list[object] = []


def keep_until_exit(*held: object) -> None:
    """Do not tear these down object by object, as the process ends soon; the next verb in it lets go."""
    _HELD[:] = held


def settings_from(options: dict[str, Any]) -> Settings:
    """The settings that ``options`` contains; those that were left out keep their defaults.

    Where a verb has ``--run``, inputs alone mean it too.
    """
    if "run" in options:
        options["run"] = options["run"] or options["inputs"] is not None
    return Settings(**{name: value for name, value in options.items() if value is not None})


def repeated(
    flag: str, keyword: str, metavar: str, parse: Callable[[str], Any], purpose: str
) -> Callable[[Verb], Verb]:
    """An option that takes ``NAME=VALUE`` several times, or with commas; the verb gets the values by name."""

    def parsed(context: click.Context, option: click.Parameter, given: Sequence[str]) -> dict[str, Any]:
        return {name: parse(value) for text in given for name, value in map(_pair, _pairs(text))}

    text = f"{purpose}; may be repeated."
    return click.option(flag, keyword, multiple=True, metavar=metavar, callback=parsed, help=text)


def _pairs(text: str) -> list[str]:
    """``a=1,b=2`` and ``x=1,3,y=2`` are two pairs each: a comma ends one where the next has its own ``=``."""
    pairs: list[str] = []
    for part in text.split(","):
        if not pairs or ("=" in part and "=" in pairs[-1]):
            pairs.append(part)
        else:
            pairs[-1] += f",{part}"
    return pairs


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.rpartition("=")  # a name may contain "=" itself
    if not name:
        raise click.BadParameter(f"{text!r} has no NAME=")
    return name, value


def list_of(parse: Callable[[str], Any]) -> Callable[[str], Sequence[Any]]:
    """Parse values between commas; no text is an empty list: the shape of a scalar."""
    return lambda text: tuple(map(parse, filter(None, text.split(","))))


def _size(text: str) -> int:
    if not text.strip().isdecimal():
        raise click.BadParameter(f"{text!r} is not a size; give a whole number")
    return _in_64_bits(text)


def _in_64_bits(text: str) -> int:
    """The whole number, where a tensor can have it."""
    number = int(text) if len(text) < 30 else MOST_ELEMENTS + 1
    if abs(number) > MOST_ELEMENTS:
        raise click.BadParameter(f"{text[:40]} is out of range; give at most 2**63 - 1")
    return number


def _number(text: str) -> float:
    if (word := text.strip().lower()) in ("true", "false"):
        return int(word == "true")
    try:
        return _in_64_bits(text) if word.lstrip("+-").isdecimal() else float(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is not a number") from error


def _inputs_option(run: str) -> Callable[[Verb], Verb]:
    return click.option(
        "--inputs",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        metavar="FILE.npz",
        help=f"{run} on the arrays of this file, by input; others get sample values.",
    )


with_inputs = _inputs_option("Run")
with_run = all_of(
    click.option("--run", is_flag=True, help="Take shapes, trip counts and branches from one run of TARGET."),
    _inputs_option("--run"),
)
"""How the counts of a graph may be taken from a run of it."""

with_cache = click.option(
    "--no-cache",
    "cache",
    is_flag=True,
    flag_value=False,
    default=True,
    help="Neither read nor write the cache of exported graphs (ONNXLENS_CACHE).",
)

with_export_settings = all_of(
    click.option("--weights", metavar="none|seeded|FILE", help="Where the weights come from."),
    click.option("--strip-prefix", metavar="PREFIX", help="What stands before each key in FILE [found]."),
    click.option("--allow-extra", is_flag=True, default=None, help="Leave out what else FILE holds."),
    click.option("--opset", type=int, help="ONNX opset to export, 11 to 25 [18]."),
    click.option("--dtype", type=click.Choice(DTYPES), help="Type of weights and tensors [float32]."),
    click.option(
        "--batch", type=click.IntRange(max=MOST_BATCH), help="Batch size [2 for the guided graphs, else 1]."
    ),
    click.option("--height", type=click.IntRange(max=MOST_PIXELS), help="Picture height in pixels [512]."),
    click.option("--width", type=click.IntRange(max=MOST_PIXELS), help="Picture width in pixels [512]."),
    with_cache,
)
"""How a graph is exported: keywords for ``settings_from``."""


def size_pairs(flag: str, keyword: str, purpose: str) -> Callable[[Verb], Verb]:
    """An option that takes ``NAME=SIZE``."""
    return repeated(flag, keyword, "NAME=SIZE", _size, purpose)


def _dims_or_names(
    context: click.Context, option: click.Parameter, given: Sequence[str]
) -> tuple[tuple[str, ...], dict[str, int]]:
    """The dimensions that are named alone, and those with a size."""
    parts = [part.strip() for text in given for part in text.split(",") if part.strip()]
    sizes = {name: _size(size) for name, size in (_pair(part) for part in parts if "=" in part)}
    return tuple(part for part in parts if "=" not in part), sizes


_SHAPES = repeated(
    "--shape",
    "shapes",
    "INPUT=SIZE,..",
    list_of(_size),
    "Fix an input of an .onnx file, such as x=1,3,512,512",
)
with_values = repeated(
    "--value",
    "values",
    "INPUT=NUMBER,..",
    list_of(_number),
    "Fix the value of an input that decides shapes or branches",
)
with_settings = all_of(
    _SHAPES,
    size_pairs("--dim", "dims", "Fix a dynamic dimension of an .onnx file, such as batch=2"),
    with_values,
    with_export_settings,
)
"""All settings: how a graph is exported, or what is dynamic in an ``.onnx`` file."""

with_dims_or_names = all_of(
    _SHAPES,
    click.option(
        "--dim",
        "dims",
        multiple=True,
        metavar="NAME[=SIZE]",
        callback=_dims_or_names,
        help="A dimension that formulas are in [all that are open], or with its size one that is fixed.",
    ),
    with_values,
    with_export_settings,
)
"""The same where a dimension may be left open by its name."""

with_network_settings = all_of(
    with_settings,
    click.option(
        "--factory",
        metavar="PKG.MOD:FN",
        help="The function that made an .onnx file's network: a file does not decide which code runs.",
    ),
)
"""The settings of a verb that may run the PyTorch network of an ``.onnx`` file."""

with_wide = click.option("--wide", is_flag=True, help="All columns, also those that do not fit the screen.")
with_rows = all_of(
    click.option(
        "--depth", type=click.IntRange(0, MOST_LEVELS), help="Module levels to show [see the verb]."
    ),
    click.option("--columns", metavar="A,B,..", help="Only these columns, in this order."),
    click.option("--sort", metavar="COLUMN[:asc|desc]", help="Order of the rows [execution order]."),
    click.option(
        "--top", type=click.IntRange(min=1), metavar="N", help="The first N, by MACs (bench: time) or --sort."
    ),
    click.option(
        "--where",
        multiple=True,
        metavar="EXPR",
        help="Only rows that match: 'macs>1G and (class==Linear or path~attn)'; may be repeated.",
    ),
    click.option("--leaves", is_flag=True, help="Only modules without others inside."),
)
"""Which rows and columns a table of costs or times has."""

with_module = click.option(
    "--module", metavar="PATH", help="Only this module, such as input_blocks.1 [the whole graph]."
)
with_browser = click.option(
    "--browser", metavar="PATH", help="Path of the Chromium that Netron draws in [the system's]."
)
