"""``onnxlens check``: ONNX Runtime against PyTorch, whole or module by module."""

from __future__ import annotations

from typing import Any, cast

import click

import onnxlens
from onnxlens.cli import progress
from onnxlens.cli.check_layers import check_layers, taken_layer_options, with_layers
from onnxlens.cli.options import format_option, settings_from, with_settings, with_sizes
from onnxlens.errors import UsageError
from onnxlens.specs.parity import Reference

CHECK_FAILED = 1


@click.command()
@click.argument("target")
@click.option("--provider", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True)
@click.option(
    "--against", type=click.Choice(["pytorch", "unoptimised"]), default="pytorch", show_default=True
)
@click.option(
    "--tolerance", type=float, help="Largest relative L2 error that passes [1e-5, midas-dpt-hybrid 1e-4]."
)
@with_layers
@format_option("table", "json", "csv", "md")
@with_sizes
@with_settings
def check(
    target: str,
    provider: str,
    against: str,
    tolerance: float | None,
    layers: bool,
    output_format: str,
    **options: Any,
) -> int:
    """Compare ONNX Runtime's outputs of TARGET with PyTorch's; exit with 1 when they differ."""
    from onnxlens.reports.documents import parity_document
    from onnxlens.reports.tables.parity import parity_table
    from onnxlens.reports.tables.render import TableFormat
    from onnxlens.specs.codec import to_text

    given = taken_layer_options(options, layers=layers)
    if layers:
        if against != "pytorch":
            raise UsageError("--layers compares with PyTorch; leave --against out")
        request = onnxlens.LayerRequest(provider, tolerance, **given)
        agree = check_layers(target, settings_from(options), request, output_format)
        return 0 if agree else CHECK_FAILED
    with progress.shown(f"check {target}") as report:
        result = onnxlens.check_graph(
            target,
            settings_from(options),
            provider=provider,
            reference=cast(Reference, against),
            tolerance=tolerance,
            progress=report,
        )
    if output_format == "json":
        click.echo(to_text(parity_document(result)), nl=False)
    else:
        click.echo(parity_table(result, cast(TableFormat, output_format)))
    return 0 if result.passed else CHECK_FAILED
