"""How long ONNX Runtime takes for one run of a graph."""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from onnxlens.profile.session import run
from onnxlens.specs.results import LatencyResult

if TYPE_CHECKING:
    import onnxruntime as ort

MAX_RUNS = 3
"""Enough to tell an outlier; the main job's time is better spent on the next graph."""

BUDGET_S = 30.0
"""Runs are repeated while they are likely to fit into this."""


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
    seconds = []
    for _ in range(runs):
        start = perf_counter()
        run(session, inputs)
        seconds.append(perf_counter() - start)
    p10, median, p90 = (float(value) for value in np.percentile(seconds, (10, 50, 90)))
    return LatencyResult(median, p10, p90, warmup=1, runs=runs, provider=provider, device=provider)
