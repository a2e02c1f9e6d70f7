"""End-to-end latency: of an ONNX Runtime session, and of the PyTorch module a graph was exported from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from onnxlens.errors import ToolError
from onnxlens.profile.runtime.session import run
from onnxlens.specs.bench import LatencyResult
from onnxlens.specs.tensor import as_tensor

if TYPE_CHECKING:
    import onnxruntime as ort
    from torch import nn

MAX_RUNS = 3
"""Enough to see an outlier; the main job has more graphs to run."""

BUDGET_S = 30.0
"""Runs are repeated as long as they are expected to fit into this."""

PERCENTILES = (10, 50, 90)

SHOWN_REASON = 200
"""Characters shown of a compiler's message, which may be pages long."""


def time_runs(
    session: ort.InferenceSession, inputs: Mapping[str, np.ndarray], *, warm_up_s: float, provider: str
) -> LatencyResult:
    """Time up to ``MAX_RUNS`` runs of a session that has run once already.

    That first run, which allocates and packs weights, is not timed; the number of runs follows from its
    duration ``warm_up_s``.
    """
    runs = max(1, min(MAX_RUNS, int(BUDGET_S / max(warm_up_s, 1e-9))))
    timed = time_calls(lambda: run(session, inputs), warmup=0, runs=runs, provider=provider, device=provider)
    return replace(timed, warmup=1)


def time_calls(
    call: Callable[[], object], *, warmup: int, runs: int, provider: str, device: str
) -> LatencyResult:
    """Time ``runs`` calls, one by one, after ``warmup`` calls that are not timed.

    A call returns when the device has finished. Provider and device are for the result.
    """
    for _ in range(warmup):
        call()
    p10, median, p90 = spread([seconds_of(call) for _ in range(runs)])
    return LatencyResult(median, p10, p90, warmup, runs, provider, device)


def time_in_turns(
    calls: Mapping[str, Callable[[], object]], *, warmup: int, runs: int, device: str
) -> dict[str, LatencyResult]:
    """Time several runtimes, by provider: each runs once in every turn, so that all meet the same noise."""
    for call in [*calls.values()] * warmup:
        call()
    turns = [{name: seconds_of(call) for name, call in calls.items()} for _ in range(runs)]
    found = {}
    for name in calls:
        p10, median, p90 = spread([turn[name] for turn in turns])
        found[name] = LatencyResult(median, p10, p90, warmup, runs, name, device)
    return found


def spread(seconds: Sequence[float]) -> tuple[float, float, float]:
    """The p10, the median and the p90, linearly interpolated between samples."""
    p10, median, p90 = (float(value) for value in np.percentile(seconds, PERCENTILES))
    return p10, median, p90


def seconds_of(call: Callable[[], object]) -> float:
    """The duration of one call."""
    start = perf_counter()
    call()
    return perf_counter() - start


@dataclass(frozen=True, slots=True)
class TorchTimes:
    """PyTorch's latencies; ``compiled`` is None if the module could not be compiled; ``note`` says why."""

    eager: LatencyResult
    compiled: LatencyResult | None
    note: str


@dataclass(frozen=True, slots=True)
class TorchRun:
    """How a module is run, with how many threads per operator.

    ``place`` is PyTorch's name of the device, ``cpu`` or ``cuda``, ``device`` its name in the result.
    """

    place: str
    device: str
    threads: int
    warmup: int
    runs: int


def time_module(module: nn.Module, inputs: Mapping[str, np.ndarray], how: TorchRun) -> TorchTimes:
    """Time a module, eager and compiled; inputs in the order of ``forward`` are copied to the device before.

    Raises:
        ToolError: this PyTorch has no such device.
    """
    import torch

    if how.place == "cuda" and not torch.cuda.is_available():
        raise ToolError("--against torch: this PyTorch sees no CUDA device; install a build of it that does")
    module = module.to(how.place)
    tensors = [as_tensor(value).clone().to(how.place) for value in inputs.values()]
    with _threads(how.threads), torch.inference_mode():
        eager = _time_torch(lambda: module(*tensors), how)
        try:
            compiled = torch.compile(module)
            return TorchTimes(eager, _time_torch(lambda: compiled(*tensors), how), "")
        except Exception as error:  # from any part of the compiler, or from the system's own
            message = " ".join(str(error).split())[:SHOWN_REASON]
            note = f"torch.compile did not work here: {type(error).__name__}: {message}"
            return TorchTimes(eager, None, note)


def _time_torch(call: Callable[[], object], how: TorchRun) -> LatencyResult:
    import torch

    def finished() -> None:
        call()
        if how.place == "cuda":
            torch.cuda.synchronize()

    return time_calls(finished, warmup=max(1, how.warmup), runs=how.runs, provider="torch", device=how.device)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Run PyTorch with ``count`` threads per operator; restores the previous number."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
