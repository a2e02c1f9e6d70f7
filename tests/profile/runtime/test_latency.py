"""Which runs of a session are timed, on a fake clock; and PyTorch's eager and compiled latency."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from onnxlens.errors import ToolError
from onnxlens.profile.runtime import latency
from onnxlens.profile.runtime.latency import TorchRun, time_module
from onnxlens.specs.bench import LatencyResult


class FakeSession:
    """One input, one output; each run takes the next of ``durations_s`` on a clock of its own."""

    def __init__(self, *durations_s: float) -> None:
        self.now_s = 100.0
        self.fed: list[dict[str, np.ndarray]] = []
        self._durations_s = iter(durations_s)

    def get_inputs(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(name="x", type="tensor(double)")]

    def get_outputs(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(name="y", type="tensor(double)")]

    def run(self, names: list[str], fed: dict[str, np.ndarray]) -> list[np.ndarray]:
        assert names == ["y"]
        self.fed.append(fed)
        self.now_s += next(self._durations_s)
        return [np.zeros(1)]


def timed(session: FakeSession, monkeypatch: pytest.MonkeyPatch, warm_up_s: float) -> LatencyResult:
    monkeypatch.setattr(latency, "perf_counter", lambda: session.now_s)
    runner: Any = session
    return latency.time_runs(runner, {"x": np.ones(1)}, warm_up_s=warm_up_s, provider="cpu")


def test_the_median_and_the_percentiles_are_those_of_the_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    session = FakeSession(4.0, 1.0, 2.0)
    result = timed(session, monkeypatch, warm_up_s=0.5)
    assert result.median_s == pytest.approx(2.0)
    # sorted they are 1, 2, 4: a tenth of two gaps is a fifth of the first one
    assert result.p10_s == pytest.approx(1.0 + 0.2 * 1.0)
    assert result.p90_s == pytest.approx(4.0 - 0.2 * 2.0)
    assert (result.runs, result.warmup, result.provider, result.device) == (3, 1, "cpu", "cpu")
    assert [list(fed) for fed in session.fed] == [["x"]] * 3


@pytest.mark.parametrize(
    ("warm_up_s", "runs"),
    [(0.0, 3), (0.001, 3), (10.0, 3), (10.1, 2), (15.0, 2), (15.1, 1), (30.0, 1), (31.0, 1), (1000.0, 1)],
)
def test_as_many_runs_are_timed_as_fit_into_the_budget_of_30_s(
    warm_up_s: float, runs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (latency.BUDGET_S, latency.MAX_RUNS) == (30.0, 3)
    session = FakeSession(1.0, 1.0, 1.0)
    assert timed(session, monkeypatch, warm_up_s).runs == runs
    assert len(session.fed) == runs


def test_of_a_single_run_all_three_figures_are_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    result = timed(FakeSession(25.0), monkeypatch, warm_up_s=28.0)
    assert (result.p10_s, result.median_s, result.p90_s) == (25.0, 25.0, 25.0)


RUN = TorchRun(place="cpu", device="a processor", threads=1, warmup=2, runs=3)
INPUTS = {"x": np.ones((2, 3), np.float32)}


class Counting(nn.Module):
    """Counts its calls, and the threads it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        self.threads.append(torch.get_num_threads())
        return x + 1


def uncompilable(module: nn.Module) -> Callable[..., Tensor]:
    def raising(*_: Any) -> Tensor:
        raise RuntimeError("no compiler\nin   sight")

    return raising


def test_both_are_timed_after_warm_ups_with_the_requested_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda module: module)
    before = torch.get_num_threads()
    module = Counting()
    times = time_module(module, INPUTS, replace(RUN, threads=before + 1))
    assert times.compiled is not None and times.note == ""
    for result in (times.eager, times.compiled):
        got = (result.warmup, result.runs, result.provider, result.device)
        assert got == (2, 3, "torch", "a processor")
    assert module.threads == [before + 1] * (2 * (2 + 3))
    assert torch.get_num_threads() == before


def test_a_failed_compilation_is_a_note_of_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", uncompilable)
    times = time_module(Counting(), INPUTS, RUN)
    assert times.compiled is None
    assert times.note == "torch.compile did not work here: RuntimeError: no compiler in sight"


@pytest.mark.skipif(torch.cuda.is_available(), reason="this PyTorch has a CUDA device")
def test_a_device_that_pytorch_does_not_see_is_an_error() -> None:
    with pytest.raises(ToolError, match="this PyTorch sees no CUDA device"):
        time_module(Counting(), INPUTS, TorchRun("cuda", "gpu", 1, 0, 1))
