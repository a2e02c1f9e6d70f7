"""How long work says how far it is."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is; 0 of 0 if unknown."""

FINISHED = ""
"""The step that ends a graph's work, after the last real one."""


def silent(step: str, done: int, total: int) -> None:
    """Show nothing."""


def named(progress: Progress, graph: str) -> Progress:
    """The progress of one of several graphs that are worked on in turn: every step has its name."""
    return lambda step, done, total: progress(f"{graph}: {step}", done, total)


Watch = Callable[[str, int, int], Progress]
"""Called when work on one of several graphs begins: its name, its index from 1, how many there are.

Several graphs may be worked on at once; each one's progress is called with ``FINISHED`` at its end.
"""


def unwatched(graph: str, index: int, count: int) -> Progress:
    """Show nothing of any graph."""
    return silent
