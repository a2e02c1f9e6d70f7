"""No weights at all: names, dtypes and shapes, which is all that counting needs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from onnxlens.errors import CheckpointError
from onnxlens.specs.tensor import TensorSpec


class AbsentWeights:
    """A weight source without values."""

    label = "none"
    has_values = False

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
