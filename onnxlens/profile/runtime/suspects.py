"""A check of the attribution: a node with time and no MACs near MACs without time may have been confused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.runtime.executions import MacsRun
from onnxlens.profile.runtime.profile_events import NodeRuns
from onnxlens.profile.runtime.provenance import Provenance
from onnxlens.profile.runtime.runtime_graph import INLINED, core

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
