from __future__ import annotations

from math import inf, nan

import numpy as np
import pytest

from onnxlens.profile.parity.parity import (
    ALL_ZEROS,
    NOT_FINITE,
    Deviation,
    deviation,
    enter,
    worst,
)


def array(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


@pytest.mark.parametrize(
    ("value", "reference", "expected"),
    [
        (array(3, 4), array(3, 4), Deviation(0, 0)),
        (array(0, 4), array(3, 4), Deviation(3 / 5, 3)),
        (array(1, 0), array(0, 0), Deviation(1, 1)),
        (array(0, 0), array(0, 0), Deviation(0, 0, ALL_ZEROS)),
        (array(3, inf), array(3, 4), Deviation(inf, inf)),
        (array(3, nan), array(3, 4), Deviation(inf, inf)),
        (array(3, 4), array(3, inf), Deviation(0, 0, NOT_FINITE)),
        (array(3, 4), array(nan, 4), Deviation(0, 0, NOT_FINITE)),
    ],
)
def test_how_far_one_is_from_the_other(value: np.ndarray, reference: np.ndarray, expected: Deviation) -> None:
    assert deviation(value, reference) == expected


def test_truths_and_integers_are_compared_too() -> None:
    assert deviation(np.array([True, False]), np.array([True, True])) == Deviation(1 / 2**0.5, 1)
    assert deviation(np.array([0, 4]), np.array([3, 4])) == Deviation(3 / 5, 3)


def test_the_worst_of_all_samples_is_kept_and_one_that_tells_nothing_gives_way() -> None:
    found: dict[str, Deviation] = {}
    for value in (0.0, 4.0, 2.0):
        references = {"a": array(3, value), "idle": array(1)}
        enter(found, {"a": array(0, value)}, references)
    assert found == {"a": Deviation(1, 3)}  # 3 / 3, then 3 / 5, then 3 / sqrt(13)
    untold = Deviation(0, 0, ALL_ZEROS)
    assert worst((untold, Deviation(0, 0))) == Deviation(0, 0)
    assert worst((Deviation(inf, inf), untold, Deviation(1, 1))) == Deviation(inf, inf)
    assert worst((untold, untold)) == untold
