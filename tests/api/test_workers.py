"""Work in several processes: results, errors, progress, and a worker that dies."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from time import sleep

import pytest

from onnxlens.api.workers import in_processes
from onnxlens.specs.progress import FINISHED, Progress, unwatched

ROOT = Path(__file__).parents[2]


def _task(name: str, progress: Progress) -> int:
    progress("counting", 1, 2)
    if name == "bad":
        raise ValueError(f"cannot count {name}")
    if name == "dies":
        os._exit(9)
    return os.getpid()


def test_results_and_errors_come_from_other_processes_and_progress_arrives_here() -> None:
    shown: list[tuple[object, ...]] = []

    def watch(name: str, index: int, count: int) -> Progress:
        shown.append((name, index, count))
        return lambda step, done, total: shown.append((name, step, done, total))

    outcomes = in_processes(_task, ["one", "bad"], 1, watch)
    assert outcomes["one"].result() != os.getpid()
    with pytest.raises(ValueError, match="cannot count bad"):
        outcomes["bad"].result()
    assert shown == [
        event
        for index, name in enumerate(("one", "bad"), start=1)
        for event in ((name, index, 2), (name, "counting", 1, 2), (name, FINISHED, 0, 0))
    ]


def test_workers_end_with_a_process_that_is_killed(tmp_path: Path) -> None:
    (tmp_path / "waiting.py").write_text(
        """
import os, sys, time
from pathlib import Path
from onnxlens.api.workers import in_processes
from onnxlens.specs.progress import unwatched

def wait(name, progress):
    (Path(__file__).parent / name).write_text(str(os.getpid()))
    time.sleep(600)

if __name__ == "__main__":
    in_processes(wait, ["one", "two"], 2, unwatched)
""",
        encoding="utf-8",
    )
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{tmp_path}"}
    with subprocess.Popen([sys.executable, str(tmp_path / "waiting.py")], env=environment) as parent:
        pids = [int(text) for name in ("one", "two") if (text := _eventually(tmp_path / name))]
        parent.kill()
    for _ in range(600):
        if not any(_lives(pid) for pid in pids):
            return
        sleep(0.05)
    pytest.fail(f"{pids} live on")


def _eventually(path: Path) -> str:
    for _ in range(1200):
        if path.exists() and (text := path.read_text(encoding="utf-8")):
            return text
        sleep(0.05)
    pytest.fail(f"{path} was not written")


def _lives(pid: int) -> bool:
    """Whether the process runs; an ended one may wait for whoever inherited it to take note."""
    try:
        return "zombie" not in Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return False


def test_a_process_that_is_killed_is_an_error_of_its_work() -> None:
    error = in_processes(_task, ["dies"], 1, unwatched)["dies"].exception()
    assert isinstance(error, BrokenProcessPool)
