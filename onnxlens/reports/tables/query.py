"""Which rows and columns are asked for, in which order: the options' text, parsed."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import field, replace
from difflib import get_close_matches
from functools import partial
from typing import cast

from onnxlens.errors import UsageError
from onnxlens.reports.tables.bounds import is_bound
from onnxlens.reports.tables.columns import COLUMNS, OWN, PEER_NAMES, SHORT_NAMES, TEXTS
from onnxlens.reports.tables.expression import Expression, Joined, Resolve, comparisons, parse
from onnxlens.reports.tables.facts import FACTS
from onnxlens.reports.tables.render import By
from onnxlens.reports.tables.tools import TOOL_COLUMNS
from onnxlens.reports.tables.values import number_at
from onnxlens.specs.record import record
from onnxlens.specs.roofline import AT

MOST = "macs"
"""What ``--top`` ranks by, unless ``--sort`` says otherwise."""

BY = ("module", "op", "node", "class", "family", "stage", "resolution", "dtype", "survey")
"""What rows may be, or groups of nodes."""
MATCHED = ("path", "class", "operator", "node")
"""What a pattern may be looked for in, to group by what it finds."""

NEAR = 3
"""How many names a message suggests."""


@record(frozen=True, slots=True)
class Order:
    """``macs:desc``."""

    column: str
    descending: bool


@record(frozen=True, slots=True)
class Asked:
    """The options of a table, as they were given.

    Attributes:
        by: what a row stands for, or what tells groups apart; None is a module, or an operator type where the
            file names no modules.
        columns: ``path,macs``.
        where: each an expression; a row must pass them all.
        sort: ``NAME``, ``NAME:asc`` or ``NAME:desc``.
        top: how many rows at most; by most MACs (or time), unless ``sort`` says otherwise.
        depth: of the deepest modules; None for all.
        own: costs are those without the modules inside.
        leaves: only modules without others inside.
        fits: the bytes, such as ``2MiB``, that modules are marked to fit into if they run alone.
    """

    by: str | None = None
    columns: str | None = None
    where: Sequence[str] = ()
    sort: str | None = None
    top: int | None = None
    depth: int | None = None
    own: bool = False
    leaves: bool = False
    fits: str | None = None


@record(frozen=True, slots=True)
class Query:
    """What is asked, understood.

    Attributes:
        columns: by name, in this order; none means the format's own.
        where: None shows all rows.
        sort: None is the order of execution.
        fits: None marks nothing.
    """

    asked: Asked = field(default_factory=Asked)
    columns: tuple[str, ...] = ()
    where: Expression | None = None
    sort: Order | None = None
    fits: float | None = None

    @property
    def by(self) -> By:
        """What a row stands for."""
        return kind_of(self.asked.by)

    @property
    def named(self) -> tuple[str, ...]:
        """Every column that is asked for by its name."""
        tested = () if self.where is None else tuple(each.column for each in comparisons(self.where))
        return (*self.columns, *tested, *((self.sort.column,) if self.sort else ()))

    def names_working_sets(self) -> bool:
        """Whether it needs what modules take if they run alone."""
        return self.fits is not None or "working_bytes" in self.named

    def names_facts(self) -> bool:
        """Whether it needs what only the graph knows of nodes."""
        return self.by == "node" and not FACTS.keys().isdisjoint(self.named)

    @property
    def filters(self) -> bool:
        """Whether rows are left out for another reason than their depth."""
        return self.where is not None or self.asked.top is not None or self.asked.leaves


def understood(asked: Asked, columns: Mapping[By, Collection[str]] = COLUMNS, most: str = MOST) -> Query:
    """The query of the options of a table with these columns, by the kind of its rows; ``most`` ranks top.

    Raises:
        UsageError: an option cannot be understood, names no column, or does not go with another.
    """
    if asked.by == "operator":
        asked = replace(asked, by="op")
    _require_grouping(asked.by)
    known = columns.get(kind_of(asked.by))
    if known is None:
        raise UsageError(f"--by {asked.by}: rows are {', '.join(columns)}; ledger --latency times groups too")
    everywhere = frozenset().union(*columns.values())
    column = partial(_column, own=asked.own, columns=known, everywhere=everywhere)
    given = {
        "--own": asked.own, "--leaves": asked.leaves, "--fits": asked.fits is not None,
        "--depth": asked.depth is not None,
    }  # fmt: skip
    if asked.by not in (None, "module") and any(given.values()):
        option = next(name for name, there in given.items() if there)
        raise UsageError(f"{option} is about modules; leave out --by {asked.by}")
    conditions = tuple(parse(text, partial(column, "--where"), TEXTS) for text in asked.where)
    sort = most if asked.sort is None and asked.top is not None else asked.sort
    return Query(
        asked,
        tuple(column("--columns", name) for name in _listed(asked.columns)),
        Joined("and", conditions) if conditions else None,
        None if sort is None else _order(sort, partial(column, "--sort")),
        None if asked.fits is None else size_from(asked.fits, "--fits"),
    )


def kind_of(by: str | None) -> By:
    """What a row stands for."""
    return cast(By, by) if by in ("module", "op", "node") else "module" if by is None else "group"


def _require_grouping(by: str | None) -> None:
    """Refuse what tells no nodes apart."""
    if by is None or by in BY or by.endswith(".toml"):
        return
    column, tilde, pattern = by.partition("~")
    if tilde and column in MATCHED:
        try:
            re.compile(pattern)
        except re.error as error:
            raise UsageError(f"--by {by!r}: {pattern!r} is not a regular expression: {error}") from error
        if pattern:
            return
    known = f"{', '.join(BY)}, a file of groups (.toml), or {'~, '.join(MATCHED)}~ and a pattern"
    hint = near(column.lower(), MATCHED if tilde else BY)
    raise UsageError(f"--by {by!r} tells nothing apart; {hint}there are {known}")


def near(name: str, names: Collection[str]) -> str:
    """``did you mean X?`` for a name that is like others; empty if it is like none."""
    same = [other for other in names if other.lower() == name.lower()]
    found = same or get_close_matches(name, names, n=NEAR)
    return f"did you mean {' or '.join(found)}? " if found else ""


def size_from(text: str, option: str) -> float:
    """``2MiB`` in bytes.

    Raises:
        UsageError: it is not a size; the message names the option.
    """
    found = number_at(text, "working_bytes")
    if isinstance(found, str) or found.length < len(text):
        problem = found if isinstance(found, str) else f"{text[found.length :]!r} follows a number"
        raise UsageError(f"{option} {text!r}: {problem}; give a size such as 2MiB")
    if found.number <= 0:
        raise UsageError(f"{option} {text!r}: nothing fits into that; give a size such as 2MiB")
    return found.number


def _listed(text: str | None) -> Sequence[str]:
    return () if text is None else [name.strip() for name in text.split(",")]


def _order(text: str, resolve: Resolve) -> Order:
    """``macs`` (numbers: largest first; text: from A), ``macs:asc``, ``macs:desc``."""
    name, colon, direction = text.partition(":")
    column = resolve(name)
    if colon and direction not in ("asc", "desc"):
        raise UsageError(
            f"--sort {text!r}: {direction!r} is not a direction; give {column}:asc or {column}:desc"
        )
    return Order(column, direction == "desc" if colon else column not in TEXTS)


def _column(
    option: str, name: str, *, own: bool, columns: Collection[str], everywhere: Collection[str]
) -> str:
    """The column of that name, or that is headed so elsewhere; with ``own`` the one of its own cost."""
    name, at, chip = name.partition(AT)
    small = name.lower()
    if at and (figure := small.removeprefix(OWN)) in TOOL_COLUMNS:
        return (OWN if OWN + MOST in columns and (own or small != figure) else "") + figure + at + chip
    found = next(
        (
            each
            for each in (name, small, SHORT_NAMES.get(small, ""), small.replace(" ", "_"))
            if each in columns
        ),
        None,
    )
    if found is None:
        other = "rows of another --by have it; " if SHORT_NAMES.get(small) in everywhere else ""
        if small in TOOL_COLUMNS:
            other = f"{small}{AT}NAME is of the report of that name in --layers; "
        short = [each for each, full in SHORT_NAMES.items() if full in columns]
        hint = other or (near(small, dict.fromkeys((*columns, *short))) if name else "")
        plain = [each for each in columns if not each.startswith((OWN, *PEER_NAMES.values()))]
        owned = f"; {OWN} before a cost leaves out the modules inside" if OWN + MOST in columns else ""
        raise UsageError(f"{option}: no column is called {name!r}; {hint}there are {', '.join(plain)}{owned}")
    if at and not is_bound(found):
        raise UsageError(f"{option}: {found!r} is of no chip; leave out {at + chip!r}")
    return (OWN + found if own and OWN + found in columns else found) + at + chip
