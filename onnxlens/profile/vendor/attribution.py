"""Tools' records led back to the nodes of a graph, and their figures split over these.

The names come first (``finding``), then MACs, shapes and order where there are none (``alignment``), then
what a tool fused into a layer (``chains``). docs/vendors.md describes all three.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from math import fsum

from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.vendor.alignment import aligned, with_inserted, with_misnamed
from onnxlens.profile.vendor.chains import with_chains
from onnxlens.profile.vendor.finding import Finder, Led
from onnxlens.profile.vendor.names import Naming, naming_of
from onnxlens.profile.vendor.places import Places
from onnxlens.specs.layers import METRICS, LayerMatch, LayerRecord, LayerReport, ToolCosts, Way, together
from onnxlens.specs.ledger import NodeCost


def attribute(
    graph: Graph,
    costs: Sequence[NodeCost],
    report: LayerReport,
    bounds_s: Sequence[float] | None = None,
) -> ToolCosts:
    """What a tool's report says of the nodes of a graph.

    Args:
        graph: that the tool was given, or the one that its file was made of.
        costs: of the graph's nodes.
        report: as a reader gives it.
        bounds_s: the least time of each node on the chip, where that is known. It splits what several nodes
            share; else MACs do, and where there are none, memory traffic.
    """
    places, naming = Places(graph, costs), naming_of(report.tool)
    finder = Finder(places, naming)
    records = report.records
    operators = [finder.operators_of(record) for record in records]
    led = finder.all(records)
    computing = [index for index, record in enumerate(records) if _computes(record, led[index], naming)]
    turns = range(len(graph.nodes)) if naming.order == "execution" else places.from_outputs
    led = aligned(places, records, operators, led, order=computing, turns=turns, own_names=naming.own_names)
    led = with_misnamed(places, records, operators, led, computing)
    led = with_chains(places, records, operators, led, computing=computing, fused_zero=naming.fused_zero)
    led = with_inserted(places, records, operators, led, naming)
    weigh = _Weights(costs, bounds_s)
    matches = tuple(_match(graph, record, each, weigh) for record, each in zip(records, led, strict=True))
    return ToolCosts(
        report,
        matches,
        _figures(records, led, weigh),
        _placement(records, led, computing),
        {node: why for name, why in report.refused.items() for node in finder.name(name).nodes},
    )


def _computes(record: LayerRecord, led: Led, naming: Naming) -> bool:
    """Whether a record is of something that runs, and not of a tensor's error or of what only moves it."""
    observes = bool(record.figures) and all(METRICS[name].together == "largest" for name in record.figures)
    return not observes and (led.trail == "node" or not naming.serves(record.op_type))


def _match(graph: Graph, record: LayerRecord, led: Led, weigh: _Weights) -> LayerMatch:
    """The record with all its nodes, those that its chain shows too; and which modules have a part of it."""
    nodes = tuple(sorted({*led.nodes, *led.covered}))
    parts = {node for node, weight in weigh.of(led).items() if weight}
    one: Way = "exact" if len({graph.module_of(node) for node in nodes}) == 1 else "fused"
    way: Way = one if len({graph.module_of(node) for node in parts}) == 1 else "shared"
    if any(METRICS[name].together == "largest" for name in record.figures):
        parts.update(led.nodes)
    held = tuple(sorted(parts)) if record.figures else ()
    return LayerMatch(record, way if nodes else "unattributed", led.trail, led.confidence, nodes, held)


class _Weights:
    """What the nodes of a record share its figures by."""

    def __init__(self, costs: Sequence[NodeCost], bounds_s: Sequence[float] | None) -> None:
        self._costs, self._bounds_s = costs, bounds_s

    def of(self, led: Led) -> Mapping[int, int | float]:
        """The weight of each node; the nodes that chains led to have some only by time and MACs."""
        every = (*led.nodes, *led.covered)
        for weights in (
            {} if self._bounds_s is None else {node: self._bounds_s[node] for node in every},
            {node: self._costs[node].macs for node in every},
            {node: self._costs[node].moved_bytes for node in led.nodes},
        ):
            if any(weights.values()):
                return weights
        return dict.fromkeys(led.nodes, 1)


def _figures(
    records: Sequence[LayerRecord], led: Sequence[Led], weigh: _Weights
) -> Mapping[str, Mapping[int, int | float]]:
    parts: dict[str, dict[int, list[int | float]]] = {}
    turns: Counter[tuple[int, ...]] = Counter()
    for record, each in zip(records, led, strict=True):
        weights = weigh.of(each) if record.figures and each.nodes else {}
        turn, turns[each.nodes] = turns[each.nodes], turns[each.nodes] + 1
        for metric, figure in record.figures.items() if weights else ():
            added = METRICS[metric].together == "sum"
            shared = split(figure, weights, turn) if added else dict.fromkeys(each.nodes, figure)
            for node, part in shared.items():
                parts.setdefault(metric, {}).setdefault(node, []).append(part)
    return {
        metric: {node: together(metric, of_node) or 0 for node, of_node in sorted(nodes.items())}
        for metric, nodes in parts.items()
    }


def split(figure: int | float, weights: Mapping[int, int | float], turn: int = 0) -> dict[int, int | float]:
    """A figure in parts by weight, without those of no weight.

    A whole number in whole ones that sum to it: rounded down, and one more for the largest remainders. Of
    equal ones the first has it, in the next ``turn`` the second, so that equal records come out even.
    """
    shares = {node: weight for node, weight in weights.items() if weight}
    if len(shares) == 1:
        return dict.fromkeys(shares, figure)
    if not isinstance(figure, int):
        whole = fsum(shares.values())
        return {node: figure * (weight / whole) for node, weight in shares.items()}
    exact = {node: weight.as_integer_ratio() for node, weight in shares.items()}
    common = max(denominator for _, denominator in exact.values())  # powers of two
    counts = {node: numerator * (common // denominator) for node, (numerator, denominator) in exact.items()}
    total = sum(counts.values())
    parts = {node: figure * count // total for node, count in counts.items()}
    left = figure - sum(parts.values())
    order = sorted(counts)
    place = {node: (at - turn) % len(order) for at, node in enumerate(order)}
    for node in sorted(counts, key=lambda each: (-(figure * counts[each] % total), place[each]))[:left]:
        parts[node] += 1
    return dict(parts)


def _placement(
    records: Sequence[LayerRecord], led: Sequence[Led], computing: Sequence[int]
) -> Mapping[int, str]:
    """The unit that runs each node: that of the records that name it, else of one that covers it."""
    named: dict[int, set[str]] = {}
    covered: dict[int, str] = {}
    for index in computing:
        if unit := records[index].placement:
            for node in led[index].nodes:
                named.setdefault(node, set()).add(unit)
            covered |= dict.fromkeys(led[index].covered, unit)
    return covered | {node: "+".join(sorted(units)) for node, units in named.items()}
