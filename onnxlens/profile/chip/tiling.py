"""What a node takes on the chip: the model of tiles, one operator at a time, from memory to memory.

A node with MACs is rows that stream past weights. The rows are the height of a picture (the length of a
sequence, the depth of a volume), the tokens of a matrix product, the queries of an attention; its second
operand, or its keys and values, are the weights. Groups of a convolution, products of a batch and heads are
independent, and done one after the other; the images of a batch share the weights. On the chip are

- input rows: ``(r - 1) * stride + (kernel - 1) * dilation + 1`` of them for ``r`` output rows, at most all.
  A row stays until no later one needs it, so that the halo is never read again;
- weights: those of ``c`` output channels;
- output: of what is worked on, ``r`` rows of ``c`` channels.

Either the weights of ``c`` channels stay and all rows stream past them (r = 1), so that the input is read
ceil(channels / c) times; or the input of ``r`` rows stays and the weights stream past it channel by channel
(c = 1), so that they are read once for each band of rows. Whichever fits and reads less is taken. What is
read again is *spilled*. Where not even one row and one channel fit, the node has no tiles, as neither width
nor input channels are cut; what it would spill with a row and a channel is then a lower bound. Keys and
values never stay in part, as incomplete sums would leave the chip.

A normalization or softmax reads its input once where what it takes statistics of (a row, a group of channels)
fits, else twice. A pooling is rows of one channel without weights. All other operators stream element by
element. An operator with MACs whose tiles are not described here is taken to hold all its operands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod

from onnxlens.profile.chip.matrix_work import matrix_work
from onnxlens.profile.chip.memory_edges import MemoryEdges
from onnxlens.profile.count.families import POOLING, SCORES, of_operator
from onnxlens.profile.count.rules.attention_caches import caches_of
from onnxlens.profile.graph.node_view import NodeView, NotCountable
from onnxlens.specs.array_fit import MatrixWork
from onnxlens.specs.edges import NodeMoves

Found = tuple[int, int]
"""A number of parts, and the bytes that they take."""


@dataclass(frozen=True, slots=True)
class Tiles:
    """One of the independent parts of a node, and what all of them read.

    Attributes:
        images: that share the weights.
        rows: of the output, in one image.
        input_rows: of the input, in one image.
        row_bytes: of an input row.
        output_bytes: of an output row.
        weight_bytes: all that the rows stream past.
        channels: in how many equal slices the weights come.
        cuts_output: whether a slice of the weights makes a slice of the output; else it adds to all of it.
        reach: from the first to the last input row that an output row needs.
        stride: input rows between one output row and the next.
        transposed: the reach and stride are those of output rows that an input row adds to.
        reads_input_bytes: of all parts, once.
        reads_weight_bytes: likewise.
    """

    images: int
    rows: int
    input_rows: int
    row_bytes: int
    output_bytes: int
    weight_bytes: int
    channels: int
    reads_input_bytes: int
    reads_weight_bytes: int
    cuts_output: bool = True
    reach: int = 1
    stride: int = 1
    transposed: bool = False

    def needed(self, rows: int, channels: int) -> int:
        """The bytes on the chip for so many output rows and channels; beyond ``rows`` whole images."""
        images = max(rows // self.rows, 1)
        window = min(self._window(min(rows, self.rows)), self.input_rows) * images
        output = self.output_bytes * rows
        return (
            window * self.row_bytes
            + _share(self.weight_bytes, channels, self.channels)
            + (_share(output, channels, self.channels) if self.cuts_output else output)
        )

    def _window(self, rows: int) -> int:
        if self.transposed:
            return (rows + self.reach - 2) // self.stride + 1
        return (rows - 1) * self.stride + self.reach

    @property
    def least_bytes(self) -> int:
        """What the model takes at least: a row and a channel."""
        return self.needed(1, 1)

    @property
    def whole_bytes(self) -> int:
        """The smallest memory in which everything is read once."""
        return min(self.needed(1, self.channels), self.needed(self.images * self.rows, 1))

    def spilled_bytes(self, on_chip_bytes: int, *, input_stays: bool, weights_stay: bool) -> int:
        """What is read again; of less than ``least_bytes`` that with so many: a lower bound.

        Args:
            on_chip_bytes: the size of the memory on the chip.
            input_stays: the input comes from the chip, not from memory.
            weights_stay: likewise, where the weights are activations.
        """
        size_bytes = max(on_chip_bytes, self.least_bytes)
        channels = _most(self.channels, lambda count: self.needed(1, count) <= size_bytes)
        rows = _most(self.rows, lambda count: self.needed(count, 1) <= size_bytes)
        images = _most(self.images, lambda count: self.needed(count * self.rows, 1) <= size_bytes)
        bands = -(-self.images // images) if images else self.images * -(-self.rows // rows)
        again = 0 if weights_stay else self.reads_weight_bytes * (bands - 1)
        if not self.cuts_output and channels < self.channels:
            return again  # else sums that are not complete would leave the chip
        passes = -(-self.channels // channels)
        return min(again, 0 if input_stays else self.reads_input_bytes * (passes - 1))


@dataclass(frozen=True, slots=True)
class Statistics:
    """A normalization: what it reads, and of how much at once it takes statistics."""

    unit_bytes: int
    reads_bytes: int

    @property
    def least_bytes(self) -> int:
        """It streams element by element if it must."""
        return 0

    @property
    def whole_bytes(self) -> int:
        """The smallest memory in which its input is read once."""
        return self.unit_bytes

    def spilled_bytes(self, on_chip_bytes: int, *, input_stays: bool, weights_stay: bool) -> int:
        """The input once more, where its unit does not fit and it comes from memory."""
        return 0 if input_stays or self.unit_bytes <= on_chip_bytes else self.reads_bytes


def tiles_of(node: NodeView, moves: NodeMoves, edges: MemoryEdges) -> Tiles | Statistics | None:
    """How a node is tiled; None for an operator that streams.

    Raises:
        NotCountable: it has MACs, and its shapes do not say how it is tiled.
    """
    if not moves.writes:
        return None
    if node.op_type in UNITS and (unit := UNITS[node.op_type](node)):
        source = node.input(0)
        return Statistics(source.size_bytes * unit // max(source.elements, 1), _read(node, 0, moves, edges))
    if of_operator(node.domain, node.op_type) == POOLING and node.attribute("kernel_shape"):
        return _pooling(node, moves, edges) if node.output().elements else None
    works = matrix_work(node)
    if not works:
        return None
    if len(works) == 1 and works[0].layer == "matmul":
        return _product(node, works[0], moves, edges)
    if len(works) == 1 and "Deform" not in node.op_type:
        return _convolution(node, works[0], moves, edges)
    if len(works) == 2 and of_operator(node.domain, node.op_type) == SCORES:
        return _attention(node, works[0], moves, edges)
    return _held_whole(moves)


def _held_whole(moves: NodeMoves) -> Tiles:
    """All operands at once: no law of tiles is described."""
    reads, weights = sum(moves.reads.values()), sum(moves.weights.values())
    return Tiles(1, 1, 1, reads, sum(moves.writes.values()), weights, 1, reads, weights)


def _read(node: NodeView, index: int, moves: NodeMoves, edges: MemoryEdges) -> int:
    """What the node reads of one input."""
    value = node.input(index)
    return moves.weights.get(value.name, 0) or moves.reads.get(edges.tensor_of(value.name), 0)


def _operands(node: NodeView, moves: NodeMoves, edges: MemoryEdges) -> tuple[int, int]:
    """What is read of the rows, and of what they stream past: the weights, else the second operand."""
    rows = _read(node, 0, moves, edges)
    weights = sum(moves.weights.values()) - moves.weights.get(node.input(0).name, 0)
    return rows, weights or _read(node, 1, moves, edges)


def _product(node: NodeView, work: MatrixWork, moves: NodeMoves, edges: MemoryEdges) -> Tiles:
    rows, weights = _operands(node, moves, edges)
    return Tiles(
        1, work.width, work.width,
        _each(rows, work.times * work.width), _each(node.output().size_bytes, work.times * work.width),
        _each(weights, work.times), work.output_channels, rows, weights,
    )  # fmt: skip


def _convolution(node: NodeView, work: MatrixWork, moves: NodeMoves, edges: MemoryEdges) -> Tiles:
    last = node.op_type.startswith("Nhwc") or node.domain.endswith("nhwc")
    axis = 1 if last else 2
    given, made = node.input_shape(0), node.output_shape()
    if len(given) <= axis or given[0] != work.times:  # sequences one after the other
        return _held_whole(moves)
    rows, weights = _operands(node, moves, edges)
    transposed = "ConvTranspose" in node.op_type
    stride = (node.attribute("strides") or (1,))[0]
    return Tiles(
        work.times, made[axis], given[axis],
        _each(rows, work.times * work.groups * given[axis]),
        _each(node.output().size_bytes, work.times * work.groups * made[axis]),
        _each(weights, work.groups), work.output_channels, rows, weights,
        reach=(work.kernel[0] - 1) * work.dilation[0] + 1, stride=stride, transposed=transposed,
    )  # fmt: skip


def _pooling(node: NodeView, moves: NodeMoves, edges: MemoryEdges) -> Tiles:
    given, made = node.input_shape(0), node.output_shape()
    planes = prod(given[:2])
    dilation = (node.attribute("dilations") or (1,))[0]
    rows = _read(node, 0, moves, edges)
    return Tiles(
        1, made[2], given[2],
        _each(rows, planes * given[2]), _each(node.output().size_bytes, planes * made[2]),
        0, 1, rows, 0,
        reach=(node.attribute("kernel_shape")[0] - 1) * dilation + 1,
        stride=(node.attribute("strides") or (1,))[0],
    )  # fmt: skip


def _attention(node: NodeView, scores: MatrixWork, moves: NodeMoves, edges: MemoryEdges) -> Tiles:
    """The queries of a head stream past its keys and values, or these past them."""
    given = _read(node, 0, moves, edges)
    queries = given if node.has_input(1) else _queries_of_packed(node, given)
    past = {use.past for use in caches_of(node) if use.past is not None}
    held = (place for place in past | {1, 2} if node.has_input(place))
    keys = sum(_read(node, place, moves, edges) for place in held) + given - queries
    return Tiles(
        1, scores.width, scores.width,
        _each(queries, scores.times * scores.width),
        _each(node.output().size_bytes, scores.times * scores.width),
        _each(keys, scores.times), scores.output_channels, queries, keys, cuts_output=False,
    )  # fmt: skip


def _queries_of_packed(node: NodeView, size_bytes: int) -> int:
    """What of an input with queries, keys and values of all heads side by side the queries take."""
    heads: int = node.attribute("num_heads")
    shared: int = node.attribute("kv_num_heads", heads)
    return size_bytes * heads // (heads + 2 * shared)


def _each(size_bytes: int, parts: int) -> int:
    """The bytes of one of several equal parts, rounded up."""
    return -(-size_bytes // max(parts, 1))


def _share(size_bytes: int, parts: int, of: int) -> int:
    return -(-size_bytes * parts // max(of, 1))


def _most(limit: int, fits: Callable[[int], bool]) -> int:
    """The largest number up to ``limit`` that fits, if all smaller ones do; 0 where 1 does not."""
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def _from_axis(node: NodeView) -> int:
    return prod(node.input_shape(0)[node.attribute("axis", -1) :])


def _softmax(node: NodeView) -> int:
    if node.version < 13:
        return prod(node.input_shape(0)[node.attribute("axis", 1) :])
    return _axis(node)


def _axis(node: NodeView) -> int:
    size: int = node.input_shape(0)[node.attribute("axis", -1)]
    return size


def _group(node: NodeView) -> int:
    shape = node.input_shape(0)
    groups: int = node.attribute("num_groups") or node.attribute("groups")
    if not groups:
        raise NotCountable(f"{node.op_type} {node.name!r}: has no number of groups")
    return prod(shape[1:]) // max(groups, 1)


def _last(node: NodeView) -> int:
    *_, width = node.input_shape(0)
    return width


UNITS: Mapping[str, Callable[[NodeView], int]] = {
    "InstanceNormalization": lambda node: prod(node.input_shape(0)[2:]),
    "GroupNormalization": _group,
    **dict.fromkeys(("GroupNorm", "SkipGroupNorm"), _group),
    **dict.fromkeys(("LayerNormalization", "RMSNormalization", "SimplifiedLayerNormalization"), _from_axis),
    **dict.fromkeys(("SkipLayerNormalization", "SkipSimplifiedLayerNormalization"), _last),
    "LpNormalization": _axis,
    **dict.fromkeys(("Softmax", "LogSoftmax"), _softmax),
}
"""Of how many elements each takes statistics."""
