"""Sample values of a file's inputs: that they fit what the graph does with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import NodeProto, TensorProto

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
