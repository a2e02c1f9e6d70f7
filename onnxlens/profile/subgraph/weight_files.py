"""The weights of an extracted model: in its own file, in a data file next to it, or left out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, external_data_helper

from onnxlens.errors import CheckpointError
from onnxlens.profile.graph.loading.external import with_length
from onnxlens.profile.graph.loading.protobuf import all_graphs
from onnxlens.profile.graph.loading.value_types import tensor_type
from onnxlens.specs.graph import WeightSource
from onnxlens.specs.tensor import storage_bytes

ONE_FILE_BYTES = 2**31 - 2**20
"""The size limit of a protobuf file, less some room for the nodes."""

ALIGNMENT_BYTES = 4096
"""A page: for memory mapping, and as ONNX's external data format recommends for large tensors."""

GRAPH = onnx.ModelProto.DESCRIPTOR.fields_by_name["graph"].number
INITIALIZER = onnx.GraphProto.DESCRIPTOR.fields_by_name["initializer"].number
"""Field numbers in the protobuf messages."""

Read = Callable[[TensorProto], bytes]
"""Returns the values of a tensor, as a file stores them."""


def tensors_of(model: onnx.ModelProto) -> Iterator[TensorProto]:
    """All initializers, including those of the graphs inside nodes; of sparse ones the values."""
    for _, graph in all_graphs(model.graph):
        yield from graph.initializer
        yield from (sparse.values for sparse in graph.sparse_initializer)


def weight_bytes(model: onnx.ModelProto, weights: Collection[str]) -> int:
    """The bytes of the initializers among ``weights``, wherever they are stored."""
    return sum(_size(tensor) for tensor in tensors_of(model) if tensor.name in weights)


def stored_bytes(model: onnx.ModelProto) -> int:
    """The bytes of the model with all external values in it."""
    return model.ByteSize() + sum(map(_size, filter(is_external, tensors_of(model))))


def _size(tensor: TensorProto) -> int:
    kind = tensor_type(tensor)
    return storage_bytes(kind.dtype or "", kind.elements or 0) or len(tensor.raw_data)


def is_external(tensor: TensorProto) -> bool:
    """Whether the values are in another file."""
    return tensor.data_location == TensorProto.EXTERNAL


def data_files(model: onnx.ModelProto) -> set[str]:
    """The names of the files with its external weights, relative to its own folder."""
    return {
        entry.value
        for tensor in filter(is_external, tensors_of(model))
        for entry in tensor.external_data
        if entry.key == "location"
    }


def from_folder(folder: Path) -> Read:
    """Read external values from the data files in a folder."""

    def read(tensor: TensorProto) -> bytes:
        held = with_length(tensor)
        try:
            external_data_helper.load_external_data_for_tensor(held, str(folder))
        except Exception as error:  # a missing file and a truncated one are different classes
            raise CheckpointError(
                f"{tensor.name}: its values cannot be read ({str(error).splitlines()[0]}); "
                "put its data file beside it; to extract a module without weights give --weights none"
            ) from error
        return _complete(tensor, held.raw_data)

    return read


def from_source(source: WeightSource) -> Read:
    """Read values from a weight source, by name."""
    return lambda tensor: _complete(tensor, np.ascontiguousarray(source.read(tensor.name)).tobytes())


def _complete(tensor: TensorProto, values: bytes) -> bytes:
    """The values, whose size must be that of the tensor's type and shape."""
    if len(values) != _size(tensor):
        raise CheckpointError(
            f"{tensor.name}: its values are {len(values)} bytes, its type and shape want {_size(tensor)}; "
            "is the data file another graph's? export again"
        )
    return values


def write_with_weights(model: onnx.ModelProto, path: Path, data_path: Path, read: Read) -> None:
    """Write the model with its weights: into its own file, or into a data file if that would be too large.

    Consumes the model. Of external values, one tensor at a time is in memory.

    Raises:
        CheckpointError: a weight cannot be read.
    """
    if stored_bytes(model) > ONE_FILE_BYTES:
        _write_data_file(model, data_path, read)
        path.write_bytes(model.SerializeToString())
        return
    weights = _pop_external(model.graph)
    for tensor in filter(is_external, tensors_of(model)):  # sparse, or in a graph inside a node
        tensor.CopyFrom(bare(tensor, read(tensor)))
    _write_streamed(model, path, [(tensor, _size(tensor)) for tensor in weights], read)


def _pop_external(graph: onnx.GraphProto) -> Sequence[TensorProto]:
    """Remove the external initializers from the graph and return them."""
    tensors = []
    for index in reversed(range(len(graph.initializer))):
        if is_external(graph.initializer[index]):
            tensors.append(graph.initializer.pop(index))
    return tensors[::-1]


def _write_data_file(model: onnx.ModelProto, data_path: Path, read: Read) -> None:
    with data_path.open("wb") as file:
        for tensor in tensors_of(model):
            values = read(tensor) if is_external(tensor) else tensor.raw_data
            if len(values) >= ALIGNMENT_BYTES:  # small tensors, and those stored in other fields, stay inside
                offset = -(-file.tell() // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
                file.seek(offset)
                file.write(values)
                _point(tensor, data_path.name, offset, len(values))
            elif is_external(tensor):
                tensor.CopyFrom(bare(tensor, values))


def write_without_weights(
    model: onnx.ModelProto, path: Path, data_path: Path, weights: Collection[str]
) -> None:
    """Write the model alone: external tensors and ``weights`` refer to a data file that is not written.

    Changes the model.
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


def _write_streamed(
    model: onnx.ModelProto, path: Path, weights: Sequence[tuple[TensorProto, int]], read: Read
) -> None:
    """Write the model with additional initializers, one after another: one of them is in memory at a time.

    A protobuf message keeps all that was ever assigned to it, so the file is written field by field. Fields
    may be in any order. A nested message comes after its length, which follows from the size of each weight's
    values in bytes. Consumes the model.
    """
    graph = model.graph.SerializeToString()
    model.ClearField("graph")
    lengths = [_length(tensor, size) for tensor, size in weights]
    within = sum(len(_opened(INITIALIZER, length)) + length for length in lengths)
    with path.open("wb") as file:
        file.write(model.SerializeToString())
        file.write(_opened(GRAPH, len(graph) + within))
        file.write(graph)
        for (tensor, _), length in zip(weights, lengths, strict=True):
            file.write(_opened(INITIALIZER, length))
            file.write(bare(tensor, read(tensor)).SerializeToString())


def bare(tensor: TensorProto, values: bytes | None = None) -> TensorProto:
    """A tensor of the same name, type and shape, with these values or none."""
    copy = TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
    if values is not None:
        copy.raw_data = values
    return copy


def _length(tensor: TensorProto, size: int) -> int:
    """The length of the tensor's message with values of that size."""
    empty = bare(tensor, b"").ByteSize() - len(_varint(0))
    return empty + len(_varint(size)) + size


def _opened(field: int, length: int) -> bytes:
    """The header of a length-delimited field: its number and wire type (2), and its length."""
    return _varint(field << 3 | 2) + _varint(length)


def _varint(number: int) -> bytes:
    """Protobuf's variable-length integer: seven bits per byte, lowest first; the eighth continues it."""
    digits = bytearray()
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*digits, number))
