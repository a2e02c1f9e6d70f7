"""Phases over caches of other kinds: in blocks, of the last rows, in branches, and buffers with lengths."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import onnxlens as api
from onnxlens.errors import UsageError
from onnxlens.specs.phases import PhasesRequest


def paged_model(folder: Path, *, scaled: bool = False) -> Path:
    """Two query heads of 16 that share one pair of keys and values, which lie in blocks.

    ``scaled``: in 8 bits, with a scale for each row.
    """
    reads = ["x", "", "", "past.key", "past.value", "ends", "pasts", "blocks"]
    scales = ["past.key_scale", "past.value_scale"] if scaled else []
    made_scales = [name.replace("past", "present") for name in scales]
    if scaled:
        reads += [*[""] * 9, *scales]
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["x"]),
        helper.make_node(
            "PagedAttention", reads, ["y", "present.key", "present.value", *made_scales],
            domain="com.microsoft", num_heads=2, kv_num_heads=1,
        ),
    ]  # fmt: skip
    held = ["num_blocks", "block_size", 1, 16]
    half, whole = TensorProto.FLOAT16, TensorProto.INT32
    kept = TensorProto.INT8 if scaled else half
    values = {
        "input_ids": (TensorProto.INT64, ["num_tokens"]),
        **dict.fromkeys(("past.key", "past.value", "present.key", "present.value"), (kept, held)),
        **dict.fromkeys((*scales, *made_scales), (half, held[:3])),
        "ends": (whole, ["batch_size + 1"]),
        "pasts": (whole, ["batch_size"]),
        "blocks": (whole, ["batch_size", "most"]),
        "y": (half, ["num_tokens", 32]),
    }
    infos = {name: helper.make_tensor_value_info(name, *kind) for name, kind in values.items()}
    made = {"y", "present.key", "present.value", *made_scales}
    graph = helper.make_graph(
        nodes,
        "paged",
        [info for name, info in infos.items() if name not in made],
        [infos[name] for name in ("y", "present.key", "present.value", *made_scales)],
        [numpy_helper.from_array(np.zeros((50, 64), np.float16), "table")],
    )
    opsets = [helper.make_opsetid("", 22), helper.make_opsetid("com.microsoft", 1)]
    path = folder / "paged.onnx"
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), path)
    return path


def test_a_paged_cache_is_told_its_lengths(tmp_path: Path) -> None:
    """In blocks of 64: 10 tokens lie in one, 101 in two; a row is 16 halves each of keys and values."""
    settings = api.Settings(dims={"block_size": 64})
    found = api.phases_of(paged_model(tmp_path), settings, PhasesRequest((10,), (100,), (3,)))
    prefill, step = found.points
    assert [p.cost.macs for p in (prefill, step)] == [3 * 2 * 2 * 16 * 10 * 10, 3 * 2 * 2 * 16 * 101]
    assert (prefill.cost.cache_read_bytes, prefill.cost.cache_write_bytes) == (0, 3 * 10 * 64)
    assert (step.cost.cache_read_bytes, step.cost.cache_write_bytes) == (3 * 100 * 64, 3 * 64)
    assert (prefill.cache_bytes, step.cache_bytes) == (3 * 64 * 64, 3 * 128 * 64)
    assert found.cache_bytes_per_token == 64


def test_scales_of_rows_are_read_and_written_with_them(tmp_path: Path) -> None:
    """Of keys and values 16 bytes and a half each: 36 bytes a row, in blocks of 64."""
    path, settings = paged_model(tmp_path, scaled=True), api.Settings(dims={"block_size": 64})
    found = api.phases_of(path, settings, PhasesRequest((10,), (100,), (3,)))
    prefill, step = found.points
    assert (prefill.cost.cache_read_bytes, prefill.cost.cache_write_bytes) == (0, 3 * 10 * 36)
    assert (step.cost.cache_read_bytes, step.cost.cache_write_bytes) == (3 * 100 * 36, 3 * 36)
    assert (found.cache_bytes_per_token, step.cache_bytes) == (36, 3 * 128 * 36)


ROWS = ["b", "past", 8]


def keeping(folder: Path, nodes: list[onnx.NodeProto], outputs: list[str], *more: str) -> Path:
    """A table of 8 columns, a cache of its rows, and a product of all of these with the new ones."""
    infos = {
        "input_ids": helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["b", "s"]),
        "past_x": helper.make_tensor_value_info("past_x", TensorProto.FLOAT, ROWS),
        "use_cache_branch": helper.make_tensor_value_info("use_cache_branch", TensorProto.BOOL, [1]),
    }
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["x"]),
        *nodes,
        helper.make_node("Transpose", ["rows"], ["turned"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["x", "turned"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes, "keeping", [infos[name] for name in ("input_ids", "past_x", *more)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["b", None, None]) for name in outputs],
        [
            numpy_helper.from_array(np.zeros((50, 8), np.float32), "table"),
            *(numpy_helper.from_array(np.array([each], np.int64), f"n{each}") for each in (-6, 1, 2**31)),
        ],
    )  # fmt: skip
    path = folder / "keeping.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10), path)
    return path


def test_a_cache_of_the_last_rows_holds_no_more(tmp_path: Path) -> None:
    """A step sees 6 rows and its own, whatever the context; a prompt of 10 all of itself."""
    nodes = [
        helper.make_node("Concat", ["past_x", "x"], ["rows"], axis=1),
        helper.make_node("Slice", ["rows", "n-6", f"n{2**31}", "n1"], ["present_x"]),
    ]
    path = keeping(tmp_path, nodes, ["y", "present_x"])
    found = api.phases_of(path, request=PhasesRequest((10,), (3, 100), (2,)))
    assert [point.cost.macs for point in found.points] == [2 * 8 * 10 * 10, 2 * 8 * 4, 2 * 8 * 7]
    assert [point.cache_bytes for point in found.points] == [2 * 6 * 32, 2 * 4 * 32, 2 * 6 * 32]
    assert (found.cache_bytes_per_token, found.cache_fixed_bytes) == (0, 6 * 32)


def branch(name: str, node: onnx.NodeProto) -> onnx.GraphProto:
    return helper.make_graph(
        [node], name, [], [helper.make_tensor_value_info(node.output[0], TensorProto.FLOAT, None)]
    )


def test_a_cache_that_grows_in_a_branch_is_one(tmp_path: Path) -> None:
    """Reads of a step: the 100 rows by Concat, and all 101 by Transpose, 32 bytes each; writes: 101."""
    grown = branch("grown", helper.make_node("Concat", ["past_x", "x"], ["more"], axis=1))
    begun = branch("begun", helper.make_node("Identity", ["x"], ["first"]))
    nodes = [
        helper.make_node("If", ["use_cache_branch"], ["present_x"], then_branch=grown, else_branch=begun),
        helper.make_node("Identity", ["present_x"], ["rows"]),
    ]
    path = keeping(tmp_path, nodes, ["y", "present_x"], "use_cache_branch")
    request = PhasesRequest((10,), (100,), (2,), runs=1)
    found = api.phases_of(path, request=request, has_latency=True)
    assert all(point.measured is not None for point in found.points)
    (cache,), (prefill, step) = found.caches, found.points
    assert (cache.found_by, cache.operator, cache.output) == ("operator", "Concat", "present_x")
    assert (step.cost.cache_read_bytes, step.cost.cache_write_bytes) == (2 * 201 * 32, 2 * 101 * 32)
    assert (prefill.cost.macs, step.cost.macs) == (2 * 8 * 10 * 10, 2 * 8 * 101)
    assert step.live_bytes == 2 * (32 + 101 * 32 + 101 * 4)  # new rows, all of them turned, the products


def test_a_buffer_of_fixed_length_counts_as_far_as_it_is_told_to_be_filled(tmp_path: Path) -> None:
    """Keys are also values: a step multiplies 25 rows of 8 floats twice, and writes its own."""
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["x"]),
        helper.make_node("Unsqueeze", ["x", "one"], ["new"]),
        helper.make_node("TensorScatter", ["held", "new", "filled"], ["kept"]),
        helper.make_node("Shape", ["input_ids"], ["count"], start=1),
        helper.make_node("Add", ["filled", "count"], ["valid"]),
        helper.make_node("Attention", ["new", "kept", "kept", "", "", "", "valid"], ["y"], is_causal=1),
    ]
    buffer = ["b", 1, 64, 8]
    kinds = {
        "input_ids": (TensorProto.INT64, ["b", "s"]), "held": (TensorProto.FLOAT, buffer),
        "filled": (TensorProto.INT64, ["b"]), "y": (TensorProto.FLOAT, ["b", 1, "s", 8]),
        "kept": (TensorProto.FLOAT, buffer),
    }  # fmt: skip
    infos = [helper.make_tensor_value_info(name, *kind) for name, kind in kinds.items()]
    table = numpy_helper.from_array(np.zeros((50, 8), np.float32), "table")
    one = numpy_helper.from_array(np.array([1], np.int64), "one")
    graph = helper.make_graph(nodes, "buffer", infos[:3], infos[3:], [table, one])
    path = tmp_path / "buffer.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 24)], ir_version=10), path)
    found = api.phases_of(path, request=PhasesRequest((10,), (24,), (3,), frozenset({"contexts"})))
    assert [point.cost.macs for point in found.points] == [3 * 2 * 8 * 10 * 10, 3 * 2 * 8 * 25]
    assert found.points[1].cost.cache_write_bytes == 3 * 32
    assert found.points[1].cache_bytes == 3 * 64 * 32
    with pytest.raises(UsageError, match="have room for 64 tokens; give at most 63"):
        api.phases_of(path, request=PhasesRequest((10,), (64,), (3,), frozenset({"contexts"})))


@pytest.mark.parametrize("operator", ["Attention", "DecoderMaskedSelfAttention"])
def test_a_buffer_of_projected_keys_counts_as_far_as_its_past_length(tmp_path: Path, operator: str) -> None:
    """A step behind 24 tokens: 8 by 24 weights, and 25 rows of 8 floats twice, of keys and of values."""
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["x"]),
        helper.make_node(
            operator, ["x", "w", "b", "", "held", "", "length"], ["y", "kept"],
            domain="com.microsoft", num_heads=1, past_present_share_buffer=1,
        ),
    ]  # fmt: skip
    kinds = {
        "input_ids": (TensorProto.INT64, ["n", 1]), "held": (TensorProto.FLOAT, [2, "n", 1, 64, 8]),
        "length": (TensorProto.INT32, [1]), "y": (TensorProto.FLOAT, ["n", 1, 8]),
        "kept": (TensorProto.FLOAT, [2, "n", 1, 64, 8]),
    }  # fmt: skip
    infos = [helper.make_tensor_value_info(name, *kind) for name, kind in kinds.items()]
    held = {"table": (50, 8), "w": (8, 24), "b": (24,)}
    weights = [numpy_helper.from_array(np.zeros(shape, np.float32), name) for name, shape in held.items()]
    graph = helper.make_graph(nodes, "projected", infos[:3], infos[3:], weights)
    opsets = [helper.make_opsetid("", 22), helper.make_opsetid("com.microsoft", 1)]
    path = tmp_path / "projected.onnx"
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), path)
    (step,) = api.phases_of(path, request=PhasesRequest((10,), (24,), (3,))).points
    assert step.cost.macs == 3 * (8 * 24 + 2 * 8 * 25)
    assert (step.cost.cache_read_bytes, step.cost.cache_write_bytes) == (3 * 24 * 64, 3 * 64)
