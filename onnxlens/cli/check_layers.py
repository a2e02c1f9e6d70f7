"""``check --layers``: its options, and what it prints."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

import onnxlens
from onnxlens.api.target import LayerRequest, Settings
from onnxlens.cli import progress
from onnxlens.errors import UsageError

if TYPE_CHECKING:
    from onnxlens.specs.parity import ModuleParityReport

Verb = TypeVar("Verb", bound=Callable[..., Any])

MEMORY = re.compile(r"(\d+(?:\.\d+)?)\s*(KiB|MiB|GiB|TiB|B)?")
UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}

ONLY_WITH_LAYERS = ("memory_bytes", "samples", "stop", "reproduce")


def with_layers(verb: Verb) -> Verb:
    """Add ``--layers`` and the options that only it has; the verb takes them as keywords."""
    for option in (
        click.option(
            "--reproduce",
            type=click.Path(path_type=Path, file_okay=False),
            metavar="DIR",
            help="With --layers: write the first diverging module alone, with inputs and expected outputs.",
        ),
        click.option(
            "--stop", is_flag=True, default=None, help="With --layers: end at the first that fails."
        ),
        click.option(
            "--samples", type=click.IntRange(min=1), help="With --layers: different inputs to run [1]."
        ),
        click.option(
            "--memory",
            "memory_bytes",
            metavar="SIZE",
            callback=_memory,
            help="With --layers: what the tensors held for comparison may take; weights come on top [4GiB].",
        ),
        click.option("--layers", is_flag=True, help="Compare every module, and find the one that errs."),
    ):
        verb = option(verb)
    return verb


def taken_layer_options(options: dict[str, Any], *, layers: bool) -> dict[str, Any]:
    """Those of ``with_layers`` that were given, taken out of ``options``.

    Raises:
        UsageError: there are some, and ``--layers`` is not.
    """
    given = {name: options.pop(name) for name in ONLY_WITH_LAYERS}
    given = {name: value for name, value in given.items() if value is not None}
    if given and not layers:
        option = next(iter(given)).removesuffix("_bytes")
        raise UsageError(f"--{option} is of --layers; give that too")
    return given


def check_layers(target: str, settings: Settings, request: LayerRequest, output_format: str) -> bool:
    """Compare module by module and print it; whether nothing is over the tolerance."""
    from onnxlens.reports.documents import layers_document
    from onnxlens.reports.tables.parity import module_parity_table
    from onnxlens.reports.tables.render import TableFormat
    from onnxlens.specs.codec import to_text

    with progress.shown(f"check {target}") as report:
        result = onnxlens.check_layers(target, settings, request, report)
    if output_format == "json":
        click.echo(to_text(layers_document(result)), nl=False)
    else:
        click.echo(module_parity_table(result, cast(TableFormat, output_format)))
    _tell_reproduced(result, request.reproduce)
    return result.passed


def _tell_reproduced(result: ModuleParityReport, folder: Path | None) -> None:
    if folder is not None:
        what = (
            f"wrote {folder}"
            if result.first_diverging
            else "no module diverges by itself: nothing to reproduce"
        )
        print(f"onnxlens: {what}", file=sys.stderr)


def _memory(context: click.Context, option: click.Parameter, given: str | None) -> int | None:
    if given is None:
        return None
    found = MEMORY.fullmatch(given.strip())
    if found is None:
        raise click.BadParameter(f"{given!r} is not a size; give 4GiB, 512MiB or bytes")
    return int(float(found[1]) * UNITS[found[2] or "B"])
