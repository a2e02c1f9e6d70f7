"""Sample values of a file's inputs: that they fit what the graph does with them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from onnx import NodeProto, TensorProto, ValueInfoProto

import onnxlens as api
from onnxlens.profile.graph.loading import load_graph
from onnxlens.profile.runtime.sensible import sensible_ranges, sensible_values
from tests.profile.graph.test_optimized_files import drawn
from tests.profile.models import integers, op, save, value

INT64, INT32, BOOL = TensorProto.INT64, TensorProto.INT32, TensorProto.BOOL


def embedding(rows: int, *nodes: NodeProto, axis: int = 0) -> list[NodeProto]:
    """Nodes from ``ids`` to ``i``, and the look-up of ``i``."""
    return [*nodes, op("Gather", "table i" if nodes else "table ids", "y", axis=axis)]


@pytest.mark.parametrize(
    ("nodes", "shape", "axis"),
    [
        ([], (7, 4), 0),
        ([op("Cast", "ids", "c", to=INT32), op("Unsqueeze", "c axes", "i")], (7, 4), 0),
        ([op("Concat", "first ids", "i", axis=1)], (7, 4), 0),
        ([], (4, 7), 1),
        ([], (4, 7), -1),
    ],
)
def test_indices_stay_within_the_table(
    tmp_path: Path, nodes: list[NodeProto], shape: tuple[int, int], axis: int
) -> None:
    held = [*drawn({"table": shape}), integers("axes", [0]), integers("first", [[0]])]
    inputs = [value("ids", (1, 50), INT64)]
    path = save(tmp_path, embedding(7, *nodes, axis=axis), inputs, [value("y", None)], held)
    assert sensible_ranges(load_graph(path)) == {"ids": (0, 6)}
    assert api.check_graph(path, reference="unoptimised").passed


def transformer(folder: Path) -> Path:
    """The inputs of a decoder with a cache of 5 positions, of which 3 are new; only their shapes matter."""
    inputs = [
        value("input_ids", (2, 3), INT64),
        value("attention_mask", (2, 8), INT64),
        value("position_ids", (2, 3), INT64),
        value("src_key_padding_mask", (2, 3), BOOL),
        value("past_key_values.0.key", (2, 4, 5, 16)),
        value("seqlens_k", (2,), INT32),
        value("total_sequence_length", (), INT32),
        value("lengths", (2,), INT64),
        value("sr", (), INT64),
        value("flags", (9,), INT64),
        value("pixels", (9,), TensorProto.UINT8),
        value("count", (1,), INT64),
    ]
    casts = [
        op("Cast", tensor.name, f"out{index}", to=TensorProto.FLOAT) for index, tensor in enumerate(inputs)
    ]
    casts.append(op("Tile", "flags count", "tiled"))
    outputs = [value(f"out{index}", None) for index in range(len(inputs))]
    return save(folder, casts, inputs, [*outputs, value("tiled", None, INT64)])


def test_masks_positions_and_lengths_are_those_of_a_real_call(tmp_path: Path) -> None:
    graph = load_graph(transformer(tmp_path))
    found = {name: array.tolist() for name, array in sensible_values(graph).items()}
    assert found == {
        "attention_mask": [[1] * 8] * 2,
        "position_ids": [[5, 6, 7]] * 2,
        "src_key_padding_mask": [[0] * 3] * 2,
        "seqlens_k": [7, 7],  # the last position of eight
        "total_sequence_length": 8,
        "lengths": [3, 3],
        "sr": 16_000,
    }
    ranges = sensible_ranges(graph)
    assert (ranges["flags"], ranges["pixels"], ranges["count"]) == ((0, 1), (0, 255), (1, 1))


def test_given_values_come_first_and_the_others_are_drawn(tmp_path: Path) -> None:
    path = transformer(tmp_path)
    given = tmp_path / "given.npz"
    np.savez(given, lengths=np.array([1, 2]))
    with api.OpenedTarget(path, api.Settings(inputs=given, values={"sr": [8000]})) as target:
        inputs = target.inputs
    assert inputs["lengths"].tolist() == [1, 2]
    assert (inputs["sr"].tolist(), inputs["sr"].dtype) == (8000, np.int64)
    assert inputs["attention_mask"].tolist() == [[1] * 8] * 2
    assert inputs["seqlens_k"].dtype == np.int32


def test_lengths_of_an_attention_fit_its_cache_whatever_they_are_called(tmp_path: Path) -> None:
    cache = [value(name, (1, 2, 5, 16)) for name in "kv"]
    inputs = [value("x", (1, 3, 8 * 16)), *cache, value("a", (1,), INT32), value("b", (), INT32)]
    node = op("GroupQueryAttention", "x - - k v a b", "y k2 v2", num_heads=4, kv_num_heads=2)
    node.domain = "com.microsoft"
    path = save(tmp_path, [node], inputs, [value("y", None)], opsets={"": 18, "com.microsoft": 1})
    found = sensible_values(load_graph(path))
    assert {name: found[name].tolist() for name in "ab"} == {"a": [5 + 3 - 1], "b": 5 + 3}
    # 3 queries, 8 keys, 4 heads of 16, two products
    assert api.profile_graph(path, api.Settings(run=True)).totals.macs == 3 * 8 * 4 * 16 * 2


def ms(op_type: str, inputs: str, outputs: str, **attributes: object) -> NodeProto:
    node = op(op_type, inputs, outputs, **attributes)
    node.domain = "com.microsoft"
    return node


LONG = {"q": (2, 3, 64), "k": (2, 4, 5, 16), "c": (32, 8)}
"""Queries of 3 tokens of 2 sequences, a cache of 5, cosines of 32 positions."""

USES: Sequence[tuple[str, Sequence[NodeProto], ValueInfoProto, object]] = [
    (
        "a mask whose sum is the lengths",
        [
            op("ReduceSum", "a one", "n"),
            op("Sub", "n one", "m"),
            op("Cast", "m", "l", to=INT32),
            ms("GroupQueryAttention", "q - - k k l", "y", num_heads=2, kv_num_heads=1),
        ],
        value("a", (2, 8), INT64),
        np.ones((2, 8)),
    ),
    (
        "a mask that is added to scores",
        [
            op("Cast", "a", "f", to=TensorProto.FLOAT),
            op("Unsqueeze", "f one", "u"),
            op("Add", "q u", "s"),
            op("Softmax", "s", "y"),
        ],
        value("a", (2, 64), INT64),
        np.ones((2, 64)),
    ),
    (
        "padding of keys",
        [ms("MultiHeadAttention", "q q q - a", "y", num_heads=4)],
        value("a", (2, 3), INT32),
        np.ones((2, 3)),
    ),
    (
        "positions within a table",
        [
            ms("RotaryEmbedding", "q a c c", "r"),
            ms("MultiHeadAttention", "r r r - - - k k", "y", num_heads=4),
        ],
        value("a", (2, 3), INT64),
        [[5, 6, 7]] * 2,
    ),
    (
        "positions that angles are made of",
        [op("Cast", "a", "f", to=TensorProto.FLOAT), op("Mul", "f f", "m"), op("Cos", "m", "y")],
        value("a", (2, 3), INT64),
        [[0, 1, 2]] * 2,
    ),
    (
        "the past's length",
        [ms("MultiHeadAttention", "q q q - - - k k a", "y", num_heads=4)],
        value("a", (1,), INT32),
        [5],
    ),
    (
        "valid tokens",
        [op("Attention", "q q q - k k a", "y", q_num_heads=4, kv_num_heads=4)],
        value("a", (2,), INT64),
        [5 + 3] * 2,
    ),
    ("where to write", [op("TensorScatter", "k k a", "y")], value("a", (2,), INT64), [0, 0]),
]


@pytest.mark.parametrize(
    ("nodes", "given", "expected"), [case[1:] for case in USES], ids=[case[0] for case in USES]
)
def test_what_operators_do_with_an_input_tells_whatever_it_is_called(
    tmp_path: Path, nodes: Sequence[NodeProto], given: ValueInfoProto, expected: object
) -> None:
    inputs = [given, *(value(name, shape) for name, shape in LONG.items())]
    opsets = {"": 24, "com.microsoft": 1}
    path = save(tmp_path, nodes, inputs, [value("y", None)], [integers("one", [1])], opsets=opsets)
    assert sensible_values(load_graph(path))["a"].tolist() == np.asarray(expected).tolist()


def test_the_shape_that_positions_are_brought_into_is_no_position(tmp_path: Path) -> None:
    nodes = [op("Reshape", "a shape", "at"), ms("RotaryEmbedding", "q at c c", "y")]
    inputs = [value("a", (6,), INT64), value("shape", (2,), INT64)]
    inputs += [value(name, LONG[name]) for name in "qc"]
    path = save(tmp_path, nodes, inputs, [value("y", None)], opsets={"": 24, "com.microsoft": 1})
    assert {name: array.tolist() for name, array in sensible_values(load_graph(path)).items()} == {
        "a": [0, 1, 2, 3, 4, 5]
    }


def test_blocks_of_a_cache_are_full_and_each_sequence_has_its_own(tmp_path: Path) -> None:
    """6 new tokens of 2 sequences, 3 blocks of 4 tokens for each: 3 are new and 12 - 3 cached."""
    node = ms("PagedAttention", "q - - k v s p b" + " -" * 8 + " m", "y", num_heads=4, kv_num_heads=2)
    caches = [value(name, (6, 4, 2, 16)) for name in "kv"]
    whole = [
        value(name, shape, INT32) for name, shape in {"s": (3,), "p": (2,), "b": (2, 3), "m": (3,)}.items()
    ]
    inputs = [value("q", (6, 128)), *caches, *whole]
    path = save(tmp_path, [node], inputs, [value("y", None)], opsets={"": 18, "com.microsoft": 1})
    found = {name: array.tolist() for name, array in sensible_values(load_graph(path)).items()}
    assert found == {"s": [0, 3, 6], "p": [9, 9], "b": [[0, 1, 2], [3, 4, 5]], "m": [6, 12, 0]}


def test_a_decoder_runs_without_any_option(tmp_path: Path) -> None:
    """Its open sizes are those of one token behind 128; 192 columns are 8 + 2 + 2 heads of 16."""
    nodes = [
        op("Gather", "table ids", "x"),
        op("ReduceSum", "m one", "n"),
        op("Sub", "n one", "n1"),
        op("Cast", "n1", "last", to=INT32),
        op("Shape", "m", "s"),
        op("Gather", "s one", "t"),
        op("Squeeze", "t", "t1"),
        op("Cast", "t1", "total", to=INT32),
        ms("GroupQueryAttention", "x - - k v last total", "y k2 v2", num_heads=8, kv_num_heads=2),
    ]
    cache, present = ("batch", 2, "past", "head"), ("batch", 2, "total", "head")
    inputs = [
        value("ids", ("batch", "seq"), INT64),
        value("m", ("batch", "total"), INT64),
        *(value(name, cache) for name in "kv"),
    ]
    outputs = [value("y", None), *(value(name, present) for name in ("k2", "v2"))]
    held = [*drawn({"table": (50, 192)}), integers("one", [1])]
    path = save(tmp_path, nodes, inputs, outputs, held, opsets={"": 18, "com.microsoft": 1})
    assert api.check_graph(path, reference="unoptimised").passed
    report = api.bench_graph(path, request=api.BenchRequest(runs=1, warmup=0, matmul_peak=False))
    assert "run as with --dim batch=1 --dim seq=1 --dim past=128, as nobody gave these sizes" in report.notes
    with api.OpenedTarget(path) as target:
        assert target.graph.inputs[0].shape == ("batch", "seq")
        target.require_weights()  # whoever runs it asks so, perhaps after the graph was looked at
        assert target.graph.inputs[0].shape == (1, 1)
    # one query of 8 heads by 129 keys of 16, two products
    assert api.profile_graph(path, api.Settings(run=True)).totals.macs == 8 * 129 * 16 * 2
    one = api.profile_graph(path, api.Settings(dims={"seq": 1, "past": 128}))
    assert one.totals.macs == 8 * 129 * 16 * 2
    assert any("batch=1 (one sequence, where nothing else is given)" in note for note in one.notes)
