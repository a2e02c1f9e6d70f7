"""A small flow written by hand, and invariants of the flows of every graph."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from onnxlens.profile.count.ledger import build_ledger
from onnxlens.profile.flow.alone import alone
from onnxlens.profile.flow.collapse import collapsed, collapsed_with_parts
from onnxlens.profile.flow.deepest import DeepestFlow, build_flow
from onnxlens.profile.flow.fold import folded
from onnxlens.profile.flow.group import grouped
from onnxlens.profile.flow.pages import PAGE_BOXES, flow_pages
from onnxlens.profile.graph.graph import Graph
from onnxlens.specs.flow import FlowEdge, FlowGraph, FlowKind, FlowNode, FlowRequest, Group
from onnxlens.specs.ledger import Ledger
from onnxlens.specs.tensor import TensorSpec

SUMMED = ("macs", "params", "vector_ops", "moved_bytes")


def flow_at(graph: Graph, ledger: Ledger, depth: int, module: str = "", fold: bool = False) -> FlowGraph:
    """The flow down to ``depth``, of one module alone or of the graph, folded or not."""
    shown = alone(build_flow(graph, ledger), module)
    flow, parts = collapsed_with_parts(shown, depth)
    return folded(shown, flow, parts) if fold else flow


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
    """At every depth there are pages of no more than ``PAGE_BOXES`` boxes, and each is linked once."""
    ledger = build_ledger(graph)
    for depth in range(max(module.depth for module in ledger.modules) + 1):
        for fold in (False, True):
            pages = flow_pages(graph, ledger, FlowRequest(depth, fold=fold))
            assert max(box_count(page.flow) for page in pages) <= PAGE_BOXES, (depth, fold)
            linked = [module for page in pages for module in dict.fromkeys(page.opens.values())]
            assert sorted(linked) == sorted(page.flow.module for page in pages[1:])


def tensor(name: str) -> TensorSpec:
    return TensorSpec(name, "float32", (1, 4))


def box(
    order: int, path: str, macs: int = 0, parents: Sequence[str] = (), kind: FlowKind = "module"
) -> FlowNode:
    costs = {"macs": macs, "params": 10 * macs, "flops": 2 * macs, "moved_bytes": 4, "live_bytes": 8}
    clusters = tuple((parent, parent.title()) for parent in parents)
    return FlowNode(f"n{order}", kind, path, path or "Add", clusters, order, costs)


def arrow(source: str, target: str, name: str = "") -> FlowEdge:
    return FlowEdge(source, target, tensor(name or f"{source}>{target}"))


def chain() -> FlowGraph:
    """Blocks 0 to 3, each with a convolution and a norm in it; the model adds block 0's result to block 2's.

    x -> 0 (conv, norm) -> 1 (conv) -> 2 (conv) -> Add <- 0 -> 3 (conv) -> head -> y
    """
    nodes = (
        FlowNode("input/x", "input", "x", "x"),
        box(1, "blocks.0.conv", 1, ["blocks.0"]),
        box(2, "blocks.0.norm", 2, ["blocks.0"]),
        box(3, "blocks.1.conv", 4, ["blocks.1"]),
        box(4, "blocks.2.conv", 8, ["blocks.2"]),
        box(5, "", 0, kind="operators"),
        box(6, "blocks.3.conv", 16, ["blocks.3"]),
        box(7, "head", 32),
        FlowNode("output/y", "output", "y", "y"),
    )
    edges = (
        arrow("input/x", "n1"), arrow("n1", "n2"), arrow("n2", "n3"), arrow("n3", "n4"), arrow("n4", "n5"),
        arrow("n2", "n5"), arrow("n5", "n6"), arrow("n6", "n7"), arrow("n7", "output/y"),
    )  # fmt: skip
    return FlowGraph("net", "net.onnx", 2, nodes, edges)


def boxes(flow: FlowGraph) -> list[str]:
    """Title and MACs of every box that runs something, in order."""
    return [f"{node.order} {node.title} {node.macs}" for node in flow.nodes if node.order]


def arrows(flow: FlowGraph) -> list[str]:
    return [f"{edge.source} {edge.target}" for edge in flow.edges]


def grouped_at(flow: FlowGraph, groups: Iterable[Group], depth: int) -> FlowGraph:
    return collapsed(grouped(DeepestFlow(flow), groups), depth)
