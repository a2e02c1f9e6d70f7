"""Graphs in Netron from the command line: as pictures, for a person, and in the main job."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import sleep
from xml.etree import ElementTree

import onnx
import pytest

from onnxlens.reports.netron import browser as browsers
from onnxlens.reports.netron import pictures
from tests import small_catalog
from tests.cli.calls import PROGRAM, ROOT, done, onnxlens
from tests.export.tiny import TARGET

NETRON = ("--viewer", "netron")


def operators(picture: Path) -> list[str]:
    """The operators that Netron drew, in alphabetical order."""
    text = picture.read_text(encoding="utf-8")
    ElementTree.fromstring(text)
    return sorted(re.findall(r'class="node-item node-item-type[^>]*>.*?<text[^>]*>(\w+)</text>', text))


@contextmanager
def started(*arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    """The program in a session of its own, which a Ctrl-C ends; whatever happens, it does not outlive this.

    A shell that runs the tests in the background has them, and all that they start, ignore that signal.
    """
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        process = subprocess.Popen(
            [*PROGRAM, *map(str, arguments)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
    finally:
        signal.signal(signal.SIGINT, before)
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.browser
def test_a_file_is_drawn_node_by_node(chromium: str, netron: None, bare_tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "tiny.svg"
    assert done("render", bare_tiny, *NETRON, "--browser", chromium, "--out", out) == f"{out}\n"
    assert operators(out) == sorted(
        node.op_type for node in onnx.load(bare_tiny, load_external_data=False).graph.node
    )
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.svg"]


@pytest.mark.browser
def test_a_module_is_drawn_alone(chromium: str, netron: None, tmp_path: Path) -> None:
    out = tmp_path / "attention.svg"
    done("render", TARGET, *NETRON, "--module", "attention", "--out", out)
    drawn = operators(out)
    # four projections and the two products of attention; the convolution is outside
    assert drawn.count("MatMul") + drawn.count("Gemm") == 4 + 2
    assert "Conv" not in drawn


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((*NETRON, "--out", "x.pdf"), "x.pdf: Netron's picture is written as .svg or .png"),
        ((*NETRON, "--out", "x.svg", "--depth", "2"), "--depth is for --viewer flow"),
        (
            (*NETRON, "--out", "x.svg", "--latency"),
            "--latency is for --viewer flow or --viewer model-explorer",
        ),
        ((*NETRON, "--out", "x.svg", "--dim", "n=2"), "leave --shape, --dim and --value out"),
        ((*NETRON, "--out", "x.svg", "--opset", "19"), "opset, weights, dtype and sizes are those of"),
        ((*NETRON, "--out", "x.svg", "--module", "atention"), "has no module 'atention'; there is attention"),
        (("--out", "x.svg", "--browser", "cat"), "--browser is for --viewer netron"),
        ((*NETRON, "--out", "x.svg", "--browser", "/no/chrome"), "/no/chrome: no program that can be run"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_one_line(
    options: tuple[str, ...], message: str, bare_tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browsers, "find_spec", lambda name: object())
    monkeypatch.setattr(pictures, "netron_files", dict)
    if "/no/chrome" not in options:
        monkeypatch.setattr(browsers.shutil, "which", lambda name: name)
    monkeypatch.chdir(tmp_path)
    outcome = onnxlens("render", bare_tiny, *options)
    assert (outcome.code, outcome.out) == (2, "")
    assert message in outcome.err
    assert outcome.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_view_serves_until_ctrl_c(netron: None, bare_tiny: Path) -> None:
    with started("view", bare_tiny, "--module", "attention", "--no-browser", "--quiet") as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", address), address
        with urllib.request.urlopen(f"{address}data/model.onnx", timeout=10) as answer:
            model = onnx.ModelProto.FromString(answer.read())
        assert model.graph.name == "tiny/attention"
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        assert process.communicate(timeout=20) == ("", "")
    assert process.returncode == 0
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(address, timeout=10)


@pytest.mark.browser
def test_ctrl_c_ends_the_browser_too(chromium: str, netron: None, bare_tiny: Path, tmp_path: Path) -> None:
    mark, wrapper, out = tmp_path / "started", tmp_path / "chromium", tmp_path / "out" / "x.svg"
    wrapper.write_text(
        f'#!/bin/sh\necho $$ > "{mark}.new"\nmv "{mark}.new" "{mark}"\nexec "{chromium}" "$@"\n'
    )
    wrapper.chmod(0o755)
    with started("render", bare_tiny, *NETRON, "--browser", wrapper, "--out", out) as process:
        while not mark.exists():
            assert process.poll() is None
            sleep(0.02)
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode != 0
    assert not out.parent.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(int(mark.read_text()), 0)


def test_a_main_job_that_could_not_draw_is_refused_before_it_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browsers, "find_spec", lambda name: object())
    outcome = onnxlens(
        "run", "--netron", "--browser", "/no/chrome", "--graphs", "hed", "--out", tmp_path / "out"
    )
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("onnxlens: /no/chrome: no program that can be run")
    assert not (tmp_path / "out").exists()


@pytest.mark.browser
def test_the_main_job_links_netrons_pictures(
    chromium: str, netron: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_catalog.install(monkeypatch)
    out = tmp_path / "out"
    done("run", "--netron", "--browser", chromium, "--weights", "none", "--out", out)
    page = (out / "index.md").read_text(encoding="utf-8")
    for name in small_catalog.NAMES:
        assert f"netron: [svg]({name}/netron.svg)" in page
        assert "Conv" in operators(out / name / "netron.svg")
