"""Progress on stderr: a line that moves where a person watches, nothing where none does."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from onnxlens.specs.progress import Progress, silent


@contextmanager
def shown(title: str) -> Iterator[Progress]:
    """A progress callback for the time of one task."""
    if not sys.stderr.isatty():
        yield silent
        return
    from rich.console import Console
    from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)

        def report(step: str, done: int, total: int) -> None:
            bar.update(task, description=f"{title}: {step}", completed=done, total=total or None)

        yield report
