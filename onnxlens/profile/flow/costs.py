"""What the ledger knows of a box of the data flow, by the ledger's names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

from onnxlens.specs.layers import METRICS
from onnxlens.specs.ledger import OPERATIONS, TRAFFIC, ModuleCost, NodeCost
from onnxlens.specs.roofline import AT

Costs = Mapping[str, int | float]

SUMMED = (*OPERATIONS, *TRAFFIC, "params", "unknown_nodes")
OF_MODULES = (
    "resident_weight_bytes",
    "live_bytes",
    "working_bytes",
    "latency_s",
    "achieved_macs_per_s",
    "parity_error",
)
"""Known for a module as a whole only: they cannot be divided among the segments in which it runs."""

COUNTED = frozenset((*SUMMED, "arithmetic_intensity"))
LARGEST = frozenset(
    {
        "live_bytes", "working_bytes", "parity_error", "resident_weight_bytes", "sram_bytes",
        *(name for name, metric in METRICS.items() if metric.together == "largest"),
    }
)  # fmt: skip
"""A folded box shows the largest over the equal blocks."""


def node_costs(nodes: Sequence[NodeCost]) -> Costs:
    """The sums over the nodes of one segment.

    Where a node is unknown, a sum holds the others, as in the ledger, and ``unknown_nodes`` says so; a sum of
    0 is then absent, because it may be unknown.
    """
    sums = {name: sum(getattr(node, name) for node in nodes) for name in (*OPERATIONS, *TRAFFIC, "params")}
    return _known({**sums, "unknown_nodes": sum(node.status == "unknown" for node in nodes)})


def summed_costs(parts: Sequence[Costs]) -> Costs:
    """The columns that add up, over several boxes; those of a module as a whole are left out."""
    figures = {name: [part[name] for part in parts if name in part] for name in SUMMED}
    sums = {name: sum(found) for name, found in figures.items() if found}
    times = [part["latency_s"] for part in parts if "latency_s" in part]
    return {**_known(sums), **({"latency_s": sum(times)} if len(times) == len(parts) else {})}


def _known(sums: Costs) -> dict[str, int | float]:
    unknown = sums.get("unknown_nodes", 0)
    counted = [name for name in (*OPERATIONS, *TRAFFIC) if name in sums]
    known = {name: sums[name] for name in counted if sums[name] or not unknown}
    if sums.get("moved_bytes") and "flops" in known:
        known["arithmetic_intensity"] = sums["flops"] / sums["moved_bytes"]
    return {**known, **{name: sums[name] for name in ("unknown_nodes", "params") if name in sums}}


def module_costs(sums: Costs, row: ModuleCost | None, *, first: bool, only: bool) -> Costs:
    """The sums of one segment of a module, completed by the module's row of the ledger, if it has one.

    The module's first segment shows all of its params, the others none; its only one the figures of the
    module as a whole.
    """
    if row is None:
        return sums
    costs = {name: figure for name, figure in sums.items() if name != "params"}
    if first:
        costs["params"] = row.params
    if only:
        figures = {name: getattr(row, name) for name in OF_MODULES}
        costs.update((name, figure) for name, figure in figures.items() if figure is not None)
    return costs


def merged_costs(costs: Sequence[Costs]) -> Costs:
    """What one of several equal boxes costs: what is counted is the same for all of them.

    Of all else, such as times and bounds, it is the mean, so that times the repeats it is their sum.
    """
    merged: dict[str, int | float] = {}
    for name, figure in costs[0].items():
        figures = [other[name] for other in costs if name in other]
        if name in COUNTED:
            merged[name] = figure
        elif len(figures) == len(costs):
            merged[name] = max(figures) if name.partition(AT)[0] in LARGEST else _mean(figures)
    if merged.get("latency_s") and "macs" in merged:
        merged["achieved_macs_per_s"] = merged["macs"] / merged["latency_s"]
    else:
        merged.pop("achieved_macs_per_s", None)
    return merged


def _mean(figures: Sequence[float]) -> float:
    return figures[0] if len(set(figures)) == 1 else fmean(figures)
