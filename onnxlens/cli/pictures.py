"""Verbs that draw."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from onnxlens import api
from onnxlens.cli import progress
from onnxlens.cli.options import settings_from, with_settings, with_sizes
from onnxlens.errors import UsageError
from onnxlens.specs.flow import FlowRequest

VIEWERS = ("flow", "model-explorer")


@click.command()
@click.argument("target")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="FILE.svg, .png, .pdf or .dot; "
              "FILE.json for Model Explorer.")  # fmt: skip
@click.option(
    "--viewer", type=click.Choice(VIEWERS), default="flow", show_default=True, help="What it is drawn for."
)
@click.option("--depth", type=click.IntRange(min=0), help="Module levels to open [as many as stay readable].")
@click.option("--module", default="", metavar="PATH", help="Draw this module alone; --depth counts from it.")
@click.option("--groups", type=click.Path(path_type=Path), help="FILE.toml that names stretches of modules.")
@click.option("--fold", is_flag=True, help="Draw equal blocks that follow each other as one (x12).")
@click.option("--latency", is_flag=True, help="For Model Explorer: run TARGET in ONNX Runtime and time it.")
@click.option("--parity", is_flag=True, help="For Model Explorer: compare TARGET's modules with PyTorch.")
@with_sizes
@with_settings
def render(
    target: str,
    out: Path,
    viewer: str,
    depth: int | None,
    module: str,
    groups: Path | None,
    fold: bool,
    latency: bool,
    parity: bool,
    **options: Any,
) -> None:
    """Draw the data flow between the modules of TARGET, or write it for a viewer.

    What does not fit on a page becomes an overview in FILE and a page for each module that it shows closed,
    in a folder beside it; their names are printed.

    --viewer model-explorer writes every node for Google's Model Explorer, and ledger columns beside it as
    node data; nothing is run unless --latency or --parity is given.
    """
    settings = settings_from(options)
    with progress.shown(f"render {target}") as report:
        if viewer == "model-explorer":
            if depth is not None or module or groups or fold:
                raise UsageError(
                    "--depth, --module, --groups and --fold are for pictures; in Model Explorer a reader "
                    "opens levels"
                )
            written = api.explore_graph(
                target, out, settings, latency=latency, parity=parity, progress=report
            )
            click.echo("\n".join(map(str, written)))
            return
        if latency or parity:
            raise UsageError("--latency and --parity are for --viewer model-explorer")
        named = api.read_groups(groups) if groups else ()
        request = FlowRequest(depth, module, fold, named)
        pages = api.render_pages(target, out, request, settings, report)
        click.echo("\n".join(map(str, pages)))
