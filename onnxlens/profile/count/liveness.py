"""How many bytes of activations are alive at once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from onnxlens.profile.count.rules import is_view, viewed_inputs
from onnxlens.profile.graph.graph import Graph, GraphNode
from onnxlens.profile.graph.node_view import NotCountable, ValueView
from onnxlens.specs.tensor import DTYPES, TensorSpec, storage_bytes

Measure = Callable[[int | None], int]
"""Of a size in bytes, None where it is unknown."""

FLOATS = frozenset({"float32", "float64", *DTYPES})
"""What is held in another dtype when a network is quantized, or made of halves."""


def live_bytes(graph: Graph, idle: Collection[int] = ()) -> Sequence[int]:
    """For each node, the bytes of activations alive while it runs: inputs, outputs, and all that waits.

    An activation lives from the node that produces it to its last consumer; the graph's inputs live from the
    start, its outputs to the end. A view has no memory of its own: it keeps its source's alive, a sequence
    that of all tensors in it, an output of an If or a loop that of the body's result. Weights are resident
    and do not count; values of unknown size count 0.

    Args:
        graph: its nodes in the order of execution.
        idle: the indices of nodes that do not run: those in a branch that is not taken.
    """
    return _levels(_whole(graph), idle, lambda size_bytes: size_bytes or 0)


def live_unsized(graph: Graph, idle: Collection[int] = ()) -> frozenset[int]:
    """The nodes during which an activation of unknown size is alive, by their indices."""
    levels = _levels(_whole(graph), idle, lambda size_bytes: int(size_bytes is None))
    return frozenset(index for index, count in enumerate(levels) if count)


def working_bytes(
    graph: Graph, path: str, idle: Collection[int] = (), *, stored_as: str = "", sized: bool = False
) -> tuple[int, bool]:
    """The most bytes of activations alive at once if the module ran alone; whether one has no known size.

    Its inputs live from its start to their last consumer in it, its outputs to its end; what waits elsewhere
    in the network is not its own.

    Args:
        graph: its nodes in the order of execution.
        path: of the module.
        idle: the indices of nodes that do not run.
        stored_as: the dtype in which floats are held; "" for the file's.
        sized: all activations are known to have sizes.
    """
    running, io = graph.by_module()[path], graph.module_io(path)
    nodes = [graph.nodes[index] for index in running]
    part = _Part(nodes, tuple(io.inputs.values()), tuple(io.outputs.values()), stored_as)
    still = {position for position, index in enumerate(running) if index in idle}
    unsized = not sized and any(_levels(part, still, lambda size_bytes: int(size_bytes is None)))
    return max(_levels(part, still, lambda size_bytes: size_bytes or 0), default=0), unsized


@dataclass(frozen=True, slots=True)
class _Part:
    """Nodes with the tensors that come to them and that are wanted of them."""

    nodes: Sequence[GraphNode]
    inputs: Sequence[TensorSpec]
    outputs: Sequence[TensorSpec]
    stored_as: str = ""

    def size_of(self, tensor: TensorSpec) -> int | None:
        """What an input takes; a sequence 0."""
        if " of " in tensor.dtype:
            return 0
        elements = tensor.elements
        floats = self.stored_as and tensor.dtype in FLOATS and elements is not None
        return storage_bytes(self.stored_as, elements) if floats and elements else tensor.size_bytes


def _whole(graph: Graph) -> _Part:
    return _Part(graph.nodes, graph.inputs, graph.outputs)


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


def _levels(part: _Part, idle: Collection[int], measure: Measure) -> Sequence[int]:
    """For each node what ``measure`` makes of the sizes of the activations alive while it runs, added up."""
    memory = _Memory(part, measure)
    for index, node in enumerate(part.nodes):
        if index not in idle:
            memory.run(index, node)
    freed = memory.freed()
    alive = sum(memory.sizes[tensor.name] for tensor in part.inputs)
    levels = []
    for allocated, released in zip(memory.allocated, freed, strict=True):
        alive += allocated
        levels.append(alive)
        alive -= released
    return levels


class _Memory:
    """Which memory holds each activation, how large it is, and which node needs it last."""

    def __init__(self, part: _Part, measure: Measure) -> None:
        self.allocated = [0] * len(part.nodes)
        self._part = part
        self._measure = measure
        self.sizes = {tensor.name: measure(part.size_of(tensor)) for tensor in part.inputs}
        self._produced = set(self.sizes)  # not the weights, nor what a branch produces that is not taken
        self._shared: dict[str, frozenset[str]] = {}  # for values that have no memory of their own
        self._last_use: dict[str, int] = {}

    def run(self, index: int, node: GraphNode) -> None:
        """Take account of a node, after all before it."""
        shared, last_use = self._shared, self._last_use
        for value in node.reads:
            for name in shared.get(value.name) or (value.name,):
                last_use[name] = index
        if node.bodies or is_view(node.view):
            shared.update(self._memory_shared_by(node))
        for output in node.view.outputs:
            if output is not None:
                name = output.name
                self._produced.add(name)
                memory = shared.get(name) or (name,)
                for held in memory:
                    last_use[held] = index
                if name in memory and not node.constant_folded:
                    size = self.sizes[name] = self._measure(held_bytes(output, self._part.stored_as))
                    self.allocated[index] += size

    def _memory_shared_by(self, node: GraphNode) -> Mapping[str, frozenset[str]]:
        found: dict[str, frozenset[str]] = {}
        for output, source in _shared(node):
            if source.name in self._produced:
                memory = self._shared.get(source.name) or frozenset((source.name,))
                found[output.name] = found.get(output.name, frozenset()) | memory
        return found

    def freed(self) -> Sequence[int]:
        """For each node the bytes that are freed after it; outputs are never freed."""
        kept = {
            held for tensor in self._part.outputs for held in self._shared.get(tensor.name) or (tensor.name,)
        }
        freed = [0] * len(self._part.nodes)
        for name, index in self._last_use.items():
            if name in self.sizes and name not in kept:
                freed[index] += self.sizes[name]
        return freed


def _shared(node: GraphNode) -> Iterator[tuple[ValueView, ValueView]]:
    """Outputs that have no memory of their own, each with the value whose memory they share."""
    output = node.view.outputs[0] if node.view.outputs else None
    for viewed in viewed_inputs(node.view):
        if output is not None:
            yield output, viewed
    for body in node.bodies:
        for output, result in zip(node.view.outputs, body.results, strict=False):
            if output is not None and result is not None and output.shape == result.shape:
                yield output, result
