"""Numbers with units, as people write them: ``1G``, ``2.5 MiB``, ``5ms``, ``12 %``, ``1,000,000``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType

from onnxlens.specs.record import record

Units = Mapping[str, Decimal]

COUNTS: Units = MappingProxyType(
    {letter: Decimal(1000) ** power for power, letter in enumerate("kMGTP", start=1)}
)
BYTES: Units = MappingProxyType(
    {
        "B": Decimal(1),
        **{f"{letter}B": factor for letter, factor in COUNTS.items()},
        **{f"{letter}iB": Decimal(1024) ** power for power, letter in enumerate("KMGTP", start=1)},
    }
)
SECONDS: Units = MappingProxyType(
    {
        "s": Decimal(1),
        "ms": Decimal("1e-3"),
        "us": Decimal("1e-6"),
        "µs": Decimal("1e-6"),
        "ns": Decimal("1e-9"),
    }
)
PERCENT: Units = MappingProxyType({"%": Decimal(1)})

LARGEST = 300
"""The largest power of ten that is read."""

NUMBER = re.compile(r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d*)?(?:e[-+]?\d+)?", re.IGNORECASE)
UNIT = re.compile(r"(\s?)([A-Za-zµ%]+)")
WORD = re.compile(r"[^\s()]*")
KNOWN = frozenset({*COUNTS, *BYTES, *SECONDS, *PERCENT})
"""What is a unit after a blank too; another word there may be the next of the expression."""


@record(frozen=True, slots=True)
class Number:
    """A number and how many characters it takes."""

    number: float
    length: int


def units_of(column: str) -> Units:
    """The units that a column's numbers may have."""
    column = column.partition("@")[0]  # of whatever chip
    if column.endswith("_bytes"):
        return {**COUNTS, **BYTES}
    if column.endswith("_percent"):
        return PERCENT
    return SECONDS if column.endswith("_s") and not column.endswith("_per_s") else COUNTS


def number_at(text: str, column: str) -> Number | str:
    """The number that ``text`` begins with, with a unit that ``column`` may have; or what is wrong."""
    found = WORD.match(text)
    word = found.group() if found else ""
    if word.lower() == "nan":
        return f"nothing compares with {word!r}"
    if word.lower() in ("inf", "infinity"):
        return Number(float(word), len(word))
    digits = NUMBER.match(text)
    if digits is None or not any(sign.isdigit() for sign in digits.group()):
        return f"{word!r} is not a number"
    end, factor = digits.end(), Decimal(1)
    value = Decimal(digits.group().replace(",", ""))
    unit = UNIT.match(text, end)
    if unit is not None and (not unit.group(1) or unit.group(2) in KNOWN):
        units = units_of(column)
        if unit.group(2) not in units:
            return f"{unit.group(2)!r} is not a unit of {column}; there {_are(units)}"
        factor, end = units[unit.group(2)], unit.end()
    elif len(word) > end:
        return f"{word!r} is not a number"
    if value.adjusted() > LARGEST:
        return f"{word!r} is too large"
    value *= factor
    return Number(int(value) if value == value.to_integral_value() else float(value), end)


def _are(units: Mapping[str, object]) -> str:
    return f"is {next(iter(units))}" if len(units) == 1 else f"are {', '.join(units)}"
