"""Memory traffic: weights apart, every tensor once, none for views, gathers only what they gather."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from onnxlens.profile.count.rules import Traffic, is_view, traffic_of
from onnxlens.profile.graph.node_view import NodeView, NotCountable
from tests.profile.count.rules.nodes import Shape, node

INT64, HALF = "int64", "float16"

CASES: dict[str, tuple[NodeView, Traffic]] = {
    "weights apart from activations, float32": (
        node("Conv", [(2, 3, 8, 8), (5, 3, 1, 1), (5,)], [(2, 5, 8, 8)], weights={1, 2}),
        Traffic(weight_read_bytes=4 * (15 + 5), read_bytes=4 * 384, write_bytes=4 * 640),
    ),
    "true dtypes": (
        node("Add", [(6,), (6,)], [(6,)], dtypes={"x0": HALF, "x1": HALF, "y0": HALF}),
        Traffic(read_bytes=2 * 12, write_bytes=12),
    ),
    "four-bit weights are packed": (
        node("DequantizeLinear", [(5, 3), ()], [(5, 3)], dtypes={"x0": "int4"}, weights={0, 1}),
        Traffic(weight_read_bytes=8 + 4, write_bytes=60),
    ),
    "an embedding reads the rows it gathers": (
        node("Gather", [(49408, 768), (2, 77)], [(2, 77, 768)], weights={0}, dtypes={"x1": INT64}),
        Traffic(weight_read_bytes=4 * 2 * 77 * 768, read_bytes=8 * 154, write_bytes=4 * 2 * 77 * 768),
    ),
    "GatherElements": (
        node("GatherElements", [(9, 5), (2, 5)], [(2, 5)], dtypes={"x1": INT64}),
        Traffic(read_bytes=4 * 10 + 8 * 10, write_bytes=40),
    ),
    "GatherND": (
        node("GatherND", [(9, 5), (2, 1)], [(2, 5)], dtypes={"x1": INT64}),
        Traffic(read_bytes=4 * 10 + 8 * 2, write_bytes=40),
    ),
    "a slice reads what it keeps": (
        node("Slice", [(9, 5), (1,), (1,)], [(3, 5)], weights={1, 2}, dtypes={"x1": INT64, "x2": INT64}),
        Traffic(weight_read_bytes=16, read_bytes=60, write_bytes=60),
    ),
    "a split reads what it writes": (
        node("Split", [(9, 5)], [(4, 5), (5, 5)]), Traffic(read_bytes=180, write_bytes=180),
    ),
    "a split without its second output": (
        node("Split", [(9, 5)], [(4, 5), None]), Traffic(read_bytes=80, write_bytes=80),
    ),
    "an expanded tensor is read once": (
        node("Expand", [(1, 5), (2,)], [(9, 5)], weights={1}, dtypes={"x1": INT64}),
        Traffic(weight_read_bytes=16, read_bytes=20, write_bytes=180),
    ),
    "a shape is read off no data": (
        node("Shape", [(2, 3, 4)], [(3,)], dtypes={"y0": INT64}), Traffic(write_bytes=24),
    ),
    "nor is a size": (node("Size", [(2, 3, 4)], [()], dtypes={"y0": INT64}), Traffic(write_bytes=8)),
    "nor an identity matrix": (node("EyeLike", [(3, 3)], [(3, 3)]), Traffic(write_bytes=36)),
    "a constant is there already": (node("Constant", [], [(5,)]), Traffic()),
    "a filled tensor is written": (
        node("ConstantOfShape", [(2,)], [(4, 5)], weights={0}, dtypes={"x0": INT64}),
        Traffic(weight_read_bytes=16, write_bytes=80),
    ),
    "a cast reads one type and writes another": (
        node("Cast", [(5,)], [(5,)], dtypes={"y0": HALF}), Traffic(read_bytes=20, write_bytes=10),
    ),
    "the tensor that lends its type is not read": (
        node("CastLike", [(5,), (1000,)], [(5,)], dtypes={"x1": HALF, "y0": HALF}),
        Traffic(read_bytes=20, write_bytes=10),
    ),
    "an omitted input has no traffic": (
        node("Clip", [(5,), None, ()], [(5,)], weights={2}), Traffic(4, 20, 20),
    ),
    "rotary caches give 12 of their 50 rows": (
        node("RotaryEmbedding", [(2, 4, 6, 8), (50, 4), (50, 4), (2, 6)], [(2, 4, 6, 8)], weights={1, 2},
             dtypes={"x3": INT64}),
        Traffic(weight_read_bytes=2 * 4 * 12 * 4, read_bytes=4 * 384 + 8 * 12, write_bytes=4 * 384),
    ),
    "rotary caches without positions are read whole": (
        node("RotaryEmbedding", [(2, 4, 6, 8), (2, 6, 4), (2, 6, 4)], [(2, 4, 6, 8)]),
        Traffic(read_bytes=4 * 384 + 2 * 4 * 48, write_bytes=4 * 384),
    ),
    "what a condition keeps": (
        node("Compress", [(9, 5), (9,)], [(4, 5)], dtypes={"x1": "bool"}),
        Traffic(read_bytes=4 * 20 + 9, write_bytes=80),
    ),
    "features by their index": (
        node("ArrayFeatureExtractor", [(9, 5), (2,)], [(9, 2)], dtypes={"x1": INT64}, domain="ai.onnx.ml"),
        Traffic(read_bytes=4 * 18 + 16, write_bytes=72),
    ),
    "random numbers take a shape": (node("RandomNormalLike", [(5,)], [(5,)]), Traffic(write_bytes=20)),
    "uniform ones too": (node("RandomUniformLike", [(5,)], [(5,)]), Traffic(write_bytes=20)),
    "a loss reads one class of 5 for each of 18 targets": (
        node("NegativeLogLikelihoodLoss", [(3, 5, 6), (3, 6)], [()], dtypes={"x1": INT64}),
        Traffic(read_bytes=4 * 18 + 8 * 18, write_bytes=4),
    ),
    "an empty sequence is there already": (
        node("SequenceEmpty", [], [()], kinds={"y0": "sequence"}), Traffic(),
    ),
    "how long a sequence is": (
        node("SequenceLength", [()], [()], kinds={"x0": "sequence"}, dtypes={"y0": INT64}),
        Traffic(write_bytes=8),
    ),
    "whether there is something": (
        node("OptionalHasElement", [()], [()], kinds={"x0": "optional"}, dtypes={"y0": "bool"}),
        Traffic(write_bytes=1),
    ),
    "nothing is there": (
        node("OptionalHasElement", [], [()], dtypes={"y0": "bool"}), Traffic(write_bytes=1),
    ),
    "a split into a sequence writes what it reads": (
        node("SplitToSequence", [(9, 5), ()], [()], kinds={"y0": "sequence"}, dtypes={"x1": INT64}),
        Traffic(read_bytes=180 + 8, write_bytes=180),
    ),
    "a sequence that is joined is read once": (
        node("ConcatFromSequence", [()], [(9, 5)], kinds={"x0": "sequence"}),
        Traffic(read_bytes=180, write_bytes=180),
    ),
    "an operator without a counting rule": (
        node("Foo", [(5,)], [(7,)], domain="com.foo"), Traffic(read_bytes=20, write_bytes=28),
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", CASES)
def test_memory_traffic(what: str) -> None:
    node_view, expected = CASES[what]
    assert traffic_of(node_view) == expected


def test_a_tensor_given_twice_is_read_once() -> None:
    product = node("Mul", [(6,), (6,)], [(6,)])
    square = replace(product, inputs=(product.input(0), product.input(0)))
    assert traffic_of(product).read_bytes == 48
    assert traffic_of(square).read_bytes == 24


@pytest.mark.parametrize("op_type", ["Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity", "BitCast"])
def test_a_view_has_no_memory_traffic_not_even_for_its_shape(op_type: str) -> None:
    view = node(op_type, [(4, 6), (1,)], [(24,)], dtypes={"x1": INT64})
    assert is_view(view)
    assert traffic_of(view) == Traffic()


@pytest.mark.parametrize(
    ("op_type", "inputs", "kinds"),
    [
        ("SequenceConstruct", [(4, 6), (7,)], {"y0": "sequence"}),
        ("SequenceInsert", [(), (7,), ()], {"x0": "sequence", "y0": "sequence"}),
        ("SequenceErase", [(), ()], {"x0": "sequence", "y0": "sequence"}),
        ("SequenceAt", [(), ()], {"x0": "sequence"}),
        ("Optional", [(4, 6)], {"y0": "optional"}),
        ("Optional", [], {"y0": "optional"}),
        ("OptionalGetElement", [()], {"x0": "optional"}),
        ("Identity", [()], {"x0": "sequence", "y0": "sequence"}),
    ],
)
def test_a_reference_has_no_memory_traffic(
    op_type: str, inputs: list[Shape | None], kinds: Mapping[str, str]
) -> None:
    reference = node(op_type, inputs, [(4, 6)], kinds=kinds)
    assert is_view(reference)
    assert traffic_of(reference) == Traffic()


def test_dropout_is_a_view_in_inference_and_writes_its_mask() -> None:
    ratio_and_mode = {1: 0.5, 2: False}
    dropout = node(
        "Dropout", [(4, 6), (), ()], [(4, 6), (4, 6)], constants=ratio_and_mode, dtypes={"y1": "bool"}
    )
    assert is_view(dropout)
    assert traffic_of(dropout) == Traffic(write_bytes=24)


def test_dropout_that_may_drop_is_not_a_view() -> None:
    dropout = node("Dropout", [(4, 6), (), ()], [(4, 6)], dtypes={"x2": "bool"})
    assert not is_view(dropout)
    assert traffic_of(dropout) == Traffic(read_bytes=96 + 4 + 1, write_bytes=96)


def test_transpose_and_a_foreign_reshape_are_not_views() -> None:
    assert not is_view(node("Transpose", [(4, 6)], [(6, 4)]))
    assert not is_view(node("Reshape", [(4, 6)], [(24,)], domain="com.foo"))


@pytest.mark.parametrize(
    "bad",
    [
        node("Relu", [("batch", 3)], [("batch", 3)]),
        node("Relu", [(3,)], [(3,)], dtypes={"x0": "string"}),
        node("Relu", [(3,)], [(3,)], dtypes={"y0": "unheard"}),
        node("Relu", [(3,)], [(3,)], kinds={"y0": "sequence"}),
    ],
    ids=["dynamic", "string", "unheard", "sequence"],
)
def test_unknown_sizes_are_not_guessed(bad: NodeView) -> None:
    with pytest.raises(NotCountable):
        traffic_of(bad)
