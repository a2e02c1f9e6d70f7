"""A small flow at its deepest, written by hand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from onnxlens.profile.flow.collapse import collapsed
from onnxlens.profile.flow.deepest import DeepestFlow
from onnxlens.profile.flow.group import grouped
from onnxlens.specs.flow import FlowEdge, FlowGraph, FlowKind, FlowNode, Group
from onnxlens.specs.tensor import TensorSpec


def tensor(name: str) -> TensorSpec:
    return TensorSpec(name, "float32", (1, 4))


def box(
    order: int, path: str, macs: int = 0, parents: Sequence[str] = (), kind: FlowKind = "module"
) -> FlowNode:
    costs = {"macs": macs, "params": 10 * macs, "flops": 2 * macs, "moved_bytes": 4, "live_bytes": 8}
    frames = tuple((parent, parent.title()) for parent in parents)
    return FlowNode(f"n{order}", kind, path, path or "Add", frames, order, costs)


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
