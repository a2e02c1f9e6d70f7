"""The element types and shapes of a model's values, by names that are unique over all of its graphs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import prod

import onnx
from onnx import AttributeProto, GraphProto, NodeProto, TensorProto, TypeProto

from onnxlens.specs.tensor import Dim, dtype_name

DTYPES: Mapping[int, str] = {
    number: dtype_name(name)
    for name, number in TensorProto.DataType.items()
    if number != TensorProto.UNDEFINED
}
"""The element types by their number in a file."""


@dataclass(frozen=True, slots=True)
class ValueType:
    """What a file says of a value: None where it does not say.

    Attributes:
        kind: ``tensor``, ``sequence``, ``optional``, ``map``, ``sparse_tensor``; of what is no tensor, dtype
            and shape are those of the tensors in it.
    """

    dtype: str | None = None
    shape: tuple[Dim, ...] | None = None
    kind: str = "tensor"

    @property
    def is_fixed(self) -> bool:
        """Whether every dimension is a number."""
        return self.elements is not None

    @property
    def elements(self) -> int | None:
        """The number of elements, where every dimension is a number."""
        sizes = [dim for dim in self.shape or () if isinstance(dim, int)]
        return prod(sizes) if self.shape is not None and len(sizes) == len(self.shape) else None


UNKNOWN = ValueType()


def domain_of(node: NodeProto) -> str:
    """The operator's domain; ONNX's own may be spelt out."""
    return "" if node.domain == "ai.onnx" else node.domain


def label_of(node: NodeProto) -> str:
    """The node's name, or that of its first output."""
    return node.name or next(iter(node.output), "")


def subgraphs(node: NodeProto) -> Iterator[tuple[str, GraphProto]]:
    """The graphs among a node's attributes, with the attribute's name (numbered where it holds several)."""
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            yield attribute.name, attribute.g
        elif attribute.type == AttributeProto.GRAPHS:
            yield from ((f"{attribute.name}.{index}", graph) for index, graph in enumerate(attribute.graphs))


def prefix_of(node: NodeProto, attribute: str, outer: str) -> str:
    """What stands before the names of values inside a subgraph: ``flag_out/then_branch/``.

    Outputs are unique in a graph; nodes may have no name, or that of another.
    """
    return f"{outer}{next(iter(node.output), node.name)}/{attribute}/"


def all_graphs(graph: GraphProto, prefix: str = "") -> Iterator[tuple[str, GraphProto]]:
    """The graph and every graph inside it, each with its prefix."""
    yield prefix, graph
    for node in graph.node:
        for attribute, inner in subgraphs(node):
            yield from all_graphs(inner, prefix_of(node, attribute, prefix))


def declared_types(model: onnx.ModelProto) -> dict[str, ValueType]:
    """What the file itself says of inputs, outputs, values in between, and constants."""
    types: dict[str, ValueType] = {}
    for prefix, graph in all_graphs(model.graph):
        for values in (graph.value_info, graph.output, graph.input):
            for value in values:
                types[prefix + value.name] = value_type(value.type)
        for node in graph.node:
            if node.op_type == "Constant" and len(node.output) == 1 and not node.domain:
                types[prefix + node.output[0]] = constant_type(node.attribute)
    return types


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
    return tuple(
        (dim.dim_value if dim.dim_value >= 0 else "?") if dim.HasField("dim_value") else dim.dim_param or "?"
        for dim in tensor.shape.dim
    )


def constant_type(attributes: Iterable[AttributeProto]) -> ValueType:
    """The type of what a Constant node gives, by the one attribute that says it."""
    for attribute in attributes:
        match attribute.name:
            case "value":
                return tensor_type(attribute.t)
            case "sparse_value":
                sparse = attribute.sparse_tensor
                return ValueType(DTYPES.get(sparse.values.data_type), tuple(sparse.dims))
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
    """The type of a tensor that the file holds or points at."""
    return ValueType(DTYPES.get(tensor.data_type), tuple(tensor.dims))
