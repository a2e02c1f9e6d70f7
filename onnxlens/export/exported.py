"""An export read back: whether its files belong together, and its weights."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import numpy as np
import onnx_ir as ir

from onnxlens.errors import CheckpointError, GraphError
from onnxlens.export.external_data import PART_BYTES
from onnxlens.specs.graph import GraphSpec
from onnxlens.specs.manifest import ExportedGraph, data_path_of
from onnxlens.specs.tensor import HALVES, TensorSpec, numpy_type


def data_digest(onnx_path: Path) -> str | None:
    """The digest of the data file beside the graph, see ``DataDigest``; None if there is none."""
    path = data_path_of(onnx_path)
    if not path.is_file():
        return None

    def of_part(offset: int) -> bytes:
        with path.open("rb") as file:
            file.seek(offset)
            return sha256(file.read(PART_BYTES)).digest()

    with ThreadPoolExecutor() as pool:
        return sha256(b"".join(pool.map(of_part, range(0, path.stat().st_size, PART_BYTES)))).hexdigest()


def require_own_data(exported: ExportedGraph) -> None:
    """Check that the data file, if it is there, is the one that the manifest was written with.

    Raises:
        GraphError: it is another, such as after an export that was killed.
    """
    expected = exported.manifest.data_digest
    if expected and data_digest(exported.onnx_path) not in (None, expected):
        raise GraphError(
            f"{exported.data_path}: is not the file that {exported.manifest_path.name} was written with; "
            "export again"
        )


def require_same_network(exported: ExportedGraph, spec: GraphSpec) -> None:
    """Check that a network takes and returns what the file does; of an extracted module nothing is known yet.

    Nor is anything of outputs that the network does not declare.

    Raises:
        GraphError: it does not.
    """
    manifest = exported.manifest
    own = (spec.inputs, spec.outputs or manifest.outputs)
    if manifest.cut is None and own != (manifest.inputs, manifest.outputs):
        raise _other_network(exported, spec.name, "takes or returns other tensors")


def require_same_state(exported: ExportedGraph, name: str, state: Mapping[str, TensorSpec]) -> None:
    """Check that a network has the parameters and buffers that the manifest lists, before they are read.

    Args:
        exported: the file; one that holds an extracted module lists that module's alone.
        name: of the network.
        state: name, dtype and shape of every entry of the network's ``state_dict``.

    Raises:
        GraphError: an entry is another.
    """
    listed = {tensor.name: (tensor.dtype, tensor.shape) for tensor in exported.manifest.tensors}
    own = {entry: (tensor.dtype, tensor.shape) for entry, tensor in state.items()}
    others = listed.keys() - own.keys() if exported.manifest.cut else listed.keys() ^ own.keys()
    wrong = sorted(others) or [entry for entry in listed if listed[entry] != own[entry]]
    if wrong:
        raise _other_network(exported, name, f"has another {wrong[0]}")


def _other_network(exported: ExportedGraph, name: str, how: str) -> GraphError:
    return GraphError(
        f"{exported.onnx_path}: {name} {how} than its manifest {exported.manifest_path.name} lists; "
        "export it again"
    )


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
