"""Calls of the command line, in this process and in one of its own."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from onnxlens.cli.main import VERBS, run

ROOT = Path(__file__).parents[2]
PROGRAM = (sys.executable, "-c", "from onnxlens.cli.main import main; main()")


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


def onnxlens(*arguments: object) -> Outcome:
    """One command line in this process, without progress."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = run(_quiet(arguments))
    return Outcome(code, out.getvalue(), err.getvalue())


def onnxlens_process(*arguments: object) -> Outcome:
    """One command line in a process of its own, where torch and ONNX Runtime may write past Python."""
    done = subprocess.run(
        [*PROGRAM, *_quiet(arguments)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


def _quiet(arguments: Sequence[object]) -> list[str]:
    """A verb with ``--quiet``; ``run`` in this process: only here is a catalog that a test replaced."""
    given = [str(argument) for argument in arguments]
    if not given or given[0] not in VERBS:
        return given
    return [given[0], "--quiet", *(["--processes", "1"] if given[0] == "run" else []), *given[1:]]


def done(*arguments: object) -> str:
    """The output of a command line that must succeed with an empty stderr."""
    outcome = onnxlens(*arguments)
    assert (outcome.code, outcome.err) == (0, ""), outcome
    return outcome.out
