"""Sample inputs: random values that depend on nothing but names, shapes, types and ranges."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from onnxlens.errors import UsageError
from onnxlens.specs.tensor import TensorSpec, numpy_type


def sample_inputs(
    inputs: Sequence[TensorSpec], ranges: Mapping[str, tuple[float, float]], draw: int = 0
) -> Mapping[str, np.ndarray]:
    """Uniform values for every input: integers from low to high inclusive, floats from low to high.

    ``ranges`` has low and high by the input's name, -1 and 1 by default. Each sample, of number ``draw``, has
    other values.

    Raises:
        UsageError: a shape has a dynamic dimension, or a type is not numeric.
    """
    return {tensor.name: _sample(tensor, *ranges.get(tensor.name, (-1.0, 1.0)), draw) for tensor in inputs}


def save_inputs(inputs: Mapping[str, np.ndarray], path: Path) -> None:
    """Write the inputs to an ``.npz``, so that a run can be repeated elsewhere."""
    arrays: dict[str, Any] = dict(inputs)
    np.savez(path, **arrays)


def _sample(tensor: TensorSpec, low: float, high: float, draw: int) -> np.ndarray:
    sizes = tuple(dim for dim in tensor.shape if isinstance(dim, int))
    if len(sizes) != len(tensor.shape):
        raise UsageError(
            f"input {tensor.name!r} has shape {tensor.shape_text()}; fix it with --shape or --dim"
        )
    try:
        dtype = numpy_type(tensor.dtype)
    except TypeError as error:
        raise UsageError(f"input {tensor.name!r} is {tensor.dtype}, a type without sample values") from error
    named = f"input:{tensor.name}:{draw}" if draw else f"input:{tensor.name}"
    generator = np.random.default_rng(zlib.crc32(named.encode()))
    if dtype.kind in "iu":
        return np.asarray(generator.integers(int(low), int(high), sizes, endpoint=True), dtype)
    if dtype.kind == "b":
        return np.asarray(generator.random(sizes) < 0.5)
    return np.asarray(low + (high - low) * generator.random(sizes), dtype)  # of a scalar, an array too
