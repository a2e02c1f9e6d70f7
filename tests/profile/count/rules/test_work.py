"""Each operator counts by its formula, and what cannot be counted is refused."""

from __future__ import annotations

from collections.abc import Hashable
from contextlib import suppress
from dataclasses import replace

import numpy as np
import onnx
import pytest

from onnxlens.profile.count.rules import Work, key_of, known_operators, traffic_of, work_of
from onnxlens.profile.count.rules.lookup import FAMILIES
from onnxlens.profile.graph.node_view import NodeView, NotCountable
from tests.profile.count.rules.elementwise_cases import ELEMENTWISE_CASES
from tests.profile.count.rules.matrix_cases import MATRIX_CASES
from tests.profile.count.rules.microsoft.attention_cases import ATTENTION_CASES
from tests.profile.count.rules.microsoft.fused_cases import FUSED_CASES
from tests.profile.count.rules.microsoft.normalization_cases import NORMALIZATION_CASES
from tests.profile.count.rules.microsoft.quantized_cases import QUANTIZED_CASES
from tests.profile.count.rules.ml_cases import ML_CASES, ROWS, TARGET_LEAVES, TREES
from tests.profile.count.rules.nodes import Case, node
from tests.profile.count.rules.quantizer_cases import QUANTIZER_CASES
from tests.profile.count.rules.sequence_cases import SEQUENCE_CASES
from tests.profile.count.rules.vision_cases import VISION_CASES

MICROSOFT_CASES = FUSED_CASES + ATTENTION_CASES + QUANTIZED_CASES + NORMALIZATION_CASES
ONNX_CASES = MATRIX_CASES + ELEMENTWISE_CASES + VISION_CASES + SEQUENCE_CASES + ML_CASES
CASES = ONNX_CASES + MICROSOFT_CASES + QUANTIZER_CASES

QKV = (2, 4, 6, 8)

REFUSED: tuple[tuple[NodeView, str], ...] = (
    (
        node("Bar", [(1,)], [(1,)], domain="com.foo"),
        r"^no rule for com\.foo::Bar; add one with onnxlens\.rules\.register$",
    ),
    (node("Bar", [(1,)], [(1,)]), r"^no rule for ai\.onnx::Bar; add one with onnxlens\.rules\.register$"),
    (node("Relu", [(1,)], [None]), "has no output 0"),
    (node("Conv", [(1, 3, "height", 8), (4, 3, 1, 1)], [(1, 4, "height", 8)]), "is dynamic"),
    (node("GroupNormalization", [(2, 6, 4), (6,), (6,)], [(2, 6, 4)]), "does not fit its rule"),
    (node("Einsum", [(2, 6)], [(2,)], equation="ijk->i"), "does not fit its rule"),
    (node("CDist", [(3, 7), (5, 7)], [(3, 5)], domain="com.microsoft", metric="cosine"), "'cosine' has no"),
    (node("FusedConv", [(1, 3, 4), (5, 3, 1)], [(1, 5, 4)], domain="com.microsoft", activation="Foo"), "fit"),
    (node("GridSample", [(1, 1, 4, 4), (1, 6, 6, 3)], [(1, 1, 6, 6)]), "3 coordinates for 2 spatial"),
    (
        node("LSTM", [(1, 3, 2), (3, 12, 2), (3, 12, 3)], [None, (3, 3, 3)], hidden_size=3),
        "3 directions, not",
    ),
    (node("AveragePool", [(1, 1, 4)], [(1, 1, 1)], kernel_shape=(2**63,)), "window has more than 2"),
    (
        node(
            "TfIdfVectorizer", [(1001,)], [(11,)], min_gram_length=1, max_gram_length=1001, max_skip_count=0
        ),
        "its n-grams have more than 1,000 lengths",
    ),
    (node("Resize", [(1, 3, 8)], [(1, 3, 4)], mode="lanczos"), "does not fit its rule"),
    (node("Einsum", [(2, 6, 3)], [(2,)], equation="ij->i"), "does not fit its rule"),
    (node("RotaryEmbedding", [(2, 6, 32), (2, 6, 4), (2, 6, 4)], [(2, 6, 32)]), "does not fit its rule"),
    (node("Relu", [(3,)], [(3,)], kinds={"y0": "sequence"}), "the sequence 'y0' has no size of its own"),
    (node("GridSample", [(1, 1, 4, 4), (1, 2, 2, 2)], [(1, 1, 2, 2)], mode="area"), "does not fit its rule"),
    (node("DFT", [(3, 16, 1), None, ()], [(3, 16, 2)], version=20), "'x2' is known only at run time"),
    (node("DFT", [(3, 16, 1), ()], [(3, 9, 2)], version=20, onesided=1), "'x1' is known only at run time"),
    (node("STFT", [(2, 64, 1), (), None, ()], [(2, 7, 9, 2)]), "'x3' is known only at run time"),
    *(
        (node(op_type, [(3,), (3,)], [(3,)], dtypes={"x0": "string"}), "length of the strings")
        for op_type in ("StringConcat", "StringNormalizer", "StringSplit", "RegexFullMatch")
    ),
    (node("ImageDecoder", [(999,)], [(8, 8, 3)], dtypes={"x0": "uint8"}), "format of the stream"),
    (node("Gradient", [(3,)], [(3,)], domain="ai.onnx.preview.training"), "names a derivative"),
    *(
        (node("FlexAttention", [QKV, QKV, QKV], [QKV], domain="ai.onnx.preview", **{name: object()}), name)
        for name in ("score_mod", "prob_mod")
    ),
    (
        node(
            "TreeEnsembleRegressor",
            ROWS,
            [(6, 1)],
            domain="ai.onnx.ml",
            **{**TREES, "nodes_falsenodeids": (2, 0, 0, 0, 0, 8, 0, 0)},
            **TARGET_LEAVES,
        ),
        "its own descendant",
    ),
)
"""Nodes that cannot be counted, and the message of the refusal."""

NEVER_COUNTED = frozenset(
    {("", op) for op in ("StringConcat", "StringNormalizer", "StringSplit", "RegexFullMatch", "ImageDecoder")}
    | {("ai.onnx.preview.training", "Gradient")}
)
"""Operators whose rule refuses every node."""


@pytest.mark.parametrize("case", CASES, ids=str)
def test_operator_counts_its_formula(case: Case) -> None:
    assert work_of(case.node) == case.expected


def test_every_known_operator_has_a_case() -> None:
    counted = {(case.node.domain, case.node.op_type) for case in CASES}
    assert counted == known_operators() - NEVER_COUNTED
    assert {(refused.domain, refused.op_type) for refused, _ in REFUSED} >= NEVER_COUNTED


def test_every_operator_of_onnx_has_a_rule() -> None:
    defined = {(schema.domain, schema.name) for schema in onnx.defs.get_all_schemas_with_history()}
    assert defined <= known_operators()


def test_the_rules_of_nodes_with_a_key_read_no_value() -> None:
    def read() -> np.ndarray:
        raise AssertionError("a value was read")

    for case in CASES:
        inputs = [value and replace(value, read_constant=read) for value in case.node.inputs]
        view = replace(case.node, inputs=tuple(inputs))
        if key_of(view) is not None:
            assert work_of(view) == case.expected
            with suppress(NotCountable):  # a case without the attributes that bytes follow from
                traffic_of(view)


def test_equal_keys_are_of_nodes_that_count_the_same() -> None:
    known: dict[Hashable, Work] = {}
    for case in CASES:
        key, read_twice = key_of(case.node), replace(case.node, inputs=case.node.inputs[:1] * 2)
        if key is not None:
            assert known.setdefault(key, case.expected) == case.expected
            assert key_of(read_twice) is None
    assert len(known) > 100


def test_no_operator_is_in_two_families() -> None:
    rules = [op_type for family in FAMILIES for table in family.RULES.values() for op_type in table]
    assert len(rules) == len(known_operators())


def test_work_adds_and_scales() -> None:
    assert Work(1, 2, 3) + 10 * Work(4, 5, 6) == Work(41, 52, 63)


def test_stable_diffusions_attention_counts_the_same_whole_and_decomposed() -> None:
    # 2 x 8 heads x 4096 x 4096 scores, 40 wide: QK^T and AV each 40 MACs for each score
    qkv, keys, scores = (2, 8, 4096, 40), (2, 8, 40, 4096), (2, 8, 4096, 4096)
    whole = work_of(node("Attention", [qkv, qkv, qkv], [qkv], version=23))
    products = work_of(node("MatMul", [qkv, keys], [scores])) + work_of(node("MatMul", [scores, qkv], [qkv]))
    assert whole.macs == products.macs == 2 * 8 * 4096 * 4096 * 40 * 2
    scale, softmax = work_of(node("Mul", [qkv, ()], [qkv])), work_of(node("Softmax", [scores], [scores]))
    assert whole == products + 2 * scale + softmax


def test_linear_counts_the_same_as_gemm_matmul_einsum_and_convolution() -> None:
    # 77 tokens, 320 -> 1280
    same = [
        node("Gemm", [(77, 320), (1280, 320)], [(77, 1280)], transB=1),
        node("MatMul", [(77, 320), (320, 1280)], [(77, 1280)]),
        node("Einsum", [(77, 320), (1280, 320)], [(77, 1280)], equation="ij,kj->ik"),
        node("Conv", [(1, 320, 77), (1280, 320, 1)], [(1, 1280, 77)]),
    ]
    assert {work_of(linear).macs for linear in same} == {77 * 320 * 1280}


@pytest.mark.parametrize(
    ("refused", "reason"), REFUSED, ids=[f"{refused.op_type}: {reason}" for refused, reason in REFUSED]
)
def test_what_cannot_be_counted_says_why(refused: NodeView, reason: str) -> None:
    with pytest.raises(NotCountable, match=reason):
        work_of(refused)
