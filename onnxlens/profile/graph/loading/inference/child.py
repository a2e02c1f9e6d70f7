"""Work of libraries on what a file holds, in a child process: limits of memory and time, a crash of its own.

Shape inference is C++ and Python of others that goes through whatever a file says. On Linux the child is a
fork, which costs milliseconds: it has the model without a copy of it, and hands back bytes. Elsewhere, where
a fork of a process with Apple's frameworks may hang or there is none, it is a Python process of its own.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from math import ceil
from time import monotonic
from typing import NoReturn

from onnxlens.errors import first_line
from onnxlens.specs.record import record

Work = Callable[[], bytes]
"""What runs there; to be pickled where no fork is made: a partial of a function of a module."""

DONE, FAILED, NO_MEMORY = b"+", b"-", b"m"
"""The first byte that the child writes; the result follows, or what went wrong."""

READ_BYTES = 2**20
PAGES = "/proc/self/statm"


class GaveUpError(Exception):
    """The work was stopped, or its process died: the reason."""


class WorkFailedError(Exception):
    """The work raised an error of its own, whose first line this is."""


@record(frozen=True, slots=True)
class Limits:
    """What a child may take.

    Attributes:
        memory_bytes: beside what it has when it begins; no limit on systems that know none.
        cpu_s: of a processor.
    """

    memory_bytes: int
    cpu_s: float

    @staticmethod
    def for_graph(nodes: int, size_bytes: int) -> Limits:
        """What work on a graph may take: many times what it takes on those of real networks."""
        return Limits(2**29 + 32 * size_bytes, 3 + 0.003 * nodes)

    @property
    def wall_s(self) -> float:
        """By the clock: only a process that waits for something meets it, not one on a busy machine."""
        return 30 * self.cpu_s

    @property
    def answer_bytes(self) -> int:
        """Of the result, which the parent has to hold as well."""
        return self.memory_bytes // 4

    def set(self) -> None:
        """Put the limits on this process."""
        try:
            import resource
        except ImportError:  # Windows has none: the time by the clock is watched from outside
            return
        used = resource.getrusage(resource.RUSAGE_SELF)
        cpu_s = ceil(used.ru_utime + used.ru_stime + self.cpu_s)
        wanted = {resource.RLIMIT_CORE: 0, resource.RLIMIT_CPU: cpu_s}
        with suppress(OSError), open(PAGES) as file:
            held_bytes = int(file.read().split()[0]) * resource.getpagesize()
            wanted[resource.RLIMIT_AS] = held_bytes + self.memory_bytes
        for kind, most in wanted.items():
            soft, hard = resource.getrlimit(kind)
            held = [limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY]
            resource.setrlimit(kind, (min([most, *held]), hard))


def in_child(work: Work, limits: Limits, *, fork: bool = sys.platform == "linux") -> bytes:
    """What the work returns.

    Raises:
        GaveUpError: it took more than its limits, or its process died.
        WorkFailedError: it raised.
    """
    answer = (_forked if fork else _spawned)(work, limits)
    kind, result = answer[:1], answer[1:]
    if kind == FAILED:
        raise WorkFailedError(result.decode("utf-8", "replace"))
    if kind != DONE:
        raise GaveUpError(f"it needs more than {limits.memory_bytes / 2**20:,.0f} MiB of memory")
    return result


def _forked(work: Work, limits: Limits) -> bytes:
    read_end, write_end = os.pipe()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of threads, whose locks it leaves be
            child = os.fork()
    except OSError as error:
        os.close(read_end)
        os.close(write_end)
        raise GaveUpError(f"no process could be started: {error.strerror}") from error
    if child == 0:
        os.close(read_end)
        _be_child(work, limits, write_end)
    os.close(write_end)
    try:
        answer = _read(read_end, limits)
    except BaseException:  # its limits, or the user's Ctrl-C
        os.kill(child, signal.SIGKILL)
        raise
    finally:
        os.close(read_end)
        status = os.waitpid(child, 0)[1]
    return _ended(os.waitstatus_to_exitcode(status), answer, limits)


def _read(end: int, limits: Limits) -> bytes:
    """All that the child writes, within its limits."""
    answer = bytearray()
    until = monotonic() + limits.wall_s
    while len(answer) <= limits.answer_bytes:
        left = until - monotonic()
        if left <= 0 or not select.select([end], [], [], left)[0]:
            raise GaveUpError(_too_long(limits))
        part = os.read(end, READ_BYTES)
        if not part:
            return bytes(answer)
        answer += part
    raise GaveUpError(f"its result has more than {limits.answer_bytes / 2**20:,.0f} MiB")


def _be_child(work: Work, limits: Limits, write_end: int) -> NoReturn:
    """Work, answer and end: nothing of the parent's runs here, be it a handler, an exit's or a caller's."""
    try:
        for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(name, signal.SIG_DFL)
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in {0, 1, 2} - {write_end}:  # of messages of libraries, a crash's among them
            os.dup2(nowhere, stream)
        limits.set()
        with open(write_end, "wb") as file:
            _answer(work, file.write)
    finally:
        os._exit(0)


def _answer(work: Work, write: Callable[[bytes], object]) -> None:
    """Do the work, and write what came of it."""
    try:
        kind, result = DONE, work()
    except MemoryError:
        kind, result = NO_MEMORY, b""
    except Exception as error:  # whatever a library raises at a graph that it does not understand
        kind, result = FAILED, first_line(error).encode("utf-8", "replace")
    write(kind)
    write(result)


def _spawned(work: Work, limits: Limits) -> bytes:
    import pickle
    import subprocess  # these take as long to import as a fork

    code = f"from {__name__} import main; main()"
    paths = os.pathsep.join(filter(None, sys.path))
    try:
        done = subprocess.run(
            [sys.executable, "-c", code],
            input=pickle.dumps((work, limits)),
            capture_output=True,
            timeout=limits.wall_s + 10,  # it begins with imports
            env={**os.environ, "PYTHONPATH": paths},
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise GaveUpError(_too_long(limits)) from error
    except OSError as error:
        raise GaveUpError(f"no process could be started: {error.strerror}") from error
    return _ended(done.returncode, done.stdout, limits)


def main() -> None:
    """What a spawned child does: its work comes from the parent, over its standard input."""
    import pickle

    answers = os.dup(1)
    os.dup2(2, 1)  # what libraries print is no answer
    work, limits = pickle.load(sys.stdin.buffer)
    limits.set()
    with open(answers, "wb") as file:
        _answer(work, file.write)


def _ended(code: int, answer: bytes, limits: Limits) -> bytes:
    """The answer of a process that ended so."""
    if code == -signal.Signals.SIGXCPU if hasattr(signal, "SIGXCPU") else False:
        raise GaveUpError(_too_long(limits))
    if code < 0:
        raise GaveUpError(f"its process died of {signal.Signals(-code).name}")
    if not answer or code:
        raise GaveUpError(f"its process ended without an answer, with the code {code}")
    return answer


def _too_long(limits: Limits) -> str:
    return f"it takes more than {limits.cpu_s:,.0f} s"
