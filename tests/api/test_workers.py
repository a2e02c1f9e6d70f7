"""Work in several processes: results, errors, progress, and a worker that dies."""

from __future__ import annotations

import os
from concurrent.futures.process import BrokenProcessPool

import pytest

from onnxlens.api.workers import in_processes
from onnxlens.specs.progress import FINISHED, Progress, unwatched


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


def test_a_process_that_is_killed_is_an_error_of_its_work() -> None:
    error = in_processes(_task, ["dies"], 1, unwatched)["dies"].exception()
    assert isinstance(error, BrokenProcessPool)
