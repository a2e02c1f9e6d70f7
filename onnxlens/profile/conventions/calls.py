"""The PyTorch calls of a graph, each with its nodes: what fvcore and thop count by."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from onnxlens.profile.graph import Graph, GraphNode
from onnxlens.profile.node_view import NodeView, NotCountable, Shape, ValueView
from onnxlens.profile.scopes import Owner, TracedCall

STATISTICS = (".running_mean", ".running_var")
"""Buffers of a batch norm, which a file without a manifest holds like weights."""


@dataclass(frozen=True, slots=True)
class CallView:
    """One call of a PyTorch operator, and the nodes that it became.

    Attributes:
        target: the operator's name without overload: ``conv2d`` for ``aten.conv2d.default``.
        places: the nodes' indices in the graph.
        has_parameters: whether one of its inputs is, or is made of, a parameter of its module.
    """

    target: str
    owner: Owner
    nodes: tuple[NodeView, ...]
    places: tuple[int, ...]
    has_parameters: bool

    def node(self, *op_types: str) -> NodeView:
        """The first node of one of the types; the last of all where none is given.

        Raises:
            NotCountable: it became nodes of other types.
        """
        return self.nodes[self._index(op_types)]

    def place(self, op_types: Sequence[str]) -> int:
        """The index in the graph of what ``node`` gives; the last node's where there is none of the types."""
        try:
            return self.places[self._index(op_types)]
        except NotCountable:
            return self.places[-1]

    def _index(self, op_types: Sequence[str]) -> int:
        if not op_types:
            return len(self.nodes) - 1
        for index, node in enumerate(self.nodes):
            if node.op_type in op_types:
                return index
        raise NotCountable(f"{self.target} became {', '.join(node.op_type for node in self.nodes)}")

    @property
    def input_shape(self) -> Shape:
        """The shape of the first tensor from outside that is no weight, else of the first."""
        made = {value.name for node in self.nodes for value in _given(node.outputs)}
        entering = [value for node in self.nodes for value in _given(node.inputs) if value.name not in made]
        found = next((value for value in entering if not value.is_weight), None)
        return (found or entering[0]).sizes()

    @property
    def output_shape(self) -> Shape:
        """The shape of what its last node makes."""
        return self.nodes[-1].output_shape()


def calls_of(graph: Graph) -> tuple[CallView, ...]:
    """Every traced call, in the order of its first node."""
    places: dict[TracedCall, list[int]] = {}
    for index, node in enumerate(graph.nodes):
        if node.call is not None:
            places.setdefault(node.call, []).append(index)
    parameters = _parameter_users(graph)
    return tuple(
        CallView(
            call.target.removeprefix("aten.").split(".")[0],
            graph.nodes[indices[-1]].owner,
            tuple(graph.nodes[index].view for index in indices),
            tuple(indices),
            any(index in parameters for index in indices),
        )
        for call, indices in places.items()
    )


def _parameter_users(graph: Graph) -> frozenset[int]:
    """The nodes that read a parameter of their module, or what nodes before run time made of one."""
    declared = _declared_parameters(graph)
    sources: dict[str, frozenset[str]] = {name: frozenset((name,)) for name in graph.weights}
    users = set()
    for index, node in enumerate(graph.nodes):
        read = frozenset[str]().union(
            *(sources.get(value.name, frozenset()) for value in _given(node.view.inputs))
        )
        if node.offline:
            sources.update((value.name, read) for value in _given(node.view.outputs))
        if read & declared if declared is not None else any(_is_own(name, node) for name in read):
            users.add(index)
    return frozenset(users)


def _declared_parameters(graph: Graph) -> frozenset[str] | None:
    """The manifest's; None without one."""
    if graph.manifest is None:
        return None
    return frozenset(tensor.name for tensor in graph.manifest.tensors if tensor.kind == "parameter")


def _is_own(name: str, node: GraphNode) -> bool:
    """Whether a weight has a name that its module's ``state_dict`` would give; for want of a manifest."""
    inside = not node.owner.path or name.startswith(f"{node.owner.path}.")
    return inside and not name.endswith(STATISTICS)


def _given(values: Iterable[ValueView | None]) -> Iterable[ValueView]:
    return (value for value in values if value is not None)
