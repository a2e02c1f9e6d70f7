"""Running a language model's phases in ONNX Runtime: the caches that it returns are its next inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from time import perf_counter

import numpy as np
import onnxruntime as ort

from onnxlens.errors import GraphError
from onnxlens.profile.graph.phase_axes import Size
from onnxlens.profile.runtime.session import reason
from onnxlens.profile.runtime.values import to_runtime
from onnxlens.specs.phases import CacheInput

CHUNK = 512
"""So many tokens at once fill a cache."""

WARM_UPS = 1

Inputs = Callable[[Size], Mapping[str, np.ndarray]]
"""Values for all inputs at a size."""


class PhaseRunner:
    """One session, run at one size after the other."""

    def __init__(self, session: ort.InferenceSession, caches: Sequence[CacheInput], inputs: Inputs) -> None:
        """``inputs`` gives values for all inputs at a size; those of caches are taken for an empty one."""
        self._session, self._caches, self._inputs = session, caches, inputs
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

    def _empty(self, size: Size) -> Mapping[str, ort.OrtValue]:
        """The caches before anything was read: no rows, or zeros."""
        values = self._inputs(Size(size.batch, size.tokens, 0))
        return {
            cache.tensor.name: to_runtime(np.zeros_like(values[cache.tensor.name])) for cache in self._caches
        }

    def _filled(self, size: Size) -> Mapping[str, ort.OrtValue]:
        """The caches that the model itself makes of as many tokens as precede the warm-ups."""
        length, past = max(size.past - WARM_UPS, 0), 0
        held: Mapping[str, ort.OrtValue] = {}
        while past < length:
            chunk = Size(size.batch, min(CHUNK, length - past), past)
            if not held:
                held = self._empty(chunk)
            held, past = self._run(chunk, held)[1], past + chunk.tokens
        return held or self._empty(Size(size.batch, 1, 0))

    def _run(self, size: Size, held: Mapping[str, ort.OrtValue]) -> tuple[float, Mapping[str, ort.OrtValue]]:
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
