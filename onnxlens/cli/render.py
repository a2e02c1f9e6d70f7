"""``onnxlens render``: the data flow as a picture, or as a document for a viewer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any

import click

import onnxlens
from onnxlens.cli import progress
from onnxlens.cli.options import (
    OutPath,
    settings_from,
    with_browser,
    with_module,
    with_network_settings,
    with_run,
)
from onnxlens.cli.table import (
    as_dtype_option,
    chips_from,
    fusion_option,
    hardware_option,
    layers_from,
    layers_option,
    model_option,
    on_chip_option,
)
from onnxlens.errors import UsageError
from onnxlens.specs.bounds import MOST_LEVELS
from onnxlens.specs.flow import FlowRequest

CHIPS = ("hardware", "model", "stored_as", "fusion", "on_chip", "layers")
TAKEN: Mapping[str, Sequence[str]] = {
    "flow": ("depth", "module", "groups", "fold", "color", "latency", "parity", *CHIPS),
    "model-explorer": ("latency", "parity", *CHIPS),
    "netron": ("module", "browser"),
}
"""The options of each viewer."""


@click.command()
@click.argument("target")
@click.option("--out", required=True, type=OutPath(), help="FILE.svg, .png, .pdf or .dot; "
              "FILE.json for Model Explorer; FILE.svg or .png for Netron.")  # fmt: skip
@click.option(
    "--viewer", type=click.Choice([*TAKEN]), default="flow", show_default=True, help="Whose format to write."
)
@click.option(
    "--depth", type=click.IntRange(0, MOST_LEVELS), help="Module levels to open [as many as stay readable]."
)
@click.option("--groups", type=click.Path(path_type=Path), help="FILE.toml that names groups of modules.")
@click.option("--fold", is_flag=True, help="Draw equal consecutive blocks as one (x12).")
@click.option(
    "--color", metavar="COLUMN", help="Ledger column that boxes are colored by; none for no color [macs]."
)
@click.option("--latency", is_flag=True, help="Run TARGET in ONNX Runtime and time it.")
@click.option("--parity", is_flag=True, help="Compare TARGET's modules with PyTorch.")
@hardware_option
@model_option
@as_dtype_option
@fusion_option
@on_chip_option
@layers_option
@with_module
@with_browser
@with_run
@with_network_settings
def render(target: str, out: Path, viewer: str, **options: Any) -> None:
    """Draw the data flow between the modules of TARGET, or write it for a viewer.

    If it does not fit on one page, FILE is an overview, and a folder of the same name has a page for each
    module that the overview shows closed; all names are printed.

    --viewer model-explorer writes every node for Google's Model Explorer, and the ledger's columns as node
    data; nothing is run unless --latency or --parity is given. --viewer netron draws every node as Netron
    does, in a Chromium.
    """
    chosen = _taken_by(viewer, options)
    settings = settings_from(options)
    with progress.shown(f"render {target}") as report:
        if viewer == "model-explorer":
            written = onnxlens.explore_graph(target, out, settings, progress=report, **chosen)
        elif viewer == "netron":
            written = [onnxlens.netron_picture(target, out, settings, progress=report, **chosen)]
        else:
            request = _flow_request(chosen)
            written = onnxlens.render_pages(target, out, request, settings, report, **chosen)
    click.echo("\n".join(map(str, written)))


def _taken_by(viewer: str, options: dict[str, Any]) -> dict[str, Any]:
    """Remove the options of all viewers from ``options`` and return those of this one.

    Raises:
        UsageError: an option that only other viewers take was given.
    """
    for name in dict.fromkeys(chain.from_iterable(TAKEN.values())):
        if name not in TAKEN[viewer] and options.pop(name) not in (None, False, ()):
            others = " or ".join(f"--viewer {other}" for other, taken in TAKEN.items() if name in taken)
            option = {"stored_as": "as-dtype"}.get(name, name.replace("_", "-"))
            raise UsageError(f"--{option} is for {others}; --viewer {viewer} does not take it")
    chosen = {name: options.pop(name) for name in TAKEN[viewer]}
    if "hardware" in chosen:
        given = {name: chosen.pop(name) for name in CHIPS}
        chosen |= {**asdict(chips_from(given)), "layers": layers_from(given)}
    return chosen


def _flow_request(chosen: dict[str, Any]) -> FlowRequest:
    """Which part of the flow to draw; removes the options that say so from ``chosen``."""
    groups = chosen.pop("groups")
    return FlowRequest(
        depth=chosen.pop("depth"),
        module=chosen.pop("module") or "",
        fold=chosen.pop("fold"),
        groups=onnxlens.read_groups(groups) if groups else (),
    )
