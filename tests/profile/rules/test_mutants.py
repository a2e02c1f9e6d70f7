"""No term of a counting rule can change without a case that notices."""

from __future__ import annotations

import re
from types import ModuleType

import pytest

from onnxlens.profile.rules import (
    attention,
    einsum,
    elementwise,
    matrix,
    movement,
    normalization,
    quantized,
    recurrent,
    reduction_pooling,
    resizing,
)
from tests.profile.rules.mutants import Expectations, mutants_of, outcome, survives
from tests.profile.rules.test_work import CASES, REFUSED

FAMILIES = (
    matrix, einsum, attention, recurrent, quantized,
    elementwise, normalization, reduction_pooling, resizing, movement,
)  # fmt: skip

EQUIVALENT: dict[str, str] = {
    "einsum.einsum: start=1 -> start=2": "the next operand brings its own labels, kept or not",
    "einsum.einsum: index + 1 -> index + 2": "the next operand brings its own labels, kept or not",
    "attention: (1, 2, 3, 4) -> (2, 2, 3, 4)": "keys and values are equally long",
    "attention: (1, 2, 3, 4) -> (1, 2, 3, 5)": "past keys and past values are equally long",
    "attention.attention_sizes: node.input_shape(PAST_KEY_INPUT)[-2] -> "
    "node.input_shape(PAST_KEY_INPUT)[2]": "a past key always has four dimensions",
    "attention._is_limited: -1 -> -2": "any negative window is none",
    "recurrent._layer: node.input_shape(2) -> node.input_shape(1)": "W and R have the same directions",
}
"""Mutants that count the same as the rule does, and why."""


def expectations(family: ModuleType) -> Expectations:
    """What the family's rules must make of the nodes that are theirs; a refusal must stay one of its kind."""
    counted = [(case.node, case.expected) for case in CASES if case.node.op_type in family.RULES]
    refused = [node for node, _ in REFUSED if node.op_type in family.RULES]
    return [*counted, *((node, outcome(family.RULES, node)) for node in refused)]


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__.rpartition(".")[2])
def test_every_changed_term_is_noticed(family: ModuleType) -> None:
    expected = expectations(family)
    mutants = list(mutants_of(family))
    assert expected
    assert mutants
    survivors = {mutant.name for mutant in mutants if survives(mutant, family, expected)}
    short_name = family.__name__.rpartition(".")[2]
    assert survivors == {name for name in EQUIVALENT if re.match(rf"{short_name}\b", name)}


def test_the_unchanged_rules_pass_their_own_cases() -> None:
    """Else a mutant would fall to a case that fails anyway."""
    for family in FAMILIES:
        assert all(outcome(family.RULES, node) == expectation for node, expectation in expectations(family))
