"""The system's Chromium: found, started, closed; and the error where it is missing."""

from __future__ import annotations

import pytest

from onnxlens.errors import ToolError
from onnxlens.reports.netron import browser as browsers


@pytest.mark.browser
def test_the_browser_is_closed_also_after_an_error(chromium: str) -> None:
    with pytest.raises(ZeroDivisionError), browsers.opened_browser(chromium) as opened:
        assert opened.is_connected()
        raise ZeroDivisionError
    assert not opened.is_connected()


@pytest.mark.browser
def test_a_program_that_is_not_a_browser_is_named(chromium: str) -> None:
    with pytest.raises(ToolError, match=r"/cat: does not start as a Chromium .*--browser PATH$"):
        with browsers.opened_browser("cat"):
            pass


def test_a_missing_browser_is_reported_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browsers, "find_spec", lambda name: object())
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ToolError, match=r"apt-get install chromium.*--browser PATH"):
        browsers.require_browser()
    with pytest.raises(ToolError, match=r"^/no/chrome: no program that can be run; give --browser"):
        browsers.require_browser("/no/chrome")


def test_a_missing_package_is_reported_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browsers, "find_spec", lambda name: None)
    with pytest.raises(ToolError, match=r"the package playwright is missing; .*'onnxlens\[netron\]'"):
        browsers.require_browser("cat")
