"""No term of a counting rule can change without a case that notices."""

from __future__ import annotations

import re
from types import ModuleType

import pytest

from onnxlens.profile.count.rules.lookup import FAMILIES
from onnxlens.profile.graph.node_view import NodeView
from tests.profile.count.rules.mutants import Expectations, mutants_of, outcome, survives
from tests.profile.count.rules.test_work import CASES, REFUSED

EQUIVALENT: dict[str, str] = {
    "matrix.einsum_products: index + 1 -> index + 2": "the next operand brings its own labels, kept or not",
    "matrix.einsum_products: left & right -> left": "as many MACs, of other rows (test_matrix_work has them)",
    "matrix.einsum_products: left & right -> right": "as many MACs, of other columns (test_matrix_work)",
    "attention._is_limited: -1 -> -2": "any negative window is none",
    "recurrent._layer: node.input_shape(2) -> node.input_shape(1)": "W and R have the same directions",
    "vision.grid_sample: node.input_shape(0) -> node.input_shape(1)": "picture and grid have the same rank",
    "microsoft.attention: score_bias=9 -> score_bias=10": "QAttention has no such input, 9 or 10",
    "microsoft.attention.ordered_attention: (5, 6, 7) -> (5, 5, 7)": "Q and K are equally wide",
    "microsoft.attention.ordered_attention: (5, 6, 7) -> (6, 6, 7)": "Q and K are equally wide",
    "microsoft.attention._own_keys: node.has_input(1) -> node.has_input(2)": "packed ones have no bias",
    "microsoft.attention.decoder_attention: node.input_shape(0) -> node.input_shape(1)": "equally wide",
    "microsoft.attention.decoder_sizes: node.input_shape(0) -> node.input_shape(1)": "equally wide",
    "microsoft.attention: norm=12 -> norm=13": "given together",
    "microsoft.attention: norm=14 -> norm=15": "given together",
    "microsoft.attention: norm=17 -> norm=18": "given together",
    "microsoft.attention: cosines=11 -> cosines=12": "as many cosines as sines",
    "microsoft.attention: cosines=14 -> cosines=15": "as many cosines as sines",
    "microsoft.attention: cosines=7 -> cosines=8": "as many cosines as sines",
    "microsoft.attention: cosines=8 -> cosines=9": "as many cosines as sines",
    "microsoft.attention.paged_attention: node.attribute('is_causal', 1) -> "
    "node.attribute('is_causal', 2)": "any number but 0 is causal",
    "microsoft.attention.sparse_attention: cosines=9 -> cosines=10": "as many cosines as sines",
    "microsoft.attention.group_query_attention: node.attribute('causal', 1) -> "
    "node.attribute('causal', 2)": "any number but 0 is causal",
    "microsoft.attention.gemma_rotary_embedding: node.input(1) -> node.input(2)": "Q and Q turned by half",
    "microsoft.attention.gemma_rotary_embedding: node.input(3) -> node.input(4)": "K and K turned by half",
    "microsoft.attention.rotary_embedding: node.attribute('num_heads', 0) -> "
    "node.attribute('num_heads', 1)": "where all is rotated, the heads do not matter",
    "microsoft.attention_states._token_major: node.has_input(1) -> node.has_input(2)": "given together",
    "quantized.dynamic_quantize_lstm: node.input_shape(2) -> "
    "node.input_shape(1)": "W and R have the same directions",
    "quantized.qordered_matmul: node.has_input(6) -> node.has_input(7)": "C comes with its scale",
    "microsoft.normalization.qordered_layer_normalization: deviation=1 -> deviation=2": "it has one output",
    "microsoft.normalization.skip_simplified_layer_normalization: node.input_shape(0) -> "
    "node.input_shape(1)": "input and skip are alike",
    "microsoft.normalization.branchwise_rms_norm: node.attribute('num_branches', 0) -> "
    "node.attribute('num_branches', 1)": "0 means that there is an axis for them, or one",
    "microsoft.elementwise.hyper_connection_post_mix: -1 -> -2": "the matrix is square",
    "microsoft.elementwise.linear_attention_gate: node.output_shape(1) -> "
    "node.output_shape(0)": "both outputs are alike",
    "microsoft.elementwise.pairwise_distance: node.input_shape(0) -> "
    "node.input_shape(1)": "the rows are equally wide",
    "microsoft.fused.instance_normalization: node.input_shape(0) -> "
    "node.input_shape(1)": "as many scales as channels",
}
"""Mutants that count the same as the rule does, and why."""


def short_name(family: ModuleType) -> str:
    return family.__name__.removeprefix("onnxlens.profile.count.rules.")


def expectations(family: ModuleType) -> Expectations:
    """The expected results of a family's rules for their nodes; a refusal must stay of its kind."""

    def in_family(node: NodeView) -> bool:
        return node.op_type in family.RULES.get(node.domain, {})

    counted = [(case.node, case.expected) for case in CASES if in_family(case.node)]
    refused = [node for node, _ in REFUSED if in_family(node)]
    return [*counted, *((node, outcome(family.RULES, node)) for node in refused)]


@pytest.mark.parametrize("family", FAMILIES, ids=short_name)
def test_every_changed_term_is_noticed(family: ModuleType) -> None:
    expected = expectations(family)
    mutants = list(mutants_of(family))
    assert expected
    assert mutants
    survivors = {mutant.name for mutant in mutants if survives(mutant, family, expected)}
    assert survivors == {name for name in EQUIVALENT if re.match(rf"{re.escape(short_name(family))}\b", name)}


def test_the_unchanged_rules_pass_their_own_cases() -> None:
    """Else a mutant would fall to a case that fails anyway."""
    for family in FAMILIES:
        expected = expectations(family)
        assert all(outcome(family.RULES, node) == expectation for node, expectation in expected)
