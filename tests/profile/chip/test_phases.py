"""The costs of a language model's phases against figures by hand, and the longest context that fits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import onnxlens as api
from onnxlens.errors import UsageError
from onnxlens.profile.chip.phase_memory import longest
from onnxlens.specs.phases import PhasesReport, PhasesRequest, outweighing_context
from tests.profile.language_nets import CACHE_ROW, LAYER, PER_TOKEN, SMALL, WEIGHTS, language_model, scores

REQUEST = PhasesRequest((8,), (24, 100), (1, 3))


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> PhasesReport:
    path = language_model(tmp_path_factory.mktemp("phases"))
    return api.phases_of(path, request=REQUEST, hardware="h200")


def test_the_points_are_both_phases_at_every_batch(report: PhasesReport) -> None:
    assert [(p.phase, p.batch, p.tokens, p.context) for p in report.points] == [
        ("prefill", 1, 8, 0), ("prefill", 3, 8, 0),
        ("decode", 1, 1, 24), ("decode", 1, 1, 100), ("decode", 3, 1, 24), ("decode", 3, 1, 100),
    ]  # fmt: skip


def test_macs_and_cache_bytes_are_those_by_hand(report: PhasesReport) -> None:
    for point in report.points:
        whole = point.context + point.tokens
        assert point.cost.macs == point.batch * (point.tokens * PER_TOKEN + scores(point.tokens, whole))
        assert point.cost.cache_read_bytes == point.batch * point.context * CACHE_ROW
        assert point.cost.cache_write_bytes == point.batch * point.tokens * CACHE_ROW
        assert point.cache_bytes == point.batch * whole * CACHE_ROW
        assert point.memory_bytes == WEIGHTS + point.cache_bytes + point.live_bytes
    assert report.resident_weight_bytes == WEIGHTS
    assert (report.cache_bytes_per_token, report.cache_fixed_bytes) == (CACHE_ROW, 0)


def test_what_is_alive_besides_the_caches_is_that_by_hand(report: PhasesReport) -> None:
    """In the first MLP the gate, its sigmoid, both together and the other product, of 96; the residual of 64.

    And two numbers of 4 bytes for the next attention: how many keys are valid, how many there are.
    """
    step = next(point for point in report.points if (point.batch, point.context) == (1, 24))
    assert step.live_bytes == 4 * 96 * 4 + 64 * 4 + 2 * 4


def test_a_point_is_what_profile_counts_at_its_dimensions(tmp_path: Path, report: PhasesReport) -> None:
    for point in report.points[1:3]:
        dims = {
            "batch_size": point.batch, "sequence_length": point.tokens, "past_sequence_length": point.context,
        }  # fmt: skip
        totals = api.profile_graph(language_model(tmp_path), api.Settings(dims=dims)).totals
        cost = point.cost
        assert (cost.macs, cost.vector_ops, cost.special_ops) == (
            totals.macs, totals.vector_ops, totals.special_ops,
        )  # fmt: skip
        assert cost.weight_read_bytes == totals.weight_read_bytes
        assert cost.moved_bytes == totals.moved_bytes


def test_layers_that_cost_the_same_are_one_row_of_all_of_them(report: PhasesReport) -> None:
    rows = {row.path: row for row in report.rows}
    layers = rows["model.layers.0"]
    assert layers.paths == ("model.layers.0", "model.layers.1")
    assert "model.layers.1" not in rows
    step = report.points.index(report.of("decode")[0])
    assert layers.costs[step].macs == 2 * LAYER + scores(1, 25)
    assert rows["model.layers.0.mlp"].costs[step].macs == 2 * 3 * 64 * 96
    assert rows[""].costs[step].macs == report.points[step].cost.macs


def test_the_head_and_the_embedding_are_apart_and_add_up(report: PhasesReport) -> None:
    parts = {row.part: row.path for row in report.rows if row.part}
    assert parts == {"embedding": "model.embed_tokens", "head": "lm_head"}
    for point in report.points:
        assert point.parts["head"].macs == point.batch * point.tokens * 64 * 200
        assert point.parts["embedding"].weight_read_bytes == point.batch * point.tokens * 64 * 4
        for name in ("macs", "vector_ops", "weight_read_bytes", "cache_read_bytes", "activation_bytes"):
            assert sum(getattr(cost, name) for cost in point.parts.values()) == getattr(point.cost, name)


def test_a_bound_is_what_the_slowest_part_takes(report: PhasesReport) -> None:
    """No step of so small a file leaves the chip's caches: its products bound it."""
    step = report.of("decode")[0]
    chip = api.chip_of("h200")
    assert step.cost.limited_by == {"h200": "compute"}
    assert step.cost.bound_s["h200"] >= step.cost.macs / max(rate.value for rate in chip.peaks.values())


def test_tied_tables_and_normed_heads_count_alike(tmp_path: Path) -> None:
    config = replace(SMALL, tied=True, normed_heads=True)
    found = api.phases_of(language_model(tmp_path, config), request=REQUEST)
    assert found.points[0].cost.unknown_nodes == 0
    assert [p.cost.macs for p in found.points[:1]] == [8 * PER_TOKEN + scores(8, 8)]


def test_halves_take_half_of_the_cache(tmp_path: Path) -> None:
    found = api.phases_of(language_model(tmp_path), request=REQUEST, stored_as="float16")
    assert found.cache_bytes_per_token == CACHE_ROW // 2
    assert found.points[2].cost.cache_read_bytes == 24 * CACHE_ROW // 2


def test_every_context_that_has_a_position_fits_a_large_chip(report: PhasesReport) -> None:
    assert report.positions == 128
    assert [(fit.batch, fit.context, fit.is_limited) for fit in report.fits] == [
        (1, 127, False), (3, 127, False),
    ]  # fmt: skip


def test_what_has_no_position_is_left_out_or_noted_and_never_run(tmp_path: Path) -> None:
    path = language_model(tmp_path)
    found = api.phases_of(path, request=PhasesRequest((8,), (24, 128)))
    assert [p.context for p in found.of("decode")] == [24]
    typed = PhasesRequest((8,), (24, 128), given=frozenset({"contexts"}))
    beyond = api.phases_of(path, request=typed)
    assert [p.context for p in beyond.of("decode")] == [24, 128]
    assert any("cannot run beyond them" in note for note in beyond.notes)
    with pytest.raises(UsageError, match="positions for 128 tokens, not for 129"):
        api.phases_of(path, request=typed, has_latency=True)


@pytest.mark.parametrize(
    ("batch", "first"), [(1, WEIGHTS // CACHE_ROW + 1), (3, WEIGHTS // (3 * CACHE_ROW) + 1)]
)
def test_the_caches_outweigh_the_weights_from_the_first_token_that_is_more(
    report: PhasesReport, batch: int, first: int
) -> None:
    assert report.outweighs[batch] == first
    assert batch * first * CACHE_ROW > WEIGHTS >= batch * (first - 1) * CACHE_ROW


def test_a_cache_that_does_not_grow_never_outweighs() -> None:
    assert outweighing_context(100, 10, 0, 4) is None
    assert outweighing_context(100, 60, 1, 2) == 0


def test_the_longest_context_is_the_last_that_fits() -> None:
    """Against going through all; memory rises in steps of 7."""
    random = Random(3)
    for _ in range(200):
        capacity, rise, base, most = (
            random.randint(0, 5000), random.randint(1, 60), random.randint(0, 400), random.randint(1, 900),
        )  # fmt: skip

        def memory_bytes(context: int, base: int = base, rise: int = rise) -> int:
            return base + rise * (context // 7 + context)

        fitting = [context for context in range(1, most + 1) if memory_bytes(context) <= capacity]
        context, is_limited = longest(capacity, most, memory_bytes)
        assert context == (fitting[-1] if fitting else None)
        assert is_limited == (len(fitting) < most)


FIXED = {
    "step": {"sequence_length": 1, "past_sequence_length": 63, "total_sequence_length": 64},
    "buffer": {"sequence_length": 1, "past_sequence_length": 64, "total_sequence_length": 64},
    "prompt": {"sequence_length": 32, "past_sequence_length": 0, "total_sequence_length": 32},
    "chunk": {"sequence_length": 16, "past_sequence_length": 48, "total_sequence_length": 64},
}


def fixed_model(folder: Path, name: str) -> Path:
    """The small model with sizes that its file fixes."""
    model = onnx.load(language_model(folder), load_external_data=False)
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param in FIXED[name]:
                dim.dim_value = FIXED[name][dim.dim_param]
    path = folder / f"{name}.onnx"
    onnx.save(model, path)
    return path


@pytest.mark.parametrize(
    ("name", "phase", "tokens", "past"),
    [
        ("step", "decode", 1, 63),
        ("buffer", "decode", 1, 63),
        ("prompt", "prefill", 32, 0),
        ("chunk", "prefill", 16, 48),
    ],
)
def test_a_file_of_fixed_sizes_has_the_one_point_that_it_is_for(
    tmp_path: Path, name: str, phase: str, tokens: int, past: int
) -> None:
    path = fixed_model(tmp_path, name)
    (point,) = api.phases_of(path, hardware="h200").points
    assert (point.phase, point.batch, point.tokens, point.context) == (phase, 1, tokens, past)
    assert point.cost.macs == tokens * PER_TOKEN + scores(tokens, past + tokens)
    assert point.cost.cache_read_bytes == past * CACHE_ROW
    with pytest.raises(UsageError, match="--context: (the file fixes it to 63|no decoding step)"):
        api.phases_of(path, request=PhasesRequest((32,), (10,), given=frozenset({"contexts"})))


def test_a_buffer_with_a_mask_of_its_own_takes_what_it_has_room_for(tmp_path: Path) -> None:
    """64 rows, of which a mask says how many are in use."""
    model = onnx.load(language_model(tmp_path), load_external_data=False)
    for value in (*model.graph.input, *model.graph.output):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param == "past_sequence_length" or (
                value.name.startswith("present") and dim.dim_param == "total_sequence_length"
            ):
                dim.dim_value = 64
    onnx.save(model, tmp_path / "room.onnx")
    found = api.phases_of(tmp_path / "room.onnx", request=PhasesRequest((8,), (24,)))
    assert [cache.kind for cache in found.caches] == ["buffer"] * 4
    prefill, step = found.points
    assert prefill.cost.macs == 8 * PER_TOKEN + scores(8, 8)
    assert step.cost.macs == PER_TOKEN + scores(1, 25)
    assert (step.cost.cache_read_bytes, step.cache_bytes) == (24 * CACHE_ROW, 64 * CACHE_ROW)
    with pytest.raises(UsageError, match="buffers have room for 64 tokens; give at most 63"):
        asked = PhasesRequest((8,), (64,), given=frozenset({"contexts"}))
        api.phases_of(tmp_path / "room.onnx", request=asked)


def test_a_cache_of_open_width_is_refused_with_the_flag_that_closes_it(tmp_path: Path) -> None:
    shape, grown = ["b", 2, "past", "wide"], ["b", 2, "past + s", "wide"]
    infos = {
        name: helper.make_tensor_value_info(name, kind, dims)
        for name, kind, dims in (
            ("input_ids", TensorProto.INT64, ["b", "s"]), ("past.0.key", TensorProto.FLOAT, shape),
            ("y", TensorProto.FLOAT, ["b", "s", 8]), ("present.0.key", TensorProto.FLOAT, grown),
        )
    }  # fmt: skip
    node = helper.make_node("Attend", ["input_ids", "past.0.key"], ["y", "present.0.key"], domain="acme")
    values = list(infos.values())
    graph = helper.make_graph([node], "open", values[:2], values[2:])
    opsets = [helper.make_opsetid("", 22), helper.make_opsetid("acme", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), tmp_path / "open.onnx")
    with pytest.raises(UsageError, match="give --dim wide=SIZE"):
        api.phases_of(tmp_path / "open.onnx", request=PhasesRequest((8,), (24,)))
    closed = api.phases_of(tmp_path / "open.onnx", api.Settings(dims={"wide": 4}), PhasesRequest((8,), (24,)))
    assert closed.cache_bytes_per_token == 2 * 4 * 4
    assert closed.points[0].cost.unknown_nodes == 1
    assert closed.points[0].cost.lower_bounds is not None


def paged_model(folder: Path) -> Path:
    """Two query heads of 16 that share one pair of keys and values, which lie in blocks."""
    reads = ["x", "", "", "past.key", "past.value", "ends", "pasts", "blocks"]
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["x"]),
        helper.make_node(
            "PagedAttention", reads, ["y", "present.key", "present.value"],
            domain="com.microsoft", num_heads=2, kv_num_heads=1,
        ),
    ]  # fmt: skip
    held = ["num_blocks", "block_size", 1, 16]
    half, whole = TensorProto.FLOAT16, TensorProto.INT32
    values = {
        "input_ids": (TensorProto.INT64, ["num_tokens"]),
        **dict.fromkeys(("past.key", "past.value", "present.key", "present.value"), (half, held)),
        "ends": (whole, ["batch_size + 1"]),
        "pasts": (whole, ["batch_size"]),
        "blocks": (whole, ["batch_size", "most"]),
        "y": (half, ["num_tokens", 32]),
    }
    infos = {name: helper.make_tensor_value_info(name, *kind) for name, kind in values.items()}
    made = {"y", "present.key", "present.value"}
    graph = helper.make_graph(
        nodes,
        "paged",
        [info for name, info in infos.items() if name not in made],
        [infos["y"], infos["present.key"], infos["present.value"]],
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
