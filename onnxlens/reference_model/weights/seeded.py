"""The two weight sources that need no file: seeded values, and none at all.

Seeded values come from a generator that is keyed by the tensor's published name. The same name and shape
give the same values on every machine, in any order and on any number of threads. The
scale is the fan-in's, so activations stay of order 1; zero convolutions are filled like any other, because a
ControlNet whose zero convolutions are zero has an all-zero output, and a comparison of zeros compares
nothing.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from math import prod, sqrt

import numpy as np
from numpy.typing import NDArray

from onnxlens.errors import CheckpointError
from onnxlens.specs.tensor import TensorSpec, numpy_type

DRAWN_AT_ONCE = 2**15
"""Values drawn in one go: so few stay in a core's cache, which makes large tensors 3 times faster."""


def seeded_tensor(key: str, shape: tuple[int, ...]) -> np.ndarray:
    """The values of the checkpoint entry ``key``: float32, or int64 for the two kinds of integer entry.

    Args:
        key: the name in the published checkpoint, its prefix included.
        shape: of the entry.
    """
    leaf = key.rpartition(".")[2]
    if leaf == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    if leaf == "position_ids":
        return np.arange(prod(shape), dtype=np.int64).reshape(shape)
    values = np.empty(shape, np.float32)
    generator = np.random.default_rng(zlib.crc32(key.encode()))
    flat = values.reshape(-1)
    for start in range(0, flat.size, DRAWN_AT_ONCE):
        part = flat[start : start + DRAWN_AT_ONCE]
        part[:] = _scaled(leaf, shape, generator.standard_normal(part.size))
    return values


def _scaled(leaf: str, shape: tuple[int, ...], drawn: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standard normal values brought to the spread that an entry of this kind has in a trained network."""
    if leaf == "weight" and len(shape) >= 2:
        return drawn / sqrt(prod(shape[1:]))
    if leaf == "weight":
        return 1 + 0.1 * drawn
    if leaf in ("bias", "running_mean"):
        return 0.02 * drawn
    if leaf == "running_var":
        return 1 + 0.1 * np.abs(drawn)
    return 0.1 * drawn


class SeededWeights:
    """A weight source that draws each tensor when it is read and keeps none."""

    label = "seeded"

    def __init__(self, tensors: Mapping[str, TensorSpec], prefix: str = "") -> None:
        """Draw for ``tensors``.

        Args:
            tensors: the module's ``state_dict``, by key.
            prefix: what the published checkpoint puts before each key; the generator is keyed by both.
        """
        self.tensors = tensors
        self._prefix = prefix

    def read(self, name: str) -> np.ndarray:
        """The values of one entry, in its dtype: of a half type, the float32 values rounded."""
        tensor = self.tensors[name]
        sizes = tuple(dim for dim in tensor.shape if isinstance(dim, int))
        return seeded_tensor(self._prefix + name, sizes).astype(numpy_type(tensor.dtype), copy=False)


class AbsentWeights:
    """A weight source without values: names, dtypes and shapes, which is all that counting needs."""

    label = "none"

    def __init__(self, tensors: Mapping[str, TensorSpec]) -> None:
        """Name ``tensors``, the module's ``state_dict`` by key."""
        self.tensors = tensors

    def read(self, name: str) -> np.ndarray:
        """Never gives a value.

        Raises:
            CheckpointError: always.
        """
        raise CheckpointError(
            f"{name} has no value: the graph is weightless; choose --weights seeded or a checkpoint"
        )
