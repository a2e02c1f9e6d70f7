"""Time by node, by operator and by module: the profile's nodes joined to their origins and to the counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.graph.hierarchy import Hierarchy
from onnxlens.profile.runtime.latency import spread
from onnxlens.profile.runtime.profile_events import NodeRuns
from onnxlens.profile.runtime.provenance import Origin
from onnxlens.profile.runtime.provenance.runtime_graph import MOVING
from onnxlens.specs.bench import Kind, ModuleTime, NodeTime, OperatorTime, Timed
from onnxlens.specs.ledger import Ledger, ModuleCost


@dataclass(frozen=True, slots=True)
class Timing:
    """Where the time of all nodes went.

    Attributes:
        node_sum_s: median over the runs of the time in all nodes.
        unattributed: of all runs' node time, the share of nodes without a module, 0 to 1.
        layout_share: likewise of reorders, transposes, reshapes and casts that the runtime put in.
        operators: most time first.
        nodes: in the order in which they ran.
    """

    node_sum_s: float
    unattributed: float
    layout_share: float
    modules: tuple[ModuleTime, ...]
    operators: tuple[OperatorTime, ...]
    nodes: tuple[NodeTime, ...]


def build_timing(
    ran: Sequence[NodeRuns],
    origins: Mapping[str, Origin],
    graph: Graph,
    ledger: Ledger,
    best_macs_per_s: float,
) -> Timing:
    """Join what ran to the modules of ``graph``.

    Args:
        ran: every node of the optimised graph, with its time in each run.
        origins: of those nodes, by their key.
        graph: the file's own.
        ledger: of ``graph``: its MACs.
        best_macs_per_s: of the plain matrix product.
    """
    rows = _Rows(ran, origins, graph, ledger, best_macs_per_s)
    return Timing(
        node_sum_s=spread(rows.total.tolist())[1],
        unattributed=rows.share(rows.without_module),
        layout_share=rows.share(rows.layout),
        modules=tuple(rows.module(module) for module in ledger.modules),
        operators=rows.operators(),
        nodes=rows.nodes(),
    )


class _Rows:
    """Makes rows out of sums over the same runs, so that a module's time in a run is that of its nodes."""

    def __init__(
        self,
        ran: Sequence[NodeRuns],
        origins: Mapping[str, Origin],
        graph: Graph,
        ledger: Ledger,
        best_macs_per_s: float,
    ) -> None:
        self._ran = ran
        self._origins = [origins.get(node.node) if node.known else None for node in ran]
        self._names = [cost.node for cost in ledger.nodes]
        self._macs = _node_macs(self._origins, ledger)
        self._best = best_macs_per_s
        self._seconds = np.array([node.seconds for node in ran])  # (nodes, runs)
        self.total = self._seconds.sum(axis=0)
        self.layout = [place for place, origin in enumerate(self._origins) if _is_layout(origin)]
        self.without_module = [
            place
            for place, origin in enumerate(self._origins)
            if origin is None or origin.module_path is None
        ]
        self._inside = self._by_module(graph.hierarchy)

    def _by_module(self, hierarchy: Hierarchy) -> Mapping[str, list[int]]:
        inside: dict[str, list[int]] = {}
        for place, origin in enumerate(self._origins):
            if origin is not None and origin.module_path is not None:
                for path in hierarchy.lineage(origin.module_path):
                    inside.setdefault(path, []).append(place)
        return inside

    def share(self, places: Sequence[int]) -> float:
        """Of the time of all nodes in all runs."""
        whole = float(self.total.sum())
        return min(1.0, float(self._seconds[places].sum()) / whole) if whole else 0.0

    def module(self, module: ModuleCost) -> ModuleTime:
        inside = self._inside.get(module.path, [])
        layout = sorted(set(inside) & set(self.layout))
        return ModuleTime(
            path=module.path,
            class_name=module.class_name,
            depth=module.depth,
            order=module.order,
            time=self._timed(inside, None if module.unknown_nodes else module.macs),
            layout_s=self._spread(layout)[1],
        )

    def operators(self) -> tuple[OperatorTime, ...]:
        groups: dict[str, list[int]] = {}
        for place, node in enumerate(self._ran):
            groups.setdefault(node.op_type, []).append(place)
        rows = [
            OperatorTime(op_type, len(places), self._timed(places, self._sum_macs(places)))
            for op_type, places in groups.items()
        ]
        return tuple(sorted(rows, key=lambda row: (-row.time.median_s, row.op_type)))

    def _sum_macs(self, places: Sequence[int]) -> int | None:
        macs = [self._macs[place] for place in places]
        known = [count for count in macs if count is not None]
        return sum(known) if len(known) == len(macs) else None

    def nodes(self) -> tuple[NodeTime, ...]:
        return tuple(
            NodeTime(
                node=node.node,
                op_type=node.op_type,
                kind=_kind(origin),
                module_path=origin.module_path if origin else None,
                sources=tuple(self._names[source] for source in origin.sources) if origin else (),
                time=self._timed([place], self._macs[place]),
            )
            for place, (node, origin) in enumerate(zip(self._ran, self._origins, strict=True))
        )

    def _spread(self, places: Sequence[int]) -> tuple[float, float, float]:
        return spread(self._seconds[places].sum(axis=0).tolist())

    def _timed(self, places: Sequence[int], macs: int | None) -> Timed:
        p10, median, p90 = self._spread(places)
        rate = macs / median if macs and median else None
        return Timed(median, p10, p90, macs, rate, None if rate is None else rate / self._best)


def _kind(origin: Origin | None) -> Kind:
    return origin.kind if origin else "unknown"


def _is_layout(origin: Origin | None) -> bool:
    """Whether the runtime put the node in to move data: pieces of an operator taken apart do its work."""
    if origin is None:
        return False
    return origin.kind == "layout" or (origin.kind == "inserted" and origin.op_type in MOVING)


def _node_macs(origins: Sequence[Origin | None], ledger: Ledger) -> Sequence[int | None]:
    """The MACs of each node that ran: those of its sources; None where several nodes share a source's."""
    users = Counter(source for origin in origins if origin for source in origin.sources)
    return [_macs(origin, users, ledger) for origin in origins]


def _macs(origin: Origin | None, users: Mapping[int, int], ledger: Ledger) -> int | None:
    if origin is None:
        return None
    if _is_layout(origin):
        return 0
    costs = [ledger.nodes[source] for source in origin.sources]
    working = [
        (source, cost)
        for source, cost in zip(origin.sources, costs, strict=True)
        if cost.macs or cost.status == "unknown"
    ]
    shared = any(users[source] > 1 or cost.status == "unknown" for source, cost in working)
    # A piece of an operator that was taken apart did some of its MACs, and which is not known.
    taken_apart = origin.kind == "inserted" and (working or not origin.sources)
    return None if shared or taken_apart else sum(cost.macs for _, cost in working)
