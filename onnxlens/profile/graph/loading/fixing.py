"""Fixing what is open in a graph's inputs, as the user says: dimensions, and values that decide shapes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from onnx import GraphProto, TensorShapeProto, ValueInfoProto, helper, numpy_helper

from onnxlens.errors import UsageError
from onnxlens.profile.graph.loading.protobuf import all_graphs
from onnxlens.profile.graph.loading.value_types import value_type
from onnxlens.specs.tensor import TensorSpec

Dimension = TensorShapeProto.Dimension


def fix_dimensions(
    path: Path, graph: GraphProto, shapes: Mapping[str, Sequence[int]], dims: Mapping[str, int]
) -> None:
    """Give inputs their sizes, in place, and drop what the file says of sizes that follow from them.

    Args:
        path: of the file, for messages.
        graph: the model's.
        shapes: by input, all of its dimensions.
        dims: by symbol.

    Raises:
        UsageError: no input or symbol has the name, or a shape contradicts the file.
    """
    if not shapes and not dims:
        return
    inputs = _open_inputs(graph)
    _require_inputs(path, inputs, shapes)
    symbols = {dim.dim_param for value in inputs.values() for dim in _dimensions(value) if dim.dim_param}
    for name, sizes in shapes.items():
        _fix_shape(path, inputs[name], sizes)
    for symbol, size in dims.items():
        if symbol not in symbols:
            known = ", ".join(sorted(symbols)) or "none: use --shape for those without a name"
            raise UsageError(f"{path.name} has no dimension {symbol!r}; its inputs' dimensions are {known}")
        for value in inputs.values():
            for dim in _dimensions(value):
                if dim.dim_param == symbol:
                    _set(path, dim, size)
    _forget_symbols(graph)


def fix_values(
    path: Path, graph: GraphProto, values: Mapping[str, Sequence[float]]
) -> Mapping[str, np.ndarray]:
    """Turn inputs into constants, in place: axes, sizes, a condition. What they became, by name.

    Raises:
        UsageError: no input has the name, it is no tensor of numbers, or not of that many.
    """
    inputs = _open_inputs(graph)
    _require_inputs(path, inputs, values)
    given = {name: _array(path, inputs[name], numbers) for name, numbers in values.items()}
    graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in given.items())
    return given


def _array(path: Path, value: ValueInfoProto, numbers: Sequence[float]) -> np.ndarray:
    """The numbers as the input takes them."""
    known = value_type(value.type)
    dims = (len(numbers),) if known.shape is None else known.shape
    sizes = [dim if isinstance(dim, int) else -1 for dim in dims]
    try:
        dtype = helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        return np.array(numbers).astype(dtype).reshape(sizes)
    except (KeyError, TypeError, ValueError) as error:
        kind = f"{known.dtype or known.kind}{TensorSpec(value.name, '', dims).shape_text()}"
        raise UsageError(
            f"{path.name}: input {value.name!r} is {kind} and cannot be {', '.join(map(str, numbers))}"
        ) from error


def _open_inputs(graph: GraphProto) -> Mapping[str, ValueInfoProto]:
    """The inputs that have no default value."""
    held = {tensor.name for tensor in graph.initializer}
    return {value.name: value for value in graph.input if value.name not in held}


def _require_inputs(path: Path, inputs: Collection[str], names: Iterable[str]) -> None:
    for name in names:
        if name not in inputs:
            raise UsageError(f"{path.name} has no input {name!r}; its inputs are {', '.join(inputs)}")


def _dimensions(value: ValueInfoProto) -> Sequence[Dimension]:
    return value.type.tensor_type.shape.dim


def _fix_shape(path: Path, value: ValueInfoProto, sizes: Sequence[int]) -> None:
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        tensor.shape.dim.extend(Dimension() for _ in sizes)
    if len(tensor.shape.dim) != len(sizes):
        raise UsageError(
            f"{path.name}: input {value.name!r} has {len(tensor.shape.dim)} dimensions, "
            f"its shape was given with {len(sizes)}: {', '.join(map(str, sizes))}"
        )
    for dim, size in zip(tensor.shape.dim, sizes, strict=True):
        _set(path, dim, size, value.name)


def _set(path: Path, dim: Dimension, size: int, name: str = "") -> None:
    if size < 0:
        raise UsageError(f"{path.name}: a dimension of {size} is no size")
    if dim.HasField("dim_value") and dim.dim_value >= 0 and dim.dim_value != size:
        raise UsageError(
            f"{path.name}: input {name!r} has a dimension that is fixed at {dim.dim_value} and cannot be "
            f"{size}; only dynamic ones can be given"
        )
    dim.dim_value = size


def _forget_symbols(graph: GraphProto) -> None:
    """Drop the types in between that hold a symbol, and the symbols of outputs: inference finds them anew."""
    for _, inner in all_graphs(graph):
        kept = [value for value in inner.value_info if not any(_symbolic(value))]
        del inner.value_info[:]
        inner.value_info.extend(kept)
        for output in inner.output:
            for dim in _symbolic(output):
                dim.Clear()


def _symbolic(value: ValueInfoProto) -> Iterator[Dimension]:
    return (dim for dim in _dimensions(value) if not dim.HasField("dim_value") or dim.dim_value < 0)
