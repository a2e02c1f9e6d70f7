"""Verbs that count and compare."""

from __future__ import annotations

import sys
from typing import Any, Literal, cast

import click

from onnxlens import api
from onnxlens.api.target import LayerRequest
from onnxlens.cli import progress
from onnxlens.cli.layers import check_layers, taken_layer_options, with_layers
from onnxlens.cli.options import format_option, settings_from, with_settings, with_sizes
from onnxlens.errors import UsageError
from onnxlens.specs.peers import CONVENTIONS, Convention
from onnxlens.specs.results import Reference

CHECK_FAILED = 1

By = Literal["module", "op", "node"]


@click.command()
@click.argument("target")
@click.option("--by", type=click.Choice(["module", "op", "node"]), default="module", show_default=True)
@click.option(
    "--depth", type=click.IntRange(min=0), default=2, show_default=True, help="Module levels to show."
)
@click.option(
    "--convention",
    type=click.Choice(CONVENTIONS),
    default=CONVENTIONS[0],
    show_default=True,
    help="Whose counts to show: ours, or another counter's.",
)
@click.option("--strict", is_flag=True, help="Exit with 1 when any operator is unknown.")
@format_option("table", "json", "csv", "md")
@with_sizes
@with_settings
def profile(
    target: str, by: str, depth: int, convention: str, strict: bool, output_format: str, **options: Any
) -> int:
    """Count MACs, params and bytes of TARGET by module, operator or node. No weight is read."""
    from onnxlens.reports.documents import profile_document
    from onnxlens.reports.tables.ledger import profile_table
    from onnxlens.reports.tables.render import TableFormat
    from onnxlens.specs.codec import to_text

    with progress.shown(f"profile {target}") as report:
        ledger, flow = api.profile_with_flow(
            target, settings_from(options), report, cast(Convention, convention)
        )
    if output_format == "json":
        click.echo(to_text(profile_document(ledger, flow)), nl=False)
    else:
        click.echo(profile_table(ledger, cast(By, by), depth, cast(TableFormat, output_format)))
    count, reason = ledger.unknown
    if strict and count:
        print(f"onnxlens: unknown nodes: {count} (first: {reason})", file=sys.stderr)
        return CHECK_FAILED
    return 0


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
        request = LayerRequest(provider, tolerance, **given)
        agree = check_layers(target, settings_from(options), request, output_format)
        return 0 if agree else CHECK_FAILED
    with progress.shown(f"check {target}") as report:
        result = api.check_graph(
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
