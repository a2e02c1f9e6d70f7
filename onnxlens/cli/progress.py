"""Progress on stderr: moving bars on a terminal, one plain line per finished step elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from time import perf_counter
from typing import TYPE_CHECKING

import click

from onnxlens.specs.progress import FINISHED, Progress, Watch, silent, unwatched
from onnxlens.specs.text import printable

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

_QUIET = "onnxlens.quiet"

MOST_COUNTED = 9999
"""Steps that are counted out for people; more are bytes."""


def _be_quiet(context: click.Context, option: click.Parameter, quiet: bool) -> None:
    context.meta[_QUIET] = quiet


QUIET_OPTION = click.Option(
    ["-q", "--quiet"], is_flag=True, expose_value=False, callback=_be_quiet, help="Show no progress."
)
"""``--quiet``, which every verb takes."""


@contextmanager
def shown(title: str) -> Iterator[Progress]:
    """A progress callback, shown until the context ends."""
    if _is_quiet():
        yield silent
    elif sys.stderr.isatty():
        with _bars() as bars:
            yield _moving(bars, f"{title}: ")
    else:
        lines = _Lines(title)
        yield lines
        lines.finish()  # unless the step failed


@contextmanager
def watched() -> Iterator[Watch]:
    """A callback for work on several graphs: shows which of how many, its step, and the time so far."""
    if _is_quiet():
        yield unwatched
        return
    if not sys.stderr.isatty():
        yield lambda graph, index, count: _Lines(_title(graph, index, count))
        return
    with _bars() as bars:
        whole = bars.add_task("all graphs")

        def watch(graph: str, index: int, count: int) -> Progress:
            bars.update(whole, completed=index - 1, total=count)
            return _moving(bars, f"  {_title(graph, index, count)}: ")

        yield watch


def _title(graph: str, index: int, count: int) -> str:
    return f"{graph} ({index} of {count})"


def _is_quiet() -> bool:
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get(_QUIET))


class _Lines:
    """Prints a plain line for each finished step: ``onnxlens: hed (1 of 14): tracing 3.2 s``."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._step = ""
        self._start = 0.0

    def __call__(self, step: str, done: int, total: int) -> None:
        if step != self._step:
            self.finish()
            self._step, self._start = step, perf_counter()

    def finish(self) -> None:
        """Print the step that is being done, if there is one."""
        if self._step:
            seconds = perf_counter() - self._start
            line = printable(f"onnxlens: {self._title}: {self._step} {seconds:.1f} s")
            print(line, file=sys.stderr, flush=True)
        self._step = ""


def _moving(bars: Bar, prefix: str) -> Progress:
    """A callback with a bar of its own, whose clock restarts with every step."""
    task = bars.add_task(prefix, total=None)
    current, start = "", 0.0

    def report(step: str, done: int, total: int) -> None:
        nonlocal current, start, task
        if step != current:
            bars.remove_task(task)  # rich cannot unset a total, and the next step may have none
            if step != FINISHED:
                task = bars.add_task(f"{prefix}{step}", total=None)
            current, start = step, perf_counter()
        if step != FINISHED:
            left = _left(done, total, perf_counter() - start)
            bars.update(task, completed=done, total=total or None, description=f"{prefix}{step}{left}")

    return report


def _left(done: int, total: int, seconds: float) -> str:
    """``: 3 of 20, 0:01:25 left``, at the pace so far; bytes are not counted out."""
    count = f": {done} of {total}" if 0 < total <= MOST_COUNTED else ""
    if not 0 < done < total:
        return count
    rest = timedelta(seconds=round(seconds / done * (total - done)))
    return f"{count or ':'}{',' if count else ''} {rest} left"


def _bars() -> Bar:
    from rich.console import Console
    from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    return Bar(*columns, console=Console(file=sys.stderr), transient=True)
