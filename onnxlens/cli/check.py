"""``onnxlens check``: ONNX Runtime against PyTorch, whole or module by module (``--layers``)."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import onnxlens
from onnxlens.api.target import Settings
from onnxlens.cli import progress
from onnxlens.cli.options import (
    Number,
    all_of,
    format_option,
    print_result,
    settings_from,
    with_inputs,
    with_network_settings,
    with_wide,
)
from onnxlens.cli.table import screen_width
from onnxlens.errors import UsageError
from onnxlens.specs.bounds import MOST_SAMPLES
from onnxlens.specs.parity import LayerRequest

if TYPE_CHECKING:
    from onnxlens.specs.parity import Reference

CHECK_FAILED = 1

MEMORY = re.compile(r"(\d{1,18}(?:\.\d{1,18})?)\s*(KiB|MiB|GiB|TiB|B)?")
UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


def _memory(context: click.Context, option: click.Parameter, given: str | None) -> int | None:
    if given is None:
        return None
    found = MEMORY.fullmatch(given.strip())
    if found is None:
        raise click.BadParameter(f"{given[:40]!r} is not a size; give 4GiB, 512MiB or bytes")
    return int(float(found[1]) * UNITS[found[2] or "B"])


ONLY_WITH_LAYERS = ("memory_bytes", "samples", "stop", "reproduce")

with_layers = all_of(
    click.option("--layers", is_flag=True, help="Compare every module, and find the first diverging one."),
    click.option(
        "--memory",
        "memory_bytes",
        metavar="SIZE",
        callback=_memory,
        help="With --layers: limit for the tensors held for comparison; weights come on top [4GiB].",
    ),
    click.option(
        "--samples", type=click.IntRange(1, MOST_SAMPLES), help="With --layers: different inputs to run [1]."
    ),
    click.option("--stop", is_flag=True, default=None, help="With --layers: end at the first that fails."),
    click.option(
        "--reproduce",
        type=click.Path(path_type=Path, file_okay=False),
        metavar="DIR",
        help="With --layers: write the first diverging module, with inputs and expected outputs.",
    ),
)


@click.command()
@click.argument("target")
@click.option(
    "--provider", type=click.Choice(["cpu", "cuda", "openvino", "qnn"]), default="cpu", show_default=True
)
@click.option(
    "--against", type=click.Choice(["pytorch", "unoptimised"]), default="pytorch", show_default=True
)
@click.option(
    "--tolerance",
    type=Number(min=0, min_open=True),
    help="Largest relative L2 error that passes [1e-5, midas-dpt-hybrid 1e-4].",
)
@with_layers
@with_wide
@format_option("table", "json", "csv", "md")
@with_inputs
@with_network_settings
def check(
    target: str,
    provider: str,
    against: Reference,
    tolerance: float | None,
    layers: bool,
    wide: bool,
    output_format: str,
    **options: Any,
) -> int:
    """Compare ONNX Runtime's outputs of TARGET with PyTorch's; exit with 1 when they differ."""
    from onnxlens.reports.documents import parity_document
    from onnxlens.reports.tables.parity import parity_table

    given = {name: value for name in ONLY_WITH_LAYERS if (value := options.pop(name)) is not None}
    settings, width = settings_from(options), None if wide else screen_width()
    if layers:
        if against != "pytorch":
            raise UsageError("--layers compares with PyTorch; leave --against out")
        request = LayerRequest(provider, tolerance, **given)
        return 0 if _check_layers(target, settings, request, output_format, width) else CHECK_FAILED
    if given:
        option = next(iter(given)).removesuffix("_bytes")
        raise UsageError(f"--{option} is of --layers; give that too")
    with progress.shown(f"check {target}") as report:
        result = onnxlens.check_graph(
            target, settings, provider=provider, reference=against, tolerance=tolerance, progress=report
        )
    print_result(output_format, partial(parity_document, result), partial(parity_table, result, width=width))
    return 0 if result.passed else CHECK_FAILED


def _check_layers(
    target: str, settings: Settings, request: LayerRequest, output_format: str, width: int | None
) -> bool:
    """Compare module by module and print it; whether no error is over the tolerance."""
    from onnxlens.reports.documents import layers_document
    from onnxlens.reports.tables.parity import module_parity_table

    with progress.shown(f"check {target}") as report:
        result = onnxlens.check_layers(target, settings, request, report)
    print_result(
        output_format,
        partial(layers_document, result),
        partial(module_parity_table, result, width=width),
    )
    if request.reproduce is not None:
        nothing = "no module diverges by itself: nothing to reproduce"
        click.echo(
            f"onnxlens: {f'wrote {request.reproduce}' if result.first_diverging else nothing}", err=True
        )
    return result.passed
