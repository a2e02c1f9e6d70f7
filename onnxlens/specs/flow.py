"""The data flow between modules: all that a picture is drawn from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from onnxlens.errors import GraphError
from onnxlens.specs.tensor import TensorSpec

FlowKind = Literal["input", "module", "operators", "output"]


@dataclass(frozen=True, slots=True)
class FlowNode:
    """A box: a module, the operators that a module runs between its children, or an end of the graph.

    Attributes:
        id: unique in the graph.
        path: the module; for ``operators`` the module that runs them; for an end the tensor's name.
        title: what a person calls it: the class, the operators' types, or the tensor's name.
        parents: the modules it stands in, outermost first, as (path, class name).
        order: its place in the order of execution, from 1; 0 for an end.
    """

    id: str
    kind: FlowKind
    path: str
    title: str
    parents: tuple[tuple[str, str], ...] = ()
    order: int = 0
    macs: int = 0
    params: int = 0


@dataclass(frozen=True, slots=True)
class FlowEdge:
    """A tensor on its way from one box to another."""

    source: str
    target: str
    tensor: TensorSpec


@dataclass(frozen=True, slots=True)
class FlowGraph:
    """The modules of one graph down to ``depth``, in execution order, and the tensors between them."""

    graph: str
    source: str
    depth: int
    nodes: tuple[FlowNode, ...]
    edges: tuple[FlowEdge, ...]

    def __post_init__(self) -> None:
        """Refuse a repeated box and an edge that ends nowhere.

        Raises:
            GraphError: either is the case.
        """
        ids = {node.id for node in self.nodes}
        if len(ids) != len(self.nodes):
            raise GraphError(f"flow of {self.graph!r}: two boxes share an id")
        for edge in self.edges:
            if edge.source not in ids or edge.target not in ids:
                raise GraphError(
                    f"flow of {self.graph!r}: edge {edge.source} -> {edge.target} ends at no box"
                )
