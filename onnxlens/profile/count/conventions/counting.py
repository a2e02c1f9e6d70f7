"""Every node of a graph in a peer's convention."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import ModuleType

from onnxlens.errors import UsageError
from onnxlens.profile.count.conventions import fvcore, onnx_tool, thop
from onnxlens.profile.count.conventions.calls import CallView, calls_of
from onnxlens.profile.count.conventions.figures import figure, uncountable
from onnxlens.profile.count.conventions.handlers import Handler
from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.graph.node_view import NodeView, NotCountable
from onnxlens.specs.ledger import NodeCost
from onnxlens.specs.peers import Peer, PeerCost

Costs = Sequence[NodeCost]
Counts = dict[int, PeerCost]
"""Peer's counts by the node's place in the graph; a node without one counts nothing, and so do we."""

NOTES: Mapping[Peer, str] = {"onnx-tool": onnx_tool.NOTE, "fvcore": fvcore.NOTE, "thop": thop.NOTE}


def peer_costs(graph: Graph, costs: Costs, peer: Peer) -> tuple[PeerCost, ...]:
    """What the peer counts for every node, in execution order.

    fvcore counts calls and thop modules: the figure of a call stands at one of its nodes.

    Args:
        graph: the graph.
        costs: our costs of its nodes.
        peer: whose convention.

    Raises:
        UsageError: the peer counts an ``nn.Module``, and the file does not say which modules ran.
    """
    if peer == "onnx-tool":
        counts = {
            index: _by_instructions(node.view, cost.macs)
            for index, (node, cost) in enumerate(zip(graph.nodes, costs, strict=True))
        }
        return _in_order(graph, counts)
    _require_calls(graph, peer)
    counts = dict(_by_calls(graph, costs, fvcore if peer == "fvcore" else thop))
    if peer == "thop":
        counts |= _unread_modules(graph)
    return _in_order(graph, counts)


def _in_order(graph: Graph, counts: Counts) -> tuple[PeerCost, ...]:
    """A count for every node; what runs inside another node no peer reads."""
    return tuple(
        uncountable("it is part of a branch or a loop") if node.within else counts.get(index, PeerCost())
        for index, node in enumerate(graph.nodes)
    )


def _require_calls(graph: Graph, peer: Peer) -> None:
    if graph.attribution != "metadata" or not any(node.call for node in graph.nodes):
        raise UsageError(
            f"{graph.path}: {peer} counts PyTorch modules, and this file does not say which ran; "
            "export it with onnxlens or torch.onnx.export(dynamo=True), or choose --convention onnx-tool"
        )


def _by_instructions(node: NodeView, ours: int) -> PeerCost:
    try:
        entry = onnx_tool.entry_of(node)
    except NotCountable as error:
        return uncountable(str(error))
    return figure(lambda: entry.formula(node), ours, entry.cause)


def _by_calls(graph: Graph, costs: Costs, peer: ModuleType) -> Iterator[tuple[int, PeerCost]]:
    for call in calls_of(graph):
        yield from _one_call(call, costs, peer.handler_of(call), peer.uncounted)
    for index, (node, cost) in enumerate(zip(graph.nodes, costs, strict=True)):
        if node.call is None and (cost.flops or cost.status == "unknown"):
            yield index, uncountable("the file does not say which PyTorch call it is part of")


def _one_call(
    call: CallView, costs: Costs, handler: Handler | None, uncounted: Callable[[CallView], str]
) -> Iterator[tuple[int, PeerCost]]:
    """The call's count at one node; every other with MACs of ours counts nothing, and says why."""
    try:
        at = None if handler is None else call.place(handler.at)
    except NotCountable as error:
        yield call.places[-1], uncountable(str(error))
        return
    missing = uncounted(call) if handler is None else f"all of {call.target} stands at its first node"
    for index in call.places:
        if index == at and handler is not None:
            yield index, figure(lambda: handler.formula(call), costs[index].macs, handler.cause)
        elif costs[index].macs:
            yield index, PeerCost(cause=missing)


def _unread_modules(graph: Graph) -> Counts:
    """Modules with a hook whose count cannot be made from their calls: unknown at their first node."""
    counted = {call.owner.path for call in calls_of(graph) if thop.handler_of(call)}
    first: dict[str, int] = {}
    for index, node in enumerate(graph.nodes):
        first.setdefault(node.module.path, index)
    return {
        first[path]: uncountable(f"a hook counts {name}, and its calls do not tell what")
        for path, name in graph.called.items()
        if path in first and thop.has_hook(name) and (path not in counted or _is_folded(graph, name))
    }


def _is_folded(graph: Graph, qualified_class: str) -> bool:
    """Whether the optimiser of somebody else's export has folded the first step of a written-out layer."""
    return graph.manifest is None and thop.is_written_out(qualified_class)
