from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from onnx import NodeProto, TensorProto, helper

from onnxlens.profile.count.liveness import live_bytes
from onnxlens.profile.graph.loading import load_graph
from tests.profile.models import integers, op, save, value, weight

UNIT = 10 * 4
"""Bytes of the tensors below: ten float32 each, unless stated otherwise."""


def levels(folder: Path, nodes: Sequence[NodeProto], outputs: str = "y", inputs: str = "x") -> list[float]:
    """Activation memory at each node, in units of one tensor."""
    path = save(
        folder,
        nodes,
        [value(name, (10,)) for name in inputs.split()],
        [value(name, (10,)) for name in outputs.split()],
        [weight("w", 10), integers("shape", [2, 5])],
    )
    return [level / UNIT for level in live_bytes(load_graph(path))]


def test_a_chain_keeps_two_tensors_in_memory(tmp_path: Path) -> None:
    nodes = [op("Relu", "x", "a"), op("Neg", "a", "b"), op("Abs", "b", "y")]
    assert levels(tmp_path, nodes) == [2, 2, 2]  # what is read, what is made


def test_a_residual_keeps_its_source_until_it_is_added(tmp_path: Path) -> None:
    nodes = [op("Relu", "x", "a"), op("Neg", "a", "b"), op("Abs", "b", "c"), op("Add", "a c", "y")]
    # x a | a b | a b c | a c y
    assert levels(tmp_path, nodes) == [2, 2, 3, 3]


def test_a_view_has_no_memory_and_keeps_its_source_in_memory(tmp_path: Path) -> None:
    nodes = [
        op("Relu", "x", "a"),
        op("Reshape", "a shape", "v1"),
        op("Flatten", "v1", "v2"),
        op("Neg", "x", "b"),
        op("Abs", "v2", "c"),
        op("Add", "b c", "y"),
    ]
    # x a | x a | x a | x a b: x is read here last | a b c: a through its two views | b c y
    assert levels(tmp_path, nodes) == [2, 2, 2, 3, 3, 3]


def test_a_view_of_an_input_is_the_inputs_memory(tmp_path: Path) -> None:
    nodes = [op("Identity", "x", "v"), op("Relu", "v", "y")]
    assert levels(tmp_path, nodes) == [1, 2]


def test_a_sequence_keeps_all_its_tensors_in_memory(tmp_path: Path) -> None:
    nodes = [
        op("Relu", "x", "a"),
        op("Neg", "x", "b"),
        op("SequenceConstruct", "a b", "pair"),
        op("Abs", "x", "c"),
        op("SequenceInsert", "pair c", "triple"),
        op("Exp", "x", "d"),
        op("SequenceAt", "triple index", "picked"),
        op("Add", "picked d", "y"),
    ]
    inputs = [value("x", (10,)), value("index", (), TensorProto.INT64)]
    graph = load_graph(save(tmp_path, nodes, inputs, [value("y", (10,))]))
    # x a | x a b | - | x a b c | - | x a b c d | a b c d | a b c d y; and the index until it is used
    index = 8 / UNIT
    assert [level / UNIT for level in live_bytes(graph)] == [
        *(units + index for units in (2, 3, 3, 4, 4, 5, 4)), 5,
    ]  # fmt: skip


def test_an_input_sequence_has_no_known_size(tmp_path: Path) -> None:
    tensor = helper.make_tensor_type_proto(TensorProto.FLOAT, (10,))
    sequence = helper.make_value_info("x", helper.make_sequence_type_proto(tensor))
    nodes = [op("ConcatFromSequence", "x", "y", axis=0)]
    assert live_bytes(load_graph(save(tmp_path, nodes, [sequence], [value("y", (30,))]))) == [120]


def test_an_output_is_kept_to_the_end(tmp_path: Path) -> None:
    nodes = [op("Relu", "x", "early"), op("Neg", "x", "a"), op("Abs", "a", "b"), op("Exp", "b", "y")]
    # x early | x early a | early a b | early b y
    assert levels(tmp_path, nodes, outputs="y early") == [2, 3, 3, 3]


def test_an_output_that_is_a_view_keeps_its_source_to_the_end(tmp_path: Path) -> None:
    nodes = [op("Relu", "x", "a"), op("Identity", "a", "seen"), op("Neg", "x", "b"), op("Abs", "b", "y")]
    # x a | x a | x a b | a b y
    assert levels(tmp_path, nodes, outputs="y seen") == [2, 2, 3, 3]


def cached(tmp_path: Path, past: int, present: int) -> list[float]:
    """A new key after others, in 2 heads of 8: what is alive, in units of a key and value."""
    query, cache, made = (1, 1, 16), (1, 2, past, 8), (1, 2, present, 8)
    node = op("GroupQueryAttention", "q k k pk pv n t", "y nk nv", domain="com.microsoft")
    node.attribute.extend(helper.make_attribute(name, 2) for name in ("num_heads", "kv_num_heads"))
    path = save(
        tmp_path,
        [node],
        [
            value("q", query), value("k", query), value("pk", cache), value("pv", cache),
            value("n", (1,), TensorProto.INT32), value("t", (), TensorProto.INT32),
        ],
        [value("y", query), value("nk", made), value("nv", made)],
        opsets={"": 18, "com.microsoft": 1},
    )  # fmt: skip
    # without q, k, y, of 64 bytes each, and two lengths
    return [(level - 3 * 64 - 8) / (2 * 64) for level in live_bytes(load_graph(path))]


def test_a_cache_that_comes_back_as_it_was_is_in_the_same_memory(tmp_path: Path) -> None:
    assert cached(tmp_path, past=20, present=20) == [20]


def test_a_cache_that_grows_is_there_twice(tmp_path: Path) -> None:
    assert cached(tmp_path, past=20, present=21) == [20 + 21]


def test_rows_are_scattered_into_a_buffer_in_place(tmp_path: Path) -> None:
    nodes = [op("TensorScatter", "x u at", "a"), op("Abs", "a", "y")]
    inputs = [value("x", (1, 1, 5, 2)), value("u", (1, 1, 1, 2)), value("at", (1,), TensorProto.INT64)]
    path = save(tmp_path, nodes, inputs, [value("y", (1, 1, 5, 2))], opsets={"": 24})
    # x, 2 new elements and an index | x y
    assert live_bytes(load_graph(path)) == [40 + 8 + 8, 80]


def test_an_output_without_consumers_is_freed_at_once(tmp_path: Path) -> None:
    nodes = [op("Relu", "x", "a"), op("Neg", "a", "idle"), op("Abs", "a", "y")]
    assert levels(tmp_path, nodes) == [2, 2, 2]


def test_inputs_are_allocated_from_the_start_and_freed_after_their_last_consumer(tmp_path: Path) -> None:
    nodes = [op("Relu", "x", "a"), op("Add", "a z", "b"), op("Abs", "b", "c"), op("Neg", "c", "y")]
    # x z a | a z b | b c | c y
    assert levels(tmp_path, nodes, inputs="x z") == [3, 3, 2, 2]


def test_weights_and_what_is_computed_from_them_are_not_activations(tmp_path: Path) -> None:
    nodes = [op("Neg", "w", "folded"), op("Add", "x folded", "y")]
    # x stays in memory while the constant-folded node has its turn in the order
    assert levels(tmp_path, nodes) == [1, 2]


def test_sizes_go_by_shape_and_element_type(tmp_path: Path) -> None:
    nodes = [op("Cast", "x", "half", to=TensorProto.FLOAT16), op("ReduceMax", "half", "top", keepdims=0)]
    nodes.append(op("Cast", "top", "y", to=TensorProto.DOUBLE))
    outputs = [value("y", (), TensorProto.DOUBLE)]
    path = save(tmp_path, nodes, [value("x", (2, 3))], outputs)
    # 6 x 4 + 6 x 2 | 6 x 2 + 2 | 2 + 8
    assert live_bytes(load_graph(path)) == [36, 14, 10]


def test_a_value_of_unknown_size_counts_nothing(tmp_path: Path) -> None:
    nodes = [op("Mystery", "x", "a", domain="com.vendor"), op("Relu", "x", "b"), op("Add", "a b", "y")]
    path = save(tmp_path, nodes, [value("x", (10,))], [value("y", (10,))], opsets={"": 18, "com.vendor": 1})
    assert [level / UNIT for level in live_bytes(load_graph(path))] == [1, 2, 2]
