"""Which memory the nodes of a graph write and read, views followed to the tensor that they show."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from onnxlens.errors import OnnxlensError
from onnxlens.profile.count.rules import is_view, viewed_inputs
from onnxlens.profile.count.rules.traffic import BODY_OUTPUTS, reads_of, writes_of
from onnxlens.profile.graph.graph import Graph, GraphNode
from onnxlens.profile.graph.node_view import NodeView, ValueView
from onnxlens.specs.edges import Moves, NodeMoves
from onnxlens.specs.ledger import NodeCost


class MemoryEdges:
    """The tensors that nodes pass to each other through memory.

    A view is the tensor that it shows. Nodes that do not run, or before run time, are left out.

    Attributes:
        moves: by the index of each node that runs and is not a view, in the order of execution.
        maker: the node that writes each tensor.
        readers: the nodes that read each tensor, in order.
        kept: tensors that are written whatever reads them: outputs of the graph, values that pass into or out
            of the graphs inside a node, what sequences refer to.
    """

    def __init__(self, graph: Graph, costs: Sequence[NodeCost]) -> None:
        """Walk through the nodes once; ``costs`` are those of the graph's nodes."""
        self.moves: dict[int, NodeMoves] = {}
        self.maker: dict[str, int] = {}
        self.readers: dict[str, list[int]] = {}
        self.kept: set[str] = set()
        self._shown: dict[str, str] = {}
        self._graph = graph
        for index, (node, cost) in enumerate(zip(graph.nodes, costs, strict=True)):
            if not node.constant_folded and cost.repeats:
                self._add(index, node, cost)
        self.kept.update(self.tensor_of(output.name) for output in graph.outputs)

    def tensor_of(self, value: str) -> str:
        """The tensor whose memory the value shows."""
        return self._shown.get(value, value)

    def _add(self, index: int, node: GraphNode, cost: NodeCost) -> None:
        view = node.view
        for body in node.bodies:
            self._keep(body.results)
        crossing = [value for value in node.reads if self._comes_from_elsewhere(value, node)]
        self._keep([*crossing, *(view.inputs if node.bodies else ())])
        shown = viewed_inputs(view)
        if shown and view.outputs[0] is not None:
            self._shown[view.outputs[0].name] = self.tensor_of(shown[0].name)
            if len(shown) > 1 or view.outputs[0].kind != "tensor":
                self._keep(shown)
        if is_view(view):
            return
        read = frozenset(self.tensor_of(value.name) for value in node.reads if not value.is_weight)
        found = self.moves[index] = self._moved(view, cost, read)
        for tensor in sorted(read):
            self.readers.setdefault(tensor, []).append(index)
        for output in view.outputs:
            if output is not None:
                self.maker[output.name] = index
                if output.name not in found.writes:
                    self.kept.add(output.name)

    def _keep(self, values: Sequence[ValueView | None]) -> None:
        self.kept.update(self.tensor_of(value.name) for value in values if value is not None)

    def _comes_from_elsewhere(self, value: ValueView, node: GraphNode) -> bool:
        """Whether a node reads what a graph around it, or inside it, makes."""
        maker = self._graph.producer(value.name)
        return maker is not None and self._graph.nodes[maker].within != node.within

    def _moved(self, view: NodeView, cost: NodeCost, tensors: frozenset[str]) -> NodeMoves:
        if not cost.moved_bytes or (view.domain, view.op_type) in BODY_OUTPUTS:
            return NodeMoves(tensors)
        try:
            (weights, reads), writes = reads_of(view), writes_of(view)
        except (OnnxlensError, ArithmeticError, LookupError, TypeError, ValueError):
            return NodeMoves(tensors)  # a registered rule gave its bytes
        moved = [cost.repeats * sum(each.values()) for each in (weights, reads, writes)]
        if moved != [cost.weight_read_bytes, cost.read_bytes, cost.write_bytes]:
            return NodeMoves(tensors)
        if any(value is not None and value.kind != "tensor" for value in (*view.inputs, *view.outputs)):
            return NodeMoves(tensors)
        return NodeMoves(tensors, weights, _by_tensor(reads, self.tensor_of), writes)


def _by_tensor(reads: Mapping[str, int], tensor_of: Callable[[str], str]) -> Moves:
    """What is read of each tensor, through whatever views."""
    found: dict[str, int] = {}
    for name, size_bytes in reads.items():
        found[tensor_of(name)] = found.get(tensor_of(name), 0) + size_bytes
    return found
