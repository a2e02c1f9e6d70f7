"""What the ledger knows of a box of the data flow, by the ledger's names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from onnxlens.specs.ledger import ModuleCost, NodeCost

Costs = Mapping[str, int | float]

OPERATIONS = ("macs", "vector_ops", "special_ops", "flops")
BYTES = ("weight_read_bytes", "read_bytes", "write_bytes", "moved_bytes")
OF_MODULES = (
    "resident_weight_bytes", "live_bytes", "latency_s", "bound_s", "achieved_macs_per_s", "parity_error",
)  # fmt: skip
"""What is known of a module as a whole alone: it cannot be shared out among the stretches it runs in."""


def stretch_costs(nodes: Sequence[NodeCost]) -> Costs:
    """The sums over the nodes of one stretch.

    Where a node is unknown, a sum holds the others, as in the ledger, and ``unknown_nodes`` says so; a sum
    of 0 is then no finding, and absent.
    """
    unknown = sum(node.status == "unknown" for node in nodes)
    sums = {name: sum(getattr(node, name) for node in nodes) for name in (*OPERATIONS, *BYTES)}
    known = {name: figure for name, figure in sums.items() if figure or not unknown}
    if sums["moved_bytes"] and "flops" in known:
        known["arithmetic_intensity"] = sums["flops"] / sums["moved_bytes"]
    return {**known, "unknown_nodes": unknown}


def module_costs(module: ModuleCost) -> Costs:
    """What the ledger has for a module as a whole; what was not measured or computed is absent."""
    figures = {name: getattr(module, name) for name in OF_MODULES}
    return {name: figure for name, figure in figures.items() if figure is not None}
