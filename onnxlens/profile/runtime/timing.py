"""Time by node, by operator and by module: what ran, joined with its provenance and the counted costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import median

import numpy as np

from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.runtime.executions import MacsRun, total
from onnxlens.profile.runtime.latency import spread
from onnxlens.profile.runtime.profile_events import NodeRuns
from onnxlens.profile.runtime.provenance import Provenance
from onnxlens.profile.runtime.runtime_graph import INLINED, MOVING, core
from onnxlens.specs.bench import ModuleTime, NodeTime, OperatorTime, Timed
from onnxlens.specs.ledger import Ledger, ModuleCost

SHARED = "its branches look the same in the profile: their time stands at it, and what ran is unknown"


@dataclass(frozen=True, slots=True)
class Timing:
    """The time of all nodes: by module, by operator with most time first, and by node in execution order.

    Attributes:
        node_sum_s: median over the runs of the time in all nodes.
        unattributed: share of the node time of all runs that is in nodes without a module, 0 to 1.
        layout_share: median time in inserted reorders, transposes, reshapes and casts, as a share of
            ``node_sum_s``.
        notes: nodes whose attribution is suspect, one line each.
    """

    node_sum_s: float
    unattributed: float
    layout_share: float
    modules: tuple[ModuleTime, ...]
    operators: tuple[OperatorTime, ...]
    nodes: tuple[NodeTime, ...]
    notes: tuple[str, ...]


def build_timing(
    ran: Sequence[NodeRuns],
    provenances: Mapping[str, Provenance],
    graph: Graph,
    ledger: Ledger,
    peak_macs_per_s: float | None,
) -> Timing:
    """Join the nodes that ran, with their times in each run, with the modules of the source graph.

    Provenances are by the nodes' keys. ``peak_macs_per_s`` is the peak, None if it was not measured.
    """
    known = [provenances.get(node.node) if node.known else None for node in ran]
    macs_run = MacsRun(graph, ledger.nodes, ran, provenances)
    rows = _Rows(ran, known, graph, ledger, macs_run, peak_macs_per_s)
    whole, layout = spread(rows.total)[1], rows.spread(rows.layout)[1]
    return Timing(
        node_sum_s=whole,
        unattributed=rows.share([index for index, path in enumerate(rows.paths) if path is None]),
        layout_share=layout / whole if whole else 0.0,
        modules=tuple(rows.module(module) for module in ledger.modules),
        operators=rows.operators(),
        nodes=rows.nodes(),
        notes=(*suspect_notes(ran, known, graph, macs_run, peak_macs_per_s), *_shared_notes(ran, known)),
    )


@dataclass(frozen=True)
class _Rows:
    """Makes rows from sums within each run, so that a module's time in a run is that of its nodes."""

    ran: Sequence[NodeRuns]
    provenances: Sequence[Provenance | None]
    graph: Graph
    ledger: Ledger
    macs_run: MacsRun
    peak_macs_per_s: float | None

    @cached_property
    def seconds(self) -> np.ndarray:
        return np.array([node.seconds for node in self.ran])  # (nodes, runs)

    @cached_property
    def total(self) -> Sequence[float]:
        """The time of all nodes in each run."""
        return [float(run) for run in self.seconds.sum(axis=0)]

    @cached_property
    def paths(self) -> Sequence[str | None]:
        return [it.module_path if it else None for it in self.provenances]

    @cached_property
    def layout(self) -> Sequence[int]:
        return [index for index, it in enumerate(self.provenances) if _is_layout(it)]

    @cached_property
    def macs(self) -> Sequence[int | None]:
        """The MACs of each node: those of its sources; None where several nodes share a source's."""
        users = Counter(source for it in self.provenances if it for source in it.sources)
        found = zip(self.ran, self.provenances, strict=True)
        # A row of another operator than its node's is of nodes inside it that could not be told apart.
        return [
            _macs(it, users, self.macs_run) if it and it.op_type == node.op_type else None
            for node, it in found
        ]

    @cached_property
    def inside(self) -> Mapping[str, Sequence[int]]:
        """The nodes of each module and of the modules inside it."""
        inside: dict[str, list[int]] = {}
        for index, path in enumerate(self.paths):
            for parent in () if path is None else self.graph.hierarchy.lineage(path):
                inside.setdefault(parent, []).append(index)
        return inside

    def share(self, indices: Sequence[int]) -> float:
        """The share of some nodes in the time of all nodes in all runs."""
        whole = sum(self.total)
        return min(1.0, float(self.seconds[indices].sum()) / whole) if whole else 0.0

    def module(self, module: ModuleCost) -> ModuleTime:
        inside = self.inside.get(module.path, [])
        timed = (
            self._timed(inside, self.macs_run.of_module(module.path)) if inside or not module.path else None
        )
        layout = sorted(set(inside) & set(self.layout))
        return ModuleTime(
            path=module.path,
            class_name=module.class_name,
            depth=module.depth,
            order=module.order,
            time=timed,
            timed_in=None if timed else self._elsewhere(module.path),
            layout_s=self.spread(layout)[1],
        )

    @cached_property
    def computed_in(self) -> Mapping[int, Sequence[str]]:
        """The modules whose nodes compute each source node."""
        found: dict[int, list[str]] = {}
        for it in self.provenances:
            if it is not None and it.module_path is not None:
                for source in it.sources:
                    found.setdefault(source, []).append(it.module_path)
        return found

    def _elsewhere(self, path: str) -> tuple[str, ...] | None:
        """The modules that have the time of what a module runs."""
        running = self.graph.by_module()[path]
        return (
            tuple(dict.fromkeys(each for source in running for each in self.computed_in.get(source, ())))
            or None
        )

    def operators(self) -> tuple[OperatorTime, ...]:
        groups: dict[str, list[int]] = {}
        for index, node in enumerate(self.ran):
            groups.setdefault(node.op_type, []).append(index)
        rows = [
            OperatorTime(op_type, len(indices), self._timed(indices, total(self.macs[i] for i in indices)))
            for op_type, indices in groups.items()
        ]
        return tuple(sorted(rows, key=lambda row: (-row.time.median_s, row.op_type)))

    def nodes(self) -> tuple[NodeTime, ...]:
        return tuple(
            NodeTime(
                node=node.node,
                op_type=node.op_type,
                kind=it.kind if it else "unknown",
                module_path=it.module_path if it else None,
                sources=tuple(self.ledger.nodes[source].node for source in it.sources) if it else (),
                time=self._timed([index], self.macs[index]),
            )
            for index, (node, it) in enumerate(zip(self.ran, self.provenances, strict=True))
        )

    def spread(self, indices: Sequence[int]) -> tuple[float, float, float]:
        return spread(self.seconds[indices].sum(axis=0).tolist())

    def _timed(self, indices: Sequence[int], macs: int | None) -> Timed:
        p10, median, p90 = self.spread(indices)
        peak = self.peak_macs_per_s
        if not (macs and median and peak):
            return Timed(median, p10, p90, macs)
        return Timed(median, p10, p90, macs, macs / median, macs / median / peak)


def _shared_notes(ran: Sequence[NodeRuns], known: Sequence[Provenance | None]) -> tuple[str, ...]:
    """The nodes at which the time of several branches stands."""
    alike = (node.node for node, it in zip(ran, known, strict=True) if it and it.op_type != node.op_type)
    return tuple(f"{name}: {SHARED}" for name in dict.fromkeys(alike))


def _is_layout(provenance: Provenance | None) -> bool:
    """Whether the runtime inserted the node to move data; nodes of a decomposed operator do its work."""
    if provenance is None:
        return False
    return provenance.kind == "layout" or (provenance.kind == "inserted" and provenance.op_type in MOVING)


def _macs(provenance: Provenance, users: Mapping[int, int], macs_run: MacsRun) -> int | None:
    if _is_layout(provenance):
        return 0
    working = [source for source in provenance.computed if macs_run.of(source) != 0]
    shared = any(users[source] > 1 for source in working)
    # A node of a decomposed operator computes an unknown part of its MACs.
    decomposed = provenance.kind == "inserted" and (working or not provenance.sources)
    return None if shared or decomposed else total(macs_run.of(source) for source in working)


BEYOND_PEAK = 8
"""No node is so many times faster than the matmul peak: its MACs are not its own."""

RESOLUTION_S = 1e-6
"""The profile's times are in whole microseconds, rounded down."""

SCALES = ("_bn_nchwc", "_mul_nchwc")
"""The ends of the names of BatchNormalization and Mul that run as convolutions in blocked layout."""

SHOWN = 3
"""More suspects than these are counted only."""


def suspect_notes(
    ran: Sequence[NodeRuns],
    provenances: Sequence[Provenance | None],
    graph: Graph,
    macs_run: MacsRun,
    peak_macs_per_s: float | None,
) -> tuple[str, ...]:
    """A line for each node of which the time may be another's; ``provenances`` are those of ``ran``."""
    found = list(_Check(ran, provenances, graph, macs_run, peak_macs_per_s).suspects())
    hidden = len(found) - SHOWN
    return (*found[:SHOWN], *((f"suspect: {hidden} more nodes like these",) if hidden > 0 else ()))


@dataclass(frozen=True)
class _Check:
    ran: Sequence[NodeRuns]
    provenances: Sequence[Provenance | None]
    graph: Graph
    macs_run: MacsRun
    peak_macs_per_s: float | None

    def suspects(self) -> Iterator[str]:
        timeless = list(self._timeless())
        for node, it in zip(self.ran, self.provenances, strict=True):
            if it is None or not any(node.seconds) or self._macs(it) or _has_none(it):
                continue
            near = {read for source in it.sources for read in self._neighbors(source)}
            other = core(node.op_type) not in {core(self._op_type(source)) for source in it.sources}
            for source, too_fast in timeless:
                alike = core(node.op_type) == core(self._op_type(source))
                if (alike and other) or (not alike and too_fast and source in near):
                    yield self._note(node, source)
                    break

    def _note(self, node: NodeRuns, source: int) -> str:
        view, macs = self.graph.nodes[source].view, self.macs_run.of(source)
        return (
            f"suspect: {node.op_type} {node.node} took {1e6 * median(node.seconds):.0f} us and has no MACs, "
            f"and the {macs:,} MACs of {view.op_type} {view.name} have no time of their own: "
            "one may be the other's"
        )

    def _timeless(self) -> Iterator[tuple[int, bool]]:
        """Source nodes with MACs that no node of their operator computes alone, or none in so little time.

        With whether it is the time that is too short.
        """
        computing = {
            source: index for index, it in enumerate(self.provenances) if it for source in it.sources
        }
        for source in range(len(self.graph.nodes)):
            if self.macs_run.of(source):
                index = computing.get(source)
                it = None if index is None else self.provenances[index]
                too_fast = index is not None and it is not None and self._is_too_fast(index, it)
                if it is None or too_fast or not self._is_alone(it):
                    yield source, too_fast

    def _is_too_fast(self, index: int, it: Provenance) -> bool:
        """Whether the node cannot have computed the MACs of its source nodes in its time."""
        if self.peak_macs_per_s is None:
            return False
        needed_s = self._macs(it) / self.peak_macs_per_s / BEYOND_PEAK
        return median(self.ran[index].seconds) + RESOLUTION_S < needed_s

    def _is_alone(self, it: Provenance) -> bool:
        """Whether the node has the operator of its one source node with MACs."""
        working = [source for source in it.computed if self.macs_run.of(source)]
        return len(working) == 1 and core(it.op_type) == core(self._op_type(working[0]))

    def _macs(self, it: Provenance) -> int:
        """The known MACs of a node's sources."""
        return sum(self.macs_run.of(source) or 0 for source in it.computed)

    def _op_type(self, source: int) -> str:
        return self.graph.nodes[source].view.op_type

    def _neighbors(self, source: int) -> Iterator[int]:
        view = self.graph.nodes[source].view
        producers = (self.graph.producer(value.name) for value in view.inputs if value is not None)
        yield from (producer for producer in producers if producer is not None)
        for value in view.outputs:
            yield from self.graph.consumers(value.name) if value is not None else ()


def _has_none(it: Provenance) -> bool:
    """Whether the node need not have MACs: a part of a decomposed operator, or a scale as a convolution."""
    return INLINED in it.node or it.node.endswith(SCALES)
