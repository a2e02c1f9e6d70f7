"""Which sample values an input of a file takes, by what the graph does with it and by its name.

Indices stay within the table that they are looked up in; masks are ones, positions count up, lengths fit.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.graph.node_view import NodeView
from onnxlens.profile.graph.phase_axes import LOOKUPS
from onnxlens.profile.runtime.inputs import fitting_inputs, require_held, sample_inputs
from onnxlens.profile.runtime.uses import MOVED, PAST, Use, new_length, past_length, readers, size_at, use_of
from onnxlens.specs.tensor import TensorSpec, is_floating

Range = tuple[float, float]

TABLES: Mapping[tuple[str, int], int] = {
    **{(operator, indices): table for operator, (table, indices) in LOOKUPS.items()},
    ("GatherElements", 1): 0,
    ("EmbedLayerNormalization", 1): 4,
}
"""Which input holds the table that an input, by operator and position, indexes."""

SIZES_FIRST = frozenset({"ConstantOfShape", "Loop", "Range"})
SIZES_LATER = frozenset({"Expand", "Reshape", "Resize", "Tile", "TopK", "Upsample"})
"""Operators that read sizes and counts, which must not be 0, from their first input on, or behind it."""

MASK = re.compile(r"attention_?mask|attn_?mask|(^|_)mask$")
PADDING = re.compile(r"key_padding_mask")
POSITION = re.compile(r"position|(^|_)pos(_ids)?$")
LENGTH = re.compile(r"(^|_)(seq)?(len|lens|length|lengths|seqlens)(_k)?$")
RATE = re.compile(r"^(sr|sample_rate|sampling_rate)$")

SAMPLE_RATE = 16_000
"""What speech networks take."""

BYTES: Mapping[str, Range] = {"uint8": (0, 255), "int8": (-128, 127)}


def inputs_of(
    graph: Graph, arrays: Mapping[str, np.ndarray], ranges: Mapping[str, Range]
) -> Mapping[str, np.ndarray]:
    """What a graph runs on: the arrays that are given, and sample values for other inputs.

    Args:
        graph: at fixed sizes.
        arrays: by input.
        ranges: low and high of inputs of which the manifest says them.

    Raises:
        UsageError: an array does not fit its input, or an input's size is not fixed.
    """
    given = fitting_inputs(arrays, graph.inputs, graph.given)
    drawn = sample_inputs(
        [tensor for tensor in graph.inputs if tensor.name not in given],
        {**sensible_ranges(graph), **ranges},
        values={name: value for name, value in sensible_values(graph).items() if name not in ranges},
    )
    return {**{tensor.name: {**drawn, **given}[tensor.name] for tensor in graph.inputs}, **graph.given}


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
    """The values of inputs that are no random numbers: masks, positions, lengths; by name, as integers.

    What an operator does with an input tells first, then its name.
    """
    require_held(graph.inputs)
    sized = [tensor for tensor in graph.inputs if tensor.elements is not None]
    found = ((tensor, _value(graph, tensor)) for tensor in sized)
    return {tensor.name: value for tensor, value in found if value is not None}


def _value(graph: Graph, tensor: TensorSpec) -> np.ndarray | None:
    name, sizes = tensor.name.lower(), [dim for dim in tensor.shape if isinstance(dim, int)]
    if is_floating(tensor.dtype):
        return np.ones(sizes) if MASK.search(name) and "att" in name else None
    use = use_of(graph, tensor)
    if use is not None:
        return _of_role(graph, sizes, use)
    if PADDING.search(name):
        return np.zeros(sizes)
    if MASK.search(name):
        return np.ones(sizes)
    if tensor.dtype == "bool":
        return None
    if RATE.search(name):
        return np.full(sizes, SAMPLE_RATE)
    if POSITION.search(name) and sizes:
        return _positions(graph, sizes, _rows(graph, tensor.name))
    return np.full(sizes, _length(graph, tensor)) if LENGTH.search(name) else None


def _of_role(graph: Graph, sizes: Sequence[int], use: Use) -> np.ndarray:
    """What an operator takes as such an input."""
    view, past = use.view, past_length(graph)
    match use.role:
        case "mask":
            return np.ones(sizes)
        case "positions":
            return _positions(graph, sizes, use.rows)
        case "past":
            return np.full(sizes, past)
        case "total" | "last":
            return np.full(sizes, past + new_length(view) - (use.role == "last"))
        case "starts":
            return np.arange(sizes[0]) * _each(view, sizes[0] - 1)
        case "cached":
            return np.full(sizes, max(_capacity(view) - _each(view, sizes[0]), 0))
        case "blocks":
            blocks = size_at(view, 3, 0)
            return np.arange(sizes[0] * sizes[1]).reshape(sizes) % max(blocks, 1)
        case "bounds":
            return np.array([size_at(view, 0, 0), _capacity(view), 0])[: sizes[0]]
    return np.zeros(sizes)


def _positions(graph: Graph, sizes: Sequence[int], rows: int | None) -> np.ndarray:
    """Counted from the cache's length, within the rows of the table."""
    counted = past_length(graph) + np.arange(sizes[-1])
    return np.broadcast_to(counted if rows is None else np.minimum(counted, rows - 1), sizes)


def _each(view: NodeView, sequences: int) -> int:
    """How many new tokens each of the sequences has whose tokens stand in a row."""
    return size_at(view, 0, 0) // max(sequences, 1)


def _capacity(view: NodeView) -> int:
    """How many tokens of a sequence the blocks of a cache hold."""
    return size_at(view, 7, 1) * size_at(view, 3, 1)


def _length(graph: Graph, tensor: TensorSpec) -> int:
    """The length of the sequences that the other inputs hold; the cache's included where it is a total."""
    others = (other.shape for other in graph.inputs if other is not tensor and not PAST.search(other.name))
    lengths = [
        min(dim for dim in dims[1:] if isinstance(dim, int))
        for dims in others
        if len(dims) > 1 and all(isinstance(dim, int) for dim in dims)
    ]
    length, past, name = lengths[0] if lengths else 1, past_length(graph), tensor.name.lower()
    if "total" in name:
        return length + past
    if PAST.search(name):
        return past
    return length + past - 1 if name.endswith("_k") else length


def _rows(graph: Graph, name: str) -> int | None:
    """How many entries the smallest table has that the value is an index into; None if it is none."""
    sizes = (
        size_at(view, TABLES[view.op_type, index], int(view.attributes.get("axis", 0)))
        for view, index in readers(graph, name, MOVED)
        if (view.op_type, index) in TABLES
    )
    return min(filter(None, sizes), default=None)
