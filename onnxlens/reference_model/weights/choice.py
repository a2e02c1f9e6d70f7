"""Which weights a module gets: none, seeded ones, or those of a checkpoint.

Seeded values come from a generator that is keyed by the tensor's published name. The same name and shape
give the same values on every machine, in any order and on any number of threads. The scale is the fan-in's,
so activations stay of order 1; zero convolutions are filled like any other, because a ControlNet whose zero
convolutions are zero has an all-zero output, and a comparison of zeros compares nothing.
"""

from __future__ import annotations

import zlib
from math import prod, sqrt
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from onnxlens.errors import CheckpointError
from onnxlens.reference_model import catalog
from onnxlens.reference_model.weights.checkpoint import STRICT, CheckpointReading, CheckpointWeights
from onnxlens.specs.module_state import ModuleState
from onnxlens.specs.tensor import as_array, is_floating, numpy_type

if TYPE_CHECKING:
    from onnxlens.specs.graph import GraphSpec, WeightSource

DRAWN_AT_ONCE = 2**15
"""Values drawn in one go: so few stay in a core's cache, which makes large tensors 3 times faster."""


INTEGER_ENTRIES = ("num_batches_tracked", "position_ids")
"""The integers of published checkpoints, whose values are the same in all."""


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
    flat, room = values.reshape(-1), np.empty(min(DRAWN_AT_ONCE, values.size))
    for start in range(0, flat.size, DRAWN_AT_ONCE):
        part = flat[start : start + DRAWN_AT_ONCE]
        drawn = room[: part.size]
        generator.standard_normal(out=drawn)
        _scale(leaf, shape, drawn)
        part[:] = drawn
    return values


def _scale(leaf: str, shape: tuple[int, ...], drawn: NDArray[np.float64]) -> None:
    """Bring standard normal values to the spread that an entry of this kind has in a trained network."""
    if leaf == "weight" and len(shape) >= 2:
        drawn /= sqrt(prod(shape[1:]))
        return
    if leaf == "running_var":
        np.abs(drawn, out=drawn)
    drawn *= 0.02 if leaf in ("bias", "running_mean") else 0.1
    if leaf in ("weight", "running_var"):
        drawn += 1


class SeededWeights:
    """A weight source that draws each parameter and running statistic when it is read and keeps none.

    What the module computed for itself keeps its values.
    """

    label = "seeded"

    def __init__(self, state: ModuleState, prefix: str = "") -> None:
        """Draw for the entries of ``state``.

        Args:
            state: of the module's ``state_dict``.
            prefix: what the published checkpoint puts before each key; the generator is keyed by both.
        """
        self.tensors = state.tensors
        self._computed = state.computed
        self._prefix = prefix

    def read(self, name: str) -> np.ndarray:
        """The values of one entry, in its dtype: of a half type, the float32 values rounded.

        Raises:
            CheckpointError: it is a table, and what the module computes there is not known.
        """
        if name in self._computed:
            return as_array(self._computed[name])
        tensor = self.tensors[name]
        sizes = tuple(dim for dim in tensor.shape if isinstance(dim, int))
        kind = numpy_type(tensor.dtype)
        if not (is_floating(tensor.dtype) or kind.kind == "c" or name.endswith(INTEGER_ENTRIES)):
            raise CheckpointError(
                f"{name}: a table of {tensor.dtype} that the factory makes on the meta device, without "
                "values; make it on the CPU, or give a checkpoint"
            )
        if kind.kind != "c":
            return seeded_tensor(self._prefix + name, sizes).astype(kind, copy=False)
        parts = [seeded_tensor(f"{part}:{self._prefix}{name}", sizes) for part in ("real", "imaginary")]
        return (parts[0] + 1j * parts[1]).astype(kind)


def weight_source(
    spec: GraphSpec, weights: str | Path, state: ModuleState, reading: CheckpointReading = STRICT
) -> WeightSource:
    """The source that ``weights`` means for the module of a graph.

    Args:
        spec: of the graph.
        weights: ``seeded``, or a checkpoint's path.
        state: of the module's ``state_dict``.
        reading: how a checkpoint's keys are the module's.

    Raises:
        CheckpointError: the checkpoint is unreadable or belongs to another network.
    """
    if weights == "seeded":
        return SeededWeights(state, spec.checkpoint.prefix)
    return CheckpointWeights(Path(weights), spec.name, state, spec.checkpoint, reading)


def published_weights(weights: str | Path, graph: str) -> str | Path:
    """What ``weights`` means for one graph: itself, or in a folder the graph's published checkpoint.

    Raises:
        CheckpointError: it is a folder, and the graph's checkpoint is not in it.
    """
    folder = Path(weights)
    if weights in ("seeded", "none") or not folder.is_dir():
        return weights
    expected = catalog.checkpoint_names(graph)
    present = [folder / name for name in expected if (folder / name).is_file()]
    if not present:
        raise CheckpointError(
            f"{folder}: holds no checkpoint of {graph}; put one of {', '.join(expected)} there"
        )
    return present[0]
