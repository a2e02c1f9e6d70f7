"""The MACs of what ran: of nodes inside If, Loop and Scan as often as the profile has events of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import median_high

from onnxlens.profile.count.counting import count_single_runs
from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.runtime.profile_events import NodeRuns
from onnxlens.profile.runtime.provenance import Provenance
from onnxlens.specs.ledger import NodeCost


class MacsRun:
    """The MACs of source nodes and of modules in one run of the graph, as far as the profile shows it.

    Outside bodies a node runs once. What is inside an If, a Loop or a Scan ran as often as its runtime node
    has events, the median over the runs.
    """

    def __init__(
        self,
        graph: Graph,
        costs: Sequence[NodeCost],
        ran: Sequence[NodeRuns],
        provenances: Mapping[str, Provenance],
    ) -> None:
        """Count how often each source node ran; ``costs`` are those of the ledger."""
        self._graph = graph
        self._ledger = costs
        self._costs = count_single_runs(graph) if any(node.bodies for node in graph.nodes) else costs
        self._times = _times(graph, ran, provenances)

    def of(self, source: int) -> int | None:
        """The MACs of all runs of a source node; None if these or how often it ran is unknown."""
        cost, times = self._costs[source], self._times[source]
        runs = self._graph.nodes[source].observed
        if len(runs) > 1 and times:  # in one shape and another: those of all together are known
            return self._ledger[source].macs if times == sum(often for _, often in runs) else None
        if times == 0 or (cost.status != "unknown" and not cost.macs):
            return 0
        return None if times is None or cost.status == "unknown" else times * cost.macs

    def of_module(self, path: str) -> int | None:
        """The MACs of a module and of the modules in it; None if one of its nodes is unknown."""
        return total(self.of(source) for source in self._graph.by_module()[path])


def total(macs: Iterable[int | None]) -> int | None:
    """The sum; None if one of them is unknown."""
    counts = list(macs)
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def _times(
    graph: Graph, ran: Sequence[NodeRuns], provenances: Mapping[str, Provenance]
) -> Sequence[int | None]:
    """How often each source node ran in one run of the graph; None if unknown."""
    counted: dict[int, int] = {}
    unclear: set[str] = set()
    for node in ran:
        found = provenances.get(node.node) if node.known else None
        for source in found.sources if found else ():
            if found is not None and node.op_type == found.op_type:
                counted[source] = median_high(node.executions)
            else:  # it has the time of nodes inside it that could not be told apart
                unclear |= {body.key for body in graph.nodes[source].bodies}
    known = {source for found in provenances.values() for source in found.sources}
    never = {body.key for node in graph.nodes for body in node.bodies if body.trip_count == 0}

    def times(source: int) -> int | None:
        within = graph.nodes[source].within
        if not within:
            return 1
        if source in counted:
            return counted[source]
        unsure = source not in known or not unclear.isdisjoint(within)
        return None if unsure and never.isdisjoint(within) else 0

    return [times(source) for source in range(len(graph.nodes))]
