"""Sample inputs: random values that depend on nothing but names, shapes, types and ranges."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from onnxlens.errors import UsageError, first_line
from onnxlens.profile.runtime.machine import memory_bytes
from onnxlens.specs.manifest import Manifest
from onnxlens.specs.tensor import TensorSpec, is_floating, numpy_type


def sample_inputs(
    inputs: Sequence[TensorSpec],
    ranges: Mapping[str, tuple[float, float]],
    draw: int = 0,
    values: Mapping[str, np.ndarray] = MappingProxyType({}),
) -> Mapping[str, np.ndarray]:
    """Uniform values for every input: integers from low to high inclusive, floats from low to high.

    ``ranges`` has low and high by the input's name, -1 and 1 by default. Each sample, of number ``draw``, has
    other values. ``values`` are taken for those inputs as they are, in the inputs' types.

    Raises:
        UsageError: a shape has a dynamic dimension, a type is not numeric, or they are too large to be held.
    """
    require_held(inputs)
    return {
        tensor.name: np.asarray(values[tensor.name], _type_of(tensor))
        if tensor.name in values
        else _sample(tensor, *ranges.get(tensor.name, (-1.0, 1.0)), draw)
        for tensor in inputs
    }


def all_known(manifest: Manifest) -> bool:
    """Whether the manifest says which values its inputs take: those of floats need no range."""
    return all(
        is_floating(tensor.dtype) or tensor.name in manifest.input_ranges for tensor in manifest.inputs
    )


def require_held(inputs: Sequence[TensorSpec]) -> None:
    """Refuse inputs that, in random numbers of 8 bytes, take more than half of the machine's memory."""
    memory = memory_bytes()
    for tensor in inputs:
        if 8 * (tensor.elements or 0) > memory // 2:
            raise UsageError(
                f"input {tensor.name!r} is {tensor.shape_text()}, too large to be held in the "
                f"{memory / 2**30:,.0f} GiB of this machine; use smaller sizes"
            )


def save_inputs(inputs: Mapping[str, np.ndarray], path: Path) -> None:
    """Write the inputs to an ``.npz``, so that a run can be repeated elsewhere."""
    arrays: dict[str, Any] = dict(inputs)
    np.savez(path, **arrays)


def read_inputs(path: Path) -> Mapping[str, np.ndarray]:
    """The arrays of an ``.npz`` file, by name.

    Raises:
        UsageError: the file cannot be read, or an array is no tensor.
    """
    try:
        with np.load(path) as held:
            return {name: held[name] for name in held.files}
    except Exception as error:  # whatever numpy, zipfile and zlib say of a file that is none
        raise UsageError(
            f"{path}: cannot be read as .npz ({first_line(error)}); write one with "
            "numpy.savez(FILE, name=array, ..), an array for each input"
        ) from error


def fitting_inputs(
    given: Mapping[str, np.ndarray], inputs: Sequence[TensorSpec], fixed: Collection[str] = ()
) -> Mapping[str, np.ndarray]:
    """The arrays in the types of the inputs that they are for, but for inputs that are ``fixed`` otherwise.

    Raises:
        UsageError: there is no such input, or an array is not of its shape, or of another kind of numbers.
    """
    known = {tensor.name: tensor for tensor in inputs}
    for name in given.keys() - known.keys() - set(fixed):
        raise UsageError(f"--inputs: there is no input {name!r}; the inputs are {', '.join(known) or 'none'}")
    return {name: _fitting(array, known[name]) for name, array in given.items() if name in known}


def _fitting(array: np.ndarray, tensor: TensorSpec) -> np.ndarray:
    dtype = _type_of(tensor)
    if array.dtype.kind == "V" and array.dtype.itemsize == dtype.itemsize:
        array = array.view(dtype)  # numpy.savez keeps the bytes of a bfloat16, and forgets its name
    fits = len(array.shape) == len(tensor.shape) and all(
        isinstance(dim, str) or dim == size for dim, size in zip(tensor.shape, array.shape, strict=True)
    )
    if not fits or not np.can_cast(array.dtype, dtype, "same_kind"):
        raise UsageError(
            f"--inputs: {tensor.name!r} is {array.dtype}{array.shape}; the input is {tensor.dtype}"
            f"{tensor.shape_text()}"
        )
    return array.astype(dtype)


def _type_of(tensor: TensorSpec) -> np.dtype[Any]:
    try:
        return numpy_type(tensor.dtype)
    except TypeError as error:
        raise UsageError(f"input {tensor.name!r} is {tensor.dtype}, a type without sample values") from error


def _sample(tensor: TensorSpec, low: float, high: float, draw: int) -> np.ndarray:
    sizes = tuple(dim for dim in tensor.shape if isinstance(dim, int))
    if len(sizes) != len(tensor.shape):
        raise UsageError(
            f"input {tensor.name!r} has shape {tensor.shape_text()}; fix it with --shape or --dim"
        )
    dtype = _type_of(tensor)
    named = f"input:{tensor.name}:{draw}" if draw else f"input:{tensor.name}"
    generator = np.random.default_rng(zlib.crc32(named.encode()))
    if dtype.kind in "iu":
        return np.asarray(generator.integers(int(low), int(high), sizes, endpoint=True), dtype)
    if dtype.kind == "b":
        return np.asarray(generator.random(sizes) < 0.5)
    return np.asarray(low + (high - low) * generator.random(sizes), dtype)  # of a scalar, an array too
