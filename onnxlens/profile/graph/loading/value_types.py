"""The element types and shapes of a model's values, by names that are unique over all of its graphs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod

from onnx import (
    AttributeProto,
    GraphProto,
    NodeProto,
    SparseTensorProto,
    TensorProto,
    TensorShapeProto,
    TypeProto,
)

from onnxlens.specs.bounds import require_shape
from onnxlens.specs.tensor import Dim, dtype_name

DTYPES: Mapping[int, str] = {
    number: dtype_name(name)
    for name, number in TensorProto.DataType.items()
    if number != TensorProto.UNDEFINED
}
"""The element types by their number in a file."""


@dataclass(frozen=True)
class ValueType:
    """What a file records of a value's type; None where it does not.

    Attributes:
        kind: ``tensor``, ``sequence``, ``optional``, ``map``, ``sparse_tensor``; if it is not a tensor, dtype
            and shape are those of the tensors in it.
    """

    dtype: str | None = None
    shape: tuple[Dim, ...] | None = None
    kind: str = "tensor"

    @property
    def is_fixed(self) -> bool:
        """Whether every dimension is a number."""
        return self.elements is not None

    @cached_property
    def elements(self) -> int | None:
        """The number of elements, where every dimension is a number."""
        sizes = [dim for dim in self.shape or () if isinstance(dim, int)]
        return prod(sizes) if self.shape is not None and len(sizes) == len(self.shape) else None


UNKNOWN = ValueType()

LEFT_OUT = frozenset(
    {"LayerNormalization", "SimplifiedLayerNormalization", "MemcpyFromHost", "MemcpyToHost", "Affine",
     "ImageScaler", "ParametricSoftplus", "Scale", "ScaledTanh"}
)  # fmt: skip
"""Operators of ONNX Runtime in ONNX's own domain, which ONNX itself lacks at some or all opsets."""

SURROGATE_MARK = "/surrogate/"
"""In the names of the values between the nodes of a surrogate (see ``inference``): not values of the file."""


def declared_types(graphs: Iterable[tuple[str, GraphProto, Iterable[NodeProto]]]) -> dict[str, ValueType]:
    """The types that a file itself declares: of inputs, outputs, values in between, and constants.

    Args:
        graphs: each with the prefix of its values' names, and its Constant nodes (others may be among them).
    """
    types: dict[str, ValueType] = {}
    read = _type_reader()
    for prefix, graph, nodes in graphs:
        for values in (graph.value_info, graph.output, graph.input):
            for value in values:
                types[prefix + value.name] = read(value.type, value.name)
        for node in nodes:
            if node.op_type == "Constant" and len(node.output) == 1 and not node.domain:
                types[prefix + node.output[0]] = constant_type(node.attribute)
    return types


def _type_reader() -> Callable[[TypeProto, str], ValueType]:
    """``value_type`` of the value of that name, once for each distinct type: a large file repeats few."""
    known: dict[bytes, ValueType] = {}

    def read(proto: TypeProto, name: str) -> ValueType:
        key = proto.SerializeToString()
        found = known.get(key)
        if found is None:
            found = known[key] = value_type(proto)
            require_shape(name, found.shape)
        return found

    return read


def value_type(proto: TypeProto) -> ValueType:
    """A value's type as plain data; of a sequence or an optional, that of the tensors in it."""
    kind = proto.WhichOneof("value")
    if kind == "tensor_type":
        return ValueType(DTYPES.get(proto.tensor_type.elem_type), _dims(proto.tensor_type))
    if kind == "sparse_tensor_type":
        sparse = proto.sparse_tensor_type
        return ValueType(DTYPES.get(sparse.elem_type), _dims(sparse), "sparse_tensor")
    if kind in ("sequence_type", "optional_type"):
        inner = value_type(getattr(proto, kind).elem_type)
        return ValueType(inner.dtype, inner.shape, kind.removesuffix("_type"))
    return UNKNOWN if kind is None else ValueType(kind=kind.removesuffix("_type"))


def _dims(tensor: TypeProto.Tensor | TypeProto.SparseTensor) -> tuple[Dim, ...] | None:
    """Numbers and symbols; a dimension without either, or below 0, is ``?``."""
    if not tensor.HasField("shape"):
        return None
    return tuple(map(_dim, tensor.shape.dim))


def _dim(dim: TensorShapeProto.Dimension) -> Dim:
    if dim.HasField("dim_value"):
        return dim.dim_value if dim.dim_value >= 0 else "?"
    if not isinstance(dim.dim_param, str):
        raise TypeError("a dimension's name is not UTF-8")  # protobuf gives bytes then
    return dim.dim_param or "?"


def constant_type(attributes: Iterable[AttributeProto]) -> ValueType:
    """The type of a Constant node's value, from the one attribute that holds it."""
    for attribute in attributes:
        match attribute.name:
            case "value":
                return tensor_type(attribute.t)
            case "sparse_value":
                return sparse_type(attribute.sparse_tensor)
            case "value_int":
                return ValueType("int64", ())
            case "value_ints":
                return ValueType("int64", (len(attribute.ints),))
            case "value_float":
                return ValueType("float32", ())
            case "value_floats":
                return ValueType("float32", (len(attribute.floats),))
            case "value_string":
                return ValueType("string", ())
            case "value_strings":
                return ValueType("string", (len(attribute.strings),))
    return UNKNOWN


def tensor_type(tensor: TensorProto) -> ValueType:
    """The type of a tensor that the file holds or refers to."""
    return _held_type(tensor, tensor.dims)


def sparse_type(tensor: SparseTensorProto) -> ValueType:
    """That of a sparse one."""
    return _held_type(tensor.values, tensor.dims)


def _held_type(values: TensorProto, dims: Iterable[int]) -> ValueType:
    shape = tuple(dims)
    require_shape(values.name, shape)
    return ValueType(DTYPES.get(values.data_type), shape)
