"""The command line as a shell sees it: exit codes, what is on which stream, a closed pipe."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from onnxlens import __version__
from tests.cli.calls import PROGRAM, ROOT, onnxlens, onnxlens_process
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


@pytest.mark.parametrize("arguments", ["graphs", "graphs --help", "profile {tiny}"])
def test_a_full_device_is_one_line(arguments: str, tiny: Path) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*PROGRAM, *arguments.format(tiny=tiny).split()],
            cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == "onnxlens: the output: No space left on device"
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("closed", ["2>&-", ">&-", ">&- 2>&-", "2>/dev/full"])
def test_closed_streams_change_no_exit_code(closed: str, tiny: Path) -> None:
    for arguments, code in ((["profile", "-q", str(tiny)], 0), (["profile", "missing.onnx"], 2)):
        shell = f"{shlex.join([*PROGRAM, *arguments])} {closed}"
        done = subprocess.run(["bash", "-c", shell], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == code
        assert "Traceback" not in done.stderr


CHATTER = """
import os, warnings
os.write(2, b"libodd: told by a library\\n")
warnings.warn("for developers")
def network():
    raise ValueError("no network")
"""


def test_what_libraries_write_to_standard_error_does_not_come_before_our_line(tmp_path: Path) -> None:
    (tmp_path / "chatter.py").write_text(CHATTER, encoding="utf-8")
    done = subprocess.run(
        [*PROGRAM, "profile", "-q", "chatter:network"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"onnxlens: chatter:network: .*no network.*\n", done.stderr)


def test_a_picture_that_is_damaged_is_refused_in_one_line(tmp_path: Path) -> None:
    data = bytes(cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1])
    (tmp_path / "p.png").write_bytes(data.replace(b"IDAT", b"IDAX"))
    outcome = onnxlens_process("annotate", tmp_path / "p.png", "--kind", "canny", "--out", tmp_path / "o.png")
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert "p.png: not a picture that OpenCV can read" in outcome.err


def test_a_factory_that_exits_is_a_refusal(tmp_path: Path) -> None:
    (tmp_path / "leaving.py").write_text("import sys\ndef network(): sys.exit(5)\n", encoding="utf-8")
    done = subprocess.run(
        [*PROGRAM, "export", "leaving:network", "--out", "out"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert "the model's own code asked to exit, with 5" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("verb", ["export hed", "run", "render hed", "extract hed --module x"])
@pytest.mark.parametrize(("out", "why"), [("", "it is empty"), ("x" * 300, "a name that no file can have")])
def test_an_output_path_that_no_file_can_have_is_refused_first(verb: str, out: str, why: str) -> None:
    outcome = onnxlens(*verb.split(), "--out", out)
    assert (outcome.code, outcome.out) == (2, "")
    assert why in outcome.err


def test_a_terminated_program_removes_what_it_has_begun(tmp_path: Path) -> None:
    (tmp_path / "waiting.py").write_text(
        "import time\ndef network():\n    print('called', flush=True)\n    time.sleep(60)\n", encoding="utf-8"
    )
    arguments = ("export", "waiting:network", "--out", "out")
    with subprocess.Popen([*PROGRAM, *arguments], cwd=tmp_path, text=True, stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "called\n"
        program.terminate()
        assert program.wait() == 143
    assert not (tmp_path / "out").exists()


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
