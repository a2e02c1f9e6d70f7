"""Progress on stderr: lines that move where a person watches, nothing where none does."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from onnxlens.specs.progress import Progress, Watch, silent, unwatched

if TYPE_CHECKING:
    from rich.progress import Progress as Bar


@contextmanager
def shown(title: str) -> Iterator[Progress]:
    """A progress callback for the time of one task."""
    if not sys.stderr.isatty():
        yield silent
        return
    with _bars() as bars:
        yield _steps(bars, f"{title}: ")


@contextmanager
def watched() -> Iterator[Watch]:
    """A watch over several graphs: which of how many, its step, how far that is, and the time so far."""
    if not sys.stderr.isatty():
        yield unwatched
        return
    with _bars() as bars:
        whole = bars.add_task("")
        report = _steps(bars, "  ")

        def watch(graph: str, place: int, count: int) -> Progress:
            bars.update(whole, description=f"{graph} ({place} of {count})", completed=place - 1, total=count)
            return report

        yield watch


def _steps(bars: Bar, prefix: str) -> Progress:
    """A callback with a line of its own, whose clock starts anew with every step."""
    task = bars.add_task(prefix, total=None)
    current = ""

    def report(step: str, done: int, total: int) -> None:
        nonlocal current, task
        if step != current:
            current = step
            bars.remove_task(task)  # rich cannot take a total back: the next step may not know its own
            task = bars.add_task(f"{prefix}{step}", total=None)
        bars.update(task, completed=done, total=total or None)

    return report


def _bars() -> Bar:
    from rich.console import Console
    from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    return Bar(*columns, console=Console(file=sys.stderr), transient=True)
