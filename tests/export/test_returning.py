"""The declared outputs are entries of what a module returns by name, or all of its tensors in order."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
import torch

from onnxlens.errors import ExportError
from onnxlens.export.calling import described, outputs_of

A, B, C = torch.zeros(1), torch.zeros(2), torch.zeros(3)


class Pair(NamedTuple):
    low: Any
    high: Any


NESTED: Any = {"a": A, "more": (B, [C]), "none": None, "count": 3}


@pytest.mark.parametrize(
    ("returned", "declared", "sizes"),
    [
        (A, ["y"], [1]),
        ((A, B), ["x", "y"], [1, 2]),
        (NESTED, ["a", "b", "c"], [1, 2, 3]),
        (NESTED, ["x", "y", "z"], [1, 2, 3]),
        (NESTED, ["more.1.0", "a"], [3, 1]),
        ({"b": B, "a": A}, ["a", "b"], [1, 2]),
        (Pair(A, (B, C)), ["high.1"], [3]),
    ],
)
def test_these_tensors_are_the_outputs(returned: Any, declared: list[str], sizes: list[int]) -> None:
    assert [len(tensor) for tensor in outputs_of(returned, declared, ())] == sizes


@pytest.mark.parametrize(
    ("returned", "declared"),
    [
        ((A, B), ["y"]),
        (A, ["x", "y"]),
        ({"a": A, "b": B}, ["b", "z"]),  # b is the second
        ({"a": A, "b": B}, ["z"]),
        ([], ["y"]),
    ],
)
def test_other_outputs_than_are_returned_are_refused(returned: Any, declared: list[str]) -> None:
    with pytest.raises(
        ExportError, match=f"^the module's outputs are .*, declared are {', '.join(declared)};"
    ):
        outputs_of(returned, declared, ())


def test_a_tensor_that_is_an_input_or_was_returned_is_returned_as_a_copy() -> None:
    first, second, third = outputs_of((A, B, A), ["x", "y", "z"], [B])
    assert first is A
    assert second is not B
    assert torch.equal(second, B)
    assert third is not A


@pytest.mark.parametrize(
    ("returned", "names"),
    [
        (A, ["output"]),
        ((A, B), ["output_0", "output_1"]),
        (NESTED, ["a", "more.0", "more.1.0"]),
        ({"x": A}, ["x_out"]),  # an input has that name
    ],
)
def test_undeclared_outputs_get_these_names(returned: Any, names: list[str]) -> None:
    assert [tensor.name for tensor in described(returned, ["x"])] == names
