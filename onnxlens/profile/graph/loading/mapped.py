"""A large file without the weights inside it: its protobuf is walked in mapped memory.

The numbers of fields and of wire types are those of onnx.proto and of Protocol Buffers' encoding.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import NamedTuple

from onnx import TensorProto

from onnxlens.profile.graph.loading.protobuf import MAX_CONSTANT_ELEMENTS

LARGE_FILE = 32 << 20
"""Bytes; a smaller file is parsed as it is, which is faster and takes little memory."""
LARGE_DATA = MAX_CONSTANT_ELEMENTS * 16
"""No constant that a counting rule may read has more bytes: elements have 16 at most."""

INSIDE: Mapping[str, Mapping[int, str]] = {
    "model": {7: "graph", 25: "function"},
    "function": {7: "node"},
    "graph": {1: "node", 5: "tensor", 15: "sparse tensor"},
    "node": {5: "attribute"},
    "attribute": {5: "value", 6: "graph", 11: "graph"},
    "sparse tensor": {1: "tensor", 2: "tensor"},
}
"""The fields of each message that can hold weights, and what they are."""
DATA = frozenset({4, 9, 10})
"""A tensor's float_data, raw_data and double_data: its elements as they are in external data."""
NAME, VALUE = 1, b"value"
"""The field of an attribute's name, and the name of that with a Constant's tensor."""
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""The wire types."""


def read_without_weights(path: Path) -> bytes:
    """The file's message; in that of a large file the data of large tensors is external, in the file itself.

    Raises:
        OSError: the file cannot be read.
    """
    if path.stat().st_size < LARGE_FILE:
        return path.read_bytes()
    try:
        with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as mapped:
            return b"".join(_without_data(mapped, 0, len(mapped), "model", path.name))
    except (
        IndexError,
        KeyError,
        ValueError,
        RecursionError,
    ):  # not the encoding: the parser says what is wrong
        return path.read_bytes()


class _Field(NamedTuple):
    """A field: where its tag, its content and the next field begin."""

    number: int
    wire_type: int
    start: int
    content: int
    end: int


def _without_data(held: mmap, start: int, end: int, kind: str, file: str) -> Iterator[bytes]:
    """The pieces of a message without the data of large tensors."""
    kept = start
    is_value = False
    for field in _fields(held, start, end):
        size = field.end - field.content
        if kind == "attribute" and field.number == NAME:
            is_value = held[field.content : field.end] == VALUE
        if size <= LARGE_DATA or field.wire_type != BYTES:
            continue
        inside = INSIDE.get(kind, {}).get(field.number, "")
        if kind == "tensor" and field.number in DATA:
            external = TensorProto(data_location=TensorProto.EXTERNAL)
            for key, value in ("location", file), ("offset", field.content), ("length", size):
                external.external_data.add(key=key, value=str(value))
            yield held[kept : field.start]
            yield external.SerializeToString()
        elif inside and (inside != "value" or is_value):
            yield held[kept : field.start]
            inside = "tensor" if inside == "value" else inside
            message = b"".join(_without_data(held, field.content, field.end, inside, file))
            yield _varint(field.number << 3 | BYTES) + _varint(len(message)) + message
        else:
            continue
        kept = field.end
    yield held[kept:end]


def _fields(held: mmap, start: int, end: int) -> Iterator[_Field]:
    """The fields of a message.

    Raises:
        IndexError, KeyError, ValueError: it is none.
    """
    while start < end:
        tag, content = _number(held, start)
        wire_type = tag & 7
        if wire_type == VARINT:
            after = _number(held, content)[1]
        elif wire_type == BYTES:
            length, content = _number(held, content)
            after = content + length
        else:
            after = content + {FIXED64: 8, FIXED32: 4}[wire_type]
        if after > end:
            raise ValueError("a field is longer than its message")
        yield _Field(tag >> 3, wire_type, start, content, after)
        start = after


def _number(held: mmap, at: int) -> tuple[int, int]:
    """A varint, and where it ends."""
    value = shift = 0
    while (byte := held[at]) & 0x80:
        value |= (byte & 0x7F) << shift
        shift, at = shift + 7, at + 1
    return value | byte << shift, at + 1


def _varint(value: int) -> bytes:
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*written, value))
