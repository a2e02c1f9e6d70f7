"""Bytes that a node moves when nothing is fused: inputs read once, outputs written once, at true dtypes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod

from onnxlens.profile.count.rules.microsoft import traffic as microsoft
from onnxlens.profile.count.rules.movement import may_drop
from onnxlens.profile.count.rules.partial import PartialBytes, rows_of
from onnxlens.profile.graph.node_view import NodeView, ValueView
from onnxlens.specs.record import record

VIEWS = frozenset(
    {
        ("", "Reshape"),
        ("", "Squeeze"),
        ("", "Unsqueeze"),
        ("", "Flatten"),
        ("", "Identity"),
        ("", "BitCast"),
        ("", "Dropout"),
        ("", "SequenceConstruct"),
        ("", "SequenceInsert"),
        ("", "SequenceErase"),
        ("", "SequenceAt"),
        ("", "Optional"),
        ("", "OptionalGetElement"),
        ("com.microsoft", "ExpandDims"),
    }
)
"""Operators whose first output is the memory of their first input: Dropout in inference among them.

Sequences and optionals refer to tensors: to put one in or take it out moves nothing.
"""

MOVE_NOTHING = frozenset({("", "Constant"), ("", "SequenceEmpty")})
"""Operators whose output is there already."""


@record(frozen=True, slots=True)
class Traffic:
    """Bytes one execution must move through DRAM when nothing is fused."""

    weight_read_bytes: int = 0
    read_bytes: int = 0
    write_bytes: int = 0

    @property
    def total_bytes(self) -> int:
        """All three together."""
        return self.weight_read_bytes + self.read_bytes + self.write_bytes


def is_view(node: NodeView) -> bool:
    """Whether the node's first output shares the memory of its first input."""
    if (node.domain, node.op_type) not in VIEWS:
        return False
    return node.op_type != "Dropout" or not may_drop(node)


def viewed_inputs(node: NodeView) -> Sequence[ValueView]:
    """The inputs whose memory the first output shares: of a view the first, of a sequence all in it."""
    if not is_view(node):
        return ()
    shared = {"SequenceConstruct": len(node.inputs), "SequenceInsert": 2}.get(node.op_type, 1)
    return [value for value in node.inputs[:shared] if value is not None]


def traffic_of(node: NodeView) -> Traffic:
    """What the node moves; for this, shapes and dtypes suffice, and an operator needs no counting rule.

    A tensor given twice is read once. A view moves nothing but its further outputs (a mask).

    Raises:
        NotCountable: a shape or an element size is unknown.
    """
    operator = (node.domain, node.op_type)
    if operator in MOVE_NOTHING:
        return Traffic()
    if is_view(node):
        return Traffic(write_bytes=_written_bytes(node, first=1))
    if operator in HANDED_ON:
        return _control_traffic(node)
    weights: dict[str, int] = {}
    others: dict[str, int] = {}
    partial = PARTIAL_READS[operator](node) if operator in PARTIAL_READS else {}
    for index, value in enumerate(node.inputs):
        if value is not None:
            reads = weights if value.is_weight else others
            size_bytes = partial[index] if index in partial else value.size_bytes
            reads[value.name] = max(size_bytes, reads.get(value.name, 0))
    kept = 0
    if operator in PARTIAL_WRITES:
        in_place = PARTIAL_WRITES[operator](node)
        kept = sum(node.output(index).size_bytes - size_bytes for index, size_bytes in in_place.items())
    return Traffic(sum(weights.values()), sum(others.values()), _written_bytes(node) - kept)


def _written_bytes(node: NodeView, first: int = 0) -> int:
    if (node.domain, node.op_type) == ("", "SplitToSequence"):
        return node.input(0).size_bytes  # the tensors of a sequence are each a part of the input
    return sum(value.size_bytes for value in node.outputs[first:] if value is not None)


HANDED_ON: Mapping[tuple[str, str], Callable[[NodeView], int]] = {
    ("", "If"): lambda node: len(node.outputs),
    ("", "Loop"): lambda node: len(node.inputs) - 2,
    ("", "Scan"): lambda node: len(node.inputs) - node.attribute("num_scan_inputs") - (node.version < 9),
    ("", "SequenceMap"): lambda node: len(node.outputs),
}
"""Operators that run graphs: how many of their first outputs those graphs made, in the same memory."""


def _control_traffic(node: NodeView) -> Traffic:
    """The slices that a body makes, gathered into one tensor: read and written once. All else is handed on.

    What goes into a body is read there, by the nodes that use it.
    """
    gathered = _written_bytes(node, first=HANDED_ON[node.domain, node.op_type](node))
    return Traffic(read_bytes=gathered, write_bytes=gathered)


def _type_only(node: NodeView) -> Mapping[int, int]:
    """The second input lends its type."""
    return {1: 0}


def _shape_only(node: NodeView) -> Mapping[int, int]:
    """The first input lends its shape."""
    return {0: 0}


def _what_it_writes(node: NodeView) -> Mapping[int, int]:
    """The elements that go out are the elements that are read; indices, starts and sizes are read whole."""
    return {0: _written_bytes(node)}


def _rotary_rows(node: NodeView) -> Mapping[int, int]:
    """With position ids, the cosines and sines of those positions; without, the whole of what is given."""
    if not node.has_input(3):
        return {}
    return rows_of(node, tables=(1, 2), rows=prod(node.input_shape(3)))


def _one_class(node: NodeView) -> Mapping[int, int]:
    """Of the scores, one class for each target."""
    return {0: node.input(0).size_bytes // max(node.input_shape(0)[1], 1)}


PARTIAL_READS: Mapping[tuple[str, str], PartialBytes] = {
    ("", "Shape"): _shape_only,
    ("", "Size"): _shape_only,
    ("", "EyeLike"): _shape_only,
    ("", "CastLike"): _type_only,
    ("", "Gather"): _what_it_writes,
    ("", "GatherElements"): _what_it_writes,
    ("", "GatherND"): _what_it_writes,
    ("", "Slice"): _what_it_writes,
    ("", "Split"): _what_it_writes,
    ("", "RotaryEmbedding"): _rotary_rows,
    ("", "Compress"): _what_it_writes,
    ("", "RandomNormalLike"): _shape_only,
    ("", "RandomUniformLike"): _shape_only,
    ("", "NegativeLogLikelihoodLoss"): _one_class,
    ("", "SequenceLength"): _shape_only,
    ("", "OptionalHasElement"): _shape_only,
    ("", "ConcatFromSequence"): _what_it_writes,
    ("ai.onnx.ml", "ArrayFeatureExtractor"): _what_it_writes,
    **{("com.microsoft", op_type): partial for op_type, partial in microsoft.PARTIAL_READS.items()},
}
"""For operators that do not read an input whole: the bytes they read of it, by the input's index."""

PARTIAL_WRITES: Mapping[tuple[str, str], PartialBytes] = {
    ("com.microsoft", op_type): partial for op_type, partial in microsoft.PARTIAL_WRITES.items()
}
"""For operators that do not write an output whole: the bytes they write of it, by the output's index."""
