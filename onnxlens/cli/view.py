"""``onnxlens view``: a graph in Netron, in the browser."""

from __future__ import annotations

import sys
import webbrowser
from contextlib import ExitStack, suppress
from threading import Event
from typing import Any

import click

import onnxlens
from onnxlens.cli import progress
from onnxlens.cli.options import settings_from, with_module, with_settings


@click.command()
@click.argument("target")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, help="Port on this machine [any that is free]."
)
@click.option("--no-browser", is_flag=True, help="Only print the address.")
@with_module
@with_settings
def view(target: str, port: int, no_browser: bool, module: str | None, **options: Any) -> None:
    """Show TARGET or a module of it in Netron, in your browser, until Ctrl-C.

    No weight is read, and nothing leaves this machine.
    """
    with ExitStack() as served:
        with progress.shown(f"view {target}") as report:
            address = served.enter_context(
                onnxlens.view_graph(target, settings_from(options), module=module, port=port, progress=report)
            )
        click.echo(address)
        sys.stdout.flush()
        if not no_browser:
            webbrowser.open(address)
        with suppress(KeyboardInterrupt):
            Event().wait()
