"""What is known of one value while a graph is walked through: type, value, the elements of a sequence."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from functools import cache, reduce
from itertools import count

import numpy as np
import onnx
from onnx import TypeProto, helper

from onnxlens.profile.graph.loading.protobuf import Reader
from onnxlens.profile.graph.loading.value_types import DTYPES, UNKNOWN, ValueType
from onnxlens.specs.tensor import Dim

NUMBERS = {dtype: number for number, dtype in DTYPES.items()}

DISTINCT = count()
"""Tells constants apart that are too large to be compared."""

MOST_GIVEN, MOST_GIVEN_FLOATS = 1024, 64
"""Constants up to this size may decide a type: shapes, axes, pads; scales among those that are floats."""


class Fact:
    """A value as far as the file decides it.

    Attributes:
        type: with ``?`` or a symbol for a dimension that is not known.
        items: the elements of a sequence whose length is known, or what an optional holds; else None.
    """

    __slots__ = ("_key", "_reader", "_value", "items", "type")

    def __init__(
        self,
        kind: ValueType = UNKNOWN,
        reader: Reader | None = None,
        items: tuple[Fact, ...] | None = None,
        value: np.ndarray | None = None,
    ) -> None:
        """With the value itself, or what reads it when it is asked for."""
        self.type = kind
        self.items = items
        self._reader = reader
        self._value = value
        self._key: Hashable = None

    def typed(self, kind: ValueType) -> Fact:
        """The same with that type."""
        return self if kind is self.type else Fact(kind, self._reader, self.items, self._value)

    def wrapped(self, kind: str, items: tuple[Fact, ...] | None = None) -> Fact:
        """A container of such."""
        return Fact(ValueType(self.type.dtype, self.type.shape, kind), items=items)

    @property
    def value(self) -> np.ndarray | None:
        """The small constant that it is, where it is one."""
        if self._value is None and self._reader is not None:
            self._value, self._reader = self._reader(), None
        return self._value

    @property
    def is_constant(self) -> bool:
        """Whether its value is known, or can be read."""
        return self._value is not None or self._reader is not None

    @property
    def is_large(self) -> bool:
        """Whether it is too large to decide a type by its value."""
        most = MOST_GIVEN_FLOATS if (self.type.dtype or "").startswith(("float", "bfloat")) else MOST_GIVEN
        return (self.type.elements or 0) > most

    @property
    def key(self) -> Hashable:
        """Equal for facts that say the same; of a large constant its own."""
        if self._key is None:
            if not self.is_constant:
                self._key = self.type
            elif self.is_large or (value := self.value) is None:
                self._key = next(DISTINCT)
            else:
                self._key = (self.type, value.tobytes() if value.dtype != object else next(DISTINCT))
        return self._key

    @property
    def scalar(self) -> int | None:
        """The one number that it is."""
        value = self.value
        return int(value.reshape(-1)[0]) if value is not None and value.size == 1 else None


NO_FACT = Fact()


def of_value(value: np.ndarray) -> Fact:
    """A constant."""
    dtype = DTYPES[helper.np_dtype_to_tensor_dtype(value.dtype)]
    return Fact(ValueType(dtype, value.shape), value=value)


def at(inputs: Sequence[Fact | None], index: int) -> Fact | None:
    """An input that may be left out."""
    return inputs[index] if index < len(inputs) else None


def sharper(known: ValueType, new: ValueType) -> ValueType:
    """What is known, and what else the new one says: a first type, or a number for a dimension without."""
    if known.shape is None:
        if known.dtype is None or new.kind != known.kind:
            return new if new.dtype or known.dtype is None else known
        return ValueType(known.dtype, new.shape, known.kind) if new.shape is not None else known
    if known.is_fixed or new.shape is None or len(new.shape) != len(known.shape):
        return known
    dims = tuple(map(_sharper_dim, known.shape, new.shape))
    return known if dims == known.shape else ValueType(known.dtype or new.dtype, dims, known.kind)


def _sharper_dim(known: Dim, new: Dim) -> Dim:
    return new if isinstance(known, str) and isinstance(new, int) else known


def same_dims(first: Sequence[Dim], second: Sequence[Dim]) -> tuple[Dim, ...]:
    """The dimensions on which both agree, and ``?`` for the others."""
    return tuple(one if one == other else "?" for one, other in zip(first, second, strict=True))


def common_type(first: ValueType, second: ValueType) -> ValueType:
    """What is true of both."""
    if first == second:
        return first
    if first.kind != second.kind:
        return UNKNOWN
    dtype = first.dtype if first.dtype == second.dtype else None
    if first.shape is None or second.shape is None or len(first.shape) != len(second.shape):
        return ValueType(dtype, None, first.kind)
    return ValueType(dtype, same_dims(first.shape, second.shape), first.kind)


def common(first: Fact, second: Fact) -> Fact:
    """What is true of both: of the results of two branches, of two rounds of a loop."""
    if first is second:
        return first
    value, other = first.value, second.value
    if value is None or other is None or value.shape != other.shape or not np.array_equal(value, other):
        value = None
    items = None
    if first.items is not None and second.items is not None and len(first.items) == len(second.items):
        items = tuple(map(common, first.items, second.items))
    return Fact(common_type(first.type, second.type), items=items, value=value)


def same(first: Fact, second: Fact) -> bool:
    """Whether exactly the same is known of both."""
    if first.type != second.type or (first.items is None) != (second.items is None):
        return False
    if first.items is not None and second.items is not None:
        pairs = zip(first.items, second.items, strict=False)
        return len(first.items) == len(second.items) and all(same(*pair) for pair in pairs)
    value, other = first.value, second.value
    if value is None or other is None:
        return value is other
    return value.shape == other.shape and np.array_equal(value, other)


def sequence_of(items: Iterable[Fact], dtype: str | None = None) -> Fact:
    """A sequence of these tensors."""
    items = tuple(items)
    kinds = {id(item.type): item.type for item in items}
    kind = reduce(common_type, kinds.values()) if items else ValueType(dtype)
    return Fact(ValueType(kind.dtype, kind.shape, "sequence"), items=items)


@cache
def type_proto(kind: ValueType) -> TypeProto:
    """As ONNX's inference takes it; what is not known is left out."""
    if kind.kind in ("sequence", "optional"):
        inner = type_proto(ValueType(kind.dtype, kind.shape))
        make = helper.make_sequence_type_proto if kind.kind == "sequence" else helper.make_optional_type_proto
        return make(inner)
    if kind.kind != "tensor" or kind.dtype not in NUMBERS:
        return onnx.TypeProto()
    dims = None if kind.shape is None else [None if dim == "?" else dim for dim in kind.shape]
    return helper.make_tensor_type_proto(NUMBERS[kind.dtype], dims)
