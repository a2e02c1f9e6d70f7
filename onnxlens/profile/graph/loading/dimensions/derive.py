"""From a graph to the equations between its dimensions: shapes in names of dimensions, node by node."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from pathlib import Path

from onnx import TensorProto, ValueInfoProto

from onnxlens.profile.graph.loading.dimensions.attention import ATTENTION
from onnxlens.profile.graph.loading.dimensions.equations import Equations
from onnxlens.profile.graph.loading.dimensions.expressions import ANONYMOUS, as_size, computed_from
from onnxlens.profile.graph.loading.dimensions.operation import Operation, Shape, Vector
from onnxlens.profile.graph.loading.dimensions.polynomials import Size, named
from onnxlens.profile.graph.loading.dimensions.reaches import REACHES
from onnxlens.profile.graph.loading.dimensions.rules import RULES
from onnxlens.profile.graph.loading.dimensions.vectors import MOST_ELEMENTS, VECTORS
from onnxlens.profile.graph.loading.protobuf import FileGraph, FileNode, constant_reader, tensor_reader
from onnxlens.profile.graph.loading.value_types import constant_type, value_type
from onnxlens.profile.graph.phase_axes import LOOKUPS
from onnxlens.specs.tensor import Dim

OPERATORS = {**RULES, **ATTENTION}


def equations_of(graph: FileGraph, folder: Path, *, stale: bool = False) -> Equations:
    """What the file says of its dimensions, whatever their sizes.

    Args:
        graph: the model's.
        folder: of the file, for small external tensors.
        stale: whether the file declares other sizes than its inputs now have for what nodes make.
    """
    return _Derivation(graph, folder, stale=stale).found


def dimension_name(value: str, axis: int, dim: Dim) -> str:
    """What a dimension of an input is called in equations: its symbol, or its position."""
    return f"{value}[{axis}]" if dim in ANONYMOUS else str(dim)


class _Derivation:
    def __init__(self, graph: FileGraph, folder: Path, *, stale: bool) -> None:
        self.found = Equations()
        self._folder = folder
        self._held = {tensor.name: tensor for tensor in graph.proto.initializer}
        self._constants: dict[str, FileNode] = {}
        self._vectors: dict[str, Vector | None] = {}
        self._reaches: dict[str, Vector | None] = {}
        inputs = {value.name: value for value in graph.proto.input if value.name not in self._held}
        self._outputs = {} if stale else {value.name: value for value in graph.proto.output}
        declared = {} if stale else {value.name: value for value in graph.proto.value_info}
        self._declared = declared | self._outputs
        self._sizes: dict[str, Size] = {}
        ends = (*inputs.values(), *self._outputs.values())
        self._plain = dict.fromkeys(text for value in ends for text in _symbols(value))
        for text in self._plain:
            self._define(text)
        self._shapes = {name: self._read(value, own=True) for name, value in inputs.items()}
        self._inputs = frozenset(inputs)
        self._input_shapes = dict(self._shapes)
        for value in inputs.values():
            self.found.inputs.update(dict.fromkeys(_names(value)))
        for node in graph.nodes:
            self._take(node)
        for name, value in self._outputs.items():
            self._compare(name, value)

    def _take(self, node: FileNode) -> None:
        """What the node makes, and the equations that it adds."""
        if node.op_type == "Constant" and not node.domain:
            self._constants[node.outputs[0]] = node
            return
        shapes = [self._shape(name) if name else None for name in node.inputs]
        op = Operation(node, shapes, self._vector, self._reaches.get, self._returned, self.found)
        made = self._made(op)
        for index, name in enumerate(node.outputs):
            own = made[index] if index < len(made) else None
            if own is None or None in own:
                own = _completed(own, self._returned(name))  # names there may be wrong: nothing runs on them
            self._shapes[name] = own

    def _made(self, op: Operation) -> Sequence[Shape | None]:
        """The shapes of the outputs, as far as a rule knows them."""
        node = op.node
        key = (node.domain, node.op_type)
        try:
            rule = OPERATORS.get(key)
            made = rule(op) if rule is not None else ()
            if not node.domain and node.op_type in VECTORS:
                vector = VECTORS[node.op_type](op)
                self._vectors[node.outputs[0]] = vector if len(vector or ()) <= MOST_ELEMENTS else None
            if not node.domain and node.op_type in REACHES:
                self._reaches[node.outputs[0]] = REACHES[node.op_type](op)
            if key in ATTENTION or node.op_type in WITH_ROLES:
                self._find_roles(op)
        except (LookupError, TypeError, ValueError, ArithmeticError):
            return ()  # an attribute of another type or length: what is wrong is told when types are inferred
        return made

    def _find_roles(self, op: Operation) -> None:
        """What the node says of tokens and caches."""
        node = op.node
        if node.op_type == "Concat" and node.outputs[0] in self._outputs:
            at = next((at for at, name in enumerate(node.inputs) if name in self._inputs), -1)
            cache = op.shape(at) if at >= 0 else None
            axis = op.axis(len(cache)) if cache is not None and len(cache) > 2 else 0
            if cache is not None and axis > 0:
                op.cached(cache[0], cache[axis])
        _, indices = LOOKUPS.get(node.op_type, (None, None))
        if indices is not None and node.inputs[indices] in self._input_shapes:
            op.reads_tokens(self._input_shapes[node.inputs[indices]])
        if node.op_type in KEEPING_ORDER and node.inputs[0] in self._input_shapes:
            self._input_shapes[node.outputs[0]] = self._input_shapes[node.inputs[0]]
        if node.op_type.endswith("Attention"):
            op.reads_tokens(op.shape(0, 3))
        if op.returns_caches:
            self.found.caches.update(node.outputs[1:] or node.outputs)

    def _shape(self, name: str) -> Shape | None:
        if name not in self._shapes:
            tensor, node = self._held.get(name), self._constants.get(name)
            made = None if tensor is None else tuple(tensor.dims)
            if node is not None:
                shape = constant_type(node.proto.attribute).shape
                made = None if shape is None else tuple(dim for dim in shape if isinstance(dim, int))
            self._shapes[name] = made
        return self._shapes[name]

    def _vector(self, name: str) -> Vector | None:
        if name not in self._vectors:
            tensor, node = self._held.get(name), self._constants.get(name)
            reader = constant_reader(node.proto, None) if node is not None else None
            if tensor is not None and tensor.data_type in WHOLE and prod(tensor.dims) <= MOST_ELEMENTS:
                reader = tensor_reader(tensor, self._folder)
            array = reader() if reader is not None else None
            plain = array is not None and array.dtype.kind == "i" and array.size <= MOST_ELEMENTS
            self._vectors[name] = tuple(array.ravel().tolist()) if array is not None and plain else None
        return self._vectors[name]

    def _returned(self, name: str) -> Shape | None:
        """What the file declares."""
        value = self._declared.get(name)
        return None if value is None else self._read(value, own=False)

    def _read(self, value: ValueInfoProto, *, own: bool) -> Shape | None:
        """A declared shape; dimensions without a name have one of their ``own``, or are not known."""
        known = value_type(value.type)
        if known.shape is None or known.kind != "tensor":
            return None
        return tuple(
            dim
            if isinstance(dim, int)
            else self._size(dim)
            if dim not in ANONYMOUS
            else named(dimension_name(value.name, axis, dim))
            if own
            else None
            for axis, dim in enumerate(known.shape)
        )

    def _size(self, symbol: str) -> Size:
        if symbol not in self._sizes:
            self._sizes[symbol] = as_size(symbol, self._plain)
        return self._sizes[symbol]

    def _compare(self, name: str, value: ValueInfoProto) -> None:
        """What the file declares of an output is what a cache comes to, and names dimensions of others."""
        self.found.outputs.update((text, None) for text in _symbols(value) if text not in self.found.inputs)
        computed, declared = self._shapes.get(name), self._read(value, own=False)
        if computed is None or declared is None or len(computed) != len(declared):
            return
        for one, other in zip(declared, computed, strict=True):
            if one is not None and other is not None:
                self.found.add(one, other, f"the output {name!r}", firm=name in self.found.caches)

    def _define(self, text: str) -> None:
        """A symbol that is computed from names follows from them, and they may follow from it."""
        size = self._size(text)
        if size != named(text):
            self.found.add(named(text), size, f"the name of the dimension {text!r}")
        elif computed_from(text):
            self.found.texts[text] = None


KEEPING_ORDER = frozenset({"Cast", "Identity", "Reshape", "Squeeze", "Unsqueeze"})
"""Operators that make the values of an input, in its order."""

WITH_ROLES = KEEPING_ORDER | LOOKUPS.keys() | {"Concat"}

WHOLE = (TensorProto.INT64, TensorProto.INT32)


def _completed(made: Shape | None, declared: Shape | None) -> Shape | None:
    """What is known of a value, and for the rest the numbers that the file declares."""
    if declared is None or (made is not None and len(made) != len(declared)):
        return made
    numbers = tuple(size if isinstance(size, int) else None for size in declared)
    return tuple(map(_either, made or numbers, numbers))


def _either(size: Size | None, other: Size | None) -> Size | None:
    return other if size is None else size


def _names(value: ValueInfoProto) -> Iterator[str]:
    """What its dimensions are called."""
    for axis, dim in enumerate(value_type(value.type).shape or ()):
        if isinstance(dim, str):
            yield dimension_name(value.name, axis, dim)


def _symbols(value: ValueInfoProto) -> Iterator[str]:
    """The names that the file gives its dimensions."""
    for dim in value_type(value.type).shape or ():
        if isinstance(dim, str) and dim not in ANONYMOUS:
            yield dim
