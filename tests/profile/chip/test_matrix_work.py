"""The products a MAC array is given have the MACs that are counted, and the shapes of the operator."""

from __future__ import annotations

import pytest

from onnxlens.profile.chip.matrix_work import SHAPINGS, matrix_work
from onnxlens.profile.count.rules import work_of
from onnxlens.profile.graph.node_view import NodeView, NotCountable
from onnxlens.specs.array_fit import MatrixWork
from tests.profile.count.rules.matrix_cases import MATRIX_CASES
from tests.profile.count.rules.nodes import Case, node
from tests.profile.count.rules.test_work import CASES

NOT_DESCRIBED = {
    "LinearAttention", "GatedDeltaNet", "LinearRegressor", "LinearClassifier", "SVMRegressor",
    "SVMClassifier", "HyperConnectionPostMix", "QOrderedAttention", "PackedAttention",
    "PackedMultiHeadAttention", "SparseAttention", "DynamicSparseAttention",
    "SparsePagedAttention", "GatedRelativePositionBias", "MoE", "QMoE",
}  # fmt: skip
"""Operators with MACs that are not given to an array as such products: recurrences, experts, estimators."""

WITH_MACS = [each for each in CASES if each.expected.macs]


@pytest.mark.parametrize("counted", WITH_MACS, ids=str)
def test_products_have_the_macs_that_are_counted(counted: Case) -> None:
    if counted.node.op_type in NOT_DESCRIBED:
        with pytest.raises(NotCountable, match="not described"):
            matrix_work(counted.node)
    else:
        assert sum(work.macs for work in matrix_work(counted.node)) == counted.expected.macs


def test_every_described_operator_is_tried() -> None:
    tried = {(each.node.domain, each.node.op_type) for each in WITH_MACS}
    assert set(SHAPINGS) <= tried


def test_no_macs_no_products() -> None:
    idle = [each.node for each in MATRIX_CASES if not each.expected.macs]
    assert idle and all(matrix_work(each) == () for each in idle)


def only(view: NodeView) -> MatrixWork:
    (work,) = matrix_work(view)
    return work


def test_a_grouped_convolution_has_the_channels_of_a_group() -> None:
    view = node(
        "Conv", [(2, 6, 11, 13), (10, 3, 3, 5)], [(2, 10, 5, 9)], group=2, strides=(2, 1), dilations=(1, 1)
    )
    assert only(view) == MatrixWork("convolution", 2, 2, 3, 5, 5, 9, (3, 5), (2, 1), (1, 1))


def test_a_group_of_one_channel_is_depthwise() -> None:
    view = node("Conv", [(1, 7, 8, 8), (14, 1, 3, 3)], [(1, 14, 8, 8)], group=7, pads=(1, 1, 1, 1))
    assert only(view) == MatrixWork("depthwise", 1, 7, 1, 2, 8, 8, (3, 3), (1, 1), (1, 1))


def test_a_transposed_convolution_multiplies_every_input_position() -> None:
    view = node("ConvTranspose", [(2, 6, 5, 7), (6, 4, 3, 2)], [(2, 8, 11, 14)], group=2, strides=(2, 2))
    expected = MatrixWork("convolution", 2, 2, 3, 4, 5, 7, (3, 2), (1, 1), (1, 1), is_spread=True)
    assert only(view) == expected


def test_channels_last() -> None:
    view = node("Conv", [(1, 8, 9, 6), (4, 6, 3, 3)], [(1, 6, 7, 4)], domain="com.ms.internal.nhwc")
    assert (only(view).height, only(view).width, only(view).output_channels) == (6, 7, 4)


def test_batches_without_a_partner_are_rows_or_columns() -> None:
    shared = node("MatMul", [(4, 3, 7), (7, 5)], [(4, 3, 5)])
    assert only(shared) == MatrixWork("matmul", 1, 1, 7, 5, 1, 12)
    stacked = node("MatMul", [(3, 7), (4, 7, 5)], [(4, 3, 5)])
    assert only(stacked) == MatrixWork("matmul", 1, 1, 7, 20, 1, 3)
    both = node("MatMul", [(2, 1, 3, 7), (2, 4, 7, 5)], [(2, 4, 3, 5)])
    assert only(both) == MatrixWork("matmul", 2, 1, 7, 20, 1, 3)


def test_query_heads_that_share_keys_are_rows_of_one_product() -> None:
    query, key = (1, 8, 5, 16), (1, 2, 6, 16)
    scores, values = matrix_work(node("Attention", [query, key, key], [query], version=23))
    # 2 key heads; 4 query heads of 5 rows on each
    assert scores == MatrixWork("matmul", 2, 1, 16, 6, 1, 20)
    assert values == MatrixWork("matmul", 2, 1, 6, 16, 1, 20)


def test_the_state_of_a_recurrent_layer_goes_step_by_step() -> None:
    view = node("GRU", [(7, 2, 5), (1, 9, 5), (1, 9, 3)], [(7, 1, 2, 3)], hidden_size=3)
    assert matrix_work(view) == (
        MatrixWork("matmul", 1, 1, 5, 9, 1, 14),
        MatrixWork("matmul", 7, 1, 3, 9, 1, 2),
    )


def test_einsum_is_a_batched_product() -> None:
    view = node("Einsum", [(2, 3, 4), (2, 4, 5)], [(2, 3, 5)], equation="bij,bjk->bik")
    assert only(view) == MatrixWork("matmul", 2, 1, 4, 5, 1, 3)


def test_shapes_that_are_not_a_product_are_unknown() -> None:
    view = node("AffineGrid", [(2, 3, 2, 3), (4,)], [(2, 5, 6, 2)])
    assert work_of(view).macs
    with pytest.raises(NotCountable, match="do not fit"):
        matrix_work(view)
