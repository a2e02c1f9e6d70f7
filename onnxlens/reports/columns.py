"""The columns of the module, operator and node tables: one list each, a title and what stands in a cell."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeVar

from onnxlens.reports.column import Column
from onnxlens.reports.numbers import shapes, short_bytes, short_count
from onnxlens.reports.peer_columns import count_and_share, node_counts, unknown_nodes
from onnxlens.specs.ledger import Ledger, ModuleCost, NodeCost, OperatorCost

Row = TypeVar("Row")


def _count(title: str, value: Callable[[Row], int]) -> Column[Row]:
    return Column(title, value, lambda row: short_count(value(row)), right=True)


def _bytes(title: str, value: Callable[[Row], int]) -> Column[Row]:
    return Column(title, value, lambda row: short_bytes(value(row)), right=True)


def module_columns(ledger: Ledger, *, nested: bool) -> Sequence[Column[ModuleCost]]:
    """The module table: what goes in and out of each module, the operators it runs, and what they cost.

    Args:
        ledger: whose modules are the rows.
        nested: the rows follow the hierarchy without a gap, so each may name its module relative to the one
            above.
    """
    unknown: tuple[Column[ModuleCost], ...] = (Column("unknown", unknown_nodes, right=True),)
    name = module_name(ledger.modules, ledger.graph, nested=nested)
    has_unknown = (ledger.totals.peer or ledger.totals).unknown_nodes
    return (
        Column("#", lambda m: m.order, lambda m: m.order if m.order else "-", right=True),
        Column("module", lambda m: m.path, name),
        Column("class", lambda m: m.class_name),
        Column("in", lambda m: shapes(m.inputs), lambda m: shapes(m.inputs, 2)),
        Column("out", lambda m: shapes(m.outputs), lambda m: shapes(m.outputs, 2)),
        Column("operators", lambda m: _operators(m), lambda m: _operators(m, 3)),
        *count_and_share(ledger),
        _count("params", lambda m: m.params),
        _bytes("moved", lambda m: m.weight_read_bytes + m.read_bytes + m.write_bytes),
        _bytes("live", lambda m: m.live_bytes),
    ) + (unknown if has_unknown else ())


def operator_columns(ledger: Ledger) -> Sequence[Column[OperatorCost]]:
    """The operator table: all nodes of a type together."""
    counts: tuple[Column[OperatorCost], ...] = count_and_share(ledger)
    own: tuple[Column[OperatorCost], ...] = (
        _count("vector ops", lambda o: o.vector_ops),
        _count("special ops", lambda o: o.special_ops),
    )
    return (
        Column("operator", lambda o: f"{o.domain}::{o.op_type}" if o.domain else o.op_type),
        Column("nodes", lambda o: o.nodes, right=True),
        Column("free", lambda o: o.free_nodes, right=True),
        Column("unknown", unknown_nodes, right=True),
        *counts,
        *(own if ledger.convention == "matrix" else ()),
        _bytes("weights read", lambda o: o.weight_read_bytes),
        _bytes("read", lambda o: o.read_bytes),
        _bytes("written", lambda o: o.write_bytes),
    )


def node_columns(ledger: Ledger) -> Sequence[Column[NodeCost]]:
    """The node table: every node in execution order; how often it runs, where that is not once for all."""
    repeats: tuple[Column[NodeCost], ...] = (Column("runs", lambda n: n.repeats, right=True),)
    return (
        Column("node", lambda n: n.node),
        Column("operator", lambda n: f"{n.domain}::{n.op_type}" if n.domain else n.op_type),
        Column("module", lambda n: n.module_path),
        *node_counts(ledger),
        _count("params", lambda n: n.params),
        _bytes("weights read", lambda n: n.weight_read_bytes),
        _bytes("read", lambda n: n.read_bytes),
        _bytes("written", lambda n: n.write_bytes),
        Column("status", _status),
    ) + (repeats if any(node.repeats != 1 for node in ledger.nodes) else ())


def _status(node: NodeCost) -> str:
    """Counted or not and why; of a node that runs graphs what one run of each costs, and how many counted."""
    told = f"{node.status}: {node.reason}" if node.reason else node.status
    runs = (f"{body.name} {short_count(body.macs)} MACs x {body.repeats}" for body in node.bodies)
    return "; ".join([told, *runs])


class Placed(Protocol):
    """A row that is a module."""

    @property
    def path(self) -> str:
        """Its dotted path; "" is the model."""
        ...

    @property
    def depth(self) -> int:
        """Levels below the model."""
        ...


Module = TypeVar("Module", bound=Placed)


def module_name(modules: Iterable[Module], graph: str, *, nested: bool) -> Callable[[Module], str]:
    """What a row calls its module: the path, or the name within the one that contains it, set in by depth.

    The model's is the graph's.
    """
    if not nested:
        return lambda module: module.path or graph
    paths = {module.path for module in modules}

    def name(module: Module) -> str:
        elements = module.path.split(".")
        above = next(
            (length for length in range(len(elements) - 1, 0, -1) if ".".join(elements[:length]) in paths), 0
        )
        return "  " * module.depth + (".".join(elements[above:]) or graph)

    return name


def _operators(module: ModuleCost, limit: int | None = None) -> str:
    """``Conv 2, Relu 2``: the types that do most first."""
    ranked = list(module.operators.items())
    hidden = len(ranked) - len(ranked[:limit])
    return ", ".join(f"{name} {times}" for name, times in ranked[:limit]) + (
        f", +{hidden} more" if hidden else ""
    )
