"""The cost of every node of a graph, by the counting rules."""

from __future__ import annotations

from onnxlens.profile.count.parameters import first_use_params
from onnxlens.profile.count.repeats import with_repeats
from onnxlens.profile.count.rules import NOTHING, Traffic, traffic_of, work_of
from onnxlens.profile.graph.graph import Graph, GraphNode
from onnxlens.profile.graph.node_view import NotCountable
from onnxlens.specs.ledger import NodeCost

NO_TRAFFIC = Traffic()


def count_nodes(graph: Graph) -> tuple[NodeCost, ...]:
    """One cost for each node, in execution order."""
    params = first_use_params(graph)
    costs = [_cost(node, params.get(index, 0)) for index, node in enumerate(graph.nodes)]
    return tuple(with_repeats(graph.nodes, costs))


def _cost(node: GraphNode, params: int) -> NodeCost:
    view, module = node.view, node.module
    reason = ""
    work, traffic = NOTHING, NO_TRAFFIC
    if not node.constant_folded:
        try:
            traffic = traffic_of(view)  # first: shapes suffice for it, a rule is not needed
            work = work_of(view)
        except NotCountable as error:
            reason = str(error)
    return NodeCost(
        view.name,
        view.op_type,
        view.domain,
        module.path,
        module.class_name,
        work.macs,
        work.vector_ops,
        work.special_ops,
        params,
        traffic.weight_read_bytes,
        traffic.read_bytes,
        traffic.write_bytes,
        "free" if node.constant_folded else "unknown" if reason else "counted",
        reason,
    )
