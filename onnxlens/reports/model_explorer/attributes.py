"""What Model Explorer shows beside a node or a level: texts by name, costs by the ledger's names of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from onnxlens.reports.numbers import shapes, short_bytes, short_count
from onnxlens.reports.tables.columns import ModuleColumn
from onnxlens.specs.ledger import BodyCost, Ledger, ModuleCost, NodeCost
from onnxlens.specs.node_flow import FixedInput, OperatorNode

Text = tuple[str, str]
"""A name, and what stands beside it."""

OPERATIONS = ("macs", "vector_ops", "special_ops")
TRAFFIC = ("weight_read_bytes", "read_bytes", "write_bytes", "moved_bytes")
TOLD_BY_LEVEL = ("order", "depth")
"""Columns of the ledger that a level's place says already."""


def node_texts(node: OperatorNode) -> Iterator[Text]:
    """A node's module, attributes, weights and costs; of an unknown node the reason, and no operations."""
    cost = node.cost
    yield "module", _module_text(cost)
    if cost.domain:
        yield "domain", cost.domain
    yield from node.attributes.items()
    for fixed in node.fixed:
        yield f"input {fixed.input} {fixed.formal}".rstrip(), _fixed_text(fixed)
    if cost.status != "counted" or cost.repeats != 1:
        yield "status", _status_text(cost)
    if cost.status != "free":
        yield from _cost_texts(cost)
    yield from ((body.name, _body_text(body)) for body in cost.bodies)


def _cost_texts(cost: NodeCost) -> Iterator[Text]:
    if cost.status != "unknown":
        yield from ((name, _figure(getattr(cost, name), short_count)) for name in OPERATIONS)
    if cost.params:
        yield "params", _figure(cost.params, short_count)
    yield from ((name, _figure(getattr(cost, name), short_bytes)) for name in TRAFFIC)


def level_texts(module: ModuleCost, columns: Mapping[str, ModuleColumn]) -> Iterator[Text]:
    """Every cost of a module, everything below it included; what was not computed is absent."""
    yield "in", shapes(module.inputs)
    yield "out", shapes(module.outputs)
    yield "operators", ", ".join(f"{op_type} {times}" for op_type, times in module.operators.items())
    for name, column in columns.items():
        exact, short = column.exact(module), column.cell(module, exact=False)
        if exact is not None and name not in TOLD_BY_LEVEL:
            yield name, f"{short} ({exact:,})" if isinstance(exact, int) and exact > 999 else str(short)


def graph_texts(ledger: Ledger, columns: Mapping[str, ModuleColumn], notes: Sequence[str]) -> Iterator[Text]:
    """What is known of the graph as a whole, and what a reader of its figures must know."""
    yield "file", f"{ledger.source} (opset {ledger.opset})"
    if ledger.weights:
        yield "weights", ledger.weights
    yield from level_texts(ledger.modules[0], columns)
    totals = ledger.totals
    yield "nodes", str(totals.nodes)
    yield "free_nodes", f"{totals.free_nodes}: they work on weights alone"
    for number, note in enumerate((*ledger.notes, *notes), start=1):
        yield f"note {number}", note


def _module_text(cost: NodeCost) -> str:
    path = cost.module_path or "the model itself"
    return f"{path} ({cost.class_name})" if cost.class_name else path


def _fixed_text(fixed: FixedInput) -> str:
    kind = "weight" if fixed.is_weight else "constant"
    text = f"{kind} {fixed.tensor.name} {fixed.tensor.dtype}{fixed.tensor.shape_text()}"
    return f"{text} = {fixed.values}" if fixed.values else text


def _status_text(cost: NodeCost) -> str:
    if cost.reason:
        return f"{cost.status}: {cost.reason}"
    if cost.repeats == 0:
        return "counts 0 times: its branch is not taken"
    if cost.status == "free":
        return "free: it works on weights alone, so before run time"
    return cost.status if cost.repeats == 1 else f"{cost.status}: {cost.repeats} runs together"


def _body_text(body: BodyCost) -> str:
    unknown = f", {body.unknown_nodes} of them unknown" if body.unknown_nodes else ""
    doubt = f", as {body.doubt}" if body.doubt else ""
    macs = _figure(body.macs, short_count)
    return f"{macs} MACs in one run of {body.nodes} nodes{unknown}; counts {body.repeats} times{doubt}"


def _figure(count: int, short: Callable[[int], str]) -> str:
    """``943.72 M (943,718,400)``; a small number alone."""
    return f"{short(count)} ({count:,})" if count > 999 else short(count)
