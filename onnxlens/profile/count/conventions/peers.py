"""The nodes of a graph counted in a peer's convention, and all conventions compared by operator type."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import ModuleType

from onnxlens.errors import UsageError
from onnxlens.profile.count.conventions import fvcore, onnx_tool, thop
from onnxlens.profile.count.conventions.calls import CallView, Handler, calls_of
from onnxlens.profile.count.counting import count_nodes
from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.graph.node_view import NodeView, NotCountable
from onnxlens.specs.ledger import NodeCost
from onnxlens.specs.peers import PEERS, Peer, PeerCost, ReconciledOperator, Reconciliation, summed

Costs = Sequence[NodeCost]
Counts = dict[int, PeerCost]
"""A peer's counts by node index; for a node without one, neither the peer nor we count anything."""

NOTES: Mapping[Peer, str] = {"onnx-tool": onnx_tool.NOTE, "fvcore": fvcore.NOTE, "thop": thop.NOTE}


UNCOUNTED = (
    "not shown: it counts PyTorch modules, and this file does not say which ran; one that onnxlens or "
    "torch.onnx.export(dynamo=True) exported does"
)


def peer_costs(graph: Graph, costs: Costs, peer: Peer) -> tuple[PeerCost, ...]:
    """What the peer counts for every node, in execution order.

    fvcore counts calls and thop modules; the count of a call is attributed to one of its nodes.

    Args:
        graph: the graph.
        costs: our costs of its nodes.
        peer: the counter whose convention to use.

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
    """A count for every node; no peer counts the nodes of a body."""
    return tuple(
        uncountable("it is part of a branch or a loop") if node.within else counts.get(index, PeerCost())
        for index, node in enumerate(graph.nodes)
    )


def _names_calls(graph: Graph) -> bool:
    """Whether the file says which PyTorch calls and modules ran."""
    return any(node.call for node in graph.nodes)


def _require_calls(graph: Graph, peer: Peer) -> None:
    if not _names_calls(graph):
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
    """The call's count at one node; the others that have MACs of ours count 0, with the cause."""
    try:
        at = None if handler is None else call.index(handler.at)
    except NotCountable as error:
        yield call.indices[-1], uncountable(str(error))
        return
    missing = uncounted(call) if handler is None else f"all of {call.target} stands at its first node"
    for index in call.indices:
        if index == at and handler is not None:
            yield index, figure(lambda: handler.formula(call), costs[index].macs, handler.cause)
        elif costs[index].macs:
            yield index, PeerCost(cause=missing)


def _unread_modules(graph: Graph) -> Counts:
    """Modules with a hook whose count does not follow from their calls: unknown at their first node."""
    counted = {call.module.path for call in calls_of(graph) if thop.handler_of(call)}
    first: dict[str, int] = {}
    for index, node in enumerate(graph.nodes):
        first.setdefault(node.module.path, index)
    return {
        first[path]: uncountable(f"a hook counts {name}, and its calls do not tell what")
        for path, name in graph.called.items()
        if path in first and thop.has_hook(name) and (path not in counted or _is_folded(graph, name))
    }


def _is_folded(graph: Graph, qualified_class: str) -> bool:
    """Whether the optimizer of another export may have folded the first step of an unrolled layer."""
    return graph.manifest is None and thop.is_unrolled(qualified_class)


def figure(count: Callable[[], int], ours: int, cause: str) -> PeerCost:
    """The result of ``count``, with the cause where it differs from ``ours``; unknown where it fails."""
    try:
        macs = operator.index(count())
    except NotCountable as error:
        return uncountable(str(error))
    except Exception as error:  # whatever stops a formula at a node that it does not expect
        return uncountable(f"does not fit the peer's formula: {error!r}")
    if type(macs) is not int or macs < 0:
        return uncountable(f"the peer's formula gives {macs!r}: an attribute is out of its range")
    return PeerCost(macs, cause="" if macs == ours else cause)


def uncountable(reason: str) -> PeerCost:
    """The cost of a node that the peer's convention cannot count, and why."""
    return PeerCost(unknown_nodes=1, reason=reason, cause=reason)


def build_reconciliation(graph: Graph) -> Reconciliation:
    """Our MACs and the peers' counts of every operator type, the largest first.

    A peer that counts PyTorch modules is left out, and a note says so, where the file does not say which ran.
    """
    costs = count_nodes(graph)
    counting: Sequence[Peer] = PEERS if _names_calls(graph) else ("onnx-tool",)
    peers: dict[str, Sequence[PeerCost]] = {peer: peer_costs(graph, costs, peer) for peer in counting}
    groups: dict[tuple[str, str], list[int]] = {}
    for index, cost in enumerate(costs):
        groups.setdefault((cost.domain, cost.op_type), []).append(index)
    rows = [_row(*operator, costs, peers, indices) for operator, indices in groups.items()]
    rows.sort(key=lambda row: (-row.macs, -max(cost.macs for cost in row.peers.values()), row.op_type))
    return Reconciliation(
        graph=graph.name,
        source=graph.path.name,
        opset=graph.opset,
        weights=graph.manifest.weights if graph.manifest else "",
        operators=tuple(rows),
        totals=_row("", "", costs, peers, range(len(costs))),
        notes={
            "MACs": "multiply-accumulates of matrix work, no bias",
            **{peer: NOTES[peer] if peer in peers else UNCOUNTED for peer in PEERS},
        },
    )


def _row(
    domain: str,
    op_type: str,
    costs: Sequence[NodeCost],
    peers: Mapping[str, Sequence[PeerCost]],
    indices: Sequence[int],
) -> ReconciledOperator:
    nodes = [costs[index] for index in indices]
    return ReconciledOperator(
        op_type=op_type,
        domain=domain,
        nodes=len(nodes),
        macs=sum(node.macs for node in nodes),
        unknown_nodes=sum(node.status == "unknown" for node in nodes),
        peers={
            peer: summed((costs[index].macs, counts[index]) for index in indices)
            for peer, counts in peers.items()
        },
    )
