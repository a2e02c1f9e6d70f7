"""What of a graph a compiler takes, by a table of what it supports."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from onnxlens.api.opened import OpenedTarget, opened
from onnxlens.api.target import Settings, Target
from onnxlens.specs.flow import FlowRequest
from onnxlens.specs.progress import Progress, silent
from onnxlens.specs.roofline import AT

if TYPE_CHECKING:
    from onnxlens.specs.support import SupportReport

OFF_PERCENT = "off_percent"
"""The column of pictures."""


def support_of(
    target: Target | OpenedTarget,
    table: str | Path,
    settings: Settings | None = None,
    *,
    plot: Path | str | None = None,
    progress: Progress = silent,
) -> SupportReport:
    """What a compiler takes of a graph, in which islands, and what is handed over at their borders.

    Nothing is compiled, and no weight is read.

    Args:
        target: the graph.
        table: the name of a tool that has a table in the package, or a TOML file: docs/support-map.md.
        settings: how it is exported, or at which sizes a file is read.
        plot: a .svg, .png, .pdf or .dot file for the data flow, colored by the share of operators left out.
        progress: shows the steps.

    Raises:
        UsageError: the target, a setting, the table or ``plot`` cannot be used.
        GraphError: the file is not an ONNX graph.
        ToolError: Graphviz is missing.
    """
    from onnxlens.profile.vendor.support.islands import SupportMap
    from onnxlens.profile.vendor.support.table import load_table

    read = load_table(table)
    if plot is not None:
        from onnxlens.reports.drawing.files import require_suffix

        require_suffix(Path(plot))
    with opened(target, settings, progress) as it:
        found = SupportMap(it.graph, it.ledger, read)
        it.progress("partitioning", 0, 0)
        report = found.report()
        if plot is not None:
            it.progress("drawing", 0, 0)
            _draw(it, found.off_percent, Path(plot), f"{OFF_PERCENT}{AT}{read.title}")
    return report


def _draw(
    it: OpenedTarget, off_percent: Callable[[Sequence[int]], float | None], path: Path, column: str
) -> None:
    from onnxlens.api.render import write_pages
    from onnxlens.profile.flow.pages import flow_pages
    from onnxlens.reports.drawing.files import linked_pages

    def figures(nodes: Sequence[int]) -> Mapping[str, float]:
        percent = off_percent(nodes)
        return {} if percent is None else {column: percent}

    pages = flow_pages(it.graph, it.ledger, FlowRequest(), figures)
    write_pages(linked_pages(pages, path.name), path.parent, column)
