"""Pictures of models as Netron draws them, taken in a browser without a window."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import sqrt
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from onnxlens.errors import OnnxlensError, ToolError, UsageError, first_line
from onnxlens.reports.netron.browser import opened_browser, require_browser
from onnxlens.reports.netron.server import NetronServer, netron_files
from onnxlens.specs.progress import FINISHED, Watch
from onnxlens.specs.summary import GraphSummary

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

SUFFIXES = (".svg", ".png")

EXPORT = Path(__file__).with_name("export.js")
"""What takes the graph out of Netron's page: a function of the title."""

TIMEOUT_S = 300.0
"""For Netron to lay a graph out; the largest of the catalog takes a tenth of it on two cores."""

LARGEST_PNG_SIDE = 16_000
"""Pixels; past 16,384 Chromium repeats the picture instead of going on."""

LARGEST_PNG_PIXELS = 120_000_000
SHARP = 2.0
LEAST_READABLE = 0.75
"""Scales of a .png. Netron's letters are 11 and 9 px high at 1; below the second they cannot be read."""

ENDED = "body.default, body.alert, body.message"
"""The page's states in which nothing more will happen. A notification only says that it takes a while."""

NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Drawing:
    """What Netron drew: an SVG that needs no other file, and its size at a scale of 1."""

    svg: str
    width: int
    height: int


def require_netron_suffix(out: Path) -> None:
    """Refuse a file that no picture of Netron's can be written to.

    Raises:
        UsageError: that is so.
    """
    if out.suffix not in SUFFIXES:
        raise UsageError(f"{out}: Netron's picture is written as {' or '.join(SUFFIXES)}")


class NetronPictures:
    """Draws one model after the other in one browser."""

    def __init__(self, browser: Browser, timeout_s: float = TIMEOUT_S) -> None:
        """Take an open browser, and how long Netron may need for one model."""
        self._browser = browser
        self._timeout_s = timeout_s

    def write(self, model: bytes, title: str, out: Path) -> None:
        """Draw the model into ``out``, a .svg or .png file.

        Raises:
            UsageError: the picture is too large for a .png that can be read.
            ToolError: Netron cannot draw the model, or takes too long.
        """
        from playwright.sync_api import Error

        require_netron_suffix(out)
        try:
            drawing = self.draw(model, title)
            if out.suffix == ".png":
                self._paint(drawing, title, out)
                return
        except Error as error:  # the page alone, of a browser that can go on
            raise ToolError(f"{title}: the browser failed: {first_line(error)}") from error
        out.write_text(drawing.svg, encoding="utf-8")

    def draw(self, model: bytes, title: str) -> Drawing:
        """The model as Netron draws it.

        Args:
            model: a serialised ModelProto; weights in other files are not read.
            title: of the SVG.

        Raises:
            ToolError: Netron cannot read the model, or takes too long.
        """
        with NetronServer(model, title) as server, self._page(server.address) as page:
            faults: list[str] = []
            page.on("pageerror", lambda fault: faults.append(first_line(fault)))
            self._wait(page, server.address, title, faults)
            return _exported(page, title)

    @contextmanager
    def _page(self, address: str) -> Iterator[Page]:
        """A page of its own that can reach ``address`` and nothing else."""
        context = self._browser.new_context(color_scheme="light", service_workers="block")

        def answer(route: Route) -> None:
            if route.request.url.startswith((address, "data:", "blob:")):
                route.continue_()
            else:
                route.abort()

        try:
            context.route("**/*", answer)
            yield context.new_page()
        finally:
            context.close()

    def _wait(self, page: Page, address: str, title: str, faults: list[str]) -> None:
        """Open Netron's page, until it shows the graph.

        Raises:
            ToolError: Netron says that it cannot draw it, or says nothing for too long.
        """
        from playwright.sync_api import TimeoutError as TooLate

        try:
            page.goto(address, timeout=self._timeout_s * 1000)
            page.locator(ENDED).wait_for(state="attached", timeout=self._timeout_s * 1000)
        except TooLate as error:
            reason = f" ({faults[0]})" if faults else ""
            raise ToolError(
                f"{title}: Netron has not drawn it after {self._timeout_s:g} s{reason}; try one --module"
            ) from error
        if page.locator("body.default").count() == 0:
            message = " ".join(page.locator("#message-text").inner_text().split())
            raise ToolError(f"{title}: Netron cannot draw it: {message or 'no reason given'}")

    def _paint(self, drawing: Drawing, title: str, out: Path) -> None:
        scale = png_scale(drawing.width, drawing.height, title)
        context = self._browser.new_context(
            viewport={"width": drawing.width, "height": drawing.height},
            device_scale_factor=scale,
            offline=True,
        )
        try:
            page = context.new_page()
            page.set_content(f'<!DOCTYPE html><body style="margin: 0">{drawing.svg}</body>')
            page.screenshot(path=out, timeout=self._timeout_s * 1000)
        finally:
            context.close()


@contextmanager
def netron_pictures(browser: str | None = None, timeout_s: float = TIMEOUT_S) -> Iterator[NetronPictures]:
    """A browser that draws, for as long as the context lasts.

    Raises:
        ToolError: the browser or a package is missing, or fails.
    """
    with opened_browser(browser) as opened:
        yield NetronPictures(opened, timeout_s)


def png_scale(width: int, height: int, title: str) -> float:
    """Twice the size for sharp letters, or as much as a .png can hold.

    Raises:
        UsageError: that would be too little to read.
    """
    scale = min(SHARP, LARGEST_PNG_SIDE / max(width, height), sqrt(LARGEST_PNG_PIXELS / (width * height)))
    if scale < LEAST_READABLE:
        raise UsageError(
            f"{title}: a picture of {width} x {height} is too large for a .png that can be read; "
            "write a .svg, or choose one --module"
        )
    return scale


def _exported(page: Page, title: str) -> Drawing:
    """The graph taken out of the page, which allows evaluation by the DevTools protocol alone."""
    script = EXPORT.read_text(encoding="utf-8")
    session = page.context.new_cdp_session(page)
    answer = session.send(
        "Runtime.evaluate", {"expression": f"({script})({json.dumps(title)})", "returnByValue": True}
    )
    if "exceptionDetails" in answer:
        message = answer["exceptionDetails"].get("exception", {}).get("description", "no reason given")
        raise ToolError(f"{title}: Netron's page is not of a known form: {message.splitlines()[0]}")
    value = answer["result"]["value"]
    svg = NO_XML.sub("\ufffd", value["svg"])  # a name in the model may hold what XML cannot
    ElementTree.fromstring(svg)
    return Drawing(svg, value["width"], value["height"])


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

    A picture that cannot be made is a note on its graph: all else of the graph is kept.
    """
    drawn = {graph.graph: graph for graph in graphs}
    waiting = [graph for graph in graphs if "onnx" in graph.files]
    try:
        with netron_pictures(browser) as pictures:
            for index, graph in enumerate(waiting, start=1):
                progress = watch(graph.graph, index, len(waiting))
                progress("drawing by Netron", 0, 0)
                drawn[graph.graph] = _drawn(graph, folder, pictures)
                progress(FINISHED, 0, 0)
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
