"""How long one run of a graph takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from onnxlens.profile.runtime.session import run
from onnxlens.specs.results import LatencyResult

if TYPE_CHECKING:
    import onnxruntime as ort

MAX_RUNS = 3
"""Enough to tell an outlier; the main job's time is better spent on the next graph."""

BUDGET_S = 30.0
"""Runs are repeated while they are likely to fit into this."""

PERCENTILES = (10, 50, 90)


def time_runs(
    session: ort.InferenceSession, inputs: Mapping[str, np.ndarray], *, warm_up_s: float, provider: str
) -> LatencyResult:
    """Time up to ``MAX_RUNS`` runs of a session that has run once already.

    Args:
        session: warm: its first run, which allocates and packs, is not to be timed.
        inputs: by name.
        warm_up_s: how long that first run took, to choose how many fit.
        provider: of the session, for the result.
    """
    runs = max(1, min(MAX_RUNS, int(BUDGET_S / max(warm_up_s, 1e-9))))
    p10, median, p90 = spread([_seconds(lambda: run(session, inputs)) for _ in range(runs)])
    return LatencyResult(median, p10, p90, warmup=1, runs=runs, provider=provider, device=provider)


def time_calls(
    call: Callable[[], object], *, warmup: int, runs: int, provider: str, device: str
) -> LatencyResult:
    """Time ``runs`` calls after ``warmup`` that are not counted.

    Args:
        call: one run, done when it returns: what a device works on is waited for.
        warmup: calls before the clock starts.
        runs: calls that are timed, one by one.
        provider: what runs, for the result.
        device: where it runs, for the result.
    """
    for _ in range(warmup):
        call()
    p10, median, p90 = spread([_seconds(call) for _ in range(runs)])
    return LatencyResult(median, p10, p90, warmup, runs, provider, device)


def spread(seconds: Sequence[float]) -> tuple[float, float, float]:
    """The p10, the median and the p90, between samples by straight lines."""
    p10, median, p90 = (float(value) for value in np.percentile(seconds, PERCENTILES))
    return p10, median, p90


def _seconds(call: Callable[[], object]) -> float:
    start = perf_counter()
    call()
    return perf_counter() - start
