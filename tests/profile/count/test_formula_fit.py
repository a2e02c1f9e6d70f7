"""Polynomials through counts: found exactly, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction

import pytest

from onnxlens.errors import UsageError
from onnxlens.profile.count.formula_fit import Fitter
from onnxlens.profile.count.formula_parts import Dimensions
from onnxlens.specs.formula import FormulaReport, Part, Polynomial, Variable, total

POINTS = [{"b": 1 + 7 * i % 5, "s": 1 + i * i % 97, "h": 1 + 11 * i % 83} for i in range(60)]


def values(function: Callable[..., int], names: str = "bsh") -> tuple[int, ...]:
    return tuple(function(*(point[name] for name in names)) for point in POINTS)


def fitter() -> Fitter:
    return Fitter({name: values(lambda size: size, name) for name in "bsh"})


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (lambda b, s, h: 7, "7"),
        (lambda b, s, h: 0, "0"),
        (lambda b, s, h: 12 * b * s * (s + 2 * h + 5), "12*b*s*(2*h + s + 5)"),
        (lambda b, s, h: b * h * s - b, "b*(h*s - 1)"),
        (lambda b, s, h: s * s + 3, "s^2 + 3"),
        (lambda b, s, h: 10**15 * b * s + 1, "1000000000000000*b*s + 1"),
    ],
)
def test_a_polynomial_is_found_and_written(function: Callable[..., int], text: str) -> None:
    found = fitter().fit([frozenset("bsh")], values(function))
    assert found is not None and str(found) == text
    assert [found.at(point) for point in POINTS] == list(values(function))


def test_a_fraction_is_exact() -> None:
    found = Fitter({"s": values(lambda s: 2 * s, "s"), "h": values(lambda h: h, "h")}).fit(
        [frozenset("sh")], tuple(3 * value for value in values(lambda s, h: s * h, "sh"))
    )
    assert found == Polynomial({(("h", 1), ("s", 1)): Fraction(3, 2)})
    assert str(found) == "3*h*s/2"


@pytest.mark.parametrize(
    "function", [lambda b, s, h: s**5 * h**5, lambda b, s, h: s // 2, lambda b, s, h: 2**b]
)
def test_what_is_no_polynomial_has_none(function: Callable[..., int]) -> None:
    assert fitter().fit([frozenset("bsh")], values(function)) is None


def variables(*names: str) -> Sequence[Variable]:
    return [Variable(name) for name in names]


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (lambda s: (s + 1) // 2, "floor((s + 1)/2)"),
        (lambda s: min(s, 40), "min(s, 40)"),
        (lambda s: max(s, 30), "max(s, 30)"),
    ],
)
def test_a_part_of_a_dimension_gets_a_name(function: Callable[[int], int], text: str) -> None:
    dimensions = Dimensions(variables("b", "s"), POINTS)
    made = values(function, "s")
    found = dimensions.express(made)
    (part,) = dimensions.parts
    assert found == Polynomial.of(part.name) and str(part) == text
    assert [part.at({"s": size}) for size in range(1, 200)] == [function(size) for size in range(1, 200)]


def test_parts_of_parts_are_parts_of_the_dimension() -> None:
    """Two convolutions of stride 2: ``((s + 1)//2 + 1)//2`` is ``(s + 3)//4``."""
    dimensions = Dimensions(variables("s"), POINTS)
    first = values(lambda s: (s + 1) // 2, "s")
    second = tuple((size + 1) // 2 for size in first)
    dimensions.express(first)
    dimensions.express(second, [first])
    assert [str(part) for part in dimensions.parts] == ["floor((s + 1)/2)", "floor((s + 3)/4)"]


def test_a_shift_that_is_not_known_yet_is_asked_for() -> None:
    points = [{"s": 10 * times} for times in range(1, 200)]  # shifts of 30 and 31 make no difference
    dimensions = Dimensions(variables("s"), points)
    dimensions.express(tuple((point["s"] + 31) // 32 for point in points))
    ((name, size),) = dimensions.wanted
    assert name == "s" and (size + 30) // 32 != (size + 31) // 32


def test_a_window_of_a_sum_is_found() -> None:
    dimensions = Dimensions(variables("s", "h"), POINTS)
    cost = values(lambda s, h: 5 * s * min(s + h, 64), "sh")
    found = dimensions.with_limits(frozenset("sh"), cost, [], [64, 63])
    assert found is not None and str(found) == "5*limit_64*s"
    assert [str(part) for part in dimensions.parts] == ["min(h + s, 64)"]


def report(**changes: object) -> FormulaReport:
    height = Part("h_2", "floor", Polynomial.of("h"), 2)
    fields: Mapping[str, object] = {
        "graph": "g", "source": "g.onnx", "opset": 18, "parts": (height,),
        "variables": (Variable("h", 2, (0,), 4, 100),),
        "rows": (), "open_nodes": (), "fixed": {}, "checked_points": 50, "example": {"h": 4},
    }  # fmt: skip
    return FormulaReport(**{**fields, **changes})  # type: ignore[arg-type]


def test_sizes_give_parts_their_values() -> None:
    assert report().sizes_at({"h": 10}) == {"h": 10, "h_2": 5}


@pytest.mark.parametrize(
    ("dims", "message"),
    [
        ({}, "no size of 'h'"),
        ({"h": 10, "w": 2}, "no 'w'"),
        ({"h": 11}, "h in multiples of 2 from 4 up to 100"),
        ({"h": 102}, "up to 100"),
    ],
)
def test_other_sizes_are_refused(dims: Mapping[str, int], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        report().sizes_at(dims)


def test_terms_that_cancel_are_gone() -> None:
    minus = Polynomial({(("s", 1),): Fraction(-1)})
    assert total([Polynomial.of("s"), minus, Polynomial.number(2)]) == Polynomial.number(2)
