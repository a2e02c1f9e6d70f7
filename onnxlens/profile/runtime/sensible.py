"""Which sample values an input of a file takes, by what the graph does with it and by its name.

Indices stay within the table that they are looked up in; masks are ones, positions count up, lengths fit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.graph.node_view import ValueView
from onnxlens.profile.runtime.inputs import require_held
from onnxlens.specs.tensor import TensorSpec, is_floating

Range = tuple[float, float]

KEEPING = frozenset("Cast Concat Expand Flatten Identity Reshape Slice Squeeze Transpose Unsqueeze".split())
"""Operators whose outputs hold the values of their first input."""

TABLES: Mapping[tuple[str, int], int] = {
    ("Gather", 1): 0,
    ("GatherElements", 1): 0,
    ("GatherBlockQuantized", 1): 0,
    ("EmbedLayerNormalization", 0): 2,
    ("EmbedLayerNormalization", 1): 4,
}
"""Which input holds the table that an input, by operator and position, indexes."""

SIZES_FIRST = frozenset({"ConstantOfShape", "Loop", "Range"})
SIZES_LATER = frozenset({"Expand", "Reshape", "Resize", "Tile", "TopK", "Upsample"})
"""Operators that read sizes and counts, which must not be 0, from their first input on, or behind it."""

PAST = re.compile(r"past|cache")
MASK = re.compile(r"attention_?mask|attn_?mask|(^|_)mask$")
PADDING = re.compile(r"key_padding_mask")
POSITION = re.compile(r"position|(^|_)pos(_ids)?$")
LENGTH = re.compile(r"(^|_)(seq)?(len|lens|length|lengths|seqlens)(_k)?$")
RATE = re.compile(r"^(sr|sample_rate|sampling_rate)$")

SAMPLE_RATE = 16_000
"""What speech networks take."""

BYTES: Mapping[str, Range] = {"uint8": (0, 255), "int8": (-128, 127)}


def sensible_ranges(graph: Graph) -> Mapping[str, Range]:
    """Low and high for every input of integers, by name."""
    whole = [tensor for tensor in graph.inputs if not is_floating(tensor.dtype)]
    return {tensor.name: _range(graph, tensor) for tensor in whole}


def _range(graph: Graph, tensor: TensorSpec) -> Range:
    rows = _rows(graph, tensor.name)
    if rows is not None:
        return 0, max(rows - 1, 0)
    return (1, 1) if _is_size(graph, tensor.name) else BYTES.get(tensor.dtype, (0, 1))


def _is_size(graph: Graph, name: str) -> bool:
    for view in (graph.nodes[index].view for index in graph.consumers(name)):
        first = view.inputs[0] is not None and view.inputs[0].name == name
        if view.op_type in SIZES_FIRST or (view.op_type in SIZES_LATER and not first):
            return True
    return False


def sensible_values(graph: Graph) -> Mapping[str, np.ndarray]:
    """The values of inputs that are no random numbers: masks, positions, lengths; by name, as integers."""
    require_held(graph.inputs)
    sized = [tensor for tensor in graph.inputs if tensor.elements is not None]
    found = ((tensor, _value(graph, tensor)) for tensor in sized)
    return {tensor.name: value for tensor, value in found if value is not None}


def _value(graph: Graph, tensor: TensorSpec) -> np.ndarray | None:
    name, sizes = tensor.name.lower(), [dim for dim in tensor.shape if isinstance(dim, int)]
    if is_floating(tensor.dtype):
        return np.ones(sizes) if MASK.search(name) and "att" in name else None
    if PADDING.search(name):
        return np.zeros(sizes)
    if MASK.search(name):
        return np.ones(sizes)
    if tensor.dtype == "bool":
        return None
    if RATE.search(name):
        return np.full(sizes, SAMPLE_RATE)
    if POSITION.search(name) and sizes:
        rows = _rows(graph, tensor.name)
        counted = _past(graph) + np.arange(sizes[-1])
        return np.broadcast_to(counted if rows is None else np.minimum(counted, rows - 1), sizes)
    if (attended := _attended(graph, tensor.name)) is not None:
        return np.full(sizes, attended)
    return np.full(sizes, _length(graph, tensor)) if LENGTH.search(name) else None


def _attended(graph: Graph, name: str) -> int | None:
    """The length of the keys that a GroupQueryAttention reads, as its input takes it: less one, or in all."""
    for view in (graph.nodes[index].view for index in graph.consumers(name)):
        for slot, less in ((5, 1), (6, 0)) if view.op_type == "GroupQueryAttention" else ():
            shapes = [view.input(index).shape if view.has_input(index) else () for index in (0, 3)]
            lengths = [dims[axis] for dims, axis in zip(shapes, (1, 2), strict=True) if dims]
            known = [length for length in lengths if isinstance(length, int)]
            if view.has_input(slot) and view.input(slot).name == name and len(known) == len(lengths):
                return sum(known) - less
    return None


def _past(graph: Graph) -> int:
    """How many positions a cache of keys and values holds; 0 without one."""
    caches = (tensor.shape for tensor in graph.inputs if PAST.search(tensor.name.lower()))
    return next((dims[2] for dims in caches if len(dims) == 4 and isinstance(dims[2], int)), 0)


def _length(graph: Graph, tensor: TensorSpec) -> int:
    """The length of the sequences that the other inputs hold; the cache's included where it is a total."""
    others = (other.shape for other in graph.inputs if other is not tensor and not PAST.search(other.name))
    lengths = [
        min(dim for dim in dims[1:] if isinstance(dim, int))
        for dims in others
        if len(dims) > 1 and all(isinstance(dim, int) for dim in dims)
    ]
    length = lengths[0] if lengths else 1
    if "total" in tensor.name.lower():
        return length + _past(graph)
    return length + _past(graph) - 1 if tensor.name.lower().endswith("_k") else length


def _rows(graph: Graph, name: str) -> int | None:
    """How many entries the smallest table has that the value is an index into; None if it is none."""
    sizes = [
        table.shape[axis]
        for table, axis in _tables(graph, name, set())
        if table.shape and axis < len(table.shape)
    ]
    return min((size for size in sizes if isinstance(size, int)), default=None)


def _tables(graph: Graph, name: str, seen: set[str]) -> Iterator[tuple[ValueView, int]]:
    seen.add(name)
    for index in graph.consumers(name):
        view = graph.nodes[index].view
        read = [value.name if value is not None else "" for value in view.inputs]
        for position in (place for place, value in enumerate(read) if value == name):
            table = _table(view.inputs, view.op_type, position)
            if table is not None:
                yield table, int(view.attributes.get("axis", 0)) % len(table.shape or (0,))
        if view.op_type in KEEPING and name in (read if view.op_type == "Concat" else read[:1]):
            for value in view.outputs:
                if value is not None and value.name not in seen:
                    yield from _tables(graph, value.name, seen)


def _table(inputs: Sequence[ValueView | None], op_type: str, position: int) -> ValueView | None:
    held = TABLES.get((op_type, position))
    return None if held is None or held >= len(inputs) else inputs[held]
