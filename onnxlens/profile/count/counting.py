"""The cost of every node of a graph, by the counting rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain

from onnxlens.profile.count.repeats import with_repeats
from onnxlens.profile.count.rules import NOTHING, Traffic, traffic_of, work_of
from onnxlens.profile.graph.graph import Graph, GraphNode
from onnxlens.profile.graph.node_view import NodeView, NotCountable
from onnxlens.specs.ledger import COUNTS, NodeCost

NO_TRAFFIC = Traffic()


def count_nodes(graph: Graph) -> tuple[NodeCost, ...]:
    """One cost for each node, of all its runs in one run of the graph, in execution order."""
    costs = with_repeats(graph.nodes, count_single_runs(graph))
    return tuple(map(_as_observed, graph.nodes, costs))


def count_single_runs(graph: Graph) -> Sequence[NodeCost]:
    """The cost of one run of each node: one iteration of a loop, a branch whether it is taken or not."""
    params = first_use_params(graph)
    return [_cost(node, params.get(index, 0)) for index, node in enumerate(graph.nodes)]


def _as_observed(node: GraphNode, cost: NodeCost) -> NodeCost:
    """The sum over all executions of a node inside a body, where a run was observed."""
    if not node.observed:
        return cost
    parts = [(_cost(replace(node, view=view), 0), times) for view, times in node.observed]
    sums = {name: sum(times * getattr(part, name) for part, times in parts) for name in COUNTS}
    unknown = next((part for part, _ in parts if part.reason), cost)
    return replace(
        cost, **sums, repeats=sum(times for _, times in parts), status=unknown.status, reason=unknown.reason
    )


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


def parameter_sizes(graph: Graph) -> Mapping[str, int]:
    """Elements of every parameter that the file holds, by tensor name.

    With our manifest, a parameter is what the ``nn.Module`` calls one. Without it, it is a weight of the
    file: an initializer, or what a node without inputs makes in place of one, that is no scalar and no
    integer table.
    """
    if graph.manifest is not None:
        parameters = {tensor.name for tensor in graph.manifest.tensors if tensor.kind == "parameter"}
        return {name: weight.elements for name, weight in graph.weights.items() if name in parameters}
    made = (node.view.output() for node in graph.nodes if node.constant_folded and _makes_weight(node.view))
    return {value.name: value.elements for value in (*graph.weights.values(), *made)}


def _makes_weight(view: NodeView) -> bool:
    """Constant and ConstantOfShape in place of an initializer, as ONNX's own test nets are written."""
    if view.op_type not in ("Constant", "ConstantOfShape"):
        return False
    output = view.output()
    return bool(output.shape) and output.dtype is not None and output.dtype.startswith(("float", "bfloat"))


def first_use_params(graph: Graph) -> Mapping[int, int]:
    """For each node that uses parameters first, at run time, how many elements; by the node's index.

    A parameter that is transposed or normalized before run time counts at the node that uses the result.
    """
    unused = dict(parameter_sizes(graph))
    sources: dict[str, tuple[str, ...]] = {name: (name,) for name in unused}
    params: dict[int, int] = {}
    for index, node in enumerate(graph.nodes):
        view = node.view
        read = [sources[value.name] for value in view.inputs if value is not None and value.name in sources]
        if node.constant_folded:
            for output in view.outputs:
                if output is not None and output.name not in unused:
                    sources[output.name] = tuple(chain(*read))
        elif read:
            params[index] = sum(unused.pop(source, 0) for source in chain(*read))
    return params
