from __future__ import annotations

from math import inf, nan, sqrt

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from onnxlens.errors import ParityError
from onnxlens.profile.parity.parity import (
    ALL_ZEROS,
    NOT_FINITE,
    Deviation,
    compare,
    deviation,
    keep_worst,
    run_module,
    within_noise,
    worst,
)
from onnxlens.specs.graph import DEFAULT_TOLERANCE
from onnxlens.specs.parity import ParityResult


def against(value: object, reference: object, tolerance: float = DEFAULT_TOLERANCE) -> ParityResult:
    pair = (np.asarray(side, np.float32) for side in (value, reference))
    return compare(*({"y": side} for side in pair), tolerance)[0]


def test_errors_are_as_by_hand() -> None:
    result = against([[3.0, 0.0], [0.0, 5.0]], [[3.0, 0.0], [4.0, 0.0]])
    assert result.tensor == "y"
    assert result.max_abs == 5.0
    assert result.mean_abs == (4 + 5) / 4
    assert result.reference_max_abs == 4.0
    assert result.rel_l2 == pytest.approx(sqrt(4**2 + 5**2) / 5)  # ||(3, 0, 4, 0)|| = 5
    assert result.cosine == pytest.approx(9 / (sqrt(34) * 5))
    assert not result.passed


def test_equal_tensors_pass_with_no_error() -> None:
    result = against([1.0, -2.0], [1.0, -2.0])
    assert (result.max_abs, result.mean_abs, result.rel_l2, result.passed) == (0.0, 0.0, 0.0, True)
    assert result.cosine == pytest.approx(1.0)


def test_opposite_tensors_have_cosine_minus_one() -> None:
    assert against([1.0, 1.0], [-1.0, -1.0]).cosine == pytest.approx(-1.0)


def test_the_tolerance_bounds_the_relative_error_and_not_the_absolute_one() -> None:
    # 100 against 101: an error of 1, of 1 / 101 relative to the reference
    assert against([100.0], [101.0], tolerance=1 / 100).passed
    assert not against([100.0], [101.0], tolerance=1 / 102).passed
    assert against([100.0], [101.0], tolerance=0.5).tolerance == 0.5


def test_an_error_at_the_tolerance_passes() -> None:
    assert against([1.0, 0.0], [0.0, 2.0], tolerance=sqrt(5) / 2).passed


def test_differences_of_half_floats_and_unsigned_integers_do_not_overflow() -> None:
    half = compare({"y": np.array([6e4], np.float16)}, {"y": np.array([-6e4], np.float16)})[0]
    assert half.max_abs == pytest.approx(2 * 6e4, rel=1e-3)
    small = compare({"y": np.array([1], np.uint8)}, {"y": np.array([3], np.uint8)})[0]
    assert small.max_abs == 2.0


def test_zeros_on_both_sides_are_equal_and_that_is_said() -> None:
    result = against([0.0, 0.0], [0.0, 0.0])
    assert (result.rel_l2, result.cosine, result.passed) == (0.0, 0.0, True)
    assert result.reason == "all zero on both sides"


def test_nonzero_values_against_zeros_have_an_error_of_one() -> None:
    result = against([1.0, 0.0], [0.0, 0.0])
    assert (result.rel_l2, result.passed) == (1.0, False)


@pytest.mark.parametrize(
    ("value", "reference", "reason"),
    [
        ([np.nan, 1.0], [1.0, 1.0], "not finite in 1 of 2 values, where the reference is"),
        ([-np.inf, 1.0], [1.0, 1.0], "not finite in 1 of 2 values, where the reference is"),
        ([1.0, 1.0], [np.nan, 1.0], "the reference is not finite in 1 of 2 values; "),
        ([np.inf, 1.0], [-np.inf, 1.0], "the reference is not finite in 1 of 2 values; "),
        (
            [np.nan, np.nan],
            [np.nan, np.nan],
            "the reference is not finite in any of 2 values, which proves n",
        ),
    ],
)
def test_what_is_not_finite_does_not_pass_and_does_not_warn(
    value: object, reference: object, reason: str
) -> None:
    result = against(value, reference, tolerance=float("inf"))
    assert not result.passed
    assert result.reason.startswith(reason)


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_alike_is_left_out(odd: float) -> None:
    result = against([odd, 3.0, 4.0], [odd, 3.0, 5.0], tolerance=0.5)
    assert result.rel_l2 == pytest.approx(1 / sqrt(34))  # of (3, 4) against (3, 5)
    assert result.passed
    assert result.reason == "not finite in 1 of 3 values, alike on both sides: left out"


def test_empty_tensors_are_equal_and_that_is_said() -> None:
    result = against(np.zeros((0, 3)), np.zeros((0, 3)))
    assert (result.max_abs, result.mean_abs, result.passed) == (0.0, 0.0, True)
    assert result.reason == "empty on both sides"


def test_texts_are_equal_or_not() -> None:
    texts = np.array(["a", "b", "c", "d"], object)
    (same,) = compare({"y": texts}, {"y": texts.copy()})
    assert (same.rel_l2, same.passed) == (0.0, True)
    (other,) = compare({"y": np.array(["a", "b", "c", "x"], object)}, {"y": texts})
    assert (other.rel_l2, other.passed) == (0.5, False)  # one of four: the root of 1 / 4


def test_complex_numbers_differ_in_either_part() -> None:
    (result,) = compare({"y": np.array([3 + 0j])}, {"y": np.array([3 + 4j])})
    assert result.rel_l2 == pytest.approx(4 / 5)


def noisy(error: float, noise: float, reference: float = 1.0) -> ParityResult:
    value, other, whole = (np.array([reference + by]) for by in (error, noise, 0.0))
    (result,) = compare({"y": value}, {"y": whole})
    return within_noise(result, value, whole, [whole, other])


def test_the_outputs_own_noise_is_a_tolerance_of_sixteen_times() -> None:
    passed = noisy(error=0.015, noise=0.001)
    assert (passed.passed, passed.tolerance) == (True, pytest.approx(16 * 0.001))
    assert passed.reason == "its own noise is 1.0e-03: what a rounding of the inputs or a second run changes"
    assert not noisy(error=0.017, noise=0.001).passed
    assert noisy(error=0.017, noise=0.0).tolerance == DEFAULT_TOLERANCE


def test_noise_around_zero_is_no_error() -> None:
    assert noisy(error=1.5e-9, noise=1e-10, reference=0.0).passed
    assert not noisy(error=1.7e-9, noise=1e-10, reference=0.0).passed


def test_another_shape_is_an_error_even_where_it_would_broadcast() -> None:
    with pytest.raises(ParityError, match=r"output 'y' has shape \(1, 2\), its reference \(2,\)"):
        against([[1.0, 2.0]], [1.0, 2.0])


def test_a_missing_output_is_an_error_that_names_those_there_are() -> None:
    one = np.ones(1)
    with pytest.raises(ParityError, match="output 'b' is missing; the outputs are a, c"):
        compare({"a": one, "c": one}, {"a": one, "b": one})


def test_results_are_in_the_references_order_and_extra_outputs_are_left_out() -> None:
    one = np.ones(1)
    results = compare({"a": one, "b": one, "extra": one}, {"b": one, "a": one})
    assert [result.tensor for result in results] == ["b", "a"]


@pytest.mark.parametrize("tolerance", [0.0, -1.0, float("nan")])
def test_a_tolerance_that_is_not_positive_is_refused(tolerance: float) -> None:
    with pytest.raises(ParityError, match="is not a positive number"):
        against([1.0], [1.0], tolerance)


class Two(nn.Module):
    """Sum and difference."""

    def forward(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        return a + b, a - b


class One(nn.Module):
    """The difference alone, which shows the order of its inputs."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return a - b


INPUTS = {"a": np.array([5.0], np.float32), "b": np.array([3.0], np.float32)}


def test_a_module_gets_its_inputs_in_order_and_gives_named_outputs() -> None:
    got = run_module(Two(), INPUTS, ["sum", "difference"])
    assert {name: array.tolist() for name, array in got.items()} == {"sum": [8.0], "difference": [2.0]}
    assert run_module(One(), INPUTS, ["difference"])["difference"].tolist() == [2.0]


def test_a_module_that_returns_another_number_of_outputs_is_an_error() -> None:
    with pytest.raises(ParityError, match="the module returned 2 outputs, 1 are named"):
        run_module(Two(), INPUTS, ["sum"])


def test_a_module_with_parameters_runs_without_gradients() -> None:
    linear = nn.Linear(1, 1)
    with torch.no_grad():
        linear.weight.fill_(2.0)
        linear.bias.fill_(1.0)
    assert run_module(linear, {"x": np.array([[3.0]], np.float32)}, ["y"])["y"].tolist() == [[7.0]]


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


def test_the_worst_of_all_samples_is_kept_over_one_without_an_error() -> None:
    found: dict[str, Deviation] = {}
    for value in (0.0, 4.0, 2.0):
        references = {"a": array(3, value), "idle": array(1)}
        keep_worst(found, {"a": array(0, value)}, references)
    assert found == {"a": Deviation(1, 3)}  # 3 / 3, then 3 / 5, then 3 / sqrt(13)
    unknown = Deviation(0, 0, ALL_ZEROS)
    assert worst((unknown, Deviation(0, 0))) == Deviation(0, 0)
    assert worst((Deviation(inf, inf), unknown, Deviation(1, 1))) == Deviation(inf, inf)
    assert worst((unknown, unknown)) == unknown
