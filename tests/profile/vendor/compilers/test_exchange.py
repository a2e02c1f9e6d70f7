"""What a worker is given and gives back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from onnxlens.errors import ToolError
from onnxlens.profile.vendor.compilers.child import Outcome
from onnxlens.profile.vendor.compilers.exchange import (
    error_note,
    output_errors,
    read_arrays,
    relative_error,
    result_of,
    write_arrays,
)


def test_arrays_keep_their_names_whatever_these_are(tmp_path: Path) -> None:
    given = {
        "file": np.arange(3),
        "a/b:0": np.float32(2) * np.ones((1, 2), np.float32),
        "../x": np.array(True),
    }
    names = write_arrays(tmp_path / "x.npz", given)
    found = read_arrays(tmp_path / "x.npz", names)
    assert list(found) == list(given)
    assert all(np.array_equal(found[name], array) for name, array in given.items())
    assert [found[name].dtype for name in given] == [array.dtype for array in given.values()]


@pytest.mark.parametrize("array", [np.zeros(1, ml_dtypes.bfloat16), np.array(["text"], object)])
def test_an_array_that_numpy_alone_does_not_read_is_refused(array: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="input 'x' is .*, which cannot be handed to another program"):
        write_arrays(tmp_path / "x.npz", {"x": array})


def test_a_result_that_is_none_says_why() -> None:
    with pytest.raises(ToolError, match="^it died$"):
        result_of(Outcome(Path("log"), crashed="it died"))


@pytest.mark.parametrize(
    ("got", "expected", "error"),
    [
        ([3.0, 4.0], [3.0, 4.0], 0),
        ([3.0, 4.5], [3.0, 4.0], 0.1),  # 0.5 of a length of 5
        ([0.0, 0.0], [0.0, 0.0], 0),
        ([0.0, 1.0], [0.0, 0.0], float("inf")),
        ([1.0], [1.0, 1.0], float("inf")),
        ([np.nan, 1.0], [1.0, 1.0], float("inf")),
        ([-np.inf, 3.0, 4.5, np.nan], [-np.inf, 3.0, 4.0, np.nan], 0.1),
        ([np.inf, 1.0], [-np.inf, 1.0], float("inf")),
    ],
)
def test_the_relative_error_is_by_the_length_of_the_expected(got: Any, expected: Any, error: float) -> None:
    assert relative_error(np.array(got), np.array(expected)) == pytest.approx(error)


def test_a_note_names_the_worst_outputs_first() -> None:
    expected = {name: np.array([1.0]) for name in "abcde"}
    got = {name: np.array([1 + 0.1 * index]) for index, name in enumerate("abcde")}
    assert error_note(output_errors(got, expected)).endswith(
        ": e 4.0e-01, d 3.0e-01, c 2.0e-01, 2 more below"
    )
