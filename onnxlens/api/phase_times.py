"""The phases of a language model measured in ONNX Runtime, its real caches handed on from run to run."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from onnxlens.errors import UsageError
from onnxlens.specs.bench import LatencyResult
from onnxlens.specs.phases import CacheInput, PhasesReport

if TYPE_CHECKING:
    import numpy as np

    from onnxlens.api.opened import OpenedTarget
    from onnxlens.profile.graph.phase_axes import PhaseAxes, Size


def with_times(
    it: OpenedTarget, report: PhasesReport, axes: PhaseAxes, sizes: Sequence[Size], runs: int
) -> PhasesReport:
    """The report with the time of each of its points on this machine's processor.

    A prompt is read with empty caches, ``runs`` times after a warm-up. Before a step the model itself fills
    its caches; each further step takes what the one before returned.

    Raises:
        UsageError: a cache is not handed on, so that there is none to go on with.
        GraphError: ONNX Runtime refuses the file, or stops with an error.
    """
    from onnxlens.profile.runtime.machine import machine, usable_cores
    from onnxlens.profile.runtime.phases import PhaseRunner

    _require_outputs(it, report.caches)
    longest = max(size.past + size.tokens for size in sizes)
    if report.positions is not None and longest > report.positions:
        raise UsageError(
            f"{it.path}: --latency: the file has positions for {report.positions:,} tokens, not for "
            f"{longest:,}; give shorter prompts and contexts"
        )
    here, before = machine(), os.getloadavg()[0]
    it.progress("opening ONNX Runtime", 0, 0)
    runner = PhaseRunner(it.session("cpu"), axes, report.caches, lambda size: _inputs(it, axes, size))
    points = []
    for index, (point, size) in enumerate(zip(report.points, sizes, strict=True)):
        it.progress("timing ONNX Runtime", index, len(sizes))
        warmup, seconds = runner.timed(size, runs)
        points.append(replace(point, measured=_result(seconds, warmup, here["processor"])))
    return replace(
        report,
        points=tuple(points),
        machine={**here, "threads": str(usable_cores())},
        load_before=before,
        load_after=os.getloadavg()[0],
    )


def _require_outputs(it: OpenedTarget, caches: Sequence[CacheInput]) -> None:
    open_ended = [cache.tensor.name for cache in caches if not cache.output and cache.kind != "cross"]
    if open_ended:
        raise UsageError(
            f"{it.path}: --latency: no output hands on the cache {open_ended[0]!r}, so that there is none to "
            "go on with; leave --latency out"
        )


def _inputs(it: OpenedTarget, axes: PhaseAxes, size: Size) -> Mapping[str, np.ndarray]:
    """Values for all inputs at a size: samples, where it does not decide; of caches, what they begin with."""
    from onnxlens.profile.runtime.sensible import inputs_of

    values = {**axes.values(size), **it.settings.values}
    return inputs_of(it.loaded_file.at({}, axes.dims(size), values), {}, {})


def _result(seconds: Sequence[float], warmup: int, device: str) -> LatencyResult:
    from onnxlens.profile.runtime.latency import spread

    p10, median, p90 = spread(seconds)
    return LatencyResult(median, p10, p90, warmup, len(seconds), "cpu", device)
