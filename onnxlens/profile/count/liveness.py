"""How many bytes of activations are alive at once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from onnxlens.profile.count.rules import is_view, viewed_inputs
from onnxlens.profile.graph.graph import Graph, GraphNode
from onnxlens.profile.graph.node_view import NotCountable, ValueView
from onnxlens.specs.tensor import TensorSpec

Measure = Callable[[int | None], int]
"""Of a size in bytes, None where it is unknown."""


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
    return _levels(graph, idle, lambda size_bytes: size_bytes or 0)


def live_unsized(graph: Graph, idle: Collection[int] = ()) -> frozenset[int]:
    """The nodes during which an activation of unknown size is alive, by their indices."""
    levels = _levels(graph, idle, lambda size_bytes: int(size_bytes is None))
    return frozenset(index for index, count in enumerate(levels) if count)


def _levels(graph: Graph, idle: Collection[int], measure: Measure) -> Sequence[int]:
    """For each node what ``measure`` makes of the sizes of the activations alive while it runs, added up."""
    memory = _Memory(graph, idle)
    allocated, freed = [0] * len(graph.nodes), [0] * len(graph.nodes)
    alive = 0
    for tensor in graph.inputs:
        size = measure(_input_bytes(tensor))
        alive += size
        if (last := memory.last_use(tensor.name)) is not None:
            freed[last] += size
    shared = memory.shared
    for index, node in enumerate(graph.nodes):
        if node.constant_folded or index in idle:
            continue
        for output in node.view.outputs:
            if output is None or (output.name in shared and output.name not in shared[output.name]):
                continue  # it has no memory of its own
            size = measure(_bytes(output))
            allocated[index] += size
            if (last := memory.last_use(output.name, index)) is not None:
                freed[last] += size
    levels = []
    for new, released in zip(allocated, freed, strict=True):
        alive += new
        levels.append(alive)
        alive -= released
    return levels


def _bytes(value: ValueView) -> int | None:
    """Of a sequence 0: it refers to tensors that are there anyway."""
    try:
        return value.size_bytes if value.kind == "tensor" else 0
    except NotCountable:
        return None


def _input_bytes(tensor: TensorSpec) -> int | None:
    return 0 if " of " in tensor.dtype else tensor.size_bytes


class _Memory:
    """Which memory holds each activation, and which node needs it last.

    Attributes:
        shared: of values that have no memory of their own, whose they have, by name.
    """

    def __init__(self, graph: Graph, idle: Collection[int]) -> None:
        self._graph = graph
        self._idle = idle
        self.shared: dict[str, frozenset[str]] = {}
        self._kept_until: dict[str, int] = {}  # for values whose memory others share
        inputs = {tensor.name for tensor in graph.inputs}
        for index, node in enumerate(graph.nodes):
            if (node.bodies or is_view(node.view)) and index not in idle:
                for name, memory in self._memory_shared_by(node, inputs).items():
                    self.shared[name] = memory
                    last = self._last_consumer(name, index)
                    for held in memory:
                        self._kept_until[held] = max(last, self._kept_until.get(held, 0))
        returned = [tensor.name for tensor in graph.outputs]
        self._returned = {held for name in returned for held in self.shared.get(name) or (name,)}

    def _memory_shared_by(self, node: GraphNode, inputs: Collection[str]) -> Mapping[str, frozenset[str]]:
        found: dict[str, frozenset[str]] = {}
        for output, source in _shared(node):
            producer = self._graph.producer(source.name)
            # not a weight, nor what a branch produces that is not taken
            if source.name in inputs or not (producer is None or producer in self._idle):
                memory = self.shared.get(source.name) or frozenset((source.name,))
                found[output.name] = found.get(output.name, frozenset()) | memory
        return found

    def _last_consumer(self, name: str, producer: int) -> int:
        """The last node that reads the value and runs, else the one that produces it."""
        for index in reversed(self._graph.consumers(name)):
            if index not in self._idle:
                return max(index, producer)
        return producer

    def last_use(self, name: str, producer: int = -1) -> int | None:
        """The node after which the value's memory is freed; None for an output of the graph, or no use."""
        if name in self._returned:
            return None
        last = self._last_consumer(name, producer)
        if name in self._kept_until:
            last = max(last, self._kept_until[name])
        return None if last < 0 else last


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
