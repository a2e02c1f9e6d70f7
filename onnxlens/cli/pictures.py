"""Verbs that draw."""

from __future__ import annotations

import sys
import webbrowser
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Event
from typing import Any

import click

from onnxlens import api
from onnxlens.cli import progress
from onnxlens.cli.options import settings_from, with_browser, with_module, with_settings, with_sizes
from onnxlens.errors import UsageError

VIEWERS = ("flow", "model-explorer", "netron")


@click.command()
@click.argument("target")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="FILE.svg, .png, .pdf or .dot; "
              "FILE.json for Model Explorer; FILE.svg or .png for Netron.")  # fmt: skip
@click.option(
    "--viewer", type=click.Choice(VIEWERS), default="flow", show_default=True, help="What it is drawn for."
)
@click.option("--depth", type=click.IntRange(min=0), help="Module levels to open [as many as stay readable].")
@click.option("--latency", is_flag=True, help="For Model Explorer: run TARGET in ONNX Runtime and time it.")
@click.option("--parity", is_flag=True, help="For Model Explorer: compare TARGET's modules with PyTorch.")
@with_module
@with_browser
@with_sizes
@with_settings
def render(
    target: str,
    out: Path,
    viewer: str,
    depth: int | None,
    latency: bool,
    parity: bool,
    module: str | None,
    browser: str | None,
    **options: Any,
) -> None:
    """Draw the data flow between the modules of TARGET, or write it for a viewer.

    --viewer model-explorer writes every node for Google's Model Explorer, and ledger columns beside it as
    node data; nothing is run unless --latency or --parity is given. --viewer netron draws every node as
    Netron does, in the system's Chromium.
    """
    settings = settings_from(options)
    for name, value in (("module", module), ("browser", browser)):
        if value is not None and viewer != "netron":
            raise UsageError(f"--{name} is for --viewer netron")
    with progress.shown(f"render {target}") as report:
        if viewer == "model-explorer":
            if depth is not None:
                raise UsageError("--depth is for pictures; in Model Explorer a reader opens the levels")
            written = api.explore_graph(
                target, out, settings, latency=latency, parity=parity, progress=report
            )
            click.echo("\n".join(map(str, written)))
            return
        if latency or parity:
            raise UsageError("--latency and --parity are for --viewer model-explorer")
        if viewer == "netron":
            if depth is not None:
                raise UsageError("--depth is for --viewer flow; Netron draws every node")
            drawn = api.netron_picture(target, out, settings, module=module, browser=browser, progress=report)
            click.echo(drawn)
            return
        click.echo(api.render_graph(target, out, depth, settings, report))


@click.command()
@click.argument("target")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, help="Port on this machine [any that is free]."
)
@click.option("--no-browser", is_flag=True, help="Only print the address.")
@with_module
@with_sizes
@with_settings
def view(target: str, port: int, no_browser: bool, module: str | None, **options: Any) -> None:
    """Show TARGET or a module of it in Netron, in your browser, until Ctrl-C.

    No weight is read, and nothing leaves this machine.
    """
    with ExitStack() as served:
        with progress.shown(f"view {target}") as report:
            address = served.enter_context(
                api.view_graph(target, settings_from(options), module=module, port=port, progress=report)
            )
        click.echo(address)
        sys.stdout.flush()
        if not no_browser:
            webbrowser.open(address)
        with suppress(KeyboardInterrupt):
            Event().wait()
