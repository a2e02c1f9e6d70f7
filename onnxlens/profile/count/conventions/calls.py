"""The PyTorch calls of a graph, each with its nodes, and how fvcore and thop count one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.graph.node_view import NodeView, NotCountable, Shape, ValueView
from onnxlens.profile.graph.scopes import ModuleRef, TracedCall

STATISTICS = (".running_mean", ".running_var")
"""Buffers of a batch norm, which are weights in a file without a manifest."""


@dataclass(frozen=True, slots=True)
class CallView:
    """One call of a PyTorch operator, and the nodes that it became.

    Attributes:
        target: the operator's name without overload: ``conv2d`` for ``aten.conv2d.default``.
        indices: the nodes' indices in the graph.
        affine: whether an input is a parameter, or computed from one; None where the file does not say.
    """

    target: str
    owner: ModuleRef
    nodes: tuple[NodeView, ...]
    indices: tuple[int, ...]
    affine: bool | None

    def node(self, *op_types: str) -> NodeView:
        """The first node of one of the types; without types the last node.

        Raises:
            NotCountable: there is none: the exporter's optimizer fused it with another call.
        """
        return self.nodes[self._index(op_types)]

    def index(self, op_types: Sequence[str]) -> int:
        """The index in the graph of ``node(*op_types)``; raises NotCountable as it does."""
        return self.indices[self._index(op_types)]

    def _index(self, op_types: Sequence[str]) -> int:
        if not op_types:
            return len(self.nodes) - 1
        for index, node in enumerate(self.nodes):
            if node.op_type in op_types:
                return index
        made = ", ".join(node.op_type for node in self.nodes)
        raise NotCountable(f"{self.target} became {made}, fused with another call")

    @property
    def is_affine(self) -> bool:
        """Whether it has parameters; raises NotCountable where they cannot be told apart from constants."""
        if self.affine is None:
            raise NotCountable("the file does not distinguish parameters from constants")
        return self.affine

    @property
    def input_shape(self) -> Shape:
        """The shape of the call's first input that is not a weight, else of its first input."""
        made = {value.name for node in self.nodes for value in _given(node.outputs)}
        inputs = [value for node in self.nodes for value in _given(node.inputs) if value.name not in made]
        found = next((value for value in inputs if not value.is_weight), None)
        return (found or inputs[0]).sizes()

    @property
    def output_shape(self) -> Shape:
        """The shape of its last node's output."""
        return self.nodes[-1].output_shape()


@dataclass(frozen=True, slots=True)
class Handler:
    """How a peer counts a call.

    Attributes:
        name: the peer's own name for what it counts.
        formula: its count of the call.
        at: the count is attributed to the first node of one of these types, by default to the last node.
        cause: why it differs from our MACs.
    """

    name: str
    formula: Callable[[CallView], int]
    at: tuple[str, ...] = ()
    cause: str = ""


def calls_of(graph: Graph) -> tuple[CallView, ...]:
    """Every traced call, in the order of its first node."""
    by_call: dict[TracedCall, list[int]] = {}
    for index, node in enumerate(graph.nodes):
        if node.call is not None:
            by_call.setdefault(node.call, []).append(index)
    weights = _weights_read(graph)
    declared = _declared_parameters(graph)
    calls = []
    for call, indices in by_call.items():
        owner = graph.nodes[indices[-1]].module
        read = frozenset[str]().union(*(weights[index] for index in indices))
        calls.append(
            CallView(
                call.target.removeprefix("aten.").split(".")[0],
                owner,
                tuple(graph.nodes[index].view for index in indices),
                tuple(indices),
                _affine(read, owner.path, declared),
            )
        )
    return tuple(calls)


def _weights_read(graph: Graph) -> Sequence[frozenset[str]]:
    """For each node the weights that it reads, directly or through constant-folded nodes."""
    sources: dict[str, frozenset[str]] = {name: frozenset((name,)) for name in graph.weights}
    weights = []
    for node in graph.nodes:
        read = frozenset[str]().union(
            *(sources.get(value.name, frozenset()) for value in _given(node.view.inputs))
        )
        if node.constant_folded:
            sources.update((value.name, read) for value in _given(node.view.outputs))
        weights.append(read)
    return weights


def _declared_parameters(graph: Graph) -> frozenset[str] | None:
    """The parameters that the manifest names; None without a manifest."""
    if graph.manifest is None:
        return None
    return frozenset(tensor.name for tensor in graph.manifest.tensors if tensor.kind == "parameter")


def _affine(read: frozenset[str], path: str, declared: frozenset[str] | None) -> bool | None:
    """Whether a parameter is among the weights that are read; None where that cannot be known.

    Without a manifest a weight is known to be a parameter only by a name from the module's ``state_dict``:
    the exporter names constants itself, and gives equal weights one name.
    """
    if declared is not None:
        return bool(read & declared)
    if path and any(name.startswith(f"{path}.") and not name.endswith(STATISTICS) for name in read):
        return True
    return None if read else False


def _given(values: Iterable[ValueView | None]) -> Iterable[ValueView]:
    return (value for value in values if value is not None)
