"""PyTorch's side of a benchmark, and what is said where it has none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from onnxlens.errors import ToolError
from onnxlens.profile.runtime.latency import TorchRun, time_module

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


def test_both_are_timed_after_warm_ups_with_the_threads_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda module: module)
    before = torch.get_num_threads()
    module = Counting()
    times = time_module(module, INPUTS, RUN)
    assert times.compiled is not None and times.note == ""
    for latency in (times.eager, times.compiled):
        told = (latency.warmup, latency.runs, latency.provider, latency.device)
        assert told == (2, 3, "torch", "a processor")
    assert module.threads == [1] * (2 * (2 + 3))
    assert torch.get_num_threads() == before


def test_what_cannot_be_compiled_is_a_note_of_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", uncompilable)
    times = time_module(Counting(), INPUTS, RUN)
    assert times.compiled is None
    assert times.note == "torch.compile did not work here: RuntimeError: no compiler in sight"


@pytest.mark.skipif(torch.cuda.is_available(), reason="this PyTorch has a CUDA device")
def test_a_device_that_pytorch_does_not_see_is_an_error() -> None:
    with pytest.raises(ToolError, match="this PyTorch sees no CUDA device"):
        time_module(Counting(), INPUTS, TorchRun("cuda", "gpu", 1, 0, 1))
