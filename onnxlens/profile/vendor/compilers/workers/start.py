"""Calls a worker's ``main`` with a request, and writes what it returns: ``start.py WORKER REQUEST RESULT``.

It ends with the process that wants the result: standard input stays open as long as that lives. This file and
the workers run on Python 3.10 as well.
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def session_of(leader: int) -> Iterator[tuple[int, int]]:
    """The processes of a session and the bytes that each holds; none where the system does not list them."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended
            fields = stat.read_text("utf-8", "replace").rpartition(")")[2].split()
            if int(fields[3]) == leader:
                yield int(stat.parent.name), int(fields[21]) * os.sysconf("SC_PAGE_SIZE")


def _end_with_parent() -> None:
    """Start a process that ends the session when standard input does: a thread would wait for a tool."""
    leader = os.getpid()
    if os.fork():
        return
    while os.read(0, 1):
        pass
    for pid, _ in session_of(leader):  # also those in groups of their own
        if pid != os.getpid():
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
    os.killpg(0, signal.SIGKILL)


def _main(worker: str, request: str, result: str) -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    here = str(Path(__file__).parent)  # a worker has its tool's name, and must not be imported for it
    sys.path[:] = [path for path in sys.path if path != here]
    _end_with_parent()
    sys.argv = [worker]
    asked = json.loads(Path(request).read_text(encoding="utf-8"))
    made = runpy.run_path(worker)["main"](asked)
    Path(result).write_text(json.dumps(made), encoding="utf-8")


if __name__ == "__main__":
    _main(*sys.argv[1:])
