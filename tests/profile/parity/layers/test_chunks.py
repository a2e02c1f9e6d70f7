from __future__ import annotations

import pytest

from onnxlens.errors import UsageError
from onnxlens.profile.parity.slices import Slice, chunks
from onnxlens.specs.tensor import TensorSpec

TYPES = {name: TensorSpec(name, "float32", (10,)) for name in "xabcd"}
CHAIN = [Slice(made, (), (read,)) for made, read in zip("abcd", "xabc", strict=True)]

ONE = 40
"""Bytes of a tensor."""
COMPARED = 10 * 3 * 8
"""Bytes of both sides and their difference, of ten elements in float64."""


def sizes(memory: int) -> list[str]:
    return ["".join(part.value for part in chunk) for chunk in chunks(CHAIN, TYPES, memory)]


@pytest.mark.parametrize(
    ("memory", "expected"),
    [
        (3 * ONE + COMPARED, ["a", "b", "c", "d"]),  # x and a of PyTorch's, a of ONNX Runtime's
        (5 * ONE + COMPARED - 1, ["a", "b", "c", "d"]),
        (5 * ONE + COMPARED, ["ab", "cd"]),  # x, a, b; a, b: what b reads is a, held already
        (7 * ONE + COMPARED, ["abc", "d"]),
        (9 * ONE + COMPARED, ["abcd"]),
    ],
)
def test_a_chunk_holds_what_fits(memory: int, expected: list[str]) -> None:
    assert sizes(memory) == expected


def test_one_that_does_not_fit_alone_is_refused() -> None:
    with pytest.raises(UsageError, match="comparing 'a' holds 360 bytes, --memory allows 359; allow more"):
        sizes(3 * ONE + COMPARED - 1)


def test_a_larger_tensor_is_what_comparing_takes() -> None:
    types = {**TYPES, "b": TensorSpec("b", "float16", (20,))}
    # x, a, b of PyTorch's and a, b of ONNX Runtime's take 40 bytes each, comparing b 20 x 24
    held = 5 * ONE + 20 * 24
    for memory, expected in ((held, ["ab"]), (held - 1, ["a", "b"])):
        assert ["".join(p.value for p in chunk) for chunk in chunks(CHAIN[:2], types, memory)] == expected
