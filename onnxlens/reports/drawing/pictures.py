"""The data flow between modules as a file to look at, drawn by Graphviz from a FlowGraph alone."""

from __future__ import annotations

from pathlib import Path

import graphviz

from onnxlens.errors import ToolError, UsageError
from onnxlens.reports.drawing.scale import DEFAULT_COLUMN
from onnxlens.reports.drawing.source import dot_source
from onnxlens.reports.drawing.svg import polished
from onnxlens.reports.drawing.title import description, heading
from onnxlens.specs.flow import FlowGraph

SUFFIXES = (".svg", ".png", ".pdf", ".dot")


def write_picture(flow: FlowGraph, path: Path, color: str = DEFAULT_COLUMN) -> None:
    """Draw ``flow`` into ``path``, in the format that its suffix names.

    Args:
        flow: what is drawn.
        path: a file that ends in one of ``SUFFIXES``.
        color: the column of the ledger that the boxes are coloured by; "none" for none. A box that has no
            figure for it is grey.

    Raises:
        UsageError: the suffix is none that can be drawn.
        ToolError: Graphviz's ``dot`` is missing or failed.
    """
    require_suffix(path)
    source = dot_source(flow, color)
    if path.suffix == ".dot":
        path.write_text(source, encoding="utf-8")
    elif path.suffix == ".svg":
        drawn = _drawn(source, "svg", path)
        path.write_text(polished(drawn, heading(flow), description(flow)), encoding="utf-8")
    else:
        path.write_bytes(_drawn(source, path.suffix.removeprefix("."), path))


def require_suffix(path: Path) -> None:
    """Refuse a file that cannot be drawn before any work is done for it.

    Raises:
        UsageError: the suffix is none that can be drawn.
    """
    if path.suffix not in SUFFIXES:
        raise UsageError(
            f"{path}: suffix {path.suffix!r} cannot be drawn; choose one of {', '.join(SUFFIXES)}"
        )


def _drawn(source: str, suffix: str, path: Path) -> bytes:
    try:
        drawn: bytes = graphviz.Source(source).pipe(format=suffix)
    except graphviz.ExecutableNotFound as error:
        raise ToolError("Graphviz's dot is missing; install it (apt-get install graphviz)") from error
    except graphviz.CalledProcessError as error:
        raise ToolError(f"Graphviz could not draw {path.name}: {str(error).splitlines()[0]}") from error
    return drawn
