"""Whether an exact count is what a printed, rounded figure says."""

from __future__ import annotations

from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal

GIGA = 10**9
MEGA = 10**6


def printed_value(printed: str, unit: int) -> int:
    """A printed figure as a whole number: 263.13 G is 263,130,000,000."""
    return int(Decimal(printed) * unit)


def agreement(printed: str, exact: int, unit: int) -> str:
    """``agree``, ``agree, cut off`` where digits were dropped unrounded, or how far off the print is."""
    value = Decimal(printed)
    ours = Decimal(exact) / unit
    if ours.quantize(value, ROUND_HALF_UP) == value:
        return "agree"
    if ours.quantize(value, ROUND_DOWN) == value:
        return "agree, cut off"
    return f"{100 * (value - ours) / ours:+.2f} %"
