"""Running a language model's phases in ONNX Runtime: the caches that it returns are its next inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from time import perf_counter

import numpy as np
import onnxruntime as ort

from onnxlens.errors import GraphError
from onnxlens.profile.graph.phase_axes import PhaseAxes, Size
from onnxlens.profile.runtime.session import reason
from onnxlens.profile.runtime.values import from_runtime, to_runtime
from onnxlens.specs.phases import CacheInput

CHUNK = 512
"""So many tokens at once fill a cache."""

WARM_UPS = 1

Caches = Mapping[str, ort.OrtValue]
"""By the name of the input."""

Inputs = Callable[[Size], Mapping[str, np.ndarray]]
"""Values for all inputs at a size."""


class PhaseRunner:
    """One session, run at one size after the other."""

    def __init__(
        self, session: ort.InferenceSession, axes: PhaseAxes, caches: Sequence[CacheInput], inputs: Inputs
    ) -> None:
        """``inputs`` gives values for all inputs at a size; caches begin as zeros in their shapes."""
        self._session, self._axes, self._caches, self._inputs = session, axes, caches, inputs
        self._names = [output.name for output in session.get_outputs()]
        self._takes = {value.name for value in session.get_inputs()}

    def timed(self, size: Size, runs: int) -> tuple[int, Sequence[float]]:
        """The warm-ups, and the seconds of each run after them.

        A prompt is read again and again; a step goes on from what the one before it returned, so that the
        context grows by one token with each.
        """
        if size.tokens > 1 or not size.past:
            held, seconds = self._empty(size), []
            for _ in range(WARM_UPS + runs):
                seconds.append(self._run(size, held)[0])
            return WARM_UPS, seconds[WARM_UPS:]
        held = self._filled(size)
        seconds = []
        for step in range(WARM_UPS + runs):
            now = Size(size.batch, 1, max(size.past - WARM_UPS, 0) + step)
            took, held = self._run(now, held)
            seconds.append(took)
        return WARM_UPS, seconds[WARM_UPS:]

    def _empty(self, size: Size) -> Caches:
        """The caches before anything was read: no rows, or zeros."""
        values = self._inputs(Size(size.batch, size.tokens, 0))
        return {
            cache.tensor.name: to_runtime(np.zeros_like(values[cache.tensor.name])) for cache in self._caches
        }

    def _filled(self, size: Size) -> Caches:
        """The caches that the model itself makes of as many tokens as precede the warm-ups.

        One sequence is read, in chunks, and its caches are repeated: ONNX Runtime's attention adds several
        tokens to a past one sequence at a time.
        """
        length, past = max(size.past - WARM_UPS, 0), 0
        batch = 1 if self._axes.batch != size.batch else size.batch
        held = self._empty(Size(batch, 1, 0))
        while past < length:
            chunk = Size(batch, min(CHUNK, length - past) if batch == 1 else length, past)
            held, past = self._run(chunk, held)[1], past + chunk.tokens
        return held if batch == size.batch else self._repeated(held, size.batch)

    def _repeated(self, held: Caches, times: int) -> Caches:
        """The caches of as many equal sequences."""
        return {
            cache.tensor.name: to_runtime(
                np.repeat(from_runtime(cache.tensor.name, held[cache.tensor.name]), times, cache.batch_axis)
            )
            for cache in self._caches
        }

    def _run(self, size: Size, held: Caches) -> tuple[float, Caches]:
        """The seconds of one run, and the caches after it."""
        binding = self._session.io_binding()
        try:
            for name, array in self._inputs(size).items():
                if name in self._takes:
                    binding.bind_ortvalue_input(name, held[name] if name in held else to_runtime(array))
            for name in self._names:
                binding.bind_output(name, "cpu")
            start = perf_counter()
            self._session.run_with_iobinding(binding)
            seconds = perf_counter() - start
        except Exception as error:  # each onnxruntime error class derives from Exception directly
            raise GraphError(f"ONNX Runtime could not run the graph: {reason(error)}") from error
        made = dict(zip(self._names, binding.get_outputs(), strict=True))
        return seconds, {
            cache.tensor.name: made[cache.output] if cache.output else held[cache.tensor.name]
            for cache in self._caches
        }
