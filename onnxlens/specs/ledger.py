"""The ledger: a row per module, node and operator type, with every counted or measured cost side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field, replace
from operator import attrgetter
from typing import TYPE_CHECKING, Literal, get_args

from onnxlens.errors import GraphError
from onnxlens.specs.experts import Routing
from onnxlens.specs.grouping import Grouping, NodeFacts
from onnxlens.specs.layers import ToolCosts
from onnxlens.specs.peers import Convention, PeerCost, summed
from onnxlens.specs.record import record
from onnxlens.specs.roofline import AT, ON_CHIPS, ChipBounds
from onnxlens.specs.tensor import TensorSpec
from onnxlens.specs.traffic import FusedTraffic

Status = Literal["counted", "free", "unknown"]
Attribution = Literal["metadata", "names", "weights", "none"]
Evidence = Literal["metadata", "names", "weights", "flow", "manifest", "none"]
"""What told a module: torch's metadata, a node's name, a weight's, data flow, our manifest, or nothing."""

STATUSES: tuple[str, ...] = get_args(Status)

COUNTS = ("macs", "vector_ops", "special_ops", "weight_read_bytes", "read_bytes", "write_bytes")
"""The columns that add up over the nodes."""
COUNTS_OF = attrgetter(*COUNTS)

OPERATIONS = ("macs", "vector_ops", "special_ops", "flops")
TRAFFIC = ("weight_read_bytes", "read_bytes", "write_bytes", "moved_bytes")
DERIVED_FROM: Mapping[str, str] = {
    "achieved_macs_per_s": "macs", "arithmetic_intensity": "flops", "peak_live_bytes": "live_bytes",
    **ON_CHIPS,
}  # fmt: skip

Bounds = tuple[str, ...] | None
"""The names of the figures that are lower bounds, because they lack what is unknown; None if all is known."""


def is_lower_bound(name: str, bounds: Bounds) -> bool:
    """Whether a figure, of whatever chip, lacks what is unknown; what tools report is no count of ours."""
    plain, at, _ = name.partition(AT)
    if bounds is None or (at and plain not in ON_CHIPS):
        return False
    return DERIVED_FROM.get(plain, plain) in bounds


def lower_bounds(nodes: Iterable[NodeCost], *, live: bool = False) -> Bounds:
    """Which figures of several nodes together are lower bounds; ``live`` says it of their live bytes."""
    unknown = [node for node in nodes if node.status == "unknown"]
    if not unknown and not live:
        return None
    unsized = any(not node.moved_bytes for node in unknown)
    return joined_bounds(
        (OPERATIONS if unknown else (), TRAFFIC if unsized else (), ("live_bytes",) if live else ())
    )


def added(nodes: Sequence[NodeCost]) -> dict[str, int]:
    """The columns that add up, of several nodes together."""
    columns = zip(*map(COUNTS_OF, nodes), strict=True)
    return dict(zip(COUNTS, map(sum, columns), strict=True)) if nodes else dict.fromkeys(COUNTS, 0)


def joined_bounds(bounds: Iterable[Bounds]) -> Bounds:
    """The bounds of several parts together."""
    return tuple(dict.fromkeys(name for each in bounds for name in each or ())) or None


class Operations:
    """What follows from the operations of a row."""

    __slots__ = ()
    macs: int
    vector_ops: int
    special_ops: int

    @property
    def flops(self) -> int:
        """2 x MACs + vector_ops + special_ops."""
        return 2 * self.macs + self.vector_ops + self.special_ops


class Moved:
    """What follows from the bytes of a row, and its operations."""

    __slots__ = ()
    if TYPE_CHECKING:
        weight_read_bytes: int
        read_bytes: int
        write_bytes: int

        @property
        def flops(self) -> int:
            """All operations."""

        @property
        def lower_bounds(self) -> Bounds:
            """Which figures lack what is unknown."""

    @property
    def moved_bytes(self) -> int:
        """Bytes of weights and activations that unfused nodes must move."""
        return self.weight_read_bytes + self.read_bytes + self.write_bytes

    @property
    def arithmetic_intensity(self) -> float | None:
        """FLOPs per byte moved; None where nothing moves, or neither is known: of two lower bounds."""
        if not self.moved_bytes or is_lower_bound("moved_bytes", self.lower_bounds):
            return None
        return self.flops / self.moved_bytes


class Counted(Operations, Moved):
    """What follows from the counts of a row."""

    __slots__ = ()


@record(frozen=True, slots=True)
class BodyCost(Operations):
    """What a graph inside a node costs: one run of a branch, or one iteration, all inside included.

    Attributes:
        name: ``then_branch``, ``else_branch``, ``body``: the attribute that holds it.
        repeats: how often it was counted in one run of the node: the trip count; 0 for a branch not taken.
        doubt: why the trip count is not known: the body was then counted once.
        all_runs: whether the figures are of all its runs together, as these differ in shapes or branches.
    """

    name: str
    nodes: int
    macs: int
    vector_ops: int
    special_ops: int
    moved_bytes: int
    unknown_nodes: int
    repeats: int
    doubt: str = ""
    all_runs: bool = False


@record(frozen=True, slots=True)
class Window:
    """What a convolution or a pooling slides over its input, by spatial axis; a pooling has no groups."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    groups: int | None


@record(frozen=True, slots=True)
class NodeCost(Counted):
    """What one node costs in one run of the graph, all its own runs together.

    Attributes:
        module_path: the module that owns it; "" is the model itself.
        status: ``counted`` by a rule; ``free`` when it works on weights alone, so before run time;
            ``unknown`` when there is no rule or a fact is missing: its operations are then 0 and mean
            nothing, its bytes are known where the shapes are.
        reason: why it is unknown.
        params: elements of the parameters whose first use is this node.
        repeats: how often it was counted: more than once in a loop, 0 in a branch of an If that is not taken.
        bodies: what runs inside an If, Loop, Scan or SequenceMap; their nodes are entries of their own.
        peer: what a peer counts for it, where the ledger is in a peer's convention.
    """

    node: str
    op_type: str
    domain: str
    module_path: str
    class_name: str
    macs: int = 0
    vector_ops: int = 0
    special_ops: int = 0
    params: int = 0
    weight_read_bytes: int = 0
    read_bytes: int = 0
    write_bytes: int = 0
    status: Status = "counted"
    reason: str = ""
    repeats: int = 1
    bodies: tuple[BodyCost, ...] = ()
    peer: PeerCost | None = None

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise GraphError(f"node {self.node!r}: status {self.status!r} is none of {', '.join(STATUSES)}")
        if (self.status == "unknown") != bool(self.reason):
            raise GraphError(f"node {self.node!r}: status {self.status!r} with reason {self.reason!r}")

    @property
    def lower_bounds(self) -> Bounds:
        """Which of its figures lack what is unknown."""
        return lower_bounds((self,))

    def repeated(self, times: int, bodies: tuple[BodyCost, ...] = ()) -> NodeCost:
        """The cost of ``times`` runs, when this is that of one."""
        counts = {name: times * getattr(self, name) for name in COUNTS}
        return replace(self, **counts, repeats=times, bodies=bodies)


@record(frozen=True, slots=True)
class ModuleCost(Counted):
    """What one module costs, everything below it included.

    Attributes:
        depth: 0 for the model itself; a module that only holds others and runs nothing is no level.
        order: the place of its first node in the order of execution, from 1; 0 when it runs nothing.
        operators: how many nodes of each operator type it runs; those that do and move most first.
        params: elements of its parameters, shared ones once, whether or not the forward pass uses them.
        resident_weight_bytes: the weights that must be kept for it.
        live_bytes: the most that is alive at once while it runs, weights apart.
        latency_s, parity_error: None until measured.
        working_bytes: what it takes if it runs alone: activations at most, and weights; None likewise.
        peer: what a peer counts for it, in a peer's convention; nodes that work on weights alone included.
        evidence: the surest of what told that its nodes belong to it; none for the model.
        lower_bounds: the figures that lack those of unknown nodes or untimed modules; None if all is known.
        timed_in: the modules that have its time, because its nodes were fused into theirs; None else.
    """

    path: str
    class_name: str
    depth: int
    order: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    operators: Mapping[str, int]
    macs: int
    vector_ops: int
    special_ops: int
    params: int
    weight_read_bytes: int
    read_bytes: int
    write_bytes: int
    unknown_nodes: int
    resident_weight_bytes: int
    live_bytes: int
    latency_s: float | None = None
    parity_error: float | None = None
    working_bytes: int | None = None
    peer: PeerCost | None = None
    evidence: Evidence = "none"
    lower_bounds: Bounds = None
    timed_in: tuple[str, ...] | None = None

    @property
    def achieved_macs_per_s(self) -> float | None:
        """MACs / latency, or None where no time was measured, or not all of it, or one too short to tell."""
        lower = is_lower_bound("latency_s", self.lower_bounds)
        return self.macs / self.latency_s if self.latency_s and not lower else None


@record(frozen=True, slots=True)
class OperatorCost(Counted):
    """What all nodes of one operator type cost together."""

    op_type: str
    domain: str
    nodes: int
    free_nodes: int
    unknown_nodes: int
    macs: int
    vector_ops: int
    special_ops: int
    weight_read_bytes: int
    read_bytes: int
    write_bytes: int
    peer: PeerCost | None = None
    lower_bounds: Bounds = None


@record(frozen=True, slots=True)
class Totals(Moved):
    """The graph as a whole; params and buffers in elements, ``unknown_bytes`` what unknown nodes move.

    ``latency_s`` and ``parity_error`` are None until measured; ``lower_bounds`` as of a module.
    """

    nodes: int
    macs: int
    vector_ops: int
    special_ops: int
    flops: int
    params: int
    buffers: int
    weight_read_bytes: int
    read_bytes: int
    write_bytes: int
    resident_weight_bytes: int
    peak_live_bytes: int
    free_nodes: int
    unknown_nodes: int
    unknown_bytes: int
    latency_s: float | None = None
    parity_error: float | None = None
    peer: PeerCost | None = None
    lower_bounds: Bounds = None


@record(frozen=True, slots=True)
class Ledger:
    """Every cost of one graph.

    Attributes:
        source: the file's name, or the catalog's name of the graph.
        attribution: what told most paths: ``metadata``, ``names`` of nodes, or of ``weights``, ``none``.
        weights: which the file holds: ``none``, ``seeded``, a checkpoint's name; "" if unknown.
        notes: facts a reader of the figures must know, one line each.
        convention: ``matrix``, ours, or the peer's whose counts stand in every row's ``peer``.
        windows, experts: by the node's index, what it slides over, or how tokens get to its experts.
        facts, grouping: of each node, and its groups, where they are asked for.
        node_seconds: measured time by the node's index, None for what belongs to none; empty until measured.
        own_seconds: likewise by the path of the module whose own kernels ran, None for what belongs to none.
        bounds: what bounds the time on chips, where they are asked for.
        traffic: memory traffic when operators are fused, where that is asked for.
        tools: what other tools report of the nodes.
    """

    graph: str
    source: str
    opset: int
    attribution: Attribution
    weights: str
    totals: Totals
    modules: tuple[ModuleCost, ...]
    nodes: tuple[NodeCost, ...]
    notes: tuple[str, ...] = ()
    conventions: Mapping[str, str] = field(default_factory=dict)
    convention: Convention = "matrix"
    windows: Mapping[int, Window] = field(default_factory=dict)
    experts: Mapping[int, Routing] = field(default_factory=dict)
    facts: tuple[NodeFacts, ...] = ()
    grouping: Grouping | None = None
    node_seconds: Mapping[int | None, float] = field(default_factory=dict)
    own_seconds: Mapping[str | None, float] = field(default_factory=dict)
    bounds: tuple[ChipBounds, ...] = ()
    traffic: FusedTraffic | None = None
    tools: tuple[ToolCosts, ...] = ()

    def __post_init__(self) -> None:
        for name, by_node in added(self.nodes).items():
            total = getattr(self.totals, name)
            by_module = getattr(self.modules[0], name) if self.modules else total
            if not total == by_node == by_module:
                found = f"{total} in total, {by_node} over the nodes and {by_module} at the root module"
                raise GraphError(f"graph {self.graph!r}: {name} is {found}")
        rows: tuple[Totals | ModuleCost, ...] = (self.totals, *self.modules)
        for row in rows:
            if row.unknown_nodes and not row.lower_bounds:
                raise GraphError(f"graph {self.graph!r}: unknown nodes, and no figure is a lower bound")

    @property
    def idle(self) -> frozenset[int]:
        """The nodes that do not run, in a branch that is not taken, by their indices."""
        return frozenset(index for index, node in enumerate(self.nodes) if not node.repeats)

    @property
    def unknown(self) -> tuple[int, str]:
        """How many nodes cannot be counted in the ledger's convention, and why the first cannot."""
        if self.totals.peer is not None:
            return self.totals.peer.unknown_nodes, self.totals.peer.reason
        return self.totals.unknown_nodes, next((node.reason for node in self.nodes if node.reason), "")

    @property
    def operators(self) -> tuple[OperatorCost, ...]:
        """The nodes by operator type, most counted first (in the ledger's convention), then most bytes."""
        groups: dict[tuple[str, str], list[NodeCost]] = {}
        for node in self.nodes:
            groups.setdefault((node.domain, node.op_type), []).append(node)
        costs = [operator_cost(op_type, domain, nodes) for (domain, op_type), nodes in groups.items()]
        return tuple(
            sorted(costs, key=lambda c: (-(c.peer or c).macs, -c.read_bytes - c.write_bytes, c.op_type))
        )


def operator_cost(op_type: str, domain: str, nodes: Sequence[NodeCost]) -> OperatorCost:
    """What the nodes cost together."""
    statuses = Counter(node.status for node in nodes)
    return OperatorCost(
        op_type=op_type,
        domain=domain,
        nodes=len(nodes),
        free_nodes=statuses["free"],
        unknown_nodes=statuses["unknown"],
        **added(nodes),
        peer=peer_of(nodes),
        lower_bounds=lower_bounds(nodes),
    )


def peer_of(rows: Iterable[NodeCost | ModuleCost | OperatorCost]) -> PeerCost | None:
    """What a peer counts for several rows together; None in our own convention."""
    costs = [(row.macs, row.peer) for row in rows if row.peer is not None]
    return summed(costs) if costs else None
