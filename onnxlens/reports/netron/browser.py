"""The system's Chromium, driven without a window; none is ever downloaded."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING

from onnxlens.errors import ToolError, first_line

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
"""What Chromium is called on one system or another, the freest first."""


def require_browser(given: str | None = None) -> str:
    """The path of the browser: the one that was named, or the system's.

    Raises:
        ToolError: there is none, or Playwright, which drives it, is not installed.
    """
    require_package("playwright")
    found = next(filter(None, map(shutil.which, NAMES if given is None else (given,))), None)
    if found is not None:
        return found
    if given is not None:
        raise ToolError(f"{given}: no program that can be run; give --browser the path of a Chromium")
    raise ToolError(
        "no Chromium found; install it (apt-get install chromium), or name one with --browser PATH"
    )


def require_package(name: str) -> None:
    """Refuse to begin without one of the packages of the extra ``netron``.

    Raises:
        ToolError: it is not installed.
    """
    if find_spec(name) is None:
        raise ToolError(f"the package {name} is missing; install it with pip install 'onnxlens[netron]'")


@contextmanager
def opened_browser(given: str | None = None) -> Iterator[Browser]:
    """A browser without a window, closed at the end, come what may.

    What Playwright raises meanwhile becomes one line.

    Raises:
        ToolError: it is missing, does not start, or fails.
    """
    program = require_browser(given)
    from playwright.sync_api import Error, sync_playwright

    try:
        with sync_playwright() as driver:
            browser = _launched(driver, program)
            try:
                yield browser
            finally:
                with suppress(Error):  # it is gone already, as after Ctrl-C, which reaches it too
                    browser.close()
    except Error as error:
        raise ToolError(f"{program}: {first_line(error)}") from error


def _launched(driver: Playwright, program: str) -> Browser:
    from playwright.sync_api import Error

    try:
        # Chromium's sandbox refuses to start for root.
        return driver.chromium.launch(executable_path=program, chromium_sandbox=os.geteuid() != 0)
    except Error as error:
        raise ToolError(
            f"{program}: does not start as a Chromium ({first_line(error)}); name another with --browser PATH"
        ) from error
