"""A language model run in its phases: what it makes of its caches is what it goes on with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

import onnxlens as api
from onnxlens.api.opened import OpenedTarget
from onnxlens.errors import UsageError
from onnxlens.profile.graph.caches import find_caches
from onnxlens.profile.graph.phase_axes import Size, read_axes
from onnxlens.profile.runtime import phases
from onnxlens.profile.runtime.phases import PhaseRunner
from onnxlens.specs.phases import PhasesRequest
from tests.profile.language_nets import CACHE_ROW, language_model

TEXT = np.random.default_rng(1).integers(0, 200, 100)


def runner(opened: OpenedTarget, seen: list[Size]) -> PhaseRunner:
    """One that reads ``TEXT``, wherever it is in it."""
    caches = find_caches(opened.loaded_file.declared())

    def inputs(size: Size) -> Mapping[str, np.ndarray]:
        seen.append(size)
        shape = (size.batch, size.tokens)
        tokens = np.broadcast_to(TEXT[size.past : size.past + size.tokens], shape).copy()
        empty = np.zeros((size.batch, 2, size.past, 16), np.float32)
        mask = np.ones((size.batch, size.past + size.tokens), np.int64)
        return {
            "input_ids": tokens,
            "attention_mask": mask,
            **{cache.tensor.name: empty for cache in caches},
        }

    axes = read_axes(opened.loaded_file.declared(), caches, {})
    return PhaseRunner(opened.session("cpu"), axes, caches, inputs)


def test_steps_go_on_with_the_caches_that_the_model_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After chunks of 16 tokens and single steps the caches are those of one prompt."""
    monkeypatch.setattr(phases, "CHUNK", 16)
    seen: list[Size] = []
    with OpenedTarget(language_model(tmp_path, runs=True)) as opened:
        run = runner(opened, seen)
        held = run._filled(Size(1, 1, 41))  # one step is a warm-up
        for past in (40, 41, 42):
            held = run._run(Size(1, 1, past), held)[1]
        whole = run._run(Size(1, 43, 0), run._empty(Size(1, 43, 0)))[1]
    assert [(size.tokens, size.past) for size in seen if size.tokens > 1][:3] == [(16, 0), (16, 16), (8, 32)]
    for name, value in whole.items():
        assert value.shape() == [1, 2, 43, 16]
        assert np.abs(value.numpy()).max() > 1
        np.testing.assert_allclose(held[name].numpy(), value.numpy(), rtol=1e-3, atol=1e-3)


def test_each_step_has_one_token_more_behind_it(tmp_path: Path) -> None:
    seen: list[Size] = []
    with OpenedTarget(language_model(tmp_path, runs=True)) as opened:
        warm_ups, seconds = runner(opened, seen).timed(Size(2, 1, 20), 3)
    assert (warm_ups, len(seconds)) == (1, 3)
    assert [size for size in seen if size.batch == 2 and size.past] == [
        Size(2, 1, past) for past in (19, 20, 21, 22)
    ]


def test_a_report_has_the_time_of_every_point(tmp_path: Path) -> None:
    request = PhasesRequest((8,), (1, 20), (1, 2), runs=2)
    report = api.phases_of(language_model(tmp_path, runs=True), request=request, has_latency=True)
    assert all(point.measured and point.measured.median_s > 0 for point in report.points)
    assert {point.measured.runs for point in report.points if point.measured} == {2}
    assert report.machine["onnxruntime"]
    assert report.cache_bytes_per_token == CACHE_ROW


def test_a_cache_that_is_not_handed_on_is_not_run(tmp_path: Path) -> None:
    request = PhasesRequest((8,), (20,), cache=r"^past")
    with OpenedTarget(language_model(tmp_path, runs=True)) as opened:
        report = api.phases_of(opened, request=request)
        from onnxlens.api.phase_times import _require_outputs

        cut = [*report.caches[1:], type(report.caches[0])(report.caches[0].tensor, "", "growing", "name")]
        with pytest.raises(UsageError, match=r"no output hands on the cache 'past_key_values\.0\.key'"):
            _require_outputs(opened, cut)
