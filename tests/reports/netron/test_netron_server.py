"""Netron's page as we serve it: to this machine alone, with one model, without requests to other hosts."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from onnxlens.errors import UsageError
from onnxlens.reports.netron.browser import opened_browser
from onnxlens.reports.netron.pictures import NetronPictures
from onnxlens.reports.netron.server import NetronServer
from tests.reports.netron.netron_models import small

pytestmark = pytest.mark.usefixtures("netron")


def fetched(address: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(address, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, b""


def test_the_page_the_models_and_nothing_else_is_served_to_this_machine() -> None:
    with NetronServer(b"the model", 'a "quoted" <name>') as server:
        assert server._server.server_address[0] == "127.0.0.1"
        status, page = fetched(server.address)
        assert status == 200
        assert b'content="a &quot;quoted&quot; &lt;name&gt;"' in page
        assert fetched(server.address + "data/model.onnx") == (200, b"the model")
        assert fetched(server.address + "view.js?version=1")[0] == 200
        for path in ("data/other.onnx", "server.py", "../netron/view.js", "%2e%2e/view.js"):
            assert fetched(server.address + path)[0] == 404
    with pytest.raises(urllib.error.URLError):
        fetched(server.address)


def test_threads_end_with_the_context_also_after_an_error() -> None:
    before = threading.active_count()
    with pytest.raises(ZeroDivisionError), NetronServer(b"", "x"):
        assert threading.active_count() > before
        raise ZeroDivisionError
    assert threading.active_count() == before


def test_a_port_that_is_taken_is_refused() -> None:
    with NetronServer(b"", "x") as server:
        port = server._server.server_port
        with pytest.raises(UsageError, match=rf"^port {port} cannot be used \(.*\); choose another --port$"):
            NetronServer(b"", "x", port)


@contextmanager
def outside() -> Iterator[tuple[str, list[str]]]:
    """Another server, which the page must not reach, and the requests it got."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Access-Control-Allow-Origin", "*")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def evaluated(page: Any, expression: str) -> Any:
    session = page.context.new_cdp_session(page)
    asked = {"expression": expression, "returnByValue": True, "awaitPromise": True}
    return session.send("Runtime.evaluate", asked)["result"].get("value")


@pytest.mark.browser
def test_the_page_in_a_browser_contacts_only_this_server_also_in_the_future(chromium: str) -> None:
    model = small().SerializeToString()
    requests: list[str] = []
    with (
        NetronServer(model, "small") as server,
        outside() as (elsewhere, asked),
        opened_browser(chromium) as opened,
    ):
        page = opened.new_page()  # with no route of ours: what a person has
        page.on("request", lambda request: requests.append(request.url))
        page.clock.set_fixed_time(datetime(2040, 1, 1, tzinfo=UTC))
        page.goto(server.address)
        page.locator("body.default").wait_for(state="attached", timeout=30_000)
        assert f"{server.address}data/model.onnx" in [url.partition("?")[0] for url in requests]
        assert {url for url in requests if not url.startswith(server.address)} == set()
        trial = f"fetch('{elsewhere}').then(() => 'reached', () => 'refused')"
        assert evaluated(page, trial) == "refused"
        assert asked == []
        page.goto(f"{elsewhere}own")  # the same trial from a page without our policy arrives
        assert evaluated(page, trial) == "reached"
        assert "/own" in asked and "/" in asked


@pytest.mark.browser
def test_our_own_page_is_kept_from_the_network_a_second_time(chromium: str) -> None:
    """Without the policy, the route of the page that draws refuses."""
    with (
        outside() as (elsewhere, asked),
        outside() as (other, other_asked),
        opened_browser(chromium) as opened,
    ):
        with NetronPictures(opened)._page(elsewhere) as page:
            page.goto(elsewhere)
            assert evaluated(page, f"fetch('{other}').then(() => 'reached', () => 'refused')") == "refused"
            assert (
                evaluated(page, f"fetch('{elsewhere}').then(() => 'reached', () => 'refused')") == "reached"
            )
        assert asked and not other_asked


def test_a_page_of_another_netron_is_not_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from onnxlens.errors import ToolError
    from onnxlens.reports.netron import server

    (tmp_path / "index.html").write_text("<html></html>")
    monkeypatch.setattr(server, "netron_files", lambda: {"/index.html": tmp_path / "index.html"})
    with pytest.raises(ToolError, match=r"not the page of a Netron that is known; install netron 9\.3"):
        NetronServer(b"", "x")
