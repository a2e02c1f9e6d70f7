"""Where the weights of a model stand that was cut out of another: in its own file, beside it, or nowhere."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, external_data_helper

from onnxlens.errors import CheckpointError
from onnxlens.profile.loading.value_types import all_graphs, tensor_type
from onnxlens.specs.graph import WeightSource
from onnxlens.specs.tensor import storage_bytes

ONE_FILE_BYTES = 2**31 - 2**20
"""What a protobuf file may hold, less some room for the nodes."""

ALIGNMENT_BYTES = 4096
"""A page: what memory mapping wants, and what ONNX's external data format recommends for large tensors."""

Fill = Callable[[TensorProto], None]
"""Gives a tensor its values, in place."""


def tensors_of(model: onnx.ModelProto) -> Iterator[TensorProto]:
    """All initializers, those of the graphs inside its nodes among them; of sparse ones the values."""
    for _, graph in all_graphs(model.graph):
        yield from graph.initializer
        yield from (sparse.values for sparse in graph.sparse_initializer)


def weight_bytes(model: onnx.ModelProto, weights: Collection[str]) -> int:
    """What the initializers among ``weights`` take, wherever they stand."""
    return sum(_size(tensor) for tensor in tensors_of(model) if tensor.name in weights)


def _size(tensor: TensorProto) -> int:
    kind = tensor_type(tensor)
    return storage_bytes(kind.dtype or "", kind.elements or 0) or len(tensor.raw_data)


def is_external(tensor: TensorProto) -> bool:
    """Whether the values stand in another file."""
    return tensor.data_location == TensorProto.EXTERNAL


def from_folder(folder: Path) -> Fill:
    """Read what a tensor points at from the data files there, one tensor at a time."""

    def fill(tensor: TensorProto) -> None:
        try:
            external_data_helper.load_external_data_for_tensor(tensor, str(folder))
        except Exception as error:  # a missing file is another class than one that is cut short
            raise CheckpointError(
                f"{tensor.name}: its values cannot be read ({str(error).splitlines()[0]}); "
                "--weights none goes without them"
            ) from error

    return fill


def from_source(source: WeightSource) -> Fill:
    """Take values from a weight source, by name."""

    def fill(tensor: TensorProto) -> None:
        tensor.raw_data = np.ascontiguousarray(source.read(tensor.name)).tobytes()
        tensor.data_location = TensorProto.DEFAULT
        del tensor.external_data[:]

    return fill


def write_with_weights(model: onnx.ModelProto, path: Path, data_path: Path, fill: Fill) -> None:
    """Write the model with its weights: into its own file, or one beside it where that has not the room.

    The model is changed on the way. One tensor at a time is in memory where they stand beside.

    Raises:
        CheckpointError: a weight cannot be read.
    """
    outside = list(filter(is_external, tensors_of(model)))
    if sum(map(_size, outside)) + model.ByteSize() <= ONE_FILE_BYTES:
        for tensor in outside:
            fill(tensor)
    else:
        _write_beside(model, data_path, fill)
    path.write_bytes(model.SerializeToString())


def _write_beside(model: onnx.ModelProto, data_path: Path, fill: Fill) -> None:
    with data_path.open("wb") as file:
        for tensor in tensors_of(model):
            if is_external(tensor):
                fill(tensor)
            if len(tensor.raw_data) >= ALIGNMENT_BYTES:  # what is small, or stored otherwise, stays inside
                offset = -(-file.tell() // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
                file.seek(offset)
                file.write(tensor.raw_data)
                _point(tensor, data_path.name, offset, len(tensor.raw_data))


def write_without_weights(
    model: onnx.ModelProto, path: Path, data_path: Path, weights: Collection[str]
) -> None:
    """Write the model alone: what is external or among ``weights`` points at a data file that is not there.

    The model is changed on the way.
    """
    offset = 0
    for tensor in tensors_of(model):
        if is_external(tensor) or tensor.name in weights:
            size = _size(tensor)
            _point(tensor, data_path.name, offset, size)
            offset += -(-size // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
    path.write_bytes(model.SerializeToString())


def _point(tensor: TensorProto, location: str, offset: int, length: int) -> None:
    bare = TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
    bare.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        bare.external_data.add(key=key, value=str(value))
    tensor.CopyFrom(bare)
