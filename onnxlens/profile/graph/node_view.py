"""A node as the counting rules see it: plain data, so that rules are pure and tests make nodes by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field
from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING, Any, Protocol, cast
from zlib import crc32

from onnxlens.errors import OnnxlensError
from onnxlens.specs.record import record
from onnxlens.specs.tensor import DISTINCT_SHAPES, Dim, TensorSpec, storage_bytes

if TYPE_CHECKING:
    import numpy as np

Shape = tuple[int, ...]


class NotCountable(OnnxlensError):
    """A rule misses a fact about a node (a shape, a constant): the node is ``unknown`` for this reason."""


@lru_cache(DISTINCT_SHAPES)
def _is_static(shape: tuple[Dim, ...]) -> bool:
    return str not in map(type, shape)


@lru_cache(DISTINCT_SHAPES)
def _size_bytes(dtype: str | None, shape: tuple[Dim, ...] | None) -> int | None:
    """The bytes of a tensor; None where the shape, a dimension or the element size is unknown."""
    if dtype is None or shape is None or not _is_static(shape):
        return None
    return storage_bytes(dtype, prod(cast(Shape, shape)))


@record(frozen=True, slots=True)
class ValueView:
    """A value in the graph: a tensor, or what refers to tensors.

    Attributes:
        shape: None where the file does not say and inference did not find it; a dynamic dimension is its
            symbol.
        is_weight: its value does not change from run to run: an initializer, a Constant, or computed from
            such.
        read_constant: reads its value where the file holds it; None for everything computed at run time.
        kind: ``tensor``, or ``sequence``, ``optional``, ``map``, ``sparse_tensor``: dtype and shape are then
            those of the tensors in it, and it has no size of its own.
        stored_bytes: what it takes where it is stored, if that is another form of it: a weight that a
            DequantizeLinear makes floats of.
    """

    name: str
    dtype: str | None
    shape: tuple[Dim, ...] | None
    is_weight: bool = False
    read_constant: Callable[[], np.ndarray | None] | None = field(default=None, compare=False, repr=False)
    kind: str = "tensor"
    stored_bytes: int | None = None

    def sizes(self) -> Shape:
        """The shape in numbers.

        Raises:
            NotCountable: the shape is unknown or has a dynamic dimension, or it is not a tensor.
        """
        if self.kind != "tensor":
            raise NotCountable(f"the {self.kind} {self.name!r} has no size of its own")
        if self.shape is None:
            raise NotCountable(f"the shape of {self.name!r} is unknown")
        if not _is_static(self.shape):
            raise NotCountable(f"the shape of {self.name!r} is dynamic: {self.shape}")
        return cast(Shape, self.shape)

    @property
    def spec(self) -> TensorSpec:
        """Its name, dtype and shape; ``?`` where the file does not record them."""
        return TensorSpec(self.name, self.dtype or "?", ("?",) if self.shape is None else self.shape)

    @property
    def elements(self) -> int:
        """The number of elements; raises NotCountable as ``sizes`` does."""
        return prod(self.sizes())

    @property
    def size_bytes(self) -> int:
        """The bytes it takes as it is stored; raises NotCountable where shape or element size is unknown."""
        if self.stored_bytes is not None:
            return self.stored_bytes
        size = _size_bytes(self.dtype, self.shape) if self.kind == "tensor" else None
        if size is None:
            self.sizes()  # raises where it is the shape that is unknown
            raise NotCountable(f"the element size of {self.name!r} ({self.dtype}) is unknown")
        return size

    @property
    def known_size_bytes(self) -> int:
        """The bytes its elements occupy as far as is known: 0 where shape or element size is not."""
        try:
            return self.size_bytes
        except NotCountable:
            return 0


class ManyValues(Sequence[Any]):
    """A large attribute's numbers or texts, left in the protobuf: few rules ask for them.

    ``np.asarray`` copies numbers at once; texts become bytes.
    """

    def __init__(self, held: Sequence[Any]) -> None:
        """Take what the attribute holds, texts as bytes."""
        self.held = held

    def __len__(self) -> int:
        return len(self.held)

    def __getitem__(self, index: Any) -> Any:
        found = self.held[index]
        if isinstance(found, bytes):
            return found.decode("utf-8", "replace")
        return tuple(ManyValues(found)) if isinstance(index, slice) else found

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        import numpy as np

        return np.array(self.held, dtype)

    def tobytes(self) -> bytes:
        """All of it, to be compared."""
        return self.__array__().tobytes()

    def __repr__(self) -> str:
        return f"{len(self)} values {crc32(self.tobytes()):x}"


class RunsInside(Protocol):
    """A graph inside a node."""

    @property
    def results(self) -> Sequence[ValueView | None]:
        """The values that it returns as the node's outputs, in their order."""


@record(frozen=True, slots=True)
class NodeView:
    """One operator call.

    Attributes:
        domain: "" for ONNX's own operators.
        version: the opset version of that domain in the file.
        inputs: None stands for an optional input left out.
        attributes: by name: int, float, str, a tuple of these, or an array for a tensor.
    """

    op_type: str
    inputs: tuple[ValueView | None, ...]
    outputs: tuple[ValueView | None, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    domain: str = ""
    version: int = 18
    name: str = ""

    def has_input(self, index: int) -> bool:
        """Whether the optional input is given."""
        return index < len(self.inputs) and self.inputs[index] is not None

    def has_output(self, index: int) -> bool:
        """Whether the optional output is asked for."""
        return index < len(self.outputs) and self.outputs[index] is not None

    def input(self, index: int) -> ValueView:
        """The input at ``index``; raises NotCountable when it is left out."""
        value = self.inputs[index] if index < len(self.inputs) else None
        if value is None:
            raise NotCountable(f"{self.op_type} has no input {index}")
        return value

    def output(self, index: int = 0) -> ValueView:
        """The output at ``index``; raises NotCountable when it is left out."""
        value = self.outputs[index] if index < len(self.outputs) else None
        if value is None:
            raise NotCountable(f"{self.op_type} has no output {index}")
        return value

    def input_shape(self, index: int) -> Shape:
        """The shape of an input in numbers; raises NotCountable."""
        return self.input(index).sizes()

    def output_shape(self, index: int = 0) -> Shape:
        """The shape of an output in numbers; raises NotCountable."""
        return self.output(index).sizes()

    def attribute(self, name: str, default: Any = None) -> Any:
        """The attribute's value, or ``default`` where the node leaves it out."""
        return self.attributes.get(name, default)


class Wired(Protocol):
    """A node that reads values and produces some."""

    @property
    def view(self) -> NodeView:
        """With names that are unique in the file."""

    @property
    def bodies(self) -> Sequence[RunsInside]:
        """The graphs that run inside it."""

    @property
    def reads(self) -> Sequence[ValueView]:
        """See ``values_read``."""


class DefUse:
    """Which node produces each value, and which nodes read it: by the value's name, the nodes' indices.

    Attributes:
        consumers: each once, in their order.
    """

    __slots__ = ("consumers", "producers")

    def __init__(self, nodes: Iterable[Wired]) -> None:
        """Walk through the nodes once."""
        self.producers: dict[str, int] = {}
        self.consumers: dict[str, list[int]] = {}
        producers, consumers = self.producers, self.consumers
        for index, node in enumerate(nodes):
            view = node.view
            for value in node.reads if node.bodies else view.inputs:
                if value is not None:
                    users = consumers.get(value.name)
                    if users is None:
                        consumers[value.name] = [index]
                    elif users[-1] != index:
                        users.append(index)
            for output in view.outputs:
                if output is not None:
                    producers[output.name] = index


def values_read(node: NodeView, bodies: Sequence[RunsInside]) -> Sequence[ValueView]:
    """The node's inputs, and the values that the bodies inside it return as its outputs."""
    if not bodies and all(node.inputs):
        return cast("tuple[ValueView, ...]", node.inputs)
    values = (node.inputs, *(body.results for body in bodies))
    return [value for each in values for value in each if value is not None]
