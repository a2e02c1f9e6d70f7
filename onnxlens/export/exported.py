"""The weights of an export, read back from its files."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from onnxlens.errors import CheckpointError
from onnxlens.specs.manifest import ExportedGraph
from onnxlens.specs.tensor import HALVES, TensorSpec, numpy_type


class ExportedWeights:
    """A weight source over the files of an export: what the graph runs with is what PyTorch is given."""

    def __init__(self, exported: ExportedGraph) -> None:
        """Open the export's weights; none is read yet.

        Raises:
            CheckpointError: the export is weightless, or its data file is missing.
        """
        if not exported.manifest.has_weights:
            raise CheckpointError(
                f"{exported.onnx_path}: exported with --weights none, so it cannot run; export with weights"
            )
        self.label = exported.manifest.weights
        self._data_path = exported.data_path
        self._initializers = ir.load(exported.onnx_path).graph.initializers
        apart = any(isinstance(value.const_value, ir.ExternalTensor) for value in self._initializers.values())
        if apart and not exported.data_path.is_file():
            raise CheckpointError(
                f"{exported.data_path}: no such file; it holds the weights of {exported.onnx_path.name}"
            )
        self.tensors: Mapping[str, TensorSpec] = {
            tensor.name: TensorSpec(tensor.name, tensor.dtype, tensor.shape)
            for tensor in exported.manifest.tensors
        }

    def read(self, name: str) -> np.ndarray:
        """The values of one entry; one that the forward pass never uses is not in the file: zeros."""
        if name not in self._initializers:
            spec = self.tensors[name]
            return np.zeros([int(size) for size in spec.shape], numpy_type(spec.dtype))
        values = self._initializers[name].const_value
        if values is None:
            raise CheckpointError(f"{name}: the graph names it and gives it no value")
        try:
            copy = np.array(values.numpy())
        except (OSError, ValueError) as error:
            raise CheckpointError(
                f"{self._data_path}: {name} cannot be read ({error}); is the file cut short? export again"
            ) from error
        if isinstance(values, ir.ExternalTensor):
            values.release()  # the mapped pages count as memory until then
        if self.tensors[name].dtype.startswith("complex"):
            copy = copy.view(numpy_type(self.tensors[name].dtype))[..., 0]  # from real and imaginary parts
        return copy


class MappedWeights(ExportedWeights):
    """The same values, mapped instead of read: memory that the system can take back at any time.

    Pages are private copies once they are written, so a module that changes its buffers changes no file.
    """

    def read(self, name: str) -> np.ndarray:
        """The values of one entry; a value that is not an array in the data file is read."""
        initializer = self._initializers.get(name)
        values = None if initializer is None else initializer.const_value
        parts = self.tensors[name].dtype.startswith("complex")
        if not isinstance(values, ir.ExternalTensor) or not values.size or not len(values.shape) or parts:
            return super().read(name)
        try:
            return np.memmap(
                self._data_path, values.dtype.numpy(), "c", values.offset or 0, values.shape.numpy()
            )
        except (OSError, ValueError) as error:
            raise CheckpointError(
                f"{self._data_path}: {name} cannot be read ({error}); is the file cut short? export again"
            ) from error


class WidenedWeights(MappedWeights):
    """The weights of an export in a half type: the same values in float32."""

    def read(self, name: str) -> np.ndarray:
        """The values of one entry."""
        return widened(super().read(name))


def widened(values: np.ndarray) -> np.ndarray:
    """The same values in float32, where they are of a half type."""
    return values.astype(np.float32) if values.dtype.name in HALVES else values
