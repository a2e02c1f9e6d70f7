"""The data flow between modules: all that a picture is drawn from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from onnxlens.errors import GraphError, UsageError
from onnxlens.specs.tensor import TensorSpec

FlowKind = Literal["input", "module", "operators", "output"]


@dataclass(frozen=True, slots=True)
class Group:
    """Modules that are drawn as one thing under a name of their own.

    Attributes:
        modules: paths, and ranges of siblings such as ``input_blocks.1..3``, as written.
        groups: those inside it.
        closed: it is one box, however deep the picture goes.
    """

    name: str
    modules: tuple[str, ...] = ()
    groups: tuple[Group, ...] = ()
    closed: bool = False


@dataclass(frozen=True, slots=True)
class FlowNode:
    """A box: a module, the operators that a module runs between its children, or an end of the graph.

    Attributes:
        id: unique in the graph.
        path: the module; for ``operators`` the module that runs them; for an end the tensor's name.
        title: what a person calls it: the class, the operators' types, or the tensor's name.
        parents: the modules that contain it, outermost first, as (path, class name).
        order: its number in execution order, from 1; 0 for an end.
        costs: every column of the ledger that is known for the box, by the column's name (``macs``,
            ``moved_bytes``, ``latency_s``, ...); one that is unknown is absent, never 0. Those of a folded
            box are of one block.
        repeats: how many equal blocks the box stands for.
    """

    id: str
    kind: FlowKind
    path: str
    title: str
    parents: tuple[tuple[str, str], ...] = ()
    order: int = 0
    costs: Mapping[str, int | float] = field(default_factory=dict, hash=False)
    repeats: int = 1

    def __post_init__(self) -> None:
        if self.repeats < 1:
            raise GraphError(f"box {self.id!r} stands for {self.repeats} blocks; at least 1")

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one block; 0 where none are known."""
        return int(self.costs.get("macs", 0))

    @property
    def params(self) -> int:
        """Elements of one block's parameters, shown where they are first used; 0 where none are known."""
        return int(self.costs.get("params", 0))


@dataclass(frozen=True, slots=True)
class FlowRequest:
    """Which part of a graph's data flow is requested.

    Attributes:
        depth: how many levels to open, below ``module`` if one is named; None is the deepest that a person
            can follow.
        module: the path of the module, or the name of the group, to show alone; "" is the whole graph.
        fold: show equal blocks that follow each other as one.
        groups: modules under names of their own, each group a level.
    """

    depth: int | None = None
    module: str = ""
    fold: bool = False
    groups: tuple[Group, ...] = ()

    def __post_init__(self) -> None:
        if self.fold and self.groups:
            raise UsageError(
                "groups say which blocks are one; leave out either them or the folding of equal ones"
            )


@dataclass(frozen=True, slots=True)
class FlowEdge:
    """A tensor that goes from one box to another."""

    source: str
    target: str
    tensor: TensorSpec


@dataclass(frozen=True, slots=True)
class FlowGraph:
    """The modules of one graph down to ``depth``, in execution order, and the tensors between them.

    Attributes:
        depth: how many levels are opened, below ``module`` if one is shown alone.
        notes: what a reader of the picture must know, a line each: that it is collapsed, folded, split.
        module: the path of the module, or the name of the group, that is shown alone; "" is the whole graph.
        frames: how many equal blocks each folded cluster stands for, by its path; the ``repeats`` of a box
            in it include them.
        links: the files in which boxes are opened that are closed here, by their ids.
    """

    graph: str
    source: str
    depth: int
    nodes: tuple[FlowNode, ...]
    edges: tuple[FlowEdge, ...]
    notes: tuple[str, ...] = ()
    module: str = ""
    frames: Mapping[str, int] = field(default_factory=dict, hash=False)
    links: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        ids = {node.id for node in self.nodes}
        if len(ids) != len(self.nodes):
            raise GraphError(f"flow of {self.graph!r}: two boxes share an id")
        for edge in self.edges:
            if edge.source not in ids or edge.target not in ids:
                raise GraphError(
                    f"flow of {self.graph!r}: edge {edge.source} -> {edge.target} ends at no box"
                )


@dataclass(frozen=True, slots=True)
class FlowPage:
    """A flow that fits on a page.

    Attributes:
        opens: the boxes that have pages of their own, by id: the ``module`` of that page's flow.
    """

    flow: FlowGraph
    opens: Mapping[str, str]
