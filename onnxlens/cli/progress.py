"""Progress on stderr: lines that move on a terminal, one plain line per finished step elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING

import click

from onnxlens.specs.progress import Progress, Watch, silent, unwatched

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

_QUIET = "onnxlens.quiet"


class QuietOption(click.Option):
    """``--quiet``, which every verb takes: no progress at all."""

    def __init__(self) -> None:
        super().__init__(
            ["-q", "--quiet"], is_flag=True, expose_value=False, callback=_be_quiet, help="Show no progress."
        )


def _be_quiet(context: click.Context, option: click.Parameter, quiet: bool) -> None:
    context.meta[_QUIET] = quiet


@contextmanager
def shown(title: str) -> Iterator[Progress]:
    """A progress callback for the time of one task."""
    if _is_quiet():
        yield silent
    elif sys.stderr.isatty():
        with _bars() as bars:
            yield _moving(bars, f"{title}: ")
    else:
        with _Lines(title) as lines:
            yield lines


@contextmanager
def watched() -> Iterator[Watch]:
    """A watch over several graphs: which of how many, its step, how far that is, and the time so far."""
    if _is_quiet():
        yield unwatched
        return
    if not sys.stderr.isatty():
        with _Lines("") as lines:
            yield lines.watch
        return
    with _bars() as bars:
        whole = bars.add_task("")
        report = _moving(bars, "  ")

        def watch(graph: str, index: int, count: int) -> Progress:
            bars.update(whole, description=f"{graph} ({index} of {count})", completed=index - 1, total=count)
            return report

        yield watch


def _is_quiet() -> bool:
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get(_QUIET))


class _Lines:
    """A plain line for each step, when it is finished: ``onnxlens: hed (1 of 13): tracing 3.2 s``."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._step = ""
        self._start = 0.0

    def __enter__(self) -> _Lines:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Finish the last step; one that failed is not finished."""
        if kind is None:
            self._finish()

    def __call__(self, step: str, done: int, total: int) -> None:
        if step != self._step:
            self._finish()
            self._step, self._start = step, perf_counter()

    def watch(self, graph: str, index: int, count: int) -> Progress:
        """The callback of one graph among several."""
        self._finish()
        self._title = f"{graph} ({index} of {count})"
        return self

    def _finish(self) -> None:
        if self._step:
            print(
                f"onnxlens: {self._title}: {self._step} {perf_counter() - self._start:.1f} s",
                file=sys.stderr,
                flush=True,
            )
        self._step = ""


def _moving(bars: Bar, prefix: str) -> Progress:
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
