from __future__ import annotations

import pytest

from onnxlens.reports.numbers import shapes, share, short_bytes, short_count, short_time
from onnxlens.specs.tensor import TensorSpec


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1.00 k"),
        (999_994, "999.99 k"),
        (999_999, "1.00 M"),  # not 1000.00 k
        (401_636_720_640, "401.64 G"),
        (10**12, "1.00 T"),
        (25 * 10**14, "2.50 P"),
        (123 * 10**18, "123000.00 P"),
    ],
)
def test_counts_keep_three_figures_or_so(count: int, text: str) -> None:
    assert short_count(count) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.00 KiB"),
        (1536, "1.50 KiB"),
        (2**20 - 1, "1.00 MiB"),  # not 1024.00 KiB
        (3 * 2**30, "3.00 GiB"),
        (5 * 2**40, "5.00 TiB"),
    ],
)
def test_bytes_are_binary(count: int, text: str) -> None:
    assert short_bytes(count) == text


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [(1, 8, "12.5 %"), (0, 8, "0.0 %"), (8, 8, "100.0 %"), (2, 3, "66.7 %"), (0, 0, "")],
)
def test_shares_are_percentages_and_empty_without_a_total(part: int, whole: int, text: str) -> None:
    assert share(part, whole) == text


def tensors(*sizes: int) -> list[TensorSpec]:
    return [TensorSpec(f"t{index}", "float32", (size,)) for index, size in enumerate(sizes)]


@pytest.mark.parametrize(
    ("sizes", "limit", "text"),
    [
        ((), None, ""),
        ((1, 2), None, "(1,), (2,)"),
        ((1, 1, 2, 1), None, "2 x (1,), (2,), (1,)"),
        ((1, 1, 2, 3, 3), 2, "2 x (1,), (2,), +2 more"),
        ((1, 2), 2, "(1,), (2,)"),
    ],
)
def test_equal_shapes_in_a_row_are_counted_and_hidden_tensors_too(
    sizes: tuple[int, ...], limit: int | None, text: str
) -> None:
    assert shapes(tensors(*sizes), limit) == text


def test_a_scalar_and_a_symbol_have_their_text() -> None:
    assert (
        shapes([TensorSpec("s", "float32", ()), TensorSpec("d", "float32", ("batch", 3))]) == "(), (batch, 3)"
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (6.346, "6.35 s"), (1.0, "1.00 s"), (0.9994, "999 ms"), (0.1234, "123 ms"), (0.01234, "12.3 ms"),
        (0.001, "1.0 ms"), (0.00099, "990 us"), (0.9996, "1.00 s"),
        (0.9996e-3, "1.0 ms"), (1.2e-6, "1.2 us"), (0.0, "0.0 us"),
        (0.5e-7, "0.1 us"), (3.2e-8, "32 ns"), (1.28e-10, "0.13 ns"),
    ],
)  # fmt: skip
def test_times_are_short_with_their_unit(seconds: float, text: str) -> None:
    assert short_time(seconds) == text
