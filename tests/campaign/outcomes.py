"""One command line in a forked child with limits, and what became of it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import resource
import select
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from onnxlens.specs.ledger import COUNTS

LIMIT_S = 10
LIMIT_BYTES = 1 << 30
"""Of one command line: processor time, and memory over that of a process that has all libraries loaded."""

HANGS_AFTER_S = 300
HARD_LIMIT_BYTES = 2 << 30
LONGEST_FILE_BYTES = 1 << 28

OK, REFUSED, OUTSIDE = "ok", "refused", "outside"
FAULTS = (
    "exception",
    "killed",
    "over 10 s",
    "over 1 GiB",
    "not one line",
    "control characters",
    "broken output",
    "nondeterministic",
)
OUTCOMES = (OK, REFUSED, *FAULTS, OUTSIDE)

CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
CRASHES = (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL)
OUR_FRAME = re.compile(r'File "[^"]*/(onnxlens/[^"]+)", line \d+, in (\S+)')


@dataclass(frozen=True)
class Run:
    """What a command line left.

    Attributes:
        code: the exit code; negative for a signal.
        digest: of standard output and all files that were written.
    """

    code: int
    out: str
    err: str
    cpu_s: float
    peak_bytes: int
    hung: bool
    digest: str


@dataclass(frozen=True)
class Outcome:
    """One of ``OUTCOMES``, and what tells one fault from another: the exception and our innermost frame."""

    name: str
    key: str = ""


def run_forked(folder: Path, arguments: Sequence[str]) -> Run:
    """Run ``onnxlens`` in the folder; what anybody writes to its streams is kept beside that."""
    streams = [folder.with_name(f"{folder.name}.{name}") for name in ("out", "err")]
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    pid = os.fork()
    if not pid:
        _child(folder, streams, arguments)
    hung = not _ended(pid)
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    _, status, usage = os.wait4(pid, 0)
    out, err = (path.read_bytes() for path in streams)
    return Run(
        os.waitstatus_to_exitcode(status),
        out.decode("utf-8", "replace"),
        err.decode("utf-8", "replace"),
        usage.ru_utime + usage.ru_stime,
        usage.ru_maxrss * 1024,
        hung,
        _digest(out, [path for path in sorted(folder.rglob("*")) if path not in before and path.is_file()]),
    )


def _digest(out: bytes, written: Sequence[Path]) -> str:
    digest = hashlib.sha256(out)
    for path in written:
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _ended(pid: int) -> bool:
    """Wait for the child to end by itself."""
    file = os.pidfd_open(pid)
    try:
        ready, _, _ = select.select([file], [], [], HANGS_AFTER_S)
    finally:
        os.close(file)
    return bool(ready)


def _child(folder: Path, streams: Sequence[Path], arguments: Sequence[str]) -> None:
    """Become the command line: never returns."""
    try:
        os.setpgid(0, 0)
        for number, path in enumerate(streams, start=1):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.chdir(folder)
        _limit()
        from onnxlens.cli.main import main

        sys.argv = ["onnxlens", arguments[0], "--quiet", *arguments[1:]]
        sys.stdout, sys.stderr = (os.fdopen(number, "w") for number in (1, 2))
        main()
    finally:
        os._exit(99)


def _limit() -> None:
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    held = int(status["VmData"].split()[0]) * 1024
    resource.setrlimit(resource.RLIMIT_DATA, (held + HARD_LIMIT_BYTES,) * 2)
    resource.setrlimit(resource.RLIMIT_CPU, (3 * LIMIT_S,) * 2)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LONGEST_FILE_BYTES,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def idle_bytes() -> int:
    """The memory of a forked child that does nothing."""
    pid = os.fork()
    if not pid:
        os._exit(0)
    return os.wait4(pid, 0)[2].ru_maxrss * 1024


def classify(run: Run, arguments: Sequence[str], folder: Path, idle: int) -> Outcome:
    """Which outcome the run is: the worst that holds."""
    verb = arguments[0]
    if run.hung or run.cpu_s > LIMIT_S:
        return Outcome("over 10 s", f"{verb}{' hangs' if run.hung else ''}")
    if run.peak_bytes - idle > LIMIT_BYTES or "MemoryError" in run.err:
        return Outcome("over 1 GiB", f"{verb} {frame_of(run.err)}".strip())
    if -run.code in CRASHES:
        return Outcome(OUTSIDE, f"{verb} {signal.Signals(-run.code).name}")
    if run.code < 0:
        return Outcome("killed", f"{verb} {signal.Signals(-run.code).name}")
    if run.code not in (0, 1, 2) or "Traceback (most recent call last)" in run.err:
        return Outcome("exception", frame_of(run.err) or f"exit {run.code}")
    if CONTROL.search(run.err) or ("csv" not in arguments and CONTROL.search(run.out)):
        return Outcome("control characters", verb)
    if run.code == 2:
        lines = run.err.splitlines()
        single = len(lines) == 1 and lines[0].startswith("onnxlens: ") and not run.out
        return Outcome(REFUSED) if single else Outcome("not one line", _noise(lines, run.out))
    broken = _broken(folder, arguments, run)
    return Outcome("broken output", broken) if broken else Outcome(OK)


def frame_of(err: str) -> str:
    """The exception's type and our innermost frame: ``KeyError at onnxlens/a.py:function``."""
    raised = [line for line in err.splitlines() if re.match(r"[\w.]*[A-Z]\w*(:|$)", line)]
    frames = OUR_FRAME.findall(err)
    if not raised:
        return ""
    kind = raised[-1].partition(":")[0]
    return f"{kind} at {':'.join(frames[-1])}" if frames else kind


def _noise(lines: Sequence[str], out: str) -> str:
    """The first line that is not ours."""
    foreign = [line for line in lines if not line.startswith("onnxlens: ")]
    if foreign:
        return re.sub(r"\d+", "#", foreign[0])[:60]
    return "standard output, too" if out else f"{len(lines)} lines of ours"


def _negative(document: Any) -> Iterator[str]:
    """The counts in a document that are below 0."""
    if isinstance(document, dict):
        yield from (
            name for name in (*COUNTS, "params") if isinstance(found := document.get(name), int) and found < 0
        )
    for inner in document.values() if isinstance(document, dict) else document:
        if isinstance(inner, dict | list):
            yield from _negative(inner)


def _broken(folder: Path, arguments: Sequence[str], run: Run) -> str:
    """Which result cannot be read as what it is; "" if all can."""
    if run.code == 0 and "json" in arguments:
        try:
            document = json.loads(run.out)
        except ValueError as error:
            return f"{arguments[0]} --format json: {type(error).__name__}"
        if below := next(_negative(document), None):
            return f"{arguments[0]}: {below} below 0"
    for path in folder.rglob("out*"):
        try:
            if path.suffix == ".svg":
                ElementTree.parse(path)
            elif path.suffix == ".json":
                json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, ElementTree.ParseError) as error:
            return f"{arguments[0]} {path.suffix}: {type(error).__name__}"
    return ""
