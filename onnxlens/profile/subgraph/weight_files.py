"""Where the weights of a model stand that was cut out of another: in its own file, beside it, or nowhere."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, external_data_helper

from onnxlens.errors import CheckpointError
from onnxlens.profile.graph.loading.protobuf import all_graphs
from onnxlens.profile.graph.loading.value_types import tensor_type
from onnxlens.profile.subgraph.streamed_model import bare, write_streamed
from onnxlens.specs.graph import WeightSource
from onnxlens.specs.tensor import storage_bytes

ONE_FILE_BYTES = 2**31 - 2**20
"""What a protobuf file may hold, less some room for the nodes."""

ALIGNMENT_BYTES = 4096
"""A page: what memory mapping wants, and what ONNX's external data format recommends for large tensors."""

Read = Callable[[TensorProto], bytes]
"""Gives the values of a tensor, as they stand in a file."""


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


def data_files(model: onnx.ModelProto) -> set[str]:
    """The names of the files that its external weights stand in, from its own folder."""
    return {
        entry.value
        for tensor in filter(is_external, tensors_of(model))
        for entry in tensor.external_data
        if entry.key == "location"
    }


def from_folder(folder: Path) -> Read:
    """Read what a tensor points at from the data files there."""

    def read(tensor: TensorProto) -> bytes:
        held = TensorProto()
        held.CopyFrom(tensor)
        try:
            external_data_helper.load_external_data_for_tensor(held, str(folder))
        except Exception as error:  # a missing file is another class than one that is cut short
            raise CheckpointError(
                f"{tensor.name}: its values cannot be read ({str(error).splitlines()[0]}); "
                "--weights none goes without them"
            ) from error
        return _complete(tensor, held.raw_data)

    return read


def from_source(source: WeightSource) -> Read:
    """Take values from a weight source, by name."""
    return lambda tensor: _complete(tensor, np.ascontiguousarray(source.read(tensor.name)).tobytes())


def _complete(tensor: TensorProto, values: bytes) -> bytes:
    """The values, if they are as many as the tensor's type and shape want.

    Raises:
        CheckpointError: they are more or fewer.
    """
    if len(values) != _size(tensor):
        raise CheckpointError(
            f"{tensor.name}: its values are {len(values)} bytes, its type and shape want {_size(tensor)}; "
            "is the data file another graph's? export again"
        )
    return values


def write_with_weights(model: onnx.ModelProto, path: Path, data_path: Path, read: Read) -> None:
    """Write the model with its weights: into its own file, or one beside it where that has not the room.

    The model is used up by it. Of what stands in data files, one tensor at a time is in memory.

    Raises:
        CheckpointError: a weight cannot be read.
    """
    outside = list(filter(is_external, tensors_of(model)))
    if sum(map(_size, outside)) + model.ByteSize() > ONE_FILE_BYTES:
        _write_beside(model, data_path, read)
        path.write_bytes(model.SerializeToString())
        return
    weights = _taken_out(model.graph)
    for tensor in filter(is_external, tensors_of(model)):  # sparse, or of a graph inside a node
        tensor.CopyFrom(bare(tensor, read(tensor)))
    write_streamed(model, path, [(tensor, _size(tensor)) for tensor in weights], read)


def _taken_out(graph: onnx.GraphProto) -> Sequence[TensorProto]:
    """The external initializers of the graph, which are no more in it."""
    tensors = []
    for place in reversed(range(len(graph.initializer))):
        if is_external(graph.initializer[place]):
            tensor = TensorProto()
            tensor.CopyFrom(graph.initializer[place])
            tensors.append(tensor)
            del graph.initializer[place]
    return tensors[::-1]


def _write_beside(model: onnx.ModelProto, data_path: Path, read: Read) -> None:
    with data_path.open("wb") as file:
        for tensor in tensors_of(model):
            values = read(tensor) if is_external(tensor) else tensor.raw_data
            if len(values) >= ALIGNMENT_BYTES:  # what is small, or stored otherwise, stays inside
                offset = -(-file.tell() // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
                file.seek(offset)
                file.write(values)
                _point(tensor, data_path.name, offset, len(values))
            elif is_external(tensor):
                tensor.CopyFrom(bare(tensor, values))


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
    pointing = bare(tensor)
    pointing.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        pointing.external_data.add(key=key, value=str(value))
    tensor.CopyFrom(pointing)
