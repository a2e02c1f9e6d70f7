"""What the operators of a graph do with an input of whole numbers: a mask, positions, lengths of caches."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Literal

from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.graph.node_view import NodeView
from onnxlens.profile.graph.phase_axes import COSINES, LENGTHS
from onnxlens.specs.record import record
from onnxlens.specs.tensor import TensorSpec

Role = Literal["mask", "positions", "past", "total", "last", "starts", "cached", "blocks", "bounds", "none"]
"""``total`` is the number of all tokens, ``last`` one less; ``starts`` where sequences begin in a row of
tokens, ``cached`` how many tokens of each are cached, ``blocks`` where; ``bounds`` of both; ``none``: 0."""


@record(frozen=True, slots=True)
class Use:
    """What reads an input, and as what.

    Attributes:
        rows: of a table that positions are looked up in.
    """

    role: Role
    view: NodeView
    rows: int | None = None


SLOTS: Mapping[tuple[str, int], Role] = {
    ("GroupQueryAttention", 9): "positions",
    ("MultiHeadAttention", 4): "mask",
    ("DecoderMaskedMultiHeadAttention", 3): "mask",
    ("DecoderMaskedMultiHeadAttention", 9): "none",
    ("DecoderMaskedSelfAttention", 3): "mask",
    ("PagedAttention", 5): "starts",
    ("PagedAttention", 6): "cached",
    ("PagedAttention", 7): "blocks",
    ("PagedAttention", 16): "bounds",
    ("TensorScatter", 2): "none",
}
"""By operator and input; lengths that are not here are in ``LENGTHS``, and below is what only ONNX's own, or
only ONNX Runtime's has."""
STANDARD: Mapping[tuple[str, int], Role] = {("RotaryEmbedding", 3): "positions"}
MICROSOFT: Mapping[tuple[str, int], Role] = {
    ("RotaryEmbedding", 1): "positions",
    ("MRotaryEmbedding", 1): "positions",
}

BIASES = frozenset(
    {("MultiHeadAttention", 5), ("GroupQueryAttention", 10), ("Attention", 3), ("Attention", 5)}
)
"""What is added to scores, by operator and input."""

KEEPING = frozenset("Cast Expand Flatten Identity Reshape Slice Squeeze Tile Transpose Unsqueeze".split())
"""Operators whose outputs hold the values of their first input."""
MOVED = KEEPING | {"Concat"}
TURNED = MOVED | {"Add", "MatMul", "Mul"}
"""What stands between positions and the angles that are made of them."""
WEIGHED = MOVED | {"Add", "And", "Equal", "GatherND", "Mul", "Not", "Sub", "Where"}
"""What stands between a mask and the scores that it is added to."""
SUMMED = MOVED | {"ReduceSum", "Sub"}
"""What makes the length of a sequence of its mask."""

PAST_AT: Mapping[tuple[str, str], tuple[int, int]] = {
    ("com.microsoft", "GroupQueryAttention"): (3, 2),
    ("com.microsoft", "MultiHeadAttention"): (6, 2),
    ("com.microsoft", "DecoderMaskedMultiHeadAttention"): (5, 2),
    ("com.microsoft", "Attention"): (4, 3),
    ("", "Attention"): (4, 2),
}
"""Which input is the cache of keys, and on which axis its tokens are."""

PAST = re.compile(r"past|cache")


def use_of(graph: Graph, tensor: TensorSpec) -> Use | None:
    """As what the graph uses an input of whole numbers; None where no operator tells."""
    for view, index in readers(graph, tensor.name, MOVED):
        role = _slot(view, index)
        if role == "last" and len(tensor.shape) > 1:
            role = "mask"
        if role is not None:
            return Use(role, view, _rows(view) if role == "positions" else None)
    if len(tensor.shape) < 2 or tensor.dtype not in ("int64", "int32"):
        return None
    for through, is_such, led_to in LEADING:
        led = (view for view, index in readers(graph, tensor.name, through) if is_such(view, index))
        first = next(led, None)
        if first is not None:
            return Use(led_to, first)
    return None


def _slot(view: NodeView, index: int) -> Role | None:
    key, lengths = (view.op_type, index), LENGTHS.get((view.domain, view.op_type), {})
    return SLOTS.get(key) or (MICROSOFT if view.domain else STANDARD).get(key) or lengths.get(index)


LEADING: Sequence[tuple[Collection[str], Callable[[NodeView, int], bool], Role]] = (
    (TURNED, lambda view, index: view.op_type in ("Cos", "Sin"), "positions"),
    (SUMMED, lambda view, index: _slot(view, index) == "last", "mask"),
    (WEIGHED, lambda view, index: view.op_type == "Softmax" or _slot(view, index) == "mask", "mask"),
    (WEIGHED, lambda view, index: (view.op_type, index) in BIASES, "mask"),
)
"""Of tensors of two axes and more: through what they lead where, and what they then are."""


def _rows(view: NodeView) -> int | None:
    at = COSINES.get((view.domain, view.op_type))
    return None if at is None else size_at(view, at, 0) or None


def readers(graph: Graph, name: str, through: Collection[str]) -> Iterator[tuple[NodeView, int]]:
    """The nodes that read a value, or what these operators make of it; and as which of their inputs."""
    seen, waiting = {name}, [name]
    while waiting:
        current = waiting.pop()
        for node in graph.consumers(current):
            view = graph.nodes[node].view
            read = [value is not None and value.name == current for value in view.inputs]
            yield from ((view, index) for index, is_read in enumerate(read) if is_read)
            if view.op_type in through and (read[0] or view.op_type not in KEEPING):
                made = {value.name for value in view.outputs if value is not None} - seen
                seen |= made
                waiting += sorted(made)


def size_at(view: NodeView, index: int, axis: int) -> int:
    """A dimension of an input; 0 where it is not known."""
    shape = view.input(index).shape if view.has_input(index) else None
    size = shape[axis] if shape is not None and axis < len(shape) else 0
    return size if isinstance(size, int) else 0


def new_length(view: NodeView) -> int:
    """How many new tokens an attention reads."""
    split = len(view.input(0).shape or ()) == 4  # into heads, in front of the tokens
    return size_at(view, 1, 2 if split else 1) or size_at(view, 0, 2 if split else 1)


def past_length(graph: Graph) -> int:
    """How many tokens a growing cache of keys holds, by what reads it, then by its name; 0 without one."""
    for node in graph.nodes:
        at = PAST_AT.get((node.view.domain, node.view.op_type))
        if at is not None and not node.view.attributes.get("sliding_window_cache", 0):
            if node.view.has_input(at[0]):
                return size_at(node.view, *at)
    caches = (tensor.shape for tensor in graph.inputs if PAST.search(tensor.name.lower()))
    return next((dims[2] for dims in caches if len(dims) == 4 and isinstance(dims[2], int)), 0)
