"""An input goes to the parameter of its name, else of its position; a contradiction is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest

from onnxlens.errors import UsageError
from onnxlens.export.calling import call_of

Forward = Callable[..., Any]


def returned(forward: Forward, *names: str) -> Any:
    """What ``forward`` returns when each input is its own name in upper case."""

    def nothing_to_try() -> Any:
        pytest.fail("the signature decides")

    args, kwargs = call_of(forward, names, nothing_to_try).arguments([name.upper() for name in names])  # type: ignore[misc]
    return forward(*args, **kwargs)


def plain(x: Any, bias: Any = None, scale: Any = None) -> Any:
    return x, bias, scale


def keyword(x: Any, *, scale: Any, shift: Any = 0) -> Any:
    return x, scale, shift


def variable(x: Any, flag: Any = True, *rest: Any) -> Any:
    return x, flag, rest


def named(x: Any, **options: Any) -> Any:
    return x, options


def only_positions(x: Any, y: Any = 1, /, z: Any = 2) -> Any:
    return x, y, z


def anything(*args: Any, **kwargs: Any) -> Any:
    return args, kwargs


def several(x: Any, states: Sequence[Any], scale: Any = None) -> Any:
    return x, states, scale


class Pair(NamedTuple):
    low: Any
    high: Any


@dataclass
class Record:
    first: Any
    count: int = 2


def pair(x: Any, held: Pair) -> Any:
    return x, held.low, held.high, type(held)


def record(held: Record | None, scale: Any = 1) -> Any:
    assert held is not None
    return held.first, held.count, type(held), scale


def batch(batch: Mapping[str, Any]) -> Any:
    return batch


def tuned(batch: Mapping[str, Any], gain: float | None = None, mode: str = "") -> Any:
    return batch, gain


def optional(x: Any, states: list[Any] | None = None) -> Any:
    return x, states


def either(x: Any, states: list[Any] | str) -> Any:
    return x, states


@pytest.mark.parametrize(
    ("forward", "names", "expected"),
    [
        (plain, ("x", "bias", "scale"), ("X", "BIAS", "SCALE")),
        (plain, ("image", "shift"), ("IMAGE", "SHIFT", None)),
        (plain, ("x", "scale"), ("X", None, "SCALE")),
        (plain, ("scale", "x"), ("X", None, "SCALE")),
        (plain, ("image", "scale"), ("IMAGE", None, "SCALE")),
        (keyword, ("x", "scale"), ("X", "SCALE", 0)),
        (keyword, ("shift", "scale", "image"), ("IMAGE", "SCALE", "SHIFT")),
        (variable, ("x", "flag", "a", "b"), ("X", "FLAG", ("A", "B"))),
        (named, ("x", "a", "b"), ("X", {"a": "A", "b": "B"})),
        (only_positions, ("x", "z"), ("X", 1, "Z")),
        (anything, ("a", "b"), (("A", "B"), {})),
        (several, ("x", "a"), ("X", ["A"], None)),
        (several, ("x", "a", "b"), ("X", ["A"], "B")),
        (several, ("x", "a", "b", "scale"), ("X", ["A", "B"], "SCALE")),
        (several, ("x", "states.1", "states.0"), ("X", ["STATES.0", "STATES.1"], None)),
        (several, ("x", "states[0].k", "scale"), ("X", [{"k": "STATES[0].K"}], "SCALE")),
        (batch, ("image", "mask"), {"image": "IMAGE", "mask": "MASK"}),
        (batch, ("image",), {"image": "IMAGE"}),
        (batch, ("batch",), "BATCH"),
        (tuned, ("image", "mask"), ({"image": "IMAGE", "mask": "MASK"}, None)),
        (tuned, ("image", "mask", "gain"), ({"image": "IMAGE", "mask": "MASK"}, "GAIN")),
        (tuned, ("image",), ({"image": "IMAGE"}, None)),
        (optional, ("x", "a", "b"), ("X", ["A", "B"])),
        (optional, ("x", "a"), ("X", ["A"])),
        (either, ("x", "a"), ("X", "A")),
        (pair, ("x", "held.high", "held.low"), ("X", "HELD.LOW", "HELD.HIGH", Pair)),
        (pair, ("x", "a", "b"), ("X", "A", "B", Pair)),
        (record, ("held.first",), ("HELD.FIRST", 2, Record, 1)),
        (record, ("a", "scale"), ("A", 2, Record, "SCALE")),
    ],
)
def test_inputs_become_these_arguments(forward: Forward, names: Sequence[str], expected: Any) -> None:
    assert returned(forward, *names) == expected


@pytest.mark.parametrize(
    ("forward", "names", "message"),
    [
        (
            plain,
            ("bias", "z", "x"),
            "input 'z' stands where forward takes 'bias', and another input",
        ),
        (plain, ("x", "scale", "z"), "input 'z' stands where forward takes 'scale', and another"),
        (plain, ("bias",), "forward needs 'x', and no input has its name or position; the inputs are bias"),
        (keyword, ("x",), "forward needs 'scale', and no input has its name"),
        (keyword, ("x", "scale", "z"), "input 'z' is no parameter of forward, which takes x, scale, shift"),
        (several, ("x", "states", "states.0"), "inputs are named 'states' and after entries of it"),
        (several, ("x", "states.0", "states"), "inputs are named 'states' and after entries of it"),
        (pair, ("x", "held.low"), "low do not make a Pair: "),
        (several, ("x", "states.1"), r"inputs name entries 1 of 'states'; a list has them from 0 on"),
    ],
)
def test_a_contradiction_is_refused(forward: Forward, names: Sequence[str], message: str) -> None:
    with pytest.raises(UsageError, match=f"^{message}"):
        returned(forward, *names)


def wants(kind: type) -> Forward:
    def forward(x: Any, held: Any) -> Any:
        if type(held) is not kind:
            raise TypeError(f"no {type(held).__name__}")
        return held

    return forward


@pytest.mark.parametrize("kind", [list, tuple, dict])
def test_a_parameter_that_does_not_say_what_it_takes_is_tried(kind: type) -> None:
    forward = wants(kind)
    call = call_of(forward, ["x", "a", "b"], lambda: "XAB")  # type: ignore[arg-type,return-value]
    args, _ = call.arguments("XAB")  # type: ignore[arg-type]
    assert args[1] == ({"a": "A", "b": "B"} if kind is dict else kind("AB"))


def test_a_parameter_that_takes_none_of_them_is_refused() -> None:
    with pytest.raises(UsageError, match=r"in a list \(TypeError: no list\) nor in a dict \(.*no dict"):
        call_of(wants(set), ["x", "a", "b"], lambda: "XAB")  # type: ignore[arg-type,return-value]


def test_a_function_without_a_signature_takes_inputs_in_order() -> None:
    assert returned(max, "a", "b") == "B"
