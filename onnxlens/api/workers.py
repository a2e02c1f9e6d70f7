"""Independent work in processes of its own, whose progress is shown in this one.

A process for each is what makes tracing faster: it is Python's own work, which threads would share one core
for.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import active_children, get_context, parent_process
from multiprocessing.queues import Queue
from queue import Empty
from threading import Thread
from typing import TypeVar

from onnxlens.specs.progress import FINISHED, Progress, Watch

Result = TypeVar("Result")
Task = Callable[[str, Progress], Result]
"""Called with the name of what to work on; it and its result must pickle."""

Message = tuple[str, str, int, int]
"""A name and the arguments of its progress."""

RELAY_S = 0.1
"""How long a finished task can go unnoticed."""

_messages: Queue[Message]
"""In a worker: the way to the process that shows progress."""


def in_processes(
    task: Task[Result], names: Sequence[str], processes: int, watch: Watch
) -> dict[str, Future[Result]]:
    """Call ``task`` for every name, in up to ``processes`` processes at once, and wait for all.

    The processes are spawned: a script that calls this must be guarded by ``if __name__ == "__main__"``.

    Returns:
        By name what came of it, each done: a result, or the error that the task raised.
    """
    context, before = get_context("spawn"), {*active_children()}
    messages: Queue[Message] = context.Queue()
    shown: dict[str, Progress] = {}

    def show(wait_s: float) -> bool:
        try:
            name, step, done, total = messages.get(timeout=wait_s)
        except Empty:
            return False
        if name not in shown:
            shown[name] = watch(name, len(shown) + 1, len(names))
        shown[name](step, done, total)
        return True

    with ProcessPoolExecutor(processes, context, _connect, (messages,)) as pool:
        futures = {name: pool.submit(_call, task, name) for name in names}
        try:
            while not all(future.done() for future in futures.values()):
                show(RELAY_S)
            while show(RELAY_S):
                pass
        except BaseException:
            for worker in {*active_children()} - before:
                worker.terminate()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return futures


def _connect(messages: Queue[Message]) -> None:
    """Prepare a worker; imports make hardly any garbage, so it is looked for less often, as in ``main``."""
    global _messages
    _messages = messages
    gc.set_threshold(20_000, 10, 10)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process when the one that made it is gone, also if that was killed."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _call(task: Task[Result], name: str) -> Result:
    def report(step: str, done: int, total: int) -> None:
        _messages.put((name, step, done, total))

    try:
        return task(name, report)
    finally:
        report(FINISHED, 0, 0)
