"""Mixtures of experts in a graph: how many params a token uses, and how many experts a batch reaches.

An operator of its own (MoE, QMoE) says both. Exporters write others: the weights of the experts that a token
is sent to are gathered from one tensor of all of them; all experts run for every token, in one product; or
each expert, unrolled or in a loop, runs on the tokens that ``NonZero`` finds for it, a number that is data.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from math import prod

from onnxlens.profile.count.affine import MOVERS
from onnxlens.profile.count.rules.microsoft.packed_weights import experts_of
from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.graph.node_view import NodeView, NotCountable, ValueView
from onnxlens.specs.experts import Routing
from onnxlens.specs.ledger import NodeCost

PRODUCTS = frozenset({"MatMul", "Gemm", "MatMulNBits"})
FURTHEST = 64
"""So many nodes are walked back."""


def routings_of(graph: Graph) -> Mapping[int, Routing]:
    """The nodes that hold experts, by their indices."""
    choices = [node.view for node in graph.nodes if node.view.op_type == "TopK"]
    found: dict[int, Routing] = {}
    for index, node in enumerate(graph.nodes):
        view = node.view
        routing = None
        try:
            if view.op_type in ("MoE", "QMoE"):
                routing = _of_operator(view)
            elif choices and view.op_type == "Gather":
                routing = _gathered(graph, view)
            elif choices and view.op_type == "MatMul":
                routing = _all_run(view, choices)
        except (NotCountable, ArithmeticError, LookupError, TypeError, ValueError):
            continue  # it has no such form, or its sizes are unknown, which its own cost says
        if routing is not None:
            found[index] = routing
    return found


def _of_operator(view: NodeView) -> Routing:
    tokens, experts = view.input_shape(1)
    held = (value for value in view.inputs[2:] if value is not None and value.is_weight)
    size = sum(value.size_bytes for value in held if value.sizes() and value.sizes()[0] == experts)
    one = experts_of(view)
    params = sum(one.matrices) + one.biases
    return Routing(experts, view.attribute("k", 1), tokens, params, size // experts)


def _gathered(graph: Graph, view: NodeView) -> Routing | None:
    """Of (E, ...) weights those of the experts at indices that a TopK made, each token's apart."""
    weight, indices = view.input(0), view.input(1)
    if not weight.is_weight or len(weight.sizes()) < 2 or view.attribute("axis", 0):
        return None
    choice = _choice_behind(graph, indices)
    experts = weight.sizes()[0]
    if choice is None or choice.input_shape(0)[-1] != experts:
        return None
    return _routing(choice, weight, experts)


def _choice_behind(graph: Graph, value: ValueView) -> NodeView | None:
    """The TopK whose indices the value holds."""
    for _ in range(FURTHEST):
        producer = graph.producer(value.name)
        view = None if producer is None else graph.nodes[producer].view
        if view is not None and view.op_type == "TopK":
            return view if view.has_output(1) and view.output(1).name == value.name else None
        if view is None or (view.domain, view.op_type) not in MOVERS:
            return None
        value = view.input(0)
    return None


def _all_run(view: NodeView, choices: Sequence[NodeView]) -> Routing | None:
    """A product with (E, K, N) weights, for as many experts as a TopK chooses from."""
    weight = view.input(1)
    if not weight.is_weight or len(weight.sizes()) != 3:
        return None
    experts = weight.sizes()[0]
    for choice in choices:
        if choice.input_shape(0)[-1] == experts and view.output_shape()[0] == experts:
            return _routing(choice, weight, experts, all_run=True)
    return None


def _routing(choice: NodeView, weight: ValueView, experts: int, *, all_run: bool = False) -> Routing | None:
    tokens, per_token = _choices(choice)
    if per_token >= experts:
        return None
    return Routing(
        experts, per_token, tokens, weight.elements // experts, weight.size_bytes // experts, all_run
    )


def _choices(choice: NodeView) -> tuple[int, int]:
    """How many tokens there are, and how many experts each is sent to."""
    *rows, per_token = choice.output(1 if choice.has_output(1) else 0).sizes()
    return prod(rows), per_token


def expert_notes(graph: Graph, routings: Mapping[int, Routing], costs: Sequence[NodeCost]) -> Iterator[str]:
    """What the experts of all layers are together, kind by kind; and those whose tokens are data."""
    kinds: dict[tuple[int, int, int, bool], list[Routing]] = defaultdict(list)
    for index, each in routings.items():
        if costs[index].repeats:
            kinds[each.experts, each.per_token, each.tokens, each.all_run].append(each)
    for (experts, per_token, tokens, all_run), alike in kinds.items():
        whole, size = sum(each.expert_params for each in alike), sum(each.expert_bytes for each in alike)
        held = f"{len(alike)} nodes hold" if len(alike) > 1 else "one node holds"
        text = (
            f"experts: {held} {experts}, of which a token uses {per_token}: {per_token * whole:,} of "
            f"{experts * whole:,} params are active, {experts * size:,} bytes are resident; "
        )
        if all_run:
            yield text + f"all {experts} run for every token, and what the others make is dropped"
            continue
        expected, most = alike[0].expected, alike[0].most
        yield text + (
            f"{tokens:,} tokens reach {expected:.2f} on average if routing is uniform "
            f"({round(expected * size):,} bytes read), at most {most} ({most * size:,}, as counted)"
        )
    yield from _dispatched(graph, costs)


def _dispatched(graph: Graph, costs: Sequence[NodeCost]) -> Iterator[str]:
    """Experts that run on tokens that NonZero finds: what they cost together is known, of each it is not."""
    choice = next((node.view for node in graph.nodes if node.view.op_type == "TopK"), None)
    if choice is None or all(cost.status != "unknown" for cost in costs):
        return
    try:
        experts, (tokens, per_token) = choice.input_shape(0)[-1], _choices(choice)
        elements = sum(_elements_of(graph, index, experts) for index in _behind_finders(graph, costs))
    except NotCountable:
        return
    if elements:
        macs = tokens * per_token * elements // experts
        yield (
            f"experts: how many tokens each of {experts} runs on is data; a token uses {per_token}, so that "
            f"they do {macs:,} MACs together for {tokens:,} tokens, which the totals lack; --run counts a run"
        )


def _behind_finders(graph: Graph, costs: Sequence[NodeCost]) -> Iterator[int]:
    """The products whose rows NonZero found, by their indices."""
    waiting = [index for index, node in enumerate(graph.nodes) if node.view.op_type == "NonZero"]
    seen = set(waiting)
    while waiting:
        node = graph.nodes[waiting.pop()]
        for value in node.view.outputs:
            for index in () if value is None else graph.consumers(value.name):
                if index not in seen and costs[index].status == "unknown":
                    seen.add(index)
                    waiting.append(index)
                    if graph.nodes[index].view.op_type in PRODUCTS:
                        yield index


def _elements_of(graph: Graph, index: int, experts: int) -> int:
    """The weight's elements, of all experts if a loop takes one after the other from a tensor of all."""
    view = graph.nodes[index].view
    weight = view.input(1)
    if view.op_type == "MatMulNBits":
        return int(view.attribute("K") * view.attribute("N"))
    if weight.is_weight:
        return weight.elements
    producer = graph.producer(weight.name)
    source = None if producer is None else graph.nodes[producer].view
    if source is None or source.op_type != "Gather" or not source.input(0).is_weight:
        return 0
    return source.input(0).elements if source.input_shape(0)[0] == experts else 0
