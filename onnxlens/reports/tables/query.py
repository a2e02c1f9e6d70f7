"""Which rows and columns of a ledger are asked for, in which order: the options' text, parsed."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from types import MappingProxyType
from typing import Any

from onnxlens.errors import UsageError
from onnxlens.reports.tables.columns import LEDGER_COLUMNS, TEXTS

Test = Callable[[Any, Any], bool]

NUMBER_TESTS: Mapping[str, Test] = MappingProxyType(
    {
        "=": operator.eq,
        "!=": operator.ne,
        "<": operator.lt,
        "<=": operator.le,
        ">": operator.gt,
        ">=": operator.ge,
    }
)
TEXT_TESTS: Mapping[str, Test] = MappingProxyType(
    {
        "=": operator.eq,
        "!=": operator.ne,
        "~": lambda text, pattern: pattern.search(text) is not None,
        "!~": lambda text, pattern: pattern.search(text) is None,
    }
)

EXPRESSION = re.compile(r"\s*(\w+)\s*(>=|<=|!=|!~|=|<|>|~)\s*(.*?)\s*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Condition:
    """``macs>1e9``: a row passes when its figure meets it; one without a figure does not."""

    column: str
    test: Test
    value: str | float | re.Pattern[str]

    def holds(self, figure: object) -> bool:
        """Whether a row with this figure passes."""
        return figure is not None and self.test(figure, self.value)


@dataclass(frozen=True, slots=True)
class Order:
    """``macs:desc``."""

    column: str
    descending: bool


@dataclass(frozen=True, slots=True)
class LedgerQuery:
    """What is asked of a ledger.

    Attributes:
        columns: by name, in this order; none means the format's own.
        where: all of these hold for every row shown.
        sort: None is the order of execution.
        depth: of the deepest modules shown; None shows all.
    """

    columns: tuple[str, ...] = ()
    where: tuple[Condition, ...] = ()
    sort: Order | None = None
    depth: int | None = None

    @property
    def named(self) -> tuple[str, ...]:
        """Every column that is asked for by its name."""
        tested = tuple(condition.column for condition in self.where)
        return (*self.columns, *tested, *((self.sort.column,) if self.sort else ()))


def parse_query(
    columns: str | None, where: Sequence[str], sort: str | None, depth: int | None
) -> LedgerQuery:
    """The query of a command line's options.

    Args:
        columns: ``path,macs``.
        where: each ``NAME OP VALUE``.
        sort: ``NAME``, ``NAME:asc`` or ``NAME:desc``.
        depth: of modules.

    Raises:
        UsageError: an option cannot be understood, or names no column.
    """
    names = (
        () if columns is None else tuple(_column(name.strip(), "--columns") for name in columns.split(","))
    )
    return LedgerQuery(
        names, tuple(map(parse_condition, where)), None if sort is None else parse_order(sort), depth
    )


def parse_condition(text: str) -> Condition:
    """``macs>1e9``, ``class=Linear``, ``path~input_blocks.*attn`` (a regular expression, found anywhere).

    Raises:
        UsageError: it cannot be understood, or names no column.
    """
    found = EXPRESSION.fullmatch(text)
    if found is None:
        raise UsageError(f"--where {text!r}: expected COLUMN OPERATOR VALUE, such as 'macs>1e9'")
    name, symbol, value = found.groups()
    column = _column(name, "--where")
    tests = TEXT_TESTS if column in TEXTS else NUMBER_TESTS
    if symbol not in tests:
        kind = "text" if column in TEXTS else "numbers"
        raise UsageError(f"--where {text!r}: {column} holds {kind}; compare it with {' '.join(tests)}")
    if column not in TEXTS:
        return Condition(column, tests[symbol], _number(text, value))
    return Condition(column, tests[symbol], _pattern(text, value) if "~" in symbol else value)


def parse_order(text: str) -> Order:
    """``macs`` (numbers: largest first; text: from A), ``macs:asc``, ``macs:desc``.

    Raises:
        UsageError: it cannot be understood, or names no column.
    """
    name, colon, direction = text.partition(":")
    column = _column(name, "--sort")
    if colon and direction not in ("asc", "desc"):
        raise UsageError(
            f"--sort {text!r}: {direction!r} is not a direction; give {column}:asc or {column}:desc"
        )
    return Order(column, direction == "desc" if colon else column not in TEXTS)


def _column(name: str, option: str) -> str:
    if name not in LEDGER_COLUMNS:
        raise UsageError(f"{option}: no column is called {name!r}; there are {', '.join(LEDGER_COLUMNS)}")
    return name


def _number(text: str, value: str) -> float:
    try:
        number = int(value) if value.isdecimal() else float(value)
    except ValueError as error:
        raise UsageError(f"--where {text!r}: {value!r} is not a number") from error
    if isnan(number):
        raise UsageError(f"--where {text!r}: nothing compares with {value!r}")
    return number


def _pattern(text: str, value: str) -> re.Pattern[str]:
    try:
        return re.compile(value)
    except re.error as error:
        raise UsageError(f"--where {text!r}: {value!r} is not a regular expression: {error}") from error
