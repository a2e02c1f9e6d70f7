"""A worker in a process of its own: limits of time and memory, and a crash that costs one line.

A tool may abort, fill the memory or wait for ever, and may start processes itself: all that it starts is one
session, which is ended as a whole.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

from onnxlens.errors import ToolError
from onnxlens.profile.runtime.machine import memory_bytes as machine_bytes
from onnxlens.profile.vendor.compilers.workers.start import session_of
from onnxlens.specs.temporary import temporary_folder
from onnxlens.specs.text import printable

WORKERS = Path(__file__).parent / "workers"
START = WORKERS / "start.py"

REQUEST, RESULT, LOG = "request.json", "result.json", "log.txt"

LOOK_S = 0.2
"""How often the time and the memory are looked at."""

MEMORY_SHARE = 0.8
"""The part of the machine's memory that a tool may take."""

LAST_LINES, LAST_CHARACTERS, TAIL_BYTES = 2, 300, 2**16
"""How much is told of a log that ends in a crash."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a worker.

    Attributes:
        log: the file with all that the tool printed.
        result: what the worker returned; empty if it did not come to that.
        crashed: then why, with the tool's own last words, in one line; else "".
        cut_off: the same of a worker that had written a result and then did not come to its end; else "".
    """

    log: Path
    result: Mapping[str, Any] = field(default_factory=dict)
    crashed: str = ""
    cut_off: str = ""


def run_worker(
    python: Path,
    worker: Path,
    request: Mapping[str, Any],
    folder: Path,
    timeout_s: float,
    env: Mapping[str, str] | None = None,
    memory_bytes: int | None = None,
) -> Outcome:
    """Run a worker in ``folder``, which holds its request, and afterwards its result and its log.

    Args:
        python: of the tool's environment.
        worker: a script whose ``main`` is given the request, and returns the result.
        request: as JSON has it.
        folder: its current folder, where its tool's reports are left.
        timeout_s: by the clock; then it is ended with all that it has started.
        env: variables of the environment beside those of this process.
        memory_bytes: of all its processes together; None for most of the machine's. Linux alone has a limit.

    Raises:
        ToolError: no process can be started.
    """
    (folder / RESULT).unlink(missing_ok=True)
    (folder / REQUEST).write_text(json.dumps(request), encoding="utf-8")
    log, most = folder / LOG, memory_bytes or int(MEMORY_SHARE * machine_bytes())
    with log.open("wb") as printed, temporary_folder() as scratch:
        own = {**clean_environment(python), "TMPDIR": str(scratch)}  # tools leave files there
        try:
            process = subprocess.Popen(
                [python, START, worker, REQUEST, RESULT],
                cwd=folder,
                stdin=subprocess.PIPE,
                stdout=printed,
                stderr=subprocess.STDOUT,
                env={**own, **(env or {})},
                start_new_session=True,
            )
        except OSError as error:
            raise ToolError(f"{python}: cannot be started ({error.strerror}); give --tool-path") from error
        try:
            stopped = _watched(process, timeout_s, most)
        finally:
            _end(process)
    return _outcome(folder, log, stopped, process.returncode)


def clean_environment(python: Path) -> dict[str, str]:
    """This process's variables; another Python's paths are its own."""
    own = python == Path(sys.executable)
    dropped = () if own else ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    return {name: value for name, value in os.environ.items() if name not in dropped}


def _outcome(folder: Path, log: Path, stopped: str, code: int) -> Outcome:
    result = _result(folder / RESULT)
    words, why = last_words(log), stopped or _ending(code, result)
    said = f"{why}; its last words: {words}" if words else why
    if result is None:
        return Outcome(log, crashed=said)
    return Outcome(log, result, cut_off=said if stopped or code else "")


def _result(path: Path) -> Mapping[str, Any] | None:
    """What a worker wrote; a tool that crashes at its exit has done its work before."""
    with suppress(OSError, ValueError):
        result = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(result, dict):
            return result
    return None


def _watched(process: subprocess.Popen[bytes], timeout_s: float, memory_bytes: int) -> str:
    """Wait for the end; why it has to be stopped, if it has."""
    until = monotonic() + timeout_s
    while True:
        with suppress(subprocess.TimeoutExpired):
            process.wait(LOOK_S)
            return ""
        if monotonic() > until:
            return f"it takes more than {timeout_s:,.0f} s (--timeout)"
        if sum(held for _, held in session_of(process.pid)) > memory_bytes:
            return f"it needs more than {memory_bytes / 2**30:,.1f} GiB of memory"


def _ending(code: int, result: object) -> str:
    if code < 0:
        return f"its process died of {signal.Signals(-code).name}"
    return f"its process ended {'without a result, ' if result is None else ''}with the code {code}"


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process and all that it has started, also those in groups of their own."""
    with suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)
    for pid, _ in session_of(process.pid):
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    process.wait()
    if process.stdin is not None:
        process.stdin.close()


def last_words(log: Path) -> str:
    """The end of a log, in one line."""
    with log.open("rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - TAIL_BYTES))
        lines = file.read().decode("utf-8", "replace").splitlines()
    said = [" ".join(line.split()) for line in lines if line.strip(" \t^~")]  # marks under Python's lines
    return _shortened(said[-LAST_LINES:])


def _shortened(lines: Sequence[str]) -> str:
    text = printable(" | ".join(lines))
    return text if len(text) <= LAST_CHARACTERS else f"...{text[-LAST_CHARACTERS:]}"
