"""The cost of every node of a graph, by the counting rules."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace

from onnxlens.profile.count.parameters import first_use_params
from onnxlens.profile.count.repeats import Runs, with_repeats
from onnxlens.profile.count.rules import NOTHING, Traffic, Work, key_of, traffic_of, work_of
from onnxlens.profile.graph.graph import Graph, GraphNode
from onnxlens.profile.graph.node_view import NodeView, NotCountable
from onnxlens.specs.bounds import in_file
from onnxlens.specs.ledger import NodeCost

NO_TRAFFIC = Traffic()

Known = dict[Hashable, tuple[Work, Traffic, str]]
"""The figures of nodes by their key: networks repeat their blocks."""


def count_nodes(graph: Graph) -> tuple[NodeCost, ...]:
    """One cost for each node, of all its runs in one run of the graph, in execution order."""
    single = count_single_runs(graph)
    with in_file(graph.path):
        return tuple(with_repeats(graph.nodes, single, _observed_runs(graph)))


def count_single_runs(graph: Graph) -> Sequence[NodeCost]:
    """The cost of one run of each node: one iteration of a loop, a branch whether it is taken or not."""
    params = first_use_params(graph)
    known: Known = {}
    return [_cost(node, params.get(index, 0), known) for index, node in enumerate(graph.nodes)]


def _observed_runs(graph: Graph) -> Mapping[int, Runs]:
    """By the index of a node inside a body, what it costs in each of its runs, where they are known."""
    return {
        index: [(_cost(replace(node, view=view), 0, {}), times) for view, times in node.observed]
        for index, node in enumerate(graph.nodes)
        if node.within and node.observed
    }


def _require_counts(node: NodeView, *figures: object) -> None:
    """Make sure that what a formula gave counts something: an attribute may be below 0, or not a number.

    Raises:
        NotCountable: a figure is not a whole number, or below 0.
    """
    for figure in figures:
        if type(figure) is not int or figure < 0:
            raise NotCountable(
                f"{node.op_type} {node.name!r}: counts {figure!r}; an attribute of it is out of its range"
            )


def _figures(view: NodeView) -> tuple[Work, Traffic, str]:
    """What a node does and moves, and why that is not known."""
    work, traffic = NOTHING, NO_TRAFFIC
    try:
        moved = traffic_of(view)  # first: shapes suffice for it, a rule is not needed
        _require_counts(view, moved.weight_read_bytes, moved.read_bytes, moved.write_bytes)
        traffic = moved
        done = work_of(view)
        _require_counts(view, done.macs, done.vector_ops, done.special_ops)
        work = done
    except NotCountable as error:
        return work, traffic, str(error)
    return work, traffic, ""


def _cost(node: GraphNode, params: int, known: Known) -> NodeCost:
    view, module = node.view, node.module
    if node.constant_folded:
        work, traffic, reason = NOTHING, NO_TRAFFIC, ""
    else:
        key = key_of(view)
        found = None if key is None else known.get(key)
        work, traffic, reason = found or _figures(view)
        if found is None and key is not None and not reason:  # which names the node
            known[key] = work, traffic, reason
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
