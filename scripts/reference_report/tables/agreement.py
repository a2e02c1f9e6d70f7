"""Whether an exact count is what a printed, rounded figure says."""

from __future__ import annotations

from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal

GIGA = 10**9
MEGA = 10**6


def in_unit(count: int, unit: int) -> str:
    """``1,257.26`` for 1257259466752 in G."""
    return f"{count / unit:,.2f}"


def sum_in_unit(unit: int, *terms: int) -> str:
    """``803.27 + 1,257.26``: terms of one sum in one unit, so that a reader can add them."""
    return " + ".join(in_unit(term, unit) for term in terms)


def decimals(printed: str) -> int:
    """How many digits stand behind the point."""
    return len(printed.partition(".")[2])


def agreement(printed: str, exact: int, unit: int) -> str:
    """``agree``, ``agree, cut off`` where digits were dropped unrounded, or how far off the print is."""
    value = Decimal(printed)
    ours = Decimal(exact) / unit
    if ours.quantize(value, ROUND_HALF_UP) == value:
        return "agree"
    if ours.quantize(value, ROUND_DOWN) == value:
        return "agree, cut off"
    return f"{100 * (value - ours) / ours:+.2f} %"
