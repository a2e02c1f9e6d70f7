"""Values as ONNX Runtime takes and returns them, where numpy lacks their type or they are no tensors."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort

from onnxlens.errors import GraphError
from onnxlens.specs.tensor import ML_DTYPES, numpy_type, storage_bytes

Value = Any
"""An array, a list of values (a sequence), a dict (a map), or None (an optional without a value)."""

ONNX_NAMES: Mapping[str, str] = {own: name for name, own in ML_DTYPES.items()}
"""ONNX's name of a type, by that of ``ml_dtypes``."""


def is_foreign(array: Value) -> bool:
    """Whether it is an array of a type that numpy lacks, which ONNX Runtime does not take as it is."""
    return isinstance(array, np.ndarray) and array.dtype.name in ONNX_NAMES


def is_foreign_type(kind: str) -> bool:
    """Whether a type of a session's output, ``tensor(bfloat16)``, is one that numpy lacks."""
    return kind.removeprefix("tensor(").removesuffix(")") in ML_DTYPES


def to_runtime(array: np.ndarray) -> ort.OrtValue:
    """The array in host memory, as ONNX Runtime holds it: two 4-bit values to a byte."""
    if not is_foreign(array):
        return ort.OrtValue.ortvalue_from_numpy(array)
    name = ONNX_NAMES[array.dtype.name]
    code = onnx.TensorProto.DataType.Value(name.upper())
    if storage_bytes(name, 2) != 1:
        plain = np.dtype(f"uint{8 * array.dtype.itemsize}")
        return ort.OrtValue.ortvalue_from_numpy_with_onnx_type(np.ascontiguousarray(array).view(plain), code)
    halves = np.resize(array.astype(np.int8).ravel() & 15, array.size + array.size % 2).astype(np.uint8)
    packed = (halves[0::2] | halves[1::2] << 4).tobytes()
    value = ort.OrtValue.ortvalue_from_shape_and_type(list(array.shape), code)
    ctypes.memmove(value.data_ptr(), packed, len(packed))
    return value


def from_runtime(name: str, value: ort.OrtValue) -> np.ndarray:
    """The array of a value in host memory.

    Raises:
        GraphError: it is no tensor.
    """
    if not value.is_tensor():
        raise GraphError(
            f"output {name!r} is a {value.data_type()}, which cannot be read next to such inputs"
        )
    kind = value.data_type().removeprefix("tensor(").removesuffix(")")
    if kind not in ML_DTYPES:
        return np.asarray(value.numpy())
    dtype, elements = numpy_type(kind), int(np.prod(value.shape(), dtype=np.int64))
    raw = ctypes.string_at(value.data_ptr(), storage_bytes(kind, elements) or 0)
    if storage_bytes(kind, 2) != 1:
        return np.frombuffer(raw, dtype).reshape(value.shape())
    packed = np.frombuffer(raw, np.uint8)
    halves = np.stack([packed & 15, packed >> 4], axis=-1).ravel()[:elements].astype(np.int8)
    signed = np.where(halves > 7, halves - 16, halves) if kind.startswith("int") else halves
    return signed.astype(dtype).reshape(value.shape())


def arrays_in(name: str, value: Value) -> Iterator[tuple[str, np.ndarray]]:
    """The arrays that a value consists of, with their names: ``s[0]`` is in a sequence.

    A map is its keys and its values; of a sequence of maps with the same keys, the values are one array.
    """
    if isinstance(value, Mapping):
        yield from arrays_in(name, [value])
    elif isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
        if any(item.keys() != value[0].keys() for item in value):
            raise GraphError(
                f"output {name!r} is a sequence of maps with different keys; it cannot be compared"
            )
        yield f"{name} keys", np.array(list(value[0]))
        yield name, np.array([list(item.values()) for item in value])
    elif isinstance(value, list):
        yield f"{name} length", np.array(len(value))
        for index, item in enumerate(value):
            yield from arrays_in(f"{name}[{index}]", item)
    elif value is None:
        yield name, np.zeros(0)
    else:
        yield name, np.asarray(value)
