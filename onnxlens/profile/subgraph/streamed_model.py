"""A model's file written one weight after another: a protobuf message holds all that it was ever given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import onnx
from onnx import TensorProto

GRAPH = onnx.ModelProto.DESCRIPTOR.fields_by_name["graph"].number
INITIALIZER = onnx.GraphProto.DESCRIPTOR.fields_by_name["initializer"].number


def write_streamed(
    model: onnx.ModelProto,
    path: Path,
    weights: Sequence[tuple[TensorProto, int]],
    read: Callable[[TensorProto], bytes],
) -> None:
    """Write the model with more initializers; the largest of them is all that is in memory at once.

    A message's fields may stand in any order, and one that holds others is its length and theirs. Lengths
    come before what they measure, so they are worked out from the sizes.

    Args:
        model: without the weights; its graph is taken out of it.
        path: of the file.
        weights: tensors without values, and the bytes that each of them takes.
        read: gives a tensor's values, of just that size.
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
    """The tensor's name, type and shape, with these values or none."""
    copy = TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
    if values is not None:
        copy.raw_data = values
    return copy


def _length(tensor: TensorProto, size: int) -> int:
    """Of the tensor's message once it has its values: those of none make it a field longer by their size."""
    empty = bare(tensor, b"").ByteSize() - len(_varint(0))
    return empty + len(_varint(size)) + size


def _opened(field: int, length: int) -> bytes:
    """What stands before a field of bytes: its number, its kind (2), and its length."""
    return _varint(field << 3 | 2) + _varint(length)


def _varint(number: int) -> bytes:
    """Seven bits to a byte, lowest first; all but the last byte have the eighth bit."""
    digits = bytearray()
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*digits, number))
