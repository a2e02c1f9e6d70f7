"""Netron's picture of every graph of a run, drawn at its end in one browser."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter

from onnxlens.errors import OnnxlensError
from onnxlens.reports.browser import require_browser
from onnxlens.reports.netron.picture import NetronPictures, netron_pictures
from onnxlens.reports.netron.server import netron_files
from onnxlens.specs.progress import Watch
from onnxlens.specs.summary import GraphSummary

NAME = "netron.svg"


def require_netron(browser: str | None) -> None:
    """Refuse to begin where nothing could be drawn in the end.

    Raises:
        ToolError: the browser or a package is missing.
    """
    require_browser(browser)
    netron_files()


def drawn_by_netron(
    graphs: Sequence[GraphSummary], folder: Path, browser: str | None, watch: Watch
) -> tuple[GraphSummary, ...]:
    """The summaries with a picture among the files of each graph that was exported.

    A picture that cannot be made is a note on its graph: all else of the graph stands.
    """
    drawn = {graph.graph: graph for graph in graphs}
    waiting = [graph for graph in graphs if "onnx" in graph.files]
    try:
        with netron_pictures(browser) as pictures:
            for place, graph in enumerate(waiting, start=1):
                watch(graph.graph, place, len(waiting))("drawing by Netron", 0, 0)
                drawn[graph.graph] = _drawn(graph, folder, pictures)
    except OnnxlensError as error:  # the browser itself: those that it has drawn are drawn
        for graph in waiting:
            if drawn[graph.graph] is graph:
                drawn[graph.graph] = _noted(graph, str(error))
    return tuple(drawn.values())


def _drawn(graph: GraphSummary, folder: Path, pictures: NetronPictures) -> GraphSummary:
    start = perf_counter()
    out = folder / graph.graph / NAME
    try:
        pictures.write((folder / graph.files["onnx"]).read_bytes(), graph.graph, out)
    except OnnxlensError as error:
        return _noted(graph, str(error))
    return replace(
        graph,
        files={**graph.files, "netron svg": f"{graph.graph}/{NAME}"},
        seconds=graph.seconds + perf_counter() - start,
    )


def _noted(graph: GraphSummary, note: str) -> GraphSummary:
    return replace(graph, note="; ".join(filter(None, (graph.note, note))))
