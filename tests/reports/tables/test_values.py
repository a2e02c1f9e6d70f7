"""Numbers as people write them."""

from __future__ import annotations

from math import inf

import pytest

from onnxlens.reports.tables.values import Number, number_at


@pytest.mark.parametrize(
    ("text", "column", "number", "length"),
    [
        ("12", "macs", 12, 2), ("-3", "macs", -3, 2), ("1.5e3", "macs", 1500, 5), (".5", "macs", 0.5, 2),
        ("1,234,567", "macs", 1_234_567, 9), ("2G", "macs", 2 * 10**9, 2),
        ("24.83 G", "macs", 24_830_000_000, 7),
        ("1.1k)", "macs", 1100, 4), ("5 and macs>1", "macs", 5, 1), ("5 k or x", "macs", 5000, 3),
        ("2MiB", "moved_bytes", 2 * 2**20, 4), ("2 MB", "moved_bytes", 2 * 10**6, 4),
        ("7B", "moved_bytes", 7, 2),
        ("1.5 GiB", "moved_bytes", 3 * 2**29, 7), ("3M", "moved_bytes", 3 * 10**6, 2),
        ("5ms", "latency_s", 0.005, 3), ("250 us", "latency_s", 0.00025, 6), ("2s", "latency_s", 2, 2),
        ("12 %", "macs_percent", 12, 4), ("0.1", "macs_percent", 0.1, 3),
        ("3T", "achieved_macs_per_s", 3 * 10**12, 2),
        ("inf", "parity_error", inf, 3),
    ],
)  # fmt: skip
def test_a_number_is_exact_and_ends_where_it_ends(text: str, column: str, number: float, length: int) -> None:
    found = number_at(text, column)
    assert found == Number(number, length)
    assert isinstance(found, Number) and type(found.number) is type(number)


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("", "macs", "'' is not a number"), ("1_000", "macs", "'1_000' is not a number"),
        ("1.2.3", "macs", "'1.2.3' is not a number"), ("NaN", "macs", "nothing compares with 'NaN'"),
        ("2m", "macs", "'m' is not a unit of macs; there are k, M, G, T, P"),
        ("2GiB", "macs", "'GiB' is not a unit of macs; there are k, M, G, T, P"),
        ("3 k", "macs_percent", "'k' is not a unit of macs_percent; there is %"),
        ("1e999", "macs", "'1e999' is too large"),
    ],
)  # fmt: skip
def test_what_is_no_number_says_why(text: str, column: str, message: str) -> None:
    assert number_at(text, column) == message
