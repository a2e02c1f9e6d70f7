"""Benchmarks: the request, the latency, and the time of modules, operators and nodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from onnxlens.errors import UsageError
from onnxlens.specs.bounds import MOST_RUNS, MOST_THREADS
from onnxlens.specs.ledger import Attribution

Kind = Literal["node", "fused", "layout", "inserted", "unknown"]
"""What a node that ran computes: one source node; several; a reorder between layouts; something that the
runtime inserted; or unknown."""

KINDS: tuple[str, ...] = get_args(Kind)

NOISY_RATIO = 1.3
"""A p90 of the latency of more than this many times its p10 means that something else was running."""


@dataclass(frozen=True, slots=True)
class LatencyResult:
    """Time of one run, over ``runs`` of them after ``warmup`` that are not counted; seconds.

    Attributes:
        provider: the execution provider that really ran.
        unattributed: share of the node time without a module, 0 to 1; None if nodes were not timed.
    """

    median_s: float
    p10_s: float
    p90_s: float
    warmup: int
    runs: int
    provider: str
    device: str
    unattributed: float | None = None

    def __post_init__(self) -> None:
        if self.runs < 1:
            raise UsageError(f"latency over {self.runs} runs; time at least one")
        if not 0 <= self.p10_s <= self.median_s <= self.p90_s:
            raise UsageError(
                f"latency percentiles {self.p10_s}, {self.median_s}, {self.p90_s} s do not ascend"
            )
        if self.unattributed is not None and not 0 <= self.unattributed <= 1:
            raise UsageError(f"unattributed share {self.unattributed} is not between 0 and 1")


@dataclass(frozen=True, slots=True)
class BenchRequest:
    """How a graph is run.

    Attributes:
        provider: ``cpu``, ``cuda`` or ``tensorrt``; ``openvino`` for ONNX Runtime's ``cpu`` with OpenVINO
            beside it, in turns.
        runs: timed runs, with profiling off and again with it on.
        warmup: runs before them that are not timed.
        level: of ONNX Runtime's graph optimization: ``disabled``, ``basic``, ``extended``, ``all``.
        threads: per operator, in ONNX Runtime and PyTorch; None for the usable cores.
        against_torch: time the PyTorch module of the export too.
        matmul_peak: measure the peaks of a matrix product and a convolution as well, and each row's
            percentage of the higher: a second that times alone do not need.
    """

    provider: str = "cpu"
    runs: int = 10
    warmup: int = 2
    level: str = "all"
    threads: int | None = None
    against_torch: bool = False
    matmul_peak: bool = True

    def __post_init__(self) -> None:
        ranges = (("runs", 1, MOST_RUNS), ("warmup", 0, MOST_RUNS), ("threads", 1, MOST_THREADS))
        for name, least, most in ranges:
            value = getattr(self, name)
            if value is not None and not least <= value <= most:
                raise UsageError(f"{name} is {value:,}; give {least} to {most:,}")


@dataclass(frozen=True, slots=True)
class Timed:
    """Time of one row: median, p10 and p90 over the runs of the row's sum in each run; seconds.

    Attributes:
        macs: of one run; None if it is unknown how many are this row's.
        macs_per_s: ``macs`` over the median; None without MACs or time.
        share_of_best: ``macs_per_s`` as a share of the peak of a matrix product or a convolution, the higher.
    """

    median_s: float
    p10_s: float
    p90_s: float
    macs: int | None = None
    macs_per_s: float | None = None
    share_of_best: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.p10_s <= self.median_s <= self.p90_s:
            raise UsageError(f"percentiles {self.p10_s}, {self.median_s}, {self.p90_s} s do not ascend")
        if self.macs is not None and self.macs < 0:
            raise UsageError(f"{self.macs} MACs; a count is not negative")
        if (self.macs_per_s is None) != (self.share_of_best is None) or (self.macs_per_s and not self.macs):
            raise UsageError(
                f"{self.macs_per_s} MACs/s of {self.macs} MACs, {self.share_of_best} of the peak"
            )


@dataclass(frozen=True, slots=True)
class ModuleTime:
    """One module, everything below it included.

    Attributes:
        order: position of its first source node in execution order, from 1; 0 if it runs none.
        time: of all nodes that its source nodes and those of the modules in it became; None if none is its.
        timed_in: then the modules that have the time of its source nodes, which were fused into theirs or are
            computed with them; None if no node that ran computes one.
        layout_s: median over the runs of the part in inserted reorders, transposes, reshapes and casts.
    """

    path: str
    class_name: str
    depth: int
    order: int
    time: Timed | None
    layout_s: float
    timed_in: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.time is not None and self.timed_in is not None:
            raise UsageError(f"module {self.path!r}: its time is its own, and that of {self.timed_in}")


@dataclass(frozen=True, slots=True)
class OperatorTime:
    """All nodes that ran of one operator type."""

    op_type: str
    nodes: int
    time: Timed


@dataclass(frozen=True, slots=True)
class NodeTime:
    """One node of the optimized graph, and the names of the nodes in the file that it computes.

    ``module_path`` is None if unknown: its time is unattributed.
    """

    node: str
    op_type: str
    kind: Kind
    sources: tuple[str, ...]
    time: Timed
    module_path: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UsageError(f"node {self.node!r}: kind {self.kind!r} is not one of {', '.join(KINDS)}")


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """The peak memory of the session, None if unknown; ``method`` says what was measured, and how."""

    method: str
    peak_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class MatmulPeak:
    """The matmul peak of the same run: a plain product of two ``side`` x ``side`` matrices."""

    macs_per_s: float
    side: int
    dtype: str

    def __post_init__(self) -> None:
        if not self.macs_per_s > 0:
            raise UsageError(f"a matrix product at {self.macs_per_s} MACs/s; expected more than 0")


@dataclass(frozen=True, slots=True)
class ConvolutionPeak:
    """The convolution peak of the same run: ``kernel`` x ``kernel`` over ``side`` x ``side`` positions."""

    macs_per_s: float
    channels: int
    side: int
    kernel: int
    dtype: str

    def __post_init__(self) -> None:
        if not self.macs_per_s > 0:
            raise UsageError(f"a convolution at {self.macs_per_s} MACs/s; expected more than 0")


@dataclass(frozen=True, slots=True)
class BenchReport:
    """The time of one graph on one machine.

    Attributes:
        dtype: of most of the graph's weights.
        load_before, load_after: load averages over the last minute.
        latency: end to end with profiling off.
        profiled: the same with profiling on; its ``unattributed`` is the share of node time without a module.
        node_sum_s: median over the runs of the time in all nodes.
        layout_share: median time in inserted reorders, transposes, reshapes and casts, as a share of the sum.
        matrix_product, convolution: the peaks; None if not measured, and a convolution's in float64.
        beside: another runtime, timed in turns with ONNX Runtime; None if none is asked for.
        eager, compiled: PyTorch on the same device, inputs and threads; None if not requested, or not
            available, which a note explains.
        notes: what a reader of the figures must know, one line each.
        modules: in execution order, the model first.
        operators: most time first.
        nodes: in execution order.
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
    matrix_product: MatmulPeak | None
    memory: MemoryUse
    modules: tuple[ModuleTime, ...]
    operators: tuple[OperatorTime, ...]
    nodes: tuple[NodeTime, ...]
    eager: LatencyResult | None = None
    compiled: LatencyResult | None = None
    notes: tuple[str, ...] = ()
    convolution: ConvolutionPeak | None = None
    beside: LatencyResult | None = None

    def __post_init__(self) -> None:
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
        """Why the machine counts as noisy during the measurement; empty if it was not."""
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
