"""Figures by node as Model Explorer's JSON: one document per ledger column, with the colors it is shown in.

The format is Google's; ``node_data_builder.py`` of ai-edge-model-explorer (Apache-2.0) defines each field.
The viewer adds the nodes of a level up, so a figure stands at one node only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

from onnxlens.reports.numbers import cost_of, short_time
from onnxlens.reports.tables.chips import chip_columns, is_figure
from onnxlens.specs.flow import NodeFlow, OperatorNode
from onnxlens.specs.ledger import Ledger, NodeCost, is_lower_bound
from onnxlens.specs.measured import NodeTiming
from onnxlens.specs.roofline import AT

Json = dict[str, Any]
Figures = Mapping[str, float]
"""By the node's id; a node without a figure is absent."""

HEAT = ("#fdf0d5", "#fbd9a0", "#f7b267", "#ef8a3c", "#c4511d")
"""Light to dark in one hue, for any color vision."""
PARTS_OF_LARGEST = (0.05, 0.2, 0.4, 0.7, 1.0)
"""Where a color ends, as a part of the largest figure: the dark ones are where the cost is."""
ERROR_LIMITS = (1e-6, 1e-5, 1e-4, 1e-3, 1.0)
"""The same for relative errors: float32 rounds to 1e-7, and what is over 1e-3 is no rounding."""
NO_SUMS: Mapping[str, Any] = {"hideInChildrenStatsTable": True, "hideAggregatedStats": ["sum", "avg"]}
NO_COLOR = "transparent"
INFINITE = "infinite"
"""In place of a number that JSON has none for."""


ERROR = "error (relative L2)"


WITHOUT_UNKNOWN = " at least, without unknown nodes"
"""Follows the title where the sums that the viewer makes are lower bounds."""


def node_data(flow: NodeFlow, ledger: Ledger, timings: Sequence[NodeTiming] = ()) -> Mapping[str, Json]:
    """A document for each column that holds a figure.

    ``macs`` and ``moved_bytes`` of a node that runs graphs inside hold those too, so that a graph adds up.
    ``latency_s`` stands at the node that a measured one does most of its work for, ``parity_error`` where a
    module produces what was compared.
    """
    nodes = [node for graph in flow.graphs for node in graph.nodes]
    columns: Mapping[str, Figures] = {
        "macs": {
            node.id: with_bodies(node.cost, "macs") for node in nodes if node.cost.status != "unknown"
        },
        "moved_bytes": {
            node.id: with_bodies(node.cost, "moved_bytes")
            for node in nodes
            if not is_lower_bound("moved_bytes", node.cost.lower_bounds)
        },
        "latency_s": node_times(nodes, timings)[0],
        "parity_error": node_errors(nodes, ledger),
        **_on_chips(nodes, ledger),
    }  # fmt: skip
    bounds = ledger.totals.lower_bounds
    return {
        name: _document(flow, name, figures, is_lower_bound(name, bounds))
        for name, figures in columns.items()
        if figures
    }


def _on_chips(nodes: Sequence[OperatorNode], ledger: Ledger) -> Mapping[str, Figures]:
    """The columns of numbers of chips, of fusion and of other tools."""
    places = {id(cost): (index,) for index, cost in enumerate(ledger.nodes)}
    columns = chip_columns(ledger, lambda cost: places[id(cost)])
    return {
        name: {
            node.id: figure
            for node in nodes
            if node.cost.repeats and isinstance(figure := column.exact(node.cost), int | float)
        }
        for name, column in columns.items()
        if is_figure(name)
    }


def data_notes(flow: NodeFlow, timings: Sequence[NodeTiming]) -> Sequence[str]:
    """What the node data of times adds up to, and what it leaves out."""
    if not timings:
        return ()
    seconds, elsewhere_s = node_times([node for graph in flow.graphs for node in graph.nodes], timings)
    node_s = sum(seconds.values())
    return (
        f"latency by node: the medians of the nodes add up to {short_time(node_s + elsewhere_s)}, of which "
        f"{short_time(elsewhere_s)} is of nodes inserted by ONNX Runtime, and at no node here",
    )


def with_bodies(cost: NodeCost, column: str) -> int:
    """A node's own figure and that of the graphs that run inside it, as often as they were counted."""
    inside = sum(
        int(getattr(body, column)) * (bool(body.repeats) if body.all_runs else cost.repeats * body.repeats)
        for body in cost.bodies
    )
    return int(getattr(cost, column)) + inside


def node_times(nodes: Sequence[OperatorNode], timings: Sequence[NodeTiming]) -> tuple[Figures, float]:
    """The measured seconds of nodes, and those that no node of the file can be given.

    A fused node's time is not split by a guess: it stands at the source with most MACs, then most bytes.
    """
    known: dict[str, OperatorNode] = {}
    for node in nodes:
        known.setdefault(node.cost.node, node)
    seconds: dict[str, float] = {}
    elsewhere_s = 0.0
    for timing in timings:
        sources = [known[name] for name in timing.sources if name in known]
        if not sources:
            elsewhere_s += timing.duration_s
            continue
        main = max(sources, key=lambda node: (node.cost.macs, node.cost.moved_bytes))
        seconds[main.id] = round(seconds.get(main.id, 0.0) + timing.duration_s, 9)
    return seconds, elsewhere_s


def node_errors(nodes: Sequence[OperatorNode], ledger: Ledger) -> Figures:
    """The error of every module, at the last node of those that make its outputs; the innermost module's."""
    producer = {
        tensor.name: index
        for index, node in enumerate(nodes)
        for tensor in node.outputs
        if tensor is not None
    }
    errors: dict[int, tuple[int, float]] = {}
    for module in ledger.modules:
        indices = [producer[tensor.name] for tensor in module.outputs if tensor.name in producer]
        if module.parity_error is not None and indices:
            last = max(indices)
            errors[last] = max(errors.get(last, (-1, 0.0)), (module.depth, module.parity_error))
    return {nodes[index].id: error for index, (_, error) in errors.items()}


def _document(flow: NodeFlow, column: str, figures: Figures, lower: bool) -> Json:
    document = {}
    limits: Sequence[float]
    totals: Mapping[str, Any]
    cost = cost_of(column, " (s)" if column.partition(AT)[0].endswith("_s") else "")
    title = ERROR if column == "parity_error" else cost.title
    largest = max(filter(isfinite, figures.values()), default=0.0)
    if column == "parity_error":
        limits, totals = (*ERROR_LIMITS[:-1], max(ERROR_LIMITS[-1], largest)), NO_SUMS
    else:
        limits = tuple(part * largest for part in PARTS_OF_LARGEST)
        totals = {} if cost.combined == "sum" else NO_SUMS
    for graph in flow.graphs:
        results = {node.id: _result(figures[node.id]) for node in graph.nodes if node.id in figures}
        if results:
            document[graph.id] = {
                "name": title + (WITHOUT_UNKNOWN if lower else ""),
                "thresholds": [
                    {"value": limit, "bgColor": color} for limit, color in zip(limits, HEAT, strict=True)
                ],
                **totals,
                "results": results,
            }
    return document


def _result(figure: float) -> Json:
    """A figure, colored by the thresholds; nothing is no color, and what is not finite the darkest."""
    if not isfinite(figure):
        return {"value": INFINITE, "bgColor": HEAT[-1]}
    return {"value": figure, "bgColor": NO_COLOR} if figure == 0 else {"value": figure}
