"""Dimensions that a file decides: what operators say of them, what follows, and what contradicts it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from onnx import NodeProto, TensorProto, ValueInfoProto, helper

from onnxlens.errors import UsageError
from onnxlens.profile.graph.loading.dimensions.derive import equations_of
from onnxlens.profile.graph.loading.dimensions.equations import Equations, Known
from onnxlens.profile.graph.loading.dimensions.polynomials import Size, named, quotient
from onnxlens.profile.graph.loading.protobuf import read_graph
from tests.profile.models import Dims, integers, op, value, weight

INT64, INT32 = TensorProto.INT64, TensorProto.INT32
HEADS = {"num_heads": 8, "kv_num_heads": 2}
FRESH = ("batch", "seq", 12 * 16)
"""Queries of 8 heads, and 2 of keys and of values, each of 16."""


def ms(op_type: str, inputs: str, outputs: str, **attributes: object) -> NodeProto:
    """An operator of ONNX Runtime."""
    node = op(op_type, inputs, outputs, **attributes)
    node.domain = "com.microsoft"
    return node


def equations(
    nodes: Sequence[NodeProto],
    inputs: Sequence[ValueInfoProto],
    outputs: Sequence[ValueInfoProto] = (),
    held: Sequence[TensorProto] = (),
    between: Sequence[ValueInfoProto] = (),
) -> Equations:
    graph = helper.make_graph(nodes, "g", inputs, outputs, held, value_info=between)
    return equations_of(read_graph(graph), Path())


def solved(found: Equations, **given: int) -> Mapping[str, int]:
    """The sizes that follow from these."""
    told = {
        name: Known(size, f"--dim {name}={size}", frozenset({f"--dim {name}={size}"}))
        for name, size in given.items()
    }
    return {name: known.size for name, known in found.solved(told).items()}


def shaped(**shapes: Dims) -> list[ValueInfoProto]:
    return [value(name, dims) for name, dims in shapes.items()]


CACHE: Dims = ("batch", "kv", "past", "head")
PRESENT: Dims = ("batch", "kv", "total", "head")


def decoder(
    query: Dims = FRESH, past: Dims = CACHE, present: Dims = PRESENT, **attributes: object
) -> Equations:
    """GroupQueryAttention in the builder's layout: its lengths are made of a mask."""
    nodes = [
        op("Shape", "mask", "shape"),
        op("Gather", "shape one", "length", axis=0),
        op("Cast", "length", "total", to=INT32),
        op("ReduceSum", "mask axis", "count"),
        op("Sub", "count axis", "last"),
        op("Cast", "last", "lengths", to=INT32),
        ms("GroupQueryAttention", "q - - k v lengths total", "y k2 v2", **{**HEADS, **attributes}),
    ]
    inputs = [value("mask", ("batch", "total"), INT64), *shaped(q=query, k=past, v=past)]
    held = [integers("one", 1), integers("axis", [1])]
    return equations(nodes, inputs, shaped(y=None, k2=present, v2=present), held)


def test_a_decoder_takes_the_new_and_the_cached_tokens_alone() -> None:
    found = decoder()
    # 192 columns are 8 + 2 + 2 heads of 16
    assert solved(found) == {"head": 16, "kv": 2}
    assert solved(found, batch=3, seq=5, past=7) == {
        "batch": 3, "seq": 5, "past": 7, "total": 12, "head": 16, "kv": 2,
    }  # fmt: skip
    assert solved(found, total=12, seq=5)["past"] == 7
    assert found.free(found.solved({})) == ["batch", "seq", "past"]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (
            {"head": 17},
            "'head' is 17 by --dim head=17 and 16 by GroupQueryAttention node_y: its width is heads",
        ),
        (
            {"total": 7, "past": 1024, "seq": 1},
            "'total' is 7 by .* and 1025 by --dim past=1024 and --dim seq=1",
        ),
        ({"total": 7, "past": 1024}, "dimension 'seq' would be -1017 by --dim past=1024 and --dim total=7"),
    ],
)
def test_what_contradicts_the_file_is_refused_with_who_says_otherwise(
    given: Mapping[str, int], says: str
) -> None:
    with pytest.raises(UsageError, match=says) as raised:
        solved(decoder(), **given)
    assert "\n" not in str(raised.value)


def test_a_buffer_that_is_returned_as_long_as_it_came_does_not_grow() -> None:
    found = decoder(present=CACHE)
    assert solved(found, batch=1, seq=1, past=64, total=9)["total"] == 9
    assert found.free(found.solved({})) == ["batch", "total", "seq", "past"]


def test_a_sliding_window_is_a_buffer_of_at_least_the_window() -> None:
    found = decoder(local_window_size=48, sliding_window_cache=1)
    assert solved(found)["past"] == 48
    assert solved(found, past=50)["past"] == 50
    with pytest.raises(UsageError, match="'past' is 47 by --dim past=47 and 48 by .* at the least"):
        solved(found, past=47)


def test_a_packed_cache_of_four_bits_has_half_as_many_columns() -> None:
    assert solved(decoder(kv_cache_bit_width=4))["head"] == 8


def named_dims(prefix: str, rank: int) -> tuple[str, ...]:
    return tuple(f"{prefix}{axis}" for axis in range(rank))


K, V, P, W = (named_dims(letter, 4) for letter in "kvpw")
CACHED: Dims = (*P[:2], 5, P[3])
SINGLE: Sequence[tuple[str, NodeProto, dict[str, Dims], dict[str, int]]] = [
    (
        "grouped queries apart",
        ms("GroupQueryAttention", "q k v p w", "y", **HEADS),
        {"q": (1, 3, 128), "k": K[:3], "v": V[:3], "p": CACHED, "w": W},
        {
            "k0": 1, "k2": 32, "v0": 1, "v2": 32, "p0": 1, "p1": 2, "p3": 16, "w0": 1, "w1": 2, "w2": 5,
            "w3": 16,
        },
    ),
    (
        "keys and values of the query's sequence",
        ms("MultiHeadAttention", "q k v - - b p w", "y k2 v2", num_heads=4),
        {"q": (2, 3, 64), "k": K[:3], "v": ("v0", 3, 32), "b": (1, 4, "b2", "b3"), "p": CACHED, "w": W},
        {
            "k0": 2, "k2": 64, "k1": 3, "v0": 2, "b2": 3, "b3": 8, "p0": 2, "p1": 4, "p3": 16, "w0": 2,
            "w1": 4, "w2": 5, "w3": 8,
        },
    ),
    (
        "keys and values of another sequence",
        ms("MultiHeadAttention", "q k v", "y", num_heads=4),
        {"q": (2, 3, 64), "k": K, "v": V},
        {"k0": 2, "k1": 4, "k3": 16, "v0": 2, "v1": 4},
    ),
    (
        "projection to three widths",
        ms("Attention", "x w - m p", "y p2", num_heads=4),
        {"x": (2, 3, "i"), "w": (48, 192), "m": ("m0", "m1"), "p": ("p0", "p1", "p2", 5, "p4")},
        {"i": 48, "m0": 2, "m1": 8, "p0": 2, "p1": 2, "p2": 4, "p4": 16},
    ),
    (
        "ONNX's own attention",
        op("Attention", "q k v - p w", "y", q_num_heads=4, kv_num_heads=2),
        {"q": ("q0", 3, "q2"), "k": (2, 3, 32), "v": ("v0", "v1", 24), "p": CACHED, "w": W},
        {
            "q0": 2, "q2": 64, "v0": 2, "v1": 3, "p0": 2, "p1": 2, "p3": 16, "w0": 2, "w1": 2, "w2": 5,
            "w3": 12,
        },
    ),
    (
        "caches in blocks",
        ms("PagedAttention", "q - - k v c p b", "y", **HEADS),
        {"q": ("tokens", 192), "k": K, "v": V, "c": ("c0",), "p": ("p0",), "b": (3, "b1")},
        {"k2": 2, "k3": 16, "v2": 2, "v3": 16, "c0": 4, "p0": 3},
    ),
    (
        "a buffer",
        ms("SparseAttention", "q - - k v", "y", **HEADS),
        {"q": (2, 3, 192), "k": K, "v": V},
        {"k0": 2, "k1": 2, "k3": 16, "v0": 2, "v1": 2, "v3": 16},
    ),
    (
        "a filter's state",
        ms("CausalConvWithState", "x w - s", "y s2"),
        {"x": (2, "x1", 9), "w": (6, 1, 4), "s": ("s0", "s1", "s2")},
        {"x1": 6, "s0": 2, "s1": 6, "s2": 3},
    ),
    (
        "a recurrent state",
        ms("LinearAttention", "q k v s", "y s2", q_num_heads=4, kv_num_heads=2),
        {"q": (2, 3, 64), "k": K[:3], "v": (2, 3, 24), "s": ("s0", "s1", "s2", "s3")},
        {"k0": 2, "k1": 3, "k2": 32, "s0": 2, "s1": 2, "s2": 16, "s3": 12},
    ),
    (
        "a rotary table",
        ms("RotaryEmbedding", "x p c s", "y"),
        {"x": (2, 4, 7, "x3"), "p": ("p0", "p1"), "c": (99, 8), "s": (99, 8)},
        {"x3": 16, "p0": 2, "p1": 7},
    ),
    ("a packed weight", ms("MatMulNBits", "x w", "y", K=48, N=9), {"x": ("b", "a"), "w": (9, 24)}, {"a": 48}),
    ("a product", op("MatMul", "x w", "y"), {"x": (2, "x1"), "w": (48, 9)}, {"x1": 48}),
    ("a transposed product", op("Gemm", "x w", "y", transB=1), {"x": (2, "x1"), "w": (9, 48)}, {"x1": 48}),
    ("channels", op("Conv", "x w", "y", group=2), {"x": (1, "c", 8, 8), "w": (4, 3, 1, 1)}, {"c": 6}),
    ("channels back", op("ConvTranspose", "x w", "y"), {"x": (1, "c", 8, 8), "w": (4, 3, 1, 1)}, {"c": 4}),
    ("scales", op("BatchNormalization", "x s s s s", "y"), {"x": (1, "c", 8), "s": (5,)}, {"c": 5}),
    (
        "hidden states",
        op("LSTM", "x w r - - h", "y", hidden_size=6),
        {"x": (7, 3, "x2"), "w": (1, 24, 5), "r": (1, 24, 6), "h": ("h0", "h1", "h2")},
        {"x2": 5, "h0": 1, "h1": 3, "h2": 6},
    ),
    ("equal letters", op("Einsum", "x w", "y", equation="ij,jk->ik"), {"x": (2, "j"), "w": (5, 4)}, {"j": 5}),
    ("what is joined", op("Concat", "x w", "y"), {"x": ("a", 3, "b"), "w": (2, 1, 4)}, {"a": 2, "b": 4}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("node", "shapes", "sizes"), [case[1:] for case in SINGLE], ids=[case[0] for case in SINGLE]
)
def test_an_operator_says_what_its_inputs_are(
    node: NodeProto, shapes: Mapping[str, Dims], sizes: Mapping[str, int]
) -> None:
    assert solved(equations([node], shaped(**shapes))) == sizes


def test_a_cache_that_is_joined_grows_and_takes_its_heads_from_a_reshape() -> None:
    nodes = [
        op("MatMul", "x w", "a"),
        op("Reshape", "a to", "b"),
        op("Transpose", "b", "c", perm=[0, 2, 1, 3]),
        op("Concat", "p c", "n", axis=2),
    ]
    inputs = shaped(x=("batch", "seq", 64), p=("batch", "heads", "past", "head"))
    outputs = shaped(n=("batch", "heads", "total", "head"))
    found = equations(nodes, inputs, outputs, [weight("w", 64, 32), integers("to", [0, 0, 2, 16])])
    assert solved(found, seq=1, past=9) == {"seq": 1, "past": 9, "total": 10, "heads": 2, "head": 16}
    assert solved(found, seq=1, total=10)["past"] == 9  # a name that stands on an output alone
    with pytest.raises(
        UsageError, match="'total' is 4 by --dim total=4 and 10 by --dim past=9 and --dim seq=1"
    ):
        solved(found, seq=1, past=9, total=4)
    assert found.samples(found.free(found.solved({}))) == {}  # nothing says what seq is


def test_a_target_shape_is_followed_through_the_arithmetic_of_shapes() -> None:
    """As torch's older exporter writes ``expand``: where a part of the shape is -1 it takes 1."""
    nodes = [
        op("Shape", "x", "s"),
        op("Gather", "s zero", "n", axis=0),
        op("Unsqueeze", "n axis", "n1"),
        op("Concat", "n1 four", "target", axis=0),
        op("Shape", "target", "rank"),
        op("ConstantOfShape", "rank", "ones", value=integers("", [1])),
        op("Mul", "ones minus", "minus1"),
        op("Equal", "target minus1", "kept"),
        op("Where", "kept ones target", "to"),
        op("Expand", "one to", "e"),
        op("MatMul", "z e", "y"),
    ]
    held = [
        integers("zero", 0),
        integers("axis", [0]),
        integers("four", [4]),
        integers("minus", -1),
        weight("one", 1, 1),
    ]
    found = equations(nodes, shaped(x=("n", 7), z=(2, "k")), (), held)
    assert solved(found, n=5) == {"n": 5, "k": 5}


def test_a_mask_is_as_long_as_it_is_read() -> None:
    """As torch's newer exporter writes it: an element for each of the past and new positions."""
    nodes = [
        op("Shape", "p", "s", start=1, end=2),
        op("Squeeze", "s", "past"),
        op("Add", "past one", "keys"),
        op("Range", "zero keys one", "counted"),
        op("Unsqueeze", "counted last", "column"),
        op("GatherND", "mask column", "y"),
    ]
    held = [integers("zero", 0), integers("one", 1), integers("last", [1])]
    found = equations(nodes, shaped(mask=("total",), p=(2, "past", 16)), (), held)
    assert solved(found, past=7) == {"past": 7, "total": 8}
    assert solved(found, past=7, total=9)["total"] == 9
    assert "past" not in solved(found, total=9)
    assert found.free(found.solved({})) == ["past"]
    with pytest.raises(
        UsageError, match="'total' is 7 by --dim total=7 and 8 by --dim past=7 .*, at the least"
    ):
        solved(found, past=7, total=7)


def test_names_of_values_in_between_are_not_believed() -> None:
    """A builder writes the new tokens where past and new stand: a product with that would ask for no past."""
    nodes = [op("Mystery", "x", "h"), op("Reshape", "h to", "r"), op("MatMul", "r v", "y")]
    inputs = shaped(x=("seq", 8), v=("past", 4))
    between = shaped(h=("seq", 8))
    assert solved(equations(nodes, inputs, (), [integers("to", [-1, 8])], between), seq=3) == {
        "seq": 3,
        "past": 8,
    }
    held = [integers("to", [8, -1])]
    assert solved(equations(nodes, inputs, (), held, between), seq=3) == {"seq": 3}


def test_two_names_that_meet_elementwise_may_differ() -> None:
    assert solved(equations([op("Add", "x z", "y")], shaped(x=("a", 4), z=("b", 4))), a=3) == {"a": 3}


def test_a_declared_output_names_dimensions_and_binds_no_input() -> None:
    found = equations([op("Flatten", "x", "y")], shaped(x=("n", "c", 4)), shaped(y=("n", "flat")))
    assert solved(found, n=2, c=3) == {"n": 2, "c": 3, "flat": 12}
    assert solved(found, n=2, flat=12)["c"] == 3
    wrong = equations([op("Concat", "x x", "y", axis=0)], shaped(x=("n", 4)), shaped(y=("n", 4)))
    assert solved(wrong, n=2) == {"n": 2}


def test_sizes_to_run_at_are_those_of_one_decoding_step() -> None:
    nodes = [op("Gather", "table ids", "x"), ms("GroupQueryAttention", "x - - k v", "y k2 v2", **HEADS)]
    inputs = [value("ids", ("batch", "seq"), INT64), *shaped(k=CACHE, v=CACHE)]
    outputs = shaped(k2=PRESENT, v2=PRESENT)
    found = equations(nodes, inputs, outputs, [weight("table", 50, 192)])
    assert found.samples(found.free(found.solved({}))) == {"batch": 1, "seq": 1, "past": 128}
    sliding = ms(
        "GroupQueryAttention", "x - - w w", "z", **HEADS, local_window_size=300, sliding_window_cache=1
    )
    window = value("w", ("batch", "kv", "window", "head"))
    wide = equations([*nodes, sliding], [*inputs, window], outputs, [weight("table", 50, 192)])
    assert wide.samples(["past"]) == {"past": 300}
    encoder = equations(
        [op("Cast", "ids", "i", to=INT64), op("Gather", "table i", "x")],
        inputs[:1],
        (),
        [weight("table", 50, 8)],
    )
    assert encoder.samples(["batch", "seq"]) == {"batch": 1, "seq": 64}
    picture = equations([op("Relu", "x", "y")], shaped(x=("batch", 3, "h", "w")))
    assert picture.samples(["batch", "h", "w"]) == {}


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (named("a") + named("b") - 1, "a + b - 1"),
        (2 * named("a") * named("b") + 3 - named("a"), "2*a*b + 3 - a"),
        (named("a") - named("a") + 4, "4"),
        (quotient(6 * named("a") * named("b"), 3 * named("b")), "2*a"),
        (quotient(named("a") + 1, named("a")), "None"),
        (quotient(named("a") * 3, 2), "None"),
        (1 - (named("a") * named("a")).at({"a": 3}), "-8"),
    ],
)  # fmt: skip
def test_sizes_are_polynomials(size: Size, text: str) -> None:
    assert str(size) == text
