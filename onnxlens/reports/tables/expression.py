"""``--where``: comparisons of columns with values, joined by ``and``, ``or``, ``not`` and parentheses.

    expression: term {"or" term}
    term:       factor {"and" factor}
    factor:     "not" factor | "(" expression ")" | COLUMN OPERATOR VALUE

A value is a number with a unit (``2MiB``), a text in quotes, or a text without: it then ends at a blank or
at a parenthesis that it did not open, so that ``path~^(input|middle)_blocks`` needs no quotes.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from onnxlens.errors import UsageError
from onnxlens.reports.tables.values import number_at
from onnxlens.specs.record import record

Resolve = Callable[[str], str]
"""The column that a name means; refuses what names none."""

NUMBER_TESTS: Mapping[str, Callable[[Any, Any], bool]] = MappingProxyType(
    {
        "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le,
        ">": operator.gt, ">=": operator.ge,
    }
)  # fmt: skip
TEXT_TESTS: Mapping[str, Callable[[Any, Any], bool]] = MappingProxyType(
    {
        "==": operator.eq,
        "!=": operator.ne,
        "~": lambda text, pattern: pattern.search(text) is not None,
        "!~": lambda text, pattern: pattern.search(text) is None,
    }
)
MEANT: Mapping[str, str] = MappingProxyType(
    {
        "=>": ">=", "=<": "<=", "<>": "!=", "===": "==", "!==": "!=", "=~": "~", "~=": "~", "~~": "~",
        "=!": "!=", "!": "!=", "~!": "!~", ">>": ">", "<<": "<", "is": "==", "eq": "==", "in": "~",
        "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "like": "~", "contains": "~",
        "matches": "~",
    }
)  # fmt: skip
"""What other languages call our operators."""

RISES = (">", ">=")
"""What a figure passes if a lower bound of it does."""


DEEPEST = 50
"""How deep an expression may be nested."""


@record(frozen=True, slots=True)
class Comparison:
    """``macs>1e9``.

    Attributes:
        text: as it was written, for messages.
        symbol: the operator, ``==`` for ``=``.
        value: a compiled pattern for ``~`` and ``!~``.
    """

    text: str
    column: str
    symbol: str
    value: Any

    def holds(self, figure: Any, *, lower: bool) -> bool | None:
        """Whether a row with this figure passes; None where a missing one or a lower bound leaves it open."""
        if figure is None:
            return None
        tests = NUMBER_TESTS if isinstance(figure, int | float) else TEXT_TESTS
        passed = tests[self.symbol](figure, self.value)
        if not lower or figure > self.value or (passed and self.symbol in RISES):
            return passed
        return False if self.symbol == "<" and not passed else None


@record(frozen=True, slots=True)
class Joined:
    """Expressions joined by ``and``, ``or`` or ``not`` (then there is one)."""

    word: str
    parts: tuple[Expression, ...]


Expression = Comparison | Joined


def decided(expression: Expression, test: Callable[[Comparison], bool | None]) -> bool | None:
    """The expression's value by that of its comparisons; None where what is open decides it."""
    if isinstance(expression, Comparison):
        return test(expression)
    values = [decided(part, test) for part in expression.parts]
    if expression.word == "not":
        return None if values[0] is None else not values[0]
    settles = expression.word == "or"
    if settles in values:
        return settles
    return None if None in values else not settles


def comparisons(expression: Expression) -> Iterator[Comparison]:
    """All comparisons in it."""
    if isinstance(expression, Comparison):
        yield expression
    else:
        for part in expression.parts:
            yield from comparisons(part)


def parse(text: str, resolve: Resolve, texts: frozenset[str]) -> Expression:
    """The expression that ``text`` is.

    Args:
        text: of the option.
        resolve: the column that a name means.
        texts: the columns that hold text.

    Raises:
        UsageError: it cannot be understood, or names no column.
    """
    return _Parser(text, resolve, texts).whole()


class _Parser:
    def __init__(self, text: str, resolve: Resolve, texts: frozenset[str]) -> None:
        self._text = text
        self._at = 0
        self._depth = 0
        self._resolve = resolve
        self._texts = texts

    def whole(self) -> Expression:
        found = self._any_of()
        if self._rest():
            raise self._error(f"{self._rest()!r} follows a whole condition; join conditions with and, or")
        return found

    def _any_of(self) -> Expression:
        return self._joined("or", lambda: self._joined("and", self._factor))

    def _joined(self, word: str, part: Callable[[], Expression]) -> Expression:
        parts = [part()]
        while self._taken(rf"{word}\b"):
            parts.append(part())
        return parts[0] if len(parts) == 1 else Joined(word, tuple(parts))

    def _factor(self) -> Expression:
        negated = self._taken(r"not\b")
        if not negated and not self._taken(r"\("):
            return self._comparison()
        self._depth += 1
        if self._depth > DEEPEST:
            raise self._error(f"more than {DEEPEST} levels of parentheses and not")
        inner = Joined("not", (self._factor(),)) if negated else self._any_of()
        if not negated and not self._taken(r"\)"):
            raise self._error(f"a ')' is missing before {self._rest()!r}")
        self._depth -= 1
        return inner

    def _comparison(self) -> Expression:
        start = self._at
        name = self._taken(r"""[\w/]+(?:@[\w./:@-]+)?|'[^']*'|"[^"]*"|[#%]""")
        if not name:
            raise self._error(f"expected COLUMN OPERATOR VALUE, such as 'macs>1e9', at {self._rest()!r}")
        column = self._resolve(name.strip("'\""))
        symbol = self._operator(column)
        value = self._number(column) if column not in self._texts else self._pattern(symbol)
        return Comparison(self._text[start : self._at].strip(), column, symbol, value)

    def _operator(self, column: str) -> str:
        tests = TEXT_TESTS if column in self._texts else NUMBER_TESTS
        found = self._taken(r"[=!<>~&|]+|\w+")
        symbol = "==" if found == "=" else found
        if symbol in tests:
            return symbol
        there = f"compare it with {' '.join(tests)}"
        kind = "text" if column in self._texts else "numbers"
        if not found or symbol in (*NUMBER_TESTS, *TEXT_TESTS):
            lacking = "" if found else "an operator is missing: "
            raise self._error(f"{lacking}{column} holds {kind}; {there}")
        meant = MEANT.get(found.lower())
        hint = f"did you mean {meant}? " if meant in tests else ""
        raise self._error(f"there is no operator {found!r}; {hint}{column} holds {kind}; {there}")

    def _number(self, column: str) -> float:
        self._taken("")
        quoted = self._quoted()
        found = number_at(self._text[self._at :] if quoted is None else quoted, column)
        if isinstance(found, str):
            raise self._error(found)
        self._at += found.length if quoted is None else 0
        return found.number

    def _pattern(self, symbol: str) -> str | re.Pattern[str]:
        self._taken("")
        value = self._quoted()
        if value is None and not (value := self._bare()):
            raise self._error(f"a value is missing after {symbol}; '' is the empty text")
        if "&&" in value or "||" in value:
            raise self._error("join conditions with and, or; a text with && or || needs quotes")
        if "~" not in symbol:
            return value
        try:
            return re.compile(value)
        except re.error as error:
            raise self._error(f"{value!r} is not a regular expression: {error}") from error

    def _quoted(self) -> str | None:
        quote = self._text[self._at : self._at + 1]
        if quote not in ("'", '"'):
            return None
        end = self._text.find(quote, self._at + 1)
        if end < 0:
            raise self._error(f"the quote before {self._text[self._at + 1 :]!r} is not closed")
        value = self._text[self._at + 1 : end]
        self._at = end + 1
        return value

    def _bare(self) -> str:
        """Up to a blank, or a parenthesis that was not opened; in brackets of a pattern both are text."""
        depth, in_class, start = 0, False, self._at
        while self._at < len(self._text):
            sign = self._text[self._at]
            if sign == "\\":
                self._at += 1
            elif in_class or sign == "[":
                in_class = sign != "]"
            elif sign in "()":
                depth += 1 if sign == "(" else -1
            if depth < 0 or (sign.isspace() and not depth and not in_class):
                break
            self._at += 1
        self._at = min(self._at, len(self._text))
        return self._text[start : self._at]

    def _taken(self, pattern: str) -> str:
        """What stands next, if it is that; blanks before it are passed."""
        blanks = re.compile(r"\s*").match(self._text, self._at)
        self._at = blanks.end() if blanks else self._at
        found = re.compile(pattern, re.IGNORECASE).match(self._text, self._at)
        if found is None:
            return ""
        self._at = found.end()
        return found.group()

    def _rest(self) -> str:
        return self._text[self._at :].strip()

    def _error(self, what: str) -> UsageError:
        return UsageError(f"--where {self._text!r}: {what}")
