"""No term of a counting rule can change without a case that notices."""

from __future__ import annotations

import re
from types import ModuleType

import pytest

from onnxlens.profile.node_view import NodeView
from onnxlens.profile.rules import (
    attention,
    einsum,
    elementwise,
    known_operators,
    losses,
    matrix,
    ml_features,
    ml_linear,
    ml_trees,
    movement,
    normalization,
    preview,
    quantized,
    recurrent,
    reduction_pooling,
    resizing,
    sampling,
    signal,
    state_attention,
    text,
    training,
    vision,
)
from tests.profile.rules.mutants import Expectations, mutants_of, outcome, survives
from tests.profile.rules.test_work import CASES, REFUSED

FAMILIES: dict[str, tuple[ModuleType, ...]] = {
    "": (
        matrix, einsum, attention, recurrent, quantized,
        elementwise, normalization, reduction_pooling, resizing, movement, state_attention,
        vision, signal, sampling, losses, text,
    ),
    "ai.onnx.preview": (preview,),
    "ai.onnx.preview.training": (training,),
    "ai.onnx.ml": (ml_linear, ml_trees, ml_features),
}  # fmt: skip
"""The modules that hold the rules of each domain."""

EQUIVALENT: dict[str, str] = {
    "einsum.einsum: start=1 -> start=2": "the next operand brings its own labels, kept or not",
    "einsum.einsum: index + 1 -> index + 2": "the next operand brings its own labels, kept or not",
    "attention: (1, 2, 3, 4, 6) -> (2, 2, 3, 4, 6)": "keys and values are equally long",
    "attention: (1, 2, 3, 4, 6) -> (1, 2, 3, 5, 6)": "past keys and past values are equally long",
    "attention.attention_sizes: node.input_shape(PAST_KEY_INPUT)[-2] -> "
    "node.input_shape(PAST_KEY_INPUT)[2]": "a past key always has four dimensions",
    "attention._is_limited: -1 -> -2": "any negative window is none",
    "ml_trees.longest_path: len(branches) + 1 -> len(branches) + 2": "one round more meets the same cycle",
    "recurrent._layer: node.input_shape(2) -> node.input_shape(1)": "W and R have the same directions",
}
"""Mutants that count the same as the rule does, and why."""


MODULES = [(domain, family) for domain, families in FAMILIES.items() for family in families]


def short_name(family: ModuleType) -> str:
    return family.__name__.removeprefix("onnxlens.profile.rules.")


def expectations(domain: str, family: ModuleType) -> Expectations:
    """What the family's rules must make of the nodes that are theirs; a refusal must stay one of its kind."""

    def is_theirs(node: NodeView) -> bool:
        return node.domain == domain and node.op_type in family.RULES

    counted = [(case.node, case.expected) for case in CASES if is_theirs(case.node)]
    refused = [node for node, _ in REFUSED if is_theirs(node)]
    return [*counted, *((node, outcome(family.RULES, node)) for node in refused)]


@pytest.mark.parametrize(("domain", "family"), MODULES, ids=[short_name(family) for _, family in MODULES])
def test_every_changed_term_is_noticed(domain: str, family: ModuleType) -> None:
    expected = expectations(domain, family)
    mutants = list(mutants_of(family))
    assert expected
    assert mutants
    survivors = {mutant.name for mutant in mutants if survives(mutant, family, expected)}
    assert survivors == {name for name in EQUIVALENT if re.match(rf"{re.escape(short_name(family))}\b", name)}


def test_every_rule_is_in_a_module_that_is_changed() -> None:
    changed = {(domain, op_type) for domain, family in MODULES for op_type in family.RULES}
    assert changed == known_operators()


def test_the_unchanged_rules_pass_their_own_cases() -> None:
    """Else a mutant would fall to a case that fails anyway."""
    for domain, family in MODULES:
        expected = expectations(domain, family)
        assert all(outcome(family.RULES, node) == expectation for node, expectation in expected)
