"""``onnxlens render``: the data flow as a picture, or as a document for a viewer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

import onnxlens
from onnxlens.api.target import Settings
from onnxlens.cli import progress
from onnxlens.cli.options import settings_from, with_browser, with_module, with_settings, with_sizes
from onnxlens.errors import UsageError
from onnxlens.specs.flow import FlowRequest
from onnxlens.specs.progress import Progress

TAKEN: Mapping[str, Sequence[str]] = {
    "flow": ("depth", "module", "groups", "fold", "color", "latency", "parity"),
    "model-explorer": ("latency", "parity"),
    "netron": ("module", "browser"),
}
"""The options that each viewer takes."""


def _flow(
    target: str,
    out: Path,
    settings: Settings,
    report: Progress,
    *,
    depth: int | None,
    module: str | None,
    groups: Path | None,
    fold: bool,
    **shown: Any,
) -> Sequence[Path]:
    named = onnxlens.read_groups(groups) if groups else ()
    request = FlowRequest(depth, module or "", fold, named)
    return onnxlens.render_pages(target, out, request, settings, report, **shown)


def _explorer(
    target: str, out: Path, settings: Settings, report: Progress, **measured: Any
) -> Sequence[Path]:
    return onnxlens.explore_graph(target, out, settings, **measured, progress=report)


def _netron(target: str, out: Path, settings: Settings, report: Progress, **how: Any) -> Sequence[Path]:
    return [onnxlens.netron_picture(target, out, settings, **how, progress=report)]


DRAWN_BY: Mapping[str, Callable[..., Sequence[Path]]] = {
    "flow": _flow,
    "model-explorer": _explorer,
    "netron": _netron,
}


@click.command()
@click.argument("target")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="FILE.svg, .png, .pdf or .dot; "
              "FILE.json for Model Explorer; FILE.svg or .png for Netron.")  # fmt: skip
@click.option(
    "--viewer", type=click.Choice([*TAKEN]), default="flow", show_default=True, help="What it is drawn for."
)
@click.option("--depth", type=click.IntRange(min=0), help="Module levels to open [as many as stay readable].")
@click.option("--groups", type=click.Path(path_type=Path), help="FILE.toml that names groups of modules.")
@click.option("--fold", is_flag=True, help="Draw equal blocks that follow each other as one (x12).")
@click.option(
    "--color", metavar="COLUMN", help="Ledger column that boxes are coloured by; none for none [macs]."
)
@click.option("--latency", is_flag=True, help="Run TARGET in ONNX Runtime and time it.")
@click.option("--parity", is_flag=True, help="Compare TARGET's modules with PyTorch.")
@with_module
@with_browser
@with_sizes
@with_settings
def render(target: str, out: Path, viewer: str, **options: Any) -> None:
    """Draw the data flow between the modules of TARGET, or write it for a viewer.

    What does not fit on a page becomes an overview in FILE and a page for each module that it shows closed,
    in a folder beside it; their names are printed.

    --viewer model-explorer writes every node for Google's Model Explorer, and ledger columns beside it as
    node data; nothing is run unless --latency or --parity is given. --viewer netron draws every node as
    Netron does, in the system's Chromium.
    """
    chosen = _chosen(viewer, options)
    settings = settings_from(options)
    with progress.shown(f"render {target}") as report:
        written = DRAWN_BY[viewer](target, out, settings, report, **chosen)
    click.echo("\n".join(map(str, written)))


def _chosen(viewer: str, options: dict[str, Any]) -> dict[str, Any]:
    """The options that the viewer takes, out of all; what only another takes is refused."""
    ours = {name: options.pop(name) for name in dict.fromkeys(sum(map(tuple, TAKEN.values()), ()))}
    for name, value in ours.items():
        if value not in (None, False) and name not in TAKEN[viewer]:
            others = " or ".join(f"--viewer {other}" for other, taken in TAKEN.items() if name in taken)
            raise UsageError(f"--{name} is for {others}; --viewer {viewer} does not take it")
    return {name: ours[name] for name in TAKEN[viewer]}
