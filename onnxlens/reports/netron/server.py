"""Serves Netron's page with one model in it, to this machine alone.

The files are those of the netron package. Its own server is not used: it reads whatever is next to the
model, and its page asks ipinfo.io where the reader is, reports to Google Analytics, and after half a year
shows nothing but a request to update. Here the page is told that it is a version that does none of that, and
the browser, by a Content-Security-Policy, to connect to nobody else.
"""

from __future__ import annotations

import html
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from urllib.parse import urlsplit

from onnxlens.errors import ToolError, UsageError
from onnxlens.reports.netron.browser import require_package
from onnxlens.specs.text import printable

HOST = "127.0.0.1"
POLICY = "default-src 'self' 'unsafe-inline' data: blob:; form-action 'none'; base-uri 'none'"
TYPES = {
    ".css": "text/css",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript",
    ".json": "application/json",
    ".png": "image/png",
}
MODEL = "/data/model.onnx"

UNPACKAGED = '<meta name="version" content="0.0.0">'
"""The version of Netron that reports nothing and never is too old."""

AGREED = "consent=1; Path=/; SameSite=Strict"
"""The cookie by which the page need not ask, nor find out in which country it is."""


class NetronServer:
    """A context in which Netron's page with the model stands at ``address``."""

    def __init__(self, model: bytes, title: str, port: int = 0) -> None:
        """Take a port, any free one for 0.

        Args:
            model: a serialised ModelProto.
            title: what the page calls it.
            port: on the loopback interface.

        Raises:
            ToolError: the netron package is missing, or its page is not as it is known.
            UsageError: the port is taken.
        """
        files = netron_files()
        handler = type(
            "Handler",
            (_Handler,),
            {"files": files, "page": _page(files["/index.html"], title), "model": model},
        )
        try:
            self._server = ThreadingHTTPServer((HOST, port), handler)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UsageError(f"port {port} cannot be used ({reason}); choose another --port") from error
        self._server.daemon_threads = True
        self._server.block_on_close = False  # a browser keeps its connections open
        self.address = f"http://{HOST}:{self._server.server_port}/"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> NetronServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def netron_files() -> dict[str, Path]:
    """The files of Netron's page, by the path they are asked for with.

    Raises:
        ToolError: the netron package is missing, or holds no page.
    """
    require_package("netron")
    spec = find_spec("netron")
    folder = Path((spec and spec.origin) or "").parent
    files = {f"/{path.name}": path for path in folder.iterdir() if path.suffix in TYPES}
    if "/index.html" not in files:
        raise ToolError(f"{folder}: holds no page; install Netron anew (pip install 'onnxlens[netron]')")
    return files


def _page(index: Path, title: str) -> bytes:
    """Netron's page, which names the model and no version."""
    named = (
        f'{UNPACKAGED}\n<meta name="file" content="{MODEL}">\n'
        f'<meta name="name" content="{html.escape(printable(title))}">'
    )
    text = index.read_text(encoding="utf-8")
    text, versions = re.subn(r'<meta name="version"[^>]*>', lambda _: named, text)
    if versions != 1:
        raise ToolError(f"{index}: is not the page of a Netron that is known; install netron 9.3")
    return re.sub(r'<meta name="date"[^>]*>', "", text).encode()


class _Handler(BaseHTTPRequestHandler):
    """Answers with the page, a file of the package, or the model; with nothing else."""

    files: dict[str, Path]
    page: bytes
    model: bytes

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path in ("/", "/index.html"):
            self._answer(TYPES[".html"], self.page)
        elif path == MODEL:
            self._answer("application/octet-stream", self.model)
        elif path in self.files:
            self._answer(TYPES[self.files[path].suffix], self.files[path].read_bytes())
        else:
            self.send_error(404)

    def _answer(self, kind: str, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("Cache-Control", "no-store")  # the next model may stand at the same port
        self.send_header("Set-Cookie", AGREED)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (its name in the base class)
        """Say nothing: stderr is for what the user must know."""
