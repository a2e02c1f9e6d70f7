"""Inputs that a file can run on: random numbers, small token ids, masks of ones, and what a user names."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


@dataclass(frozen=True)
class Sizes:
    """What the arguments of a command line of onnxlens fix."""

    dims: Mapping[str, int]
    shapes: Mapping[str, tuple[int, ...]]
    values: Mapping[str, Sequence[float]]


def sizes(arguments: Sequence[str]) -> Sizes:
    """Read ``--dim N=2``, ``--shape x=1,3,8,8`` and ``--value sr=16000``."""
    parser = ArgumentParser()
    for option in ("--dim", "--shape", "--value"):
        parser.add_argument(option, action="append", default=[])
    read = parser.parse_args(arguments)
    pairs = {kind: [text.rpartition("=")[::2] for text in getattr(read, kind)] for kind in vars(read)}
    return Sizes(
        {name: int(size) for name, size in pairs["dim"]},
        {name: tuple(int(size) for size in text.split(",") if size) for name, text in pairs["shape"]},
        {name: [float(value) for value in text.split(",")] for name, text in pairs["value"]},
    )


def load(path: str, without_weights: bool = False) -> onnx.ModelProto:
    """Read a file; without its external data, if that is not at hand, zeros stand in its place."""
    model = onnx.load(path, load_external_data=not without_weights)
    for weight in model.graph.initializer if without_weights else ():
        if weight.data_location == TensorProto.EXTERNAL:
            dtype = helper.tensor_dtype_to_np_dtype(weight.data_type)
            weight.CopyFrom(numpy_helper.from_array(np.zeros(tuple(weight.dims), dtype), weight.name))
    return model


def feeds(model: onnx.ModelProto, fixed: Sizes, seed: int = 0) -> dict[str, np.ndarray]:
    """An array for every input that is no weight.

    Raises:
        ValueError: a dimension is open and nothing fixes it, or an input is no tensor.
    """
    weights = {weight.name for weight in model.graph.initializer}
    generator = np.random.default_rng(seed)
    return {
        given.name: _array(given, fixed, generator)
        for given in model.graph.input
        if given.name not in weights
    }


def _array(given: onnx.ValueInfoProto, fixed: Sizes, generator: np.random.Generator) -> np.ndarray:
    if not given.type.HasField("tensor_type"):
        raise ValueError(f"input {given.name!r} is no tensor")
    shape = fixed.shapes.get(given.name)
    if shape is None:
        shape = tuple(_size(dim, given.name, fixed) for dim in given.type.tensor_type.shape.dim)
    dtype = np.dtype(helper.tensor_dtype_to_np_dtype(given.type.tensor_type.elem_type))
    if given.name in fixed.values:
        return np.array(fixed.values[given.name]).astype(dtype).reshape(shape)
    if "mask" in given.name.lower() or dtype == np.bool_:
        return np.ones(shape, dtype)
    if dtype.kind in "iu":
        return generator.integers(0, 2, shape).astype(dtype)  # ids fit into the smallest table
    if dtype.kind == "O":
        return np.array([f"text {at}" for at in range(prod(shape))], dtype=object).reshape(shape)
    return generator.standard_normal(shape).astype(dtype)


def _size(dim: onnx.TensorShapeProto.Dimension, name: str, fixed: Sizes) -> int:
    if dim.HasField("dim_value") and dim.dim_value >= 0:
        return int(dim.dim_value)
    if dim.dim_param in fixed.dims:
        return fixed.dims[dim.dim_param]
    raise ValueError(f"input {name!r}: its dimension {dim.dim_param!r} is open; fix it with --dim or --shape")
