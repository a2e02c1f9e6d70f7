"""Model Explorer as a user runs it: its server, and its page in a headless browser without any network."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, Route, sync_playwright

HOST = "127.0.0.1"
NOWHERE = "http://127.0.0.1:9"
"""A proxy that does not exist: the server asks PyPI for newer versions of itself."""
BROWSER_OPTIONS = ("--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
"""WebGL without a GPU."""
DRAWN = "window.me_test?.renderers?.[0]?.nodesToRender?.length > 0"


@dataclass
class Explorer:
    """The page after a graph is drawn, and the errors on the way."""

    page: Page
    problems: list[str] = field(default_factory=list)

    def drawn(self) -> dict[str, str]:
        """The labels of the drawn nodes, by id; a level's id is its namespace and ``___group___``."""
        return self._ask("Object.fromEntries(renderer.nodesToRender.map(({node}) => [node.id, node.label]))")

    def open(self, node: str) -> None:
        """Select a node or a level, which opens the levels around it."""
        self.page.evaluate(
            "id => window.postMessage({cmd: 'model-explorer-select-node-by-node-id', nodeId: id})", node
        )
        self.page.wait_for_function("id => window.me_test.renderers[0].selectedNodeId === id", arg=node)
        self.page.wait_for_function(
            "id => window.me_test.renderers[0].nodesToRender.some(({node}) => node.id === id)", arg=node
        )

    def choose(self, graph: str) -> None:
        """Show another graph of the file."""
        self._ask(
            "renderer.appService.selectGraphInCurrentPane(renderer.appService.curGraphCollections()"
            f".flatMap(c => c.graphs).find(graph => graph.id === {graph!r}))"
        )
        self.page.wait_for_function("id => window.me_test.renderers[0].curModelGraph.id === id", arg=graph)
        self.page.wait_for_function(DRAWN)

    def graphs(self) -> list[str]:
        """The ids of the graphs that can be chosen."""
        return self._ask("renderer.appService.curGraphCollections().flatMap(c => c.graphs.map(g => g.id))")

    def colors(self) -> dict[str, str]:
        """The color that the node data gives each node of the graph."""
        return self._ask(
            "Object.fromEntries(Object.entries(renderer.webglRendererNdpService"
            ".curNodeDataProviderResults()).map(([id, result]) => [id, result.bgColor]))"
        )

    def text(self) -> str:
        """The text of the page's side panel, in one line."""
        return " ".join(self.page.inner_text("body").split())

    def _ask(self, expression: str) -> Any:
        return self.page.evaluate(
            f"() => {{ const renderer = window.me_test.renderers[0]; return {expression} }}"
        )


class App:
    """A running server and a browser."""

    def __init__(self, address: str, browser: Browser) -> None:
        self.address = address
        self._browser = browser

    @contextmanager
    def explored(self, address: str) -> Iterator[Explorer]:
        """The page at an address of the server, when its graph is drawn."""
        page = self._browser.new_page(viewport={"width": 900, "height": 500})
        explorer = Explorer(page)
        page.route("**/*", _only_here)
        page.on("pageerror", lambda error: explorer.problems.append(str(error)))
        page.on("console", lambda said: _note(explorer, said.type, said.text, said.location["url"]))
        page.goto(address)
        page.wait_for_function(DRAWN, timeout=60_000)
        yield explorer
        page.close()

    def address_of(self, graph: Path, data: Sequence[Path] = ()) -> str:
        """Where the server shows a graph with its node data, as the package's own configuration says it."""
        from model_explorer import config

        chosen = config().add_model_from_path(str(graph))
        for path in data:
            chosen.add_node_data_from_path(str(path))
        return f"{self.address.partition('?')[0]}?data={chosen.to_url_param_value()}"


@contextmanager
def running(graph: Path, data: Sequence[Path], chromium: str) -> Iterator[App]:
    """The app, started for a graph and its node data."""
    with _served(graph, data) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=BROWSER_OPTIONS)
        yield App(address, browser)
        browser.close()


def _only_here(route: Route) -> None:
    if route.request.url.startswith((f"http://{HOST}:", "data:", "blob:")):
        route.continue_()
    else:
        route.abort()


def _note(explorer: Explorer, kind: str, text: str, url: str) -> None:
    """Errors and warnings; not that a font of Google's is out of reach."""
    if kind in ("error", "warning") and not url.startswith("https://fonts."):
        explorer.problems.append(f"{kind}: {text} {url}")


@contextmanager
def _served(graph: Path, data: Sequence[Path]) -> Iterator[str]:
    """The address that ``model-explorer GRAPH --node_data_paths=A,B`` prints."""
    options = [f"--host={HOST}", f"--port={_free_port()}", "--no_open_in_browser"]
    if data:
        options.append(f"--node_data_paths={','.join(map(str, data))}")
    proxies = {"http_proxy": NOWHERE, "https_proxy": NOWHERE, "no_proxy": HOST}
    server = subprocess.Popen(
        [sys.executable, "-u", "-m", "model_explorer", str(graph), *options],
        env={**os.environ, **proxies, "NO_PROXY": HOST},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert server.stdout is not None
    try:
        said = []
        for line in server.stdout:
            said.append(line)
            if line.startswith(f"http://{HOST}:"):
                yield line.strip()
                return
        raise AssertionError(f"the server did not start: {''.join(said)}")
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
