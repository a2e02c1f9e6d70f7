"""Names that a person gives to stretches of modules."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Group:
    """Modules that are drawn as one thing under a name of their own.

    Attributes:
        modules: paths, and ranges of siblings such as ``input_blocks.1..3``, as written.
        groups: those that stand in it.
        closed: it is one box, however deep the picture goes.
    """

    name: str
    modules: tuple[str, ...] = ()
    groups: tuple[Group, ...] = ()
    closed: bool = False
