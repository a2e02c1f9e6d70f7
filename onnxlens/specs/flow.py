"""The data flow between modules, which pictures are drawn from, and between nodes, for viewers of nodes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from onnxlens.errors import GraphError, UsageError
from onnxlens.specs.ledger import Bounds, NodeCost
from onnxlens.specs.record import record
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


@record(frozen=True, slots=True)
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
        lower_bounds: the costs that lack those of unknown nodes, also absent ones; None if all is known.
    """

    id: str
    kind: FlowKind
    path: str
    title: str
    parents: tuple[tuple[str, str], ...] = ()
    order: int = 0
    costs: Mapping[str, int | float] = field(default_factory=dict, hash=False)
    repeats: int = 1
    lower_bounds: Bounds = None

    def __post_init__(self) -> None:
        if self.repeats < 1:
            raise GraphError(f"box {self.id!r} stands for {self.repeats} blocks; at least 1")

    def within(self, parents: tuple[tuple[str, str], ...]) -> FlowNode:
        """The box with these parents; ``replace`` takes six times as long, and boxes are many."""
        return FlowNode(
            self.id,
            self.kind,
            self.path,
            self.title,
            parents,
            self.order,
            self.costs,
            self.repeats,
            self.lower_bounds,
        )

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


@record(frozen=True, slots=True)
class FlowEdge:
    """A tensor that goes from one box to another."""

    source: str
    target: str
    tensor: TensorSpec


@dataclass(frozen=True, slots=True)
class Independent:
    """A module, and others that do not depend on it nor it on them; the MACs of each side.

    Several of one parent are named together, such as ``2 of parent.*``.
    """

    module: str
    macs: int
    beside: tuple[str, ...]
    beside_macs: int


@dataclass(frozen=True, slots=True)
class Parallelism:
    """How much of a flow must run one after the other, in MACs.

    Attributes:
        macs: of all boxes.
        longest_path: of the heaviest chain of boxes that depend on each other, which no schedule can beat.
        engines: on which boxes are scheduled.
        schedule: the MACs of one engine until the last box is done.
        independent: the heaviest modules that can run at the same time.
    """

    macs: int
    longest_path: int
    engines: int
    schedule: int
    independent: tuple[Independent, ...] = ()


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
        alternatives: the paths of the branches of each If, of which one runs.
        params: of what is shown, where no box shows some of them: None where the boxes add up to it.
        parallelism: what of it can run at the same time, on the page that shows all of it.
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
    alternatives: tuple[tuple[str, ...], ...] = ()
    params: int | None = None
    parallelism: Parallelism | None = None

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
    """A flow that fits on a page; ``opens`` has the ``module`` of a box's own page, by the box's id."""

    flow: FlowGraph
    opens: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Wire:
    """A tensor that goes from one node to another of the same graph.

    Attributes:
        source: the id of the node, or of the graph's input, that it comes from.
        output: which of that node's outputs it is.
        input: which input of the consumer it is; what a body inside the consumer reads from around it comes
            after the consumer's own inputs.
        formal: ONNX's name of that input, such as ``W`` of a Conv; "" if it has none.
    """

    source: str
    output: int
    input: int
    formal: str = ""


@dataclass(frozen=True, slots=True)
class FixedInput:
    """A tensor that the file holds and a node reads: a weight, or a constant such as a shape.

    Attributes:
        input, formal: as of a ``Wire``.
        values: a few integers as text; "" for everything else.
    """

    input: int
    tensor: TensorSpec
    is_weight: bool
    formal: str = ""
    values: str = ""


@dataclass(frozen=True, slots=True)
class OperatorNode:
    """A node of the file with its cost and its tensors.

    Attributes:
        id: unique in the flow: the node's name if no other node has it.
        attributes: as texts.
        outputs: by index; None for an optional one that is left out.
        bodies: the ids of the graphs that run inside it.
    """

    id: str
    cost: NodeCost
    attributes: Mapping[str, str] = field(default_factory=dict)
    wires: tuple[Wire, ...] = ()
    fixed: tuple[FixedInput, ...] = ()
    outputs: tuple[TensorSpec | None, ...] = ()
    bodies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GraphEnd:
    """Where a tensor enters or leaves a graph; ``wire`` is None for an input, and for a fixed output."""

    id: str
    tensor: TensorSpec
    wire: Wire | None = None


@dataclass(frozen=True, slots=True)
class OperatorGraph:
    """One graph of the file, its nodes in execution order: the main graph, a branch, or a loop's body."""

    id: str
    inputs: tuple[GraphEnd, ...]
    nodes: tuple[OperatorNode, ...]
    outputs: tuple[GraphEnd, ...]

    @property
    def wires(self) -> Iterator[Wire]:
        """Every wire of the graph."""
        for node in self.nodes:
            yield from node.wires
        yield from (end.wire for end in self.outputs if end.wire is not None)


@dataclass(frozen=True, slots=True)
class NodeFlow:
    """The main graph of a file and the bodies inside it; together they hold every node of its ledger."""

    graph: str
    source: str
    graphs: tuple[OperatorGraph, ...]

    def __post_init__(self) -> None:
        known = {graph.id for graph in self.graphs}
        if len(known) != len(self.graphs):
            raise GraphError(f"node flow of {self.graph!r}: two graphs share an id")
        for graph in self.graphs:
            ends = [end.id for end in (*graph.inputs, *graph.outputs)]
            ids = {*ends, *(node.id for node in graph.nodes)}
            if len(ids) != len(ends) + len(graph.nodes):
                raise GraphError(f"node flow of {self.graph!r}: two nodes of {graph.id!r} share an id")
            for wire in graph.wires:
                if wire.source not in ids:
                    raise GraphError(
                        f"node flow of {self.graph!r}: a wire comes from {wire.source!r}: no node"
                    )
            for body in (body for node in graph.nodes for body in node.bodies):
                if body not in known:
                    raise GraphError(f"node flow of {self.graph!r}: {body!r} is not a graph")
