"""How long the PyTorch module takes that a graph was exported from, as it is and compiled."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from onnxlens.errors import ToolError
from onnxlens.profile.runtime.latency import time_calls
from onnxlens.specs.results import LatencyResult
from onnxlens.specs.tensor import as_tensor

if TYPE_CHECKING:
    from torch import nn

SHOWN_REASON = 200
"""Characters of a compiler's complaint, which may be pages."""


@dataclass(frozen=True, slots=True)
class TorchTimes:
    """PyTorch's latencies; of the compiled module None, and why, where it could not be compiled."""

    eager: LatencyResult
    compiled: LatencyResult | None
    note: str


@dataclass(frozen=True, slots=True)
class TorchRun:
    """How the module is to be run.

    Attributes:
        place: PyTorch's name of the device, ``cpu`` or ``cuda``.
        device: what it is called in the result.
        threads: that one operator may use.
    """

    place: str
    device: str
    threads: int
    warmup: int
    runs: int


def time_module(module: nn.Module, inputs: Mapping[str, np.ndarray], how: TorchRun) -> TorchTimes:
    """Time the module on inputs given in the order of ``forward``, which are copied to the device before.

    Raises:
        ToolError: this PyTorch has no such device.
    """
    import torch

    if how.place == "cuda" and not torch.cuda.is_available():
        raise ToolError("--against torch: this PyTorch sees no CUDA device; install a build of it that does")
    module = module.to(how.place)
    tensors = [as_tensor(value).to(how.place) for value in inputs.values()]
    with _threads(how.threads), torch.inference_mode():
        eager = _timed(lambda: module(*tensors), how)
        try:
            compiled = torch.compile(module)
            return TorchTimes(eager, _timed(lambda: compiled(*tensors), how), "")
        except Exception as error:  # of any of the many parts of the compiler, or the system's own
            told = " ".join(str(error).split())[:SHOWN_REASON]
            note = f"torch.compile did not work here: {type(error).__name__}: {told}"
            return TorchTimes(eager, None, note)


def _timed(call: Callable[[], object], how: TorchRun) -> LatencyResult:
    import torch

    def done() -> None:
        call()
        if how.place == "cuda":
            torch.cuda.synchronize()

    return time_calls(done, warmup=max(1, how.warmup), runs=how.runs, provider="torch", device=how.device)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """PyTorch with ``count`` threads to an operator, and as before afterwards."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
