"""What is known of sequences and optionals: the elements one by one, where their number is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from onnxlens.profile.graph.loading.inference.facts import NO_FACT, Fact, at, common, of_value, sequence_of
from onnxlens.profile.graph.loading.protobuf import FileNode
from onnxlens.profile.graph.loading.value_types import DTYPES, ValueType
from onnxlens.specs.tensor import Dim

Inputs = Sequence[Fact | None]
Rule = Callable[[FileNode, Inputs], Sequence[Fact] | None]
"""What a node's outputs are known to be; None where ONNX's inference is to be asked."""

MOST_ITEMS = 4096
"""A sequence of more elements is not known one by one."""


def _given(inputs: Inputs, index: int) -> Fact:
    return at(inputs, index) or NO_FACT


def _position(inputs: Inputs, index: int, default: int) -> int | None:
    """An optional position: the default where it is left out, None where it is not known."""
    fact = at(inputs, index)
    return default if fact is None else fact.scalar


def _empty(node: FileNode, inputs: Inputs) -> Sequence[Fact]:
    return [sequence_of((), DTYPES[node.attributes.get("dtype", 1)])]


def _construct(node: FileNode, inputs: Inputs) -> Sequence[Fact]:
    return [sequence_of(fact or NO_FACT for fact in inputs)]


def _insert(node: FileNode, inputs: Inputs) -> Sequence[Fact]:
    """At a position, by default the end."""
    source, new = _given(inputs, 0), _given(inputs, 1)
    if source.items is None or len(source.items) >= MOST_ITEMS:
        return [Fact(common(_element(source), new).type).wrapped("sequence")]
    items = list(source.items)
    position = _position(inputs, 2, len(items))
    if position is None:  # somewhere: each may be any of them
        return [sequence_of([sequence_element([*items, new])] * (len(items) + 1))]
    items.insert(position if position >= 0 else position + len(items), new)
    return [sequence_of(items)]


def _erase(node: FileNode, inputs: Inputs) -> Sequence[Fact]:
    """At a position, by default the end."""
    source = _given(inputs, 0)
    if not source.items:
        return [Fact(source.type)]
    items = list(source.items)
    position = _position(inputs, 1, -1)
    if position is None:
        return [sequence_of([sequence_element(items)] * (len(items) - 1))]
    del items[position]
    return [sequence_of(items, source.type.dtype)]


def _element_at(node: FileNode, inputs: Inputs) -> Sequence[Fact]:
    source = _given(inputs, 0)
    position = _position(inputs, 1, 0)
    if source.items and position is not None and -len(source.items) <= position < len(source.items):
        return [source.items[position]]
    return [_element(source)]


def _length(node: FileNode, inputs: Inputs) -> Sequence[Fact] | None:
    items = _given(inputs, 0).items
    return None if items is None else [of_value(np.array(len(items)))]


def _joined(node: FileNode, inputs: Inputs) -> Sequence[Fact] | None:
    """ConcatFromSequence: along an axis, or along a new one."""
    source = _given(inputs, 0)
    axis, new_axis = node.attributes["axis"], node.attributes.get("new_axis", 0)
    shape = source.type.shape
    items = source.items
    if shape is None or items == ():
        return None
    axis %= len(shape) + new_axis
    size: Dim = "?"
    if items is not None and new_axis:
        size = len(items)
    elif items is not None:
        sizes = [item.type.shape[axis] for item in items if item.type.shape is not None]
        numbers = [dim for dim in sizes if isinstance(dim, int)]
        size = sum(numbers) if len(numbers) == len(items) else "?"
    kept = shape[axis:] if new_axis else shape[axis + 1 :]
    values = [item.value for item in items] if items is not None else [None]
    known = [value for value in values if value is not None]
    if len(known) == len(values):
        return [of_value((np.stack if new_axis else np.concatenate)(known, axis=axis))]
    return [Fact(ValueType(source.type.dtype, (*shape[:axis], size, *kept)))]


def _split(node: FileNode, inputs: Inputs) -> Sequence[Fact] | None:
    """SplitToSequence: into single slices, whose axis may go, into equal parts, or into the sizes given."""
    source, sizes = _given(inputs, 0), at(inputs, 1)
    shape = source.type.shape
    if shape is None or source.type.kind != "tensor":
        return None
    axis = node.attributes.get("axis", 0) % len(shape)
    dropped = sizes is None and not node.attributes.get("keepdims", 1)

    def part(size: Dim) -> Fact:
        middle = () if dropped else (size,)
        return Fact(ValueType(source.type.dtype, (*shape[:axis], *middle, *shape[axis + 1 :])))

    parts = _part_sizes(shape[axis], sizes)
    if parts is None:
        one = part(1 if sizes is None else "?")
        return [Fact(one.type).wrapped("sequence")]
    return [sequence_of(map(part, parts), source.type.dtype)]


def _part_sizes(length: Dim, sizes: Fact | None) -> Sequence[int] | None:
    """The sizes of the parts of an axis, where they are known."""
    value = np.array(1) if sizes is None else sizes.value
    if value is None:
        return None
    if value.ndim:
        return [int(size) for size in value]
    step = int(value)
    if not isinstance(length, int) or step <= 0 or length > MOST_ITEMS * step:
        return None
    return [min(step, length - start) for start in range(0, length, step)]


def _element(source: Fact) -> Fact:
    """What is true of every element."""
    return Fact(ValueType(source.type.dtype, source.type.shape))


def sequence_element(items: Sequence[Fact]) -> Fact:
    """What is true of all of these."""
    one, *others = items
    for other in others:
        one = common(one, other)
    return one


def _identity(node: FileNode, inputs: Inputs) -> Sequence[Fact] | None:
    """As it is, with all that is known of it."""
    return [_given(inputs, 0)]


def _optional(node: FileNode, inputs: Inputs) -> Sequence[Fact] | None:
    """Holding its input; without one it is empty, and ONNX's own knows the type."""
    held = at(inputs, 0)
    return None if held is None else [held.wrapped("optional", (held,))]


def _held(node: FileNode, inputs: Inputs) -> Sequence[Fact] | None:
    """OptionalGetElement: what the optional holds; a value that is none is what it is."""
    source = _given(inputs, 0)
    if source.type.kind != "optional":
        return [source]
    return list(source.items) if source.items else None


def _has_element(node: FileNode, inputs: Inputs) -> Sequence[Fact] | None:
    source = at(inputs, 0)
    if source is not None and source.type.kind == "optional" and source.items is None:
        return None
    return [of_value(np.array(source is not None and source.items != ()))]


CONTAINERS: Mapping[tuple[str, str], Rule] = {
    ("", "SequenceEmpty"): _empty,
    ("", "SequenceConstruct"): _construct,
    ("", "SequenceInsert"): _insert,
    ("", "SequenceErase"): _erase,
    ("", "SequenceAt"): _element_at,
    ("", "SequenceLength"): _length,
    ("", "ConcatFromSequence"): _joined,
    ("", "SplitToSequence"): _split,
    ("", "Identity"): _identity,
    ("", "Optional"): _optional,
    ("", "OptionalGetElement"): _held,
    ("", "OptionalHasElement"): _has_element,
}
"""The operators of sequences and optionals, and Identity, which hands all that is known on."""
