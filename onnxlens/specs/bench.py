"""What a benchmark asks for, and what it gives: the time of modules, operators and nodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from onnxlens.errors import UsageError
from onnxlens.specs.ledger import Attribution
from onnxlens.specs.results import LatencyResult

Kind = Literal["node", "fused", "layout", "inserted", "unknown"]
"""What a node that ran stands for: one source node; several; a reorder between layouts; what the runtime put
in; or nobody knows."""

KINDS: tuple[str, ...] = get_args(Kind)

NOISY_RATIO = 1.3
"""A p90 of the end-to-end time over this many times its p10 means that something else was running."""


@dataclass(frozen=True, slots=True)
class BenchRequest:
    """How a graph is to be run.

    Attributes:
        provider: ``cpu``, ``cuda`` or ``tensorrt``.
        runs: how many runs are timed, with profiling off and again with it on.
        warmup: how many runs before them are not counted.
        level: of ONNX Runtime's graph optimisation: ``disabled``, ``basic``, ``extended``, ``all``.
        threads: that one operator may use, in ONNX Runtime and PyTorch alike; None for the usable cores.
        against_torch: time the PyTorch module of the export too.
    """

    provider: str = "cpu"
    runs: int = 10
    warmup: int = 2
    level: str = "all"
    threads: int | None = None
    against_torch: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be run.

        Raises:
            UsageError: there are no runs or threads, or less than no warm-ups.
        """
        for name, least in (("runs", 1), ("warmup", 0), ("threads", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise UsageError(f"{name} is {value}; give at least {least}")


@dataclass(frozen=True, slots=True)
class Timed:
    """Time of one row in one run: median, p10 and p90 over the runs, each run's own sum; seconds.

    Attributes:
        macs: of one run; None where they cannot be told apart from another row's.
        macs_per_s: ``macs`` over the median; None where there are none or no time was seen.
        share_of_best: of the best that the plain matrix product reached.
    """

    median_s: float
    p10_s: float
    p90_s: float
    macs: int | None = None
    macs_per_s: float | None = None
    share_of_best: float | None = None

    def __post_init__(self) -> None:
        """Refuse figures that contradict each other.

        Raises:
            UsageError: the percentiles do not ascend, or there is a rate without MACs.
        """
        if not 0 <= self.p10_s <= self.median_s <= self.p90_s:
            raise UsageError(f"percentiles {self.p10_s}, {self.median_s}, {self.p90_s} s do not ascend")
        if self.macs is not None and self.macs < 0:
            raise UsageError(f"{self.macs} MACs; a count is not negative")
        if (self.macs_per_s is None) != (self.share_of_best is None) or (self.macs_per_s and not self.macs):
            raise UsageError(
                f"{self.macs_per_s} MACs/s of {self.macs} MACs, {self.share_of_best} of the best"
            )


@dataclass(frozen=True, slots=True)
class ModuleTime:
    """One module, everything below it included.

    Attributes:
        order: the place of its first source node in the order of execution, from 1; 0 when it runs nothing.
        time: of all nodes that its own and the modules in it became.
        layout_s: median over the runs of the part that went into moves that the runtime put in.
    """

    path: str
    class_name: str
    depth: int
    order: int
    time: Timed
    layout_s: float


@dataclass(frozen=True, slots=True)
class OperatorTime:
    """All nodes that ran of one operator type."""

    op_type: str
    nodes: int
    time: Timed


@dataclass(frozen=True, slots=True)
class NodeTime:
    """One node of the optimised graph.

    Attributes:
        sources: names of the nodes in the file that it stands for.
        module_path: "" is the model itself; None where no module is known: its time is unattributed.
    """

    node: str
    op_type: str
    kind: Kind
    sources: tuple[str, ...]
    time: Timed
    module_path: str | None = None

    def __post_init__(self) -> None:
        """Refuse an undefined kind.

        Raises:
            UsageError: that is the case.
        """
        if self.kind not in KINDS:
            raise UsageError(f"node {self.node!r}: kind {self.kind!r} is none of {', '.join(KINDS)}")


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """The most memory that the session held.

    Attributes:
        method: what was measured, and how.
        peak_bytes: None where nobody tells.
    """

    method: str
    peak_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class MatrixProduct:
    """The best that a plain matrix product reached in the same run: ``side`` x ``side`` times the same."""

    macs_per_s: float
    side: int
    dtype: str

    def __post_init__(self) -> None:
        """Refuse a rate that nothing can be a share of.

        Raises:
            UsageError: it is not positive.
        """
        if not self.macs_per_s > 0:
            raise UsageError(f"a matrix product at {self.macs_per_s} MACs/s; expected more than 0")


@dataclass(frozen=True, slots=True)
class BenchReport:
    """The time of one graph on one machine.

    Attributes:
        device: the processor's or the accelerator's name.
        dtype: of most of the graph's weights.
        load_before, load_after: load averages over the last minute.
        latency: end to end with profiling off.
        profiled: the same with profiling on; its ``unattributed`` is the share of node time without a module.
        node_sum_s: median over the runs of the time in all nodes.
        layout_share: of the node time, that of reorders, transposes, reshapes and casts that were put in.
        eager, compiled: PyTorch on the same device, inputs and threads; None where not asked for or not to be
            had, and then a note says why.
        notes: what a reader of the figures must know, one line each.
        modules: in the order of execution, the model first.
        operators: most time first.
        nodes: in the order in which they ran.
    """

    graph: str
    source: str
    opset: int
    weights: str
    attribution: Attribution
    provider: str
    device: str
    level: str
    threads: int
    dtype: str
    machine: Mapping[str, str]
    load_before: float
    load_after: float
    latency: LatencyResult
    profiled: LatencyResult
    node_sum_s: float
    layout_share: float
    matrix_product: MatrixProduct
    memory: MemoryUse
    modules: tuple[ModuleTime, ...]
    operators: tuple[OperatorTime, ...]
    nodes: tuple[NodeTime, ...]
    eager: LatencyResult | None = None
    compiled: LatencyResult | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Hold the parts against the whole.

        Raises:
            UsageError: a share is none, time is attributed to a module and said not to be, or the reverse.
        """
        if not 0 <= self.layout_share <= 1 or self.profiled.unattributed is None:
            raise UsageError(f"graph {self.graph!r}: shares of the node time are missing or out of 0 to 1")
        homeless = any(node.module_path is None and node.time.p90_s > 0 for node in self.nodes)
        if homeless and not self.profiled.unattributed:
            raise UsageError(f"graph {self.graph!r}: nodes without a module, and no time is unattributed")
        known = {module.path for module in self.modules}
        strays = [node for node in self.nodes if node.module_path not in {None, *known}]
        if strays:
            raise UsageError(f"graph {self.graph!r}: no row of module {strays[0].module_path!r}")

    @property
    def noise(self) -> tuple[str, ...]:
        """Why the machine was noisy while this was measured; empty where it was not."""
        cores = int(self.machine["cores"])
        loads = [
            f"load average {load:.1f} {when} on {cores} cores"
            for load, when in ((self.load_before, "before"), (self.load_after, "after"))
            if load > cores
        ]
        spreads = [
            f"p90 is {ratio:.2f} times p10 with profiling {when}"
            for latency, when in ((self.latency, "off"), (self.profiled, "on"))
            if latency.p10_s and (ratio := latency.p90_s / latency.p10_s) > NOISY_RATIO
        ]
        return (*spreads, *loads)
