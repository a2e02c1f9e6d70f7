"""A table's column: its title, and what stands in a cell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

Row = TypeVar("Row")
Cell = str | int | float | None
"""None where there is no figure: an empty cell."""


@dataclass(frozen=True, slots=True)
class Column(Generic[Row]):
    """One column.

    Attributes:
        exact: the cell for machines: whole numbers and whole lists.
        short: the cell for people; None where it is the exact one.
    """

    title: str
    exact: Callable[[Row], Cell]
    short: Callable[[Row], Cell] | None = None
    right: bool = False

    def cell(self, row: Row, *, exact: bool) -> Cell:
        """What stands in this column for ``row``."""
        return self.exact(row) if exact or self.short is None else self.short(row)
