"""Memory traffic of a node when nothing is fused: inputs read once, outputs written once, at true dtypes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import prod

from onnxlens.profile.count.rules import elementwise
from onnxlens.profile.count.rules.attention_caches import caches_of
from onnxlens.profile.count.rules.microsoft.packed_weights import experts_in_use
from onnxlens.profile.count.rules.training import may_drop
from onnxlens.profile.graph.node_view import NodeView, ValueView
from onnxlens.specs.record import record

Operator = tuple[str, str]
"""A domain ("" for ONNX's own operators) and an operator type in it."""

PartialBytes = Callable[[NodeView], Mapping[int, int]]
"""The bytes that a node moves of the inputs, or outputs, that it does not move whole; by their index."""

MICROSOFT = "com.microsoft"

VIEWS = frozenset(
    {*(("", op_type) for op_type in elementwise.VIEWS), ("", "Dropout"), (MICROSOFT, "ExpandDims")}
)
"""Operators whose first output shares the memory of their first input; Dropout does so in inference."""

MOVE_NOTHING = frozenset({("", "Constant"), ("", "SequenceEmpty")})
"""Operators whose output exists before they run."""


@record(frozen=True, slots=True)
class Traffic:
    """Bytes that one execution must move through DRAM when nothing is fused.

    Attributes:
        weight_read_bytes: read of weights.
        read_bytes: read of activations.
        write_bytes: written.
    """

    weight_read_bytes: int = 0
    read_bytes: int = 0
    write_bytes: int = 0

    @property
    def moved_bytes(self) -> int:
        """All of them."""
        return self.weight_read_bytes + self.read_bytes + self.write_bytes


def is_view(node: NodeView) -> bool:
    """Whether the node's first output shares the memory of its first input."""
    return (node.domain, node.op_type) in VIEWS and not (node.op_type == "Dropout" and may_drop(node))


def viewed_inputs(node: NodeView) -> Sequence[ValueView]:
    """The inputs whose memory the first output shares: the first one of a view, all those in a sequence."""
    if not is_view(node):
        return ()
    shared = {"SequenceConstruct": len(node.inputs), "SequenceInsert": 2}.get(node.op_type, 1)
    return [value for value in node.inputs[:shared] if value is not None]


def unfused_traffic(node: NodeView) -> Traffic:
    """The bytes that the node moves; this needs shapes and dtypes, but no counting rule.

    A tensor that is an input twice is read once. A view moves nothing but its further outputs (a mask).

    Raises:
        NotCountable: a shape or an element size is unknown.
    """
    operator = (node.domain, node.op_type)
    if operator in MOVE_NOTHING:
        return Traffic()
    if operator in VIEWS and is_view(node):
        return Traffic(write_bytes=_written_bytes(node, first=1))
    if operator in BODY_OUTPUTS:
        return _control_flow_traffic(node)
    weights, others = reads_of(node)
    return Traffic(sum(weights.values()), sum(others.values()), sum(writes_of(node).values()))


def reads_of(node: NodeView) -> tuple[Mapping[str, int], Mapping[str, int]]:
    """The bytes that a node reads of its inputs, by their names: of weights, and of activations.

    It is to be neither a view nor an operator that runs bodies.

    Raises:
        NotCountable: a shape or an element size is unknown.
    """
    weights: dict[str, int] = {}
    others: dict[str, int] = {}
    operator = (node.domain, node.op_type)
    partial = {use.past: use.read_bytes for use in caches_of(node) if use.past is not None}
    if operator in PARTIAL_READS:
        partial |= PARTIAL_READS[operator](node)
    for index, value in enumerate(node.inputs):
        if value is not None:
            reads = weights if value.is_weight else others
            size_bytes = partial[index] if index in partial else value.size_bytes
            name = value.name
            if name not in reads or size_bytes > reads[name]:
                reads[name] = size_bytes
    return weights, others


def writes_of(node: NodeView) -> Mapping[str, int]:
    """The bytes that a node writes of its outputs, by their names; it is no view and runs no bodies.

    Raises:
        NotCountable: a shape or an element size is unknown.
    """
    operator = (node.domain, node.op_type)
    if operator in AS_READ:
        return {node.output(0).name: node.input(0).size_bytes}
    partial = {use.present: use.write_bytes for use in caches_of(node) if use.present is not None}
    return {
        value.name: partial[index] if index in partial else value.size_bytes
        for index, value in enumerate(node.outputs)
        if value is not None
    }


AS_READ = frozenset({("", "SplitToSequence"), ("ai.onnx.ml", "ZipMap")})
"""Operators that write what they read: each tensor of the sequence, each value of its maps."""


def _written_bytes(node: NodeView, first: int = 0) -> int:
    if (node.domain, node.op_type) in AS_READ:
        return node.input(0).size_bytes
    return sum([value.size_bytes for value in node.outputs[first:] if value is not None])


BODY_OUTPUTS: Mapping[Operator, Callable[[NodeView], int]] = {
    ("", "If"): lambda node: len(node.outputs),
    ("", "Loop"): lambda node: len(node.inputs) - 2,
    ("", "Scan"): lambda node: len(node.inputs) - node.attribute("num_scan_inputs") - (node.version < 9),
    ("", "SequenceMap"): lambda node: len(node.outputs),
}
"""Operators that run bodies: how many of their first outputs are outputs of a body, in the same memory."""


def _control_flow_traffic(node: NodeView) -> Traffic:
    """The slices that a body makes are read and written once, to gather them into one tensor.

    All other outputs share memory with the body's, and what a body reads counts at the nodes in it.
    """
    gathered = _written_bytes(node, first=BODY_OUTPUTS[node.domain, node.op_type](node))
    return Traffic(read_bytes=gathered, write_bytes=gathered)


def _none_of(index: int) -> PartialBytes:
    """Nothing of the input at ``index``, of which only the shape or the dtype matters."""
    return lambda node: {index: 0}


def _as_many_as_written(node: NodeView) -> Mapping[int, int]:
    """Of the first input as many bytes as the node writes; indices, starts and sizes are read whole."""
    return {0: _written_bytes(node)}


def _rows(node: NodeView, tables: Iterable[int], rows: int, axis: int = 0) -> Mapping[int, int]:
    """The bytes of ``rows`` rows along ``axis`` of each of the inputs ``tables`` that are given."""
    return {
        index: node.input(index).size_bytes * rows // max(node.input_shape(index)[axis], 1)
        for index in tables
        if node.has_input(index)
    }


def _rows_at_positions(node: NodeView) -> Mapping[int, int]:
    """The cosines and sines at the position ids; the whole caches where there are none."""
    if not node.has_input(3):
        return {}
    return _rows(node, tables=(1, 2), rows=prod(node.input_shape(3)))


def _rows_at_microsoft_positions(node: NodeView) -> Mapping[int, int]:
    """A row of both caches per position; a single position is the start of the sequence."""
    positions = node.input_shape(1)
    rows = node.input_shape(0)[-2] if len(positions) == 1 else prod(positions)
    return _rows(node, tables=(2, 3), rows=rows)


def _rows_of_new_tokens(cosines: int, sines: int) -> PartialBytes:
    """A row of cosines and sines per token of the query."""
    return lambda node: _rows(node, tables=(cosines, sines), rows=prod(node.input_shape(0)[:2]))


def _gathered_blocks(node: NodeView) -> Mapping[int, int]:
    """The rows at the indices, of the data, its scales and its zero points."""
    return _rows(node, (0, 2, 3), rows=node.input(1).elements, axis=node.attribute("gather_axis", 0))


PARTIAL_READS: Mapping[Operator, PartialBytes] = {
    **{("", op_type): _none_of(0) for op_type in (
        *elementwise.FACTS, "EyeLike", "RandomNormalLike", "RandomUniformLike",
    )},
    ("", "CastLike"): _none_of(1),
    **dict.fromkeys((
        ("", "Gather"), ("", "GatherElements"), ("", "GatherND"), ("", "Slice"), ("", "Split"),
        ("", "Compress"), ("", "ConcatFromSequence"), ("ai.onnx.ml", "ArrayFeatureExtractor"),
        (MICROSOFT, "GatherND"), (MICROSOFT, "TorchEmbedding"),
    ), _as_many_as_written),
    ("", "RotaryEmbedding"): _rows_at_positions,
    # one class per target
    ("", "NegativeLogLikelihoodLoss"): lambda node: _rows(node, tables=[0], rows=1, axis=1),
    (MICROSOFT, "GatherBlockQuantized"): _gathered_blocks,
    # a row per token of each of two or three embedding tables
    **dict.fromkeys(
        ((MICROSOFT, "EmbedLayerNormalization"), (MICROSOFT, "QEmbedLayerNormalization")),
        lambda node: _rows(node, tables=(2, 3, 4), rows=prod(node.output_shape(0)[:-1])),
    ),
    (MICROSOFT, "RotaryEmbedding"): _rows_at_microsoft_positions,
    (MICROSOFT, "MRotaryEmbedding"): _rows_at_microsoft_positions,
    (MICROSOFT, "GroupQueryAttention"): _rows_of_new_tokens(7, 8),
    (MICROSOFT, "SparseAttention"): _rows_of_new_tokens(9, 10),
    (MICROSOFT, "DynamicSparseAttention"): _rows_of_new_tokens(11, 12),
    (MICROSOFT, "SparsePagedAttention"): lambda node: _rows(node, (14, 15), rows=node.input_shape(0)[0]),
    (MICROSOFT, "PagedAttention"): lambda node: _rows(node, tables=(8, 9), rows=node.input_shape(0)[0]),
    # of every tensor with a row per expert, as many rows as the tokens can reach
    **dict.fromkeys(
        ((MICROSOFT, "MoE"), (MICROSOFT, "QMoE")),
        lambda node: _rows(node, tables=range(2, 14), rows=experts_in_use(node)),
    ),
}  # fmt: skip
"""For operators that do not read an input whole: the bytes that they read of it."""
