"""Progress: lines that move on a terminal, a plain line per finished step elsewhere, nothing with --quiet."""

from __future__ import annotations

import io
import re
import subprocess
from contextlib import redirect_stderr, suppress
from pathlib import Path

import pytest

from onnxlens.cli import progress
from onnxlens.cli.main import run
from onnxlens.specs.progress import FINISHED
from tests import small_catalog
from tests.cli.calls import PROGRAM, ROOT
from tests.export.tiny import TARGET


class Terminal(io.StringIO):
    """A stderr that is a terminal."""

    def isatty(self) -> bool:
        return True

    def lines(self) -> list[str]:
        """All text written to it, without the escape codes for cursor and color."""
        text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self.getvalue())
        return [line.strip() for line in re.split(r"[\r\n]", text) if line.strip()]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    return Terminal()


def test_a_terminal_shows_the_graph_its_position_and_the_step(terminal: Terminal) -> None:
    with redirect_stderr(terminal), progress.watched() as watch:
        watch("vae-encoder", 2, 3)("writing weights", 1, 2)
    shown = terminal.lines()
    assert any("vae-encoder (2 of 3)" in line for line in shown)
    assert any("writing weights" in line for line in shown)
    assert all("0:00:0" in line for line in shown if "writing weights" in line)  # the time so far


def test_the_overall_bar_shows_the_finished_graphs(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    with redirect_stderr(terminal), progress._bars() as bars:
        monkeypatch.setattr(progress, "_bars", lambda: _Opened(bars))
        with progress.watched() as watch:
            first = watch("a", 2, 4)
            first("reading", 3, 8)
            assert [(task.completed, task.total) for task in bars.tasks] == [(1, 4), (3, 8)]
            watch("b", 3, 4)("drawing", 0, 0)
            first("reading", 4, 8)  # two graphs at once
            assert [(task.completed, task.total) for task in bars.tasks] == [(2, 4), (4, 8), (0, None)]
            first(FINISHED, 0, 0)
            assert [(task.completed, task.total) for task in bars.tasks] == [(2, 4), (0, None)]


class _Opened:
    """Bars that the test closes itself."""

    def __init__(self, bars: object) -> None:
        self._bars = bars

    def __enter__(self) -> object:
        return self._bars

    def __exit__(self, *_: object) -> None:
        pass


def test_a_single_task_is_shown_under_its_title(terminal: Terminal) -> None:
    with redirect_stderr(terminal), progress.shown("hed") as report:
        report("tracing", 0, 0)
    assert any("hed: tracing" in line for line in terminal.lines())


@pytest.mark.parametrize(
    ("done", "total", "seconds", "shown"),
    [
        (0, 0, 5.0, ""),  # nobody knows how much there is
        (0, 20, 0.0, ": 0 of 20"),
        (3, 20, 15.0, ": 3 of 20, 0:01:25 left"),  # 5 s each, 17 to go
        (20, 20, 100.0, ": 20 of 20"),
        (10**9, 4 * 10**9, 2.0, ": 0:00:06 left"),  # bytes
    ],
)
def test_the_time_left_is_that_of_the_steps_so_far(done: int, total: int, seconds: float, shown: str) -> None:
    assert progress._left(done, total, seconds) == shown


def test_a_terminal_shows_which_step_it_is(terminal: Terminal) -> None:
    with redirect_stderr(terminal), progress.shown("generate") as report:
        report("denoising", 3, 20)
    assert any("generate: denoising: 3 of 20, 0:00:00 left" in line for line in terminal.lines())


def test_what_was_shown_is_erased_at_the_end(terminal: Terminal) -> None:
    with redirect_stderr(terminal), progress.watched() as watch:
        watch("hed", 1, 1)("tracing", 0, 0)
    # the last codes go up a line and erase it, for both lines
    assert terminal.getvalue().endswith("\x1b[1A\x1b[2K\x1b[1A\x1b[2K")


PROFILED = ["loading the graph", "counting"]


def seconds_left_out(text: str) -> list[str]:
    return re.sub(r" \d+\.\d s$", "", text, flags=re.M).splitlines()


def test_without_a_terminal_every_finished_step_is_a_plain_line_at_once() -> None:
    stderr = io.StringIO()
    with redirect_stderr(stderr), progress.shown("export hed") as report:
        report("tracing", 0, 0)
        assert stderr.getvalue() == ""
        report("writing weights", 1, 2)
        assert seconds_left_out(stderr.getvalue()) == ["onnxlens: export hed: tracing"]
        report("writing weights", 2, 2)
    assert re.fullmatch(r"(onnxlens: export hed: [a-z ]+ \d+\.\d s\n){2}", stderr.getvalue())


def test_without_a_terminal_the_lines_of_several_graphs_name_each() -> None:
    stderr = io.StringIO()
    with redirect_stderr(stderr), progress.watched() as watch:
        first, second = watch("hed", 1, 2), watch("mlsd-tiny", 2, 2)
        first("tracing", 0, 0)
        second("tracing", 0, 0)
        first(FINISHED, 0, 0)
        second("drawing", 0, 0)
        second(FINISHED, 0, 0)
    assert seconds_left_out(stderr.getvalue()) == [
        "onnxlens: hed (1 of 2): tracing",
        "onnxlens: mlsd-tiny (2 of 2): tracing",
        "onnxlens: mlsd-tiny (2 of 2): drawing",
    ]


def test_a_step_that_failed_is_not_reported_as_finished() -> None:
    stderr = io.StringIO()
    with redirect_stderr(stderr), suppress(RuntimeError), progress.shown("hed") as report:
        report("tracing", 0, 0)
        raise RuntimeError
    assert stderr.getvalue() == ""


def test_lines_appear_in_a_shell_and_none_with_quiet(tmp_path: Path) -> None:
    def said(*arguments: str) -> list[str]:
        done = subprocess.run([*PROGRAM, *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
        return seconds_left_out(done.stderr)

    export = f"onnxlens: export {TARGET}: "
    steps = ["tracing", "simplifying", "checking"]
    out = ("--weights", "none", "--out", str(tmp_path))
    assert said("export", TARGET, *out) == [export + step for step in steps]
    (file,) = map(str, tmp_path.glob("*.onnx"))
    assert said("profile", file) == [f"onnxlens: profile {file}: {step}" for step in PROFILED]
    assert said("profile", file, "--quiet") == said("profile", file, "-q") == []


def test_a_run_at_a_terminal_names_its_graph_and_prints_its_table_apart(
    terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small_catalog.install(monkeypatch)
    with redirect_stderr(terminal):
        assert run(["run", "--out", str(tmp_path / "out"), "--graphs", "second"]) == 0
    assert any("second (1 of 1)" in line for line in terminal.lines())
    table = capsys.readouterr().out
    assert table.startswith("graph ")
    assert "(1 of 1)" not in table
