"""How many bytes of activations are alive at once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from onnxlens.profile.count.rules import is_view, viewed_inputs
from onnxlens.profile.graph.graph import Graph, GraphNode
from onnxlens.profile.graph.node_view import ValueView


def live_bytes(graph: Graph, idle: Collection[int] = ()) -> Sequence[int]:
    """For each node, the bytes of activations alive while it runs: inputs, outputs, and all that waits.

    An activation lives from the node that makes it to the last node that reads it; the graph's inputs from
    the start, its outputs to the end. A view has no memory of its own: it keeps its source's alive, and a
    sequence that of all tensors in it. Neither has an output that the body of a node hands on. Weights
    are not counted, they are resident; values of unknown size count 0.

    Args:
        graph: its nodes in the order of execution.
        idle: the indices of nodes that do not run: those in a branch that is not taken.
    """
    memory = _Memory(graph)
    for index, node in enumerate(graph.nodes):
        if index not in idle:
            memory.run(index, node)
    allocated, freed = memory.changes(len(graph.nodes), {tensor.name for tensor in graph.outputs})
    alive = sum(tensor.size_bytes or 0 for tensor in graph.inputs)
    levels = []
    for more, less in zip(allocated, freed, strict=True):
        alive += more
        levels.append(alive)
        alive -= less
    return levels


class _Memory:
    """Which memory holds each activation, how large it is, and which nodes need it first and last."""

    def __init__(self, graph: Graph) -> None:
        self._known = {tensor.name for tensor in graph.inputs}  # not weights; not in a branch not taken
        self._sizes = {tensor.name: tensor.size_bytes or 0 for tensor in graph.inputs}
        self._shared: dict[str, frozenset[str]] = {}  # for values that others' memory holds
        self._allocated: dict[int, int] = {}
        self._last_use: dict[str, int] = {}

    def run(self, index: int, node: GraphNode) -> None:
        """Take account of a node, after all before it."""
        view = node.view
        shared: dict[str, frozenset[str]] = {}
        if node.bodies or is_view(view):
            for output, source in _shared(node):
                if source.name in self._known:
                    memory = self._shared.get(source.name) or frozenset((source.name,))
                    shared[output.name] = shared.get(output.name, frozenset()) | memory
        for value in node.reads:
            self._use(value.name, index)
        for made in view.outputs:
            if made is not None:
                self._add(made, index, shared.get(made.name), is_weight=node.constant_folded)

    def _add(self, value: ValueView, index: int, shared: frozenset[str] | None, *, is_weight: bool) -> None:
        name = value.name
        self._known.add(name)
        if shared is not None:
            self._shared[name] = shared
        if not is_weight and (shared is None or name in shared):
            size = self._sizes[name] = value.known_size_bytes
            self._allocated[index] = self._allocated.get(index, 0) + size
        self._use(name, index)

    def _use(self, name: str, index: int) -> None:
        if name in self._shared:
            self._last_use.update(dict.fromkeys(self._shared[name], index))
        else:
            self._last_use[name] = index

    def changes(self, nodes: int, outputs: Iterable[str]) -> tuple[Sequence[int], Sequence[int]]:
        """For each node the bytes that are allocated for it, and freed after it; outputs are never freed."""
        for output in outputs:
            for name in self._shared.get(output, (output,)):
                self._last_use.pop(name, None)
        freed = [0] * nodes
        for name, index in self._last_use.items():
            freed[index] += self._sizes.get(name, 0)
        return [self._allocated.get(index, 0) for index in range(nodes)], freed


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
