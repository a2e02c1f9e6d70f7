"""How many bytes of activations are alive at once."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from onnxlens.profile.count.rules import is_view, viewed_inputs
from onnxlens.profile.count.rules.attention_caches import buffers_of
from onnxlens.profile.graph.graph import Graph, GraphNode
from onnxlens.profile.graph.node_view import NotCountable, ValueView
from onnxlens.specs.memory import LiveTensor, MemoryPeak, NodePlace
from onnxlens.specs.record import record
from onnxlens.specs.tensor import DTYPES, TensorSpec, storage_bytes

Measure = Callable[[int | None], int]
"""Of a size in bytes, None where it is unknown."""

FLOATS = frozenset({"float32", "float64", *DTYPES})
"""What is held in another dtype when a network is quantized, or made of halves."""


def live_bytes(graph: Graph, idle: Collection[int] = (), stored_as: str = "") -> Sequence[int]:
    """For each node, the bytes of activations alive while it runs: inputs, outputs, and all that waits.

    An activation lives from the node that produces it to its last consumer; the graph's inputs live from the
    start, its outputs to the end. A view has no memory of its own: it keeps its source's alive, a sequence
    that of all tensors in it, an output of an If or a loop that of the body's result, a cache that comes back
    as long as it was that of the buffer. Weights are resident and do not count; values of unknown size count
    0.

    Args:
        graph: its nodes in the order of execution.
        idle: the indices of nodes that do not run: those in a branch that is not taken.
        stored_as: the dtype in which floats are held; "" for the file's.
    """
    return Activations(graph, idle, stored_as).levels()


def live_unsized(graph: Graph, idle: Collection[int] = ()) -> frozenset[int]:
    """The nodes during which an activation of unknown size is alive, by their indices."""
    part = _whole(graph, idle)
    levels = _levels(part.nodes, lambda size_bytes: int(size_bytes is None), _held(part, _Memory(part)))
    return frozenset(index for index, count in enumerate(levels) if count)


def memory_peak(graph: Graph, idle: Collection[int] = (), stored_as: str = "") -> MemoryPeak:
    """The first node at which most is alive, and all that is alive there, the largest first.

    Arguments are those of ``live_bytes``.
    """
    return Activations(graph, idle, stored_as).peak()


class Activations:
    """The activations of a graph that have memory of their own, each from its producer to its last use.

    Attributes:
        buffers: which of them are in the same memory, one after the other: at first each is alone.
    """

    def __init__(self, graph: Graph, idle: Collection[int] = (), stored_as: str = "") -> None:
        """Arguments are those of ``live_bytes``."""
        self._part = _whole(graph, idle, stored_as)
        self._memory = _Memory(self._part)
        self.buffers: Sequence[Sequence[Held]] = [(each,) for each in _held(self._part, self._memory)]
        self.steps = [
            index for index, node in enumerate(graph.nodes) if not (node.constant_folded or index in idle)
        ]

    def memory_of(self, name: str) -> frozenset[str]:
        """The values whose memory a value is in: its own name, unless it is a view."""
        return self._memory.memory_of(name)

    def levels(self) -> Sequence[int]:
        """For each node the bytes alive while it runs; what is of unknown size counts 0."""
        whole = (Held(own[0].value, own[0].size_bytes, own[0].start, own[-1].last) for own in self.buffers)
        return _levels(self._part.nodes, lambda size_bytes: size_bytes or 0, whole)

    def peak(self) -> MemoryPeak:
        """The first node at which most is alive, and all that is alive there, the largest first."""
        levels = self.levels()
        at = max(self.steps, key=levels.__getitem__, default=-1)
        alive = [
            [each for each in own if each.start <= at][-1]
            for own in self.buffers
            if own[0].start <= at and (own[-1].last is None or own[-1].last >= at)
        ]
        tensors = tuple(self.live(each) for each in sorted(alive, key=lambda each: -(each.size_bytes or 0)))
        here = self._node(at) or NodePlace("", "")  # a graph may have no node that runs
        return MemoryPeak(here.node, here.module_path, sum(each.size_bytes or 0 for each in tensors), tensors)

    def live(self, held: Held) -> LiveTensor:
        """An activation with the nodes between which it takes memory."""
        spec, stored_as = held.spec, self._part.stored_as
        producer = self._part.graph.producer(spec.name)
        if stored_as and spec.dtype in FLOATS:
            spec = replace(spec, dtype=stored_as)
        return LiveTensor(spec, held.size_bytes, self._node(producer), self._node(held.last))

    def _node(self, index: int | None) -> NodePlace | None:
        if index is None or index < 0:
            return None
        node = self._part.graph.nodes[index]
        return NodePlace(node.view.name, node.module.path)


class WorkingSets:
    """What each module holds if it runs alone."""

    def __init__(
        self, graph: Graph, idle: Collection[int] = (), *, stored_as: str = "", sized: bool = False
    ) -> None:
        """Arguments are those of ``live_bytes``; ``sized``: all activations are known to have sizes."""
        self._graph, self._idle, self._stored_as, self._sized = graph, idle, stored_as, sized
        self._around = _Memory(_whole(graph, idle))

    def of(self, path: str) -> tuple[int, bool]:
        """The most bytes of activations alive at once if the module ran alone; whether one has no known size.

        Its inputs live from its start to their last consumer in it, its outputs to its end; what waits
        elsewhere in the network is not its own. Of a module that runs several times, an input lives from
        where the network makes it, an output until the network needs it no more.
        """
        running, io = self._graph.by_module()[path], self._graph.module_io(path)
        others = _Others(frozenset(running).difference(self._idle))
        ends = tuple(io.inputs.values()), tuple(io.outputs.values())
        part = _Part(self._graph, running, others, *ends, self._stored_as, self._around)
        held = list(_held(part, _Memory(part)))
        unsized = not self._sized and any(each.size_bytes is None for each in held)
        return max(_levels(running, lambda size_bytes: size_bytes or 0, held), default=0), unsized


class _Others(Container[int]):
    """All nodes but those."""

    def __init__(self, nodes: Collection[int]) -> None:
        self._nodes = nodes

    def __contains__(self, index: object) -> bool:
        return index not in self._nodes


@record(frozen=True, slots=True)
class _Part:
    """Nodes of a graph, by their indices, with the tensors that come to them and that are wanted of them.

    ``idle`` holds the nodes that do not run, and those that are not of the part; ``around`` the memory of the
    network, if the part is one of its modules.
    """

    graph: Graph
    nodes: Sequence[int]
    idle: Container[int]
    inputs: Sequence[TensorSpec]
    outputs: Sequence[TensorSpec]
    stored_as: str = ""
    around: _Memory | None = None

    def size_of(self, tensor: TensorSpec) -> int | None:
        """What an input takes; a sequence 0."""
        if " of " in tensor.dtype:
            return 0
        elements = tensor.elements
        floats = self.stored_as and tensor.dtype in FLOATS and elements is not None
        return storage_bytes(self.stored_as, elements) if floats and elements else tensor.size_bytes


def _whole(graph: Graph, idle: Collection[int], stored_as: str = "") -> _Part:
    return _Part(graph, range(len(graph.nodes)), idle, graph.inputs, graph.outputs, stored_as)


def held_bytes(value: ValueView, stored_as: str = "") -> int | None:
    """What a value takes where floats are held in another dtype, "" for their own; None if that is not known.

    A packed weight stays as it is. A sequence takes 0: it refers to tensors that are there anyway.
    """
    if value.kind != "tensor":
        return 0
    try:
        if stored_as and value.dtype in FLOATS and value.stored_bytes is None:
            return storage_bytes(stored_as, value.elements)
        return value.size_bytes
    except NotCountable:
        return None


class Held(NamedTuple):
    """What has memory of its own: from the node that produces it (-1: it comes in) to its last consumer.

    What a loop gathers takes memory from the first node of its body, ``start``; what its body reads of the
    outside is needed in every round. ``last`` is None for what stays: an output, or an input that nothing
    reads.
    """

    value: TensorSpec | ValueView
    size_bytes: int | None
    start: int
    last: int | None

    @property
    def spec(self) -> TensorSpec:
        """Its name, dtype and shape."""
        return self.value.spec if isinstance(self.value, ValueView) else self.value


def _held(part: _Part, memory: _Memory) -> Iterator[Held]:
    sources: dict[frozenset[str], Held] = {}  # views of one tensor that come in are one
    for tensor in part.inputs:
        last = memory.last_use(tensor.name)
        found = Held(tensor, part.size_of(tensor), _start(part, tensor.name), last)
        source = part.around.memory_of(tensor.name) if part.around else frozenset((tensor.name,))
        sources[source] = _joined(sources[source], found) if source in sources else found
    yield from sources.values()
    for index in part.nodes:
        node = part.graph.nodes[index]
        if node.constant_folded or index in part.idle:
            continue
        for output in node.view.outputs:
            if output is not None and memory.has_own(output.name):
                last = memory.last_use(output.name, index)
                size = held_bytes(output, part.stored_as)
                yield Held(output, size, memory.start_of(index), last)


def _start(part: _Part, name: str) -> int:
    """The node of the part at which an input is there: -1 before its first, else where the network has it."""
    producer = part.graph.producer(name) if part.around else None
    if producer is None or not part.nodes or producer < part.nodes[0]:
        return -1
    return part.nodes[min(bisect_left(part.nodes, producer), len(part.nodes) - 1)]


def _joined(one: Held, other: Held) -> Held:
    """Two values in the same memory."""
    known = one.size_bytes is not None and other.size_bytes is not None
    size = max(one.size_bytes or 0, other.size_bytes or 0) if known else None
    last = None if one.last is None or other.last is None else max(one.last, other.last)
    return Held(one.value, size, min(one.start, other.start), last)


def _levels(nodes: Sequence[int], measure: Measure, held: Iterable[Held]) -> Sequence[int]:
    """For each node what ``measure`` makes of the sizes of the activations alive while it runs, added up."""
    allocated, freed = dict.fromkeys(nodes, 0), dict.fromkeys(nodes, 0)
    alive = 0
    for _, size_bytes, start, last in held:
        size = measure(size_bytes)
        if start < 0:
            alive += size
        else:
            allocated[start] += size
        if last is not None:
            freed[last] += size
    levels = []
    for index in nodes:
        alive += allocated[index]
        levels.append(alive)
        alive -= freed[index]
    return levels


class _Memory:
    """Which memory holds each activation, and which node needs it last."""

    def __init__(self, part: _Part) -> None:
        graph = self._graph = part.graph
        idle = self._idle = part.idle
        self._nodes, self._around = part.nodes, part.around
        self._shared: dict[str, frozenset[str]] = {}  # for values that have no memory of their own
        self._kept_until: dict[str, int] = {}  # for values whose memory others share
        inputs = {tensor.name for tensor in part.inputs}
        self._loops: dict[str, int] = {}  # the nodes that run bodies several times, by the bodies' keys
        self._first_inside: dict[int, int] = {}
        for index in part.nodes:
            node = graph.nodes[index]
            if node.bodies and node.view.op_type != "If" and index not in idle:
                self._loops |= dict.fromkeys((body.key for body in node.bodies), index)
        for index in part.nodes if self._loops else ():
            for key in graph.nodes[index].within:
                if key in self._loops and index not in idle:
                    self._first_inside.setdefault(self._loops[key], index)
        for index in part.nodes:
            node = graph.nodes[index]
            shares = node.bodies or is_view(node.view) or any(buffers_of(node.view))
            if shares and index not in idle:
                for name, memory in self._memory_shared_by(node, inputs).items():
                    self._shared[name] = memory
                    last = self._last_consumer(name, index)
                    for held in memory:
                        self._kept_until[held] = max(last, self._kept_until.get(held, 0))
        returned = [tensor.name for tensor in part.outputs]
        self._returned = {held for name in returned for held in self.memory_of(name)}

    def _memory_shared_by(self, node: GraphNode, inputs: Collection[str]) -> Mapping[str, frozenset[str]]:
        found: dict[str, frozenset[str]] = {}
        for output, source in _shared(node):
            producer = self._graph.producer(source.name)
            # not a weight, nor what a branch produces that is not taken
            if source.name in inputs or not (producer is None or producer in self._idle):
                memory = self.memory_of(source.name)
                found[output.name] = found.get(output.name, frozenset()) | memory
        return found

    def _last_consumer(self, name: str, producer: int) -> int:
        """The last node that reads the value and runs, else the one that produces it."""
        users = self._graph.consumers(name)
        if not self._idle and not self._loops:
            return users[-1] if users and users[-1] > producer else producer
        last = next((index for index in reversed(users) if index not in self._idle), producer)
        return max(self._last_round(last, producer), producer)

    def _last_round(self, index: int, producer: int) -> int:
        """The node that runs the outermost loop around a consumer, and not around the producer; else it."""
        around = self._graph.nodes[producer].within if producer >= 0 else ()
        for key in self._graph.nodes[index].within:
            if key in self._loops and key not in around:
                return self._loops[key]
        return index

    def start_of(self, index: int) -> int:
        """The node from which on the outputs of a node take memory: the first inside a loop, else itself."""
        return self._first_inside.get(index, index)

    def memory_of(self, name: str) -> frozenset[str]:
        """The values whose memory it is in."""
        return self._shared.get(name) or frozenset((name,))

    def has_own(self, name: str) -> bool:
        """Whether the value has memory of its own."""
        return name not in self._shared or name in self._shared[name]

    def last_use(self, name: str, producer: int = -1) -> int | None:
        """The node after which the value's memory is freed; None for an output of the graph, or no use."""
        last = self._last_consumer(name, producer)
        if name in self._kept_until:
            last = max(last, self._kept_until[name])
        if name in self._returned:
            return None if self._around is None else self._last_need(name, last, self._around)
        return None if last < 0 else last

    def _last_need(self, name: str, last: int, around: _Memory) -> int | None:
        """The last node before the network around needs an output no more; None if it does to the end."""
        for held in around.memory_of(name):
            needed = around.last_use(held)
            if needed is None or needed >= self._nodes[-1]:
                return None
            last = max(last, needed)
        return self._nodes[bisect_right(self._nodes, last) - 1]


def _shared(node: GraphNode) -> Iterator[tuple[ValueView, ValueView]]:
    """Outputs that have no memory of their own, each with the value whose memory they share."""
    output = node.view.outputs[0] if node.view.outputs else None
    yield from buffers_of(node.view)
    for viewed in viewed_inputs(node.view):
        if output is not None:
            yield output, viewed
    for body in node.bodies:
        for output, result in zip(node.view.outputs, body.results, strict=False):
            if output is not None and result is not None and output.shape == result.shape:
                yield output, result
