"""Runs a worker, and ends with the process that wants its result: ``start.py WORKER REQUEST``, as a script.

Standard input stays open as long as that process lives. This file and the workers run on Python 3.10 as well.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading
from pathlib import Path


def _end_with_parent() -> None:
    while os.read(0, 1):
        pass
    os.killpg(0, signal.SIGKILL)


def _main(worker: str, request: str) -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    here = str(Path(__file__).parent)  # a worker has its tool's name, and must not be imported for it
    sys.path[:] = [path for path in sys.path if path != here]
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.argv = [worker, request]
    runpy.run_path(worker, run_name="__main__")


if __name__ == "__main__":
    _main(*sys.argv[1:])
