from __future__ import annotations

import numpy as np
import pytest

from onnxlens.errors import UsageError
from onnxlens.profile.runtime.inputs import sample_inputs
from onnxlens.specs.tensor import TensorSpec


def sample(dtype: str, shape: tuple[int | str, ...], low: float, high: float, name: str = "x") -> np.ndarray:
    return sample_inputs([TensorSpec(name, dtype, shape)], {name: (low, high)})[name]


def test_the_same_names_give_the_same_values_in_any_order_and_company() -> None:
    a, b = TensorSpec("a", "float32", (3, 4)), TensorSpec("b", "int64", (5,))
    ranges = {"a": (0.0, 1.0), "b": (0.0, 9.0)}
    both, turned = sample_inputs([a, b], ranges), sample_inputs([b, a], ranges)
    np.testing.assert_array_equal(both["a"], turned["a"])
    np.testing.assert_array_equal(both["b"], turned["b"])
    np.testing.assert_array_equal(both["a"], sample_inputs([a], ranges)["a"])
    assert list(both) == ["a", "b"]
    assert list(turned) == ["b", "a"]


def test_values_are_fixed_for_good() -> None:
    # looked at once; a change means that two versions of the program compare different runs
    np.testing.assert_array_equal(sample("int64", (6,), 0, 99), [21, 0, 83, 98, 53, 71])


def test_another_draw_gives_other_values_in_the_same_range() -> None:
    x = [TensorSpec("x", "int64", (50,))]
    draws = [sample_inputs(x, {"x": (3, 9)}, draw)["x"] for draw in range(3)]
    np.testing.assert_array_equal(draws[0], sample_inputs(x, {"x": (3, 9)})["x"])
    assert len({draw.tobytes() for draw in draws}) == 3
    assert all(set(draw) == set(range(3, 10)) for draw in draws)


def test_other_names_give_other_values() -> None:
    assert not np.array_equal(sample("float32", (8,), 0, 1, "a"), sample("float32", (8,), 0, 1, "b"))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_floats_fill_their_range_and_stay_in_it(dtype: str) -> None:
    values = sample(dtype, (4000,), 2.0, 6.0)
    assert values.dtype == dtype
    assert 2.0 <= values.min() < 2.1
    assert 5.9 < values.max() <= 6.0
    assert abs(values.mean() - 4.0) < 0.1  # the standard error is 4 / sqrt(12 * 4000) = 0.018


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8"])
def test_integers_reach_both_bounds_and_no_further(dtype: str) -> None:
    values = sample(dtype, (200,), 3, 6)
    assert values.dtype == dtype
    assert set(values.tolist()) == {3, 4, 5, 6}


def test_booleans_are_both() -> None:
    values = sample("bool", (100,), 0, 1)
    assert values.dtype == bool
    assert set(values.tolist()) == {True, False}


def test_without_a_range_values_lie_between_minus_one_and_one() -> None:
    values = sample_inputs([TensorSpec("x", "float32", (1000,))], {})["x"]
    assert -1.0 <= values.min() < -0.9
    assert 0.9 < values.max() <= 1.0


def test_a_scalar_has_no_dimensions() -> None:
    assert sample("float32", (), 0, 1).shape == ()


def test_a_dynamic_dimension_is_refused_with_its_shape() -> None:
    with pytest.raises(UsageError, match=r"input 'x' has shape \(batch, 3\); fix it with --shape or --dim"):
        sample("float32", ("batch", 3), 0, 1)


def test_a_type_that_is_not_numeric_is_refused() -> None:
    with pytest.raises(UsageError, match="input 'x' is sequence, a type without sample values"):
        sample("sequence", (2,), 0, 1)


@pytest.mark.parametrize("name", ["x", "attention_mask"])
def test_inputs_that_no_machine_holds_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match=f"input '{name}' is \\(1099511627776, 4\\), too large to be held"):
        sample_inputs([TensorSpec(name, "int64", (2**40, 4))], {})
