"""What stands in a cell or a field of a report: numbers, times, names; a fault names its place."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any, Literal, NoReturn, TypeVar

from onnxlens.errors import UsageError

SHOWN = 60
"""How much of a value an error message shows."""

Unit = Literal["s", "ms", "us", "ns"]

EXPONENTS: Mapping[Unit, int] = {"s": 0, "ms": -3, "us": -6, "ns": -9}

WHOLE = re.compile(r"[0-9]+\Z", re.ASCII)

MOST_DIGITS = 39
"""The longest number that any tool writes: more is no figure."""

Key = TypeVar("Key")


def refuse(where: object, found: str, remedy: str = "") -> NoReturn:
    """Raise the one line that says where, what was found or expected there, and what to do."""
    raise UsageError(f"{where}: {found}" + (f"; {remedy}" if remedy else ""))


def shown(value: object) -> str:
    """A value in an error message, however long it is."""
    text = value if isinstance(value, str) else repr(value)
    return repr(text if len(text) <= SHOWN else f"{text[:SHOWN]}...")


def number(value: object, where: str) -> int | float:
    """A number that is neither negative nor infinite; whole numbers stay whole."""
    if isinstance(value, str) and WHOLE.match(value):
        return int(value) if len(value) <= MOST_DIGITS else no_number(where, value)
    found = _decimal(value, where)
    return int(found) if isinstance(value, int) else float(found)


def whole(value: object, where: str) -> int:
    """A number of things that are counted; 12.0 is 12."""
    found = value if type(value) is int and 0 <= value < 10**MOST_DIGITS else _decimal(value, where)
    if found != int(found):
        refuse(where, f"{shown(str(value))} is not a whole number")
    return int(found)


def seconds(value: object, unit: Unit, where: str) -> float:
    """A time in seconds: the float that is nearest to what the tool wrote in its own unit."""
    return float(_decimal(value, where).scaleb(EXPONENTS[unit]))


def mean(values: Sequence[int | float]) -> int | float:
    """The mean of several figures; a whole one of whole numbers stays whole."""
    exact = Fraction(sum(map(Fraction, values)), len(values))
    whole_numbers = all(isinstance(value, int) for value in values)
    return int(exact) if exact.denominator == 1 and whole_numbers else float(exact)


def _decimal(value: object, where: str) -> Decimal:
    try:
        if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
            raise InvalidOperation
        found = Decimal(value if not isinstance(value, float) else repr(value))
    except InvalidOperation:
        no_number(where, value)
    if not found.is_finite() or found < 0 or found.adjusted() > MOST_DIGITS:
        no_number(where, value)
    return found


def no_number(where: object, value: object) -> NoReturn:
    """Refuse what stands where a number is expected."""
    refuse(where, f"expected a number that is not negative, found {shown(str(value))}")


def cosine_distance(cosine: str, where: str) -> float:
    """How much less than 1 a cosine is."""
    number(cosine, where)
    return max(0.0, float(1 - Decimal(cosine)))


def shape_of(text: str) -> tuple[int, ...]:
    """The sizes that a text names, ``1x3x8x8`` or ``(1,3,8,8)``; none where it names none."""
    return tuple(int(size) for size in re.findall(r"\d+", text))


def listed(value: object, where: str, what: str) -> list[Any]:
    """A JSON list."""
    if not isinstance(value, list):
        refuse(where, f"expected a list of {what}, found {shown(value)}")
    return value


def entry(value: object, where: str, *needed: str) -> Mapping[str, Any]:
    """A JSON object that has the fields that are needed."""
    if not isinstance(value, dict):
        refuse(where, f"expected an object with {' and '.join(needed) or 'fields'}, found {shown(value)}")
    for name in needed:
        if name not in value:
            refuse(
                where, f"expected the field {name!r} among {', '.join(map(repr, list(value)[:5])) or 'none'}"
            )
    return value


def named(value: object, where: str) -> str:
    """A name, which is a text."""
    if not isinstance(value, str):
        refuse(where, f"expected a name, found {shown(value)}")
    return value


def known(figures: Mapping[Key, int | float | None]) -> dict[Key, int | float]:
    """The figures that a tool models: neither None nor 0."""
    return {name: value for name, value in figures.items() if value}
