"""The command line as a shell sees it: exit codes, what is on which stream, a closed pipe."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from onnxlens import __version__
from tests.cli.calls import PROGRAM, ROOT, onnxlens_process
from tests.export import tiny as tiny_network
from tests.export.tiny import TARGET
from tests.trust import TINY


def test_help_and_version_go_to_stdout() -> None:
    outcome = onnxlens_process("--help")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith("Usage: onnxlens")
    assert "Exit codes: 0 done, 1 a check did not hold, 2 wrong use" in " ".join(outcome.out.split())
    assert onnxlens_process("--version").out == f"onnxlens, version {__version__}\n"


def test_a_json_document_is_all_that_an_export_and_a_count_print() -> None:
    outcome = onnxlens_process("profile", TARGET, "--format", "json")
    assert (outcome.code, outcome.err) == (0, "")
    document = json.loads(outcome.out)
    assert document["totals"]["macs"] == tiny_network.MACS


def test_a_check_that_does_not_hold_is_an_exit_code_to_the_shell(tiny: Path) -> None:
    outcome = onnxlens_process("check", tiny, *TINY, "--tolerance", "1e-12", "--format", "json")
    assert (outcome.code, outcome.err) == (1, "")
    assert json.loads(outcome.out)["passed"] is False


def test_bad_input_is_an_exit_code_and_one_line_to_the_shell(tmp_path: Path) -> None:
    outcome = onnxlens_process("export", "hde", "--out", tmp_path / "out")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("onnxlens: unknown graph 'hde': did you mean 'hed'?")
    assert outcome.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_closed_pipe_is_not_an_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [*PROGRAM, "graphs"], cwd=ROOT, stdout=writing, stderr=subprocess.PIPE, text=True, check=False
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")
