"""What must hold for the flows of every graph."""

from __future__ import annotations

from onnxlens.profile.count.ledger import build_ledger
from onnxlens.profile.flow.alone import alone
from onnxlens.profile.flow.collapse import collapsed
from onnxlens.profile.flow.deepest import build_flow
from onnxlens.profile.flow.fold import folded
from onnxlens.profile.flow.pages import PAGE_BOXES, flow_pages
from onnxlens.profile.graph.graph import Graph
from onnxlens.specs.flow import FlowGraph, FlowRequest
from onnxlens.specs.ledger import Ledger

SUMMED = ("macs", "params", "vector_ops", "moved_bytes")


def flow_at(graph: Graph, ledger: Ledger, depth: int, module: str = "", fold: bool = False) -> FlowGraph:
    """The flow down to ``depth``, of one module alone or of the graph, folded or not."""
    shown = alone(build_flow(graph, ledger), module)
    return folded(shown, depth) if fold else collapsed(shown, depth)


def box_count(flow: FlowGraph) -> int:
    """The boxes, without the ends."""
    return sum(node.order > 0 for node in flow.nodes)


def require_whole(graph: Graph) -> None:
    """At every depth boxes times repeats are the unfolded flow's sums, and numbers those of its boxes."""
    ledger = build_ledger(graph)
    for depth in range(max(module.depth for module in ledger.modules) + 1):
        flow = flow_at(graph, ledger, depth)
        fold = flow_at(graph, ledger, depth, fold=True)
        assert sum(node.macs for node in flow.nodes) == ledger.totals.macs
        for name in SUMMED:
            whole = sum(node.costs.get(name, 0) for node in flow.nodes)
            assert sum(node.costs.get(name, 0) * node.repeats for node in fold.nodes) == whole, (depth, name)
        numbers = {node.id: node.order for node in flow.nodes}
        assert {node.id: node.order for node in fold.nodes}.items() <= numbers.items()
        between = [edge for edge in fold.edges if numbers[edge.source] and numbers[edge.target]]
        assert all(numbers[edge.source] < numbers[edge.target] for edge in between)


def require_readable(graph: Graph) -> None:
    """At every depth there are pages of no more than ``PAGE_BOXES`` boxes, and each is led to once."""
    ledger = build_ledger(graph)
    for depth in range(max(module.depth for module in ledger.modules) + 1):
        for fold in (False, True):
            pages = flow_pages(graph, ledger, FlowRequest(depth, fold=fold))
            assert max(box_count(page.flow) for page in pages) <= PAGE_BOXES, (depth, fold)
            led = [module for page in pages for module in dict.fromkeys(page.opens.values())]
            assert sorted(led) == sorted(page.flow.module for page in pages[1:])
