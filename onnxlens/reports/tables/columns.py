"""The columns of the module, operator and node tables: one list each, a title and what stands in a cell."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeVar

from onnxlens.reports.numbers import shapes, short_bytes, short_count
from onnxlens.reports.tables.column import Column
from onnxlens.reports.tables.peer_columns import count_and_share, node_counts, unknown_nodes
from onnxlens.specs.ledger import Ledger, ModuleCost, NodeCost, OperatorCost

Row = TypeVar("Row")


def count_column(title: str, value: Callable[[Row], int]) -> Column[Row]:
    """A count of anything."""
    return Column(title, value, lambda row: short_count(value(row)), right=True)


def bytes_column(title: str, value: Callable[[Row], int]) -> Column[Row]:
    """An amount of memory."""
    return Column(title, value, lambda row: short_bytes(value(row)), right=True)


MODULE_ORDER: Column[ModuleCost] = Column(
    "#", lambda m: m.order, lambda m: m.order if m.order else "-", right=True
)
MODULE_CLASS: Column[ModuleCost] = Column("class", lambda m: m.class_name)
MODULE_PARAMS: Column[ModuleCost] = count_column("params", lambda m: m.params)
MODULE_MOVED: Column[ModuleCost] = bytes_column("moved", lambda m: m.moved_bytes)
MODULE_UNKNOWN: Column[ModuleCost] = Column("unknown", unknown_nodes, right=True)
MODULE_WEIGHTS_READ: Column[ModuleCost] = bytes_column("weights read", lambda m: m.weight_read_bytes)
MODULE_READ: Column[ModuleCost] = bytes_column("read", lambda m: m.read_bytes)
MODULE_WRITTEN: Column[ModuleCost] = bytes_column("written", lambda m: m.write_bytes)
MODULE_LIVE: Column[ModuleCost] = bytes_column("live", lambda m: m.live_bytes)


def module_column(ledger: Ledger, *, nested: bool) -> Column[ModuleCost]:
    """The module's path; for people set in by depth and relative to the module above, where ``nested``."""
    return Column("module", lambda m: m.path, module_name(ledger.modules, ledger.graph, nested=nested))


def module_columns(ledger: Ledger, *, nested: bool) -> Sequence[Column[ModuleCost]]:
    """The module table: what goes in and out of each module, the operators it runs, and what they cost.

    Args:
        ledger: whose modules are the rows.
        nested: the rows follow the hierarchy without a gap, so each may name its module relative to the one
            above.
    """
    return (
        MODULE_ORDER,
        module_column(ledger, nested=nested),
        MODULE_CLASS,
        Column("in", lambda m: shapes(m.inputs), lambda m: shapes(m.inputs, 2)),
        Column("out", lambda m: shapes(m.outputs), lambda m: shapes(m.outputs, 2)),
        Column("operators", lambda m: _operators(m), lambda m: _operators(m, 3)),
        *count_and_share(ledger),
        MODULE_PARAMS,
        MODULE_MOVED,
        MODULE_LIVE,
    ) + ((MODULE_UNKNOWN,) if ledger.unknown[0] else ())


def operator_columns(ledger: Ledger) -> Sequence[Column[OperatorCost]]:
    """The operator table: all nodes of a type together."""
    counts: tuple[Column[OperatorCost], ...] = count_and_share(ledger)
    own: tuple[Column[OperatorCost], ...] = (
        count_column("vector ops", lambda o: o.vector_ops),
        count_column("special ops", lambda o: o.special_ops),
    )
    return (
        Column("operator", lambda o: f"{o.domain}::{o.op_type}" if o.domain else o.op_type),
        Column("nodes", lambda o: o.nodes, right=True),
        Column("free", lambda o: o.free_nodes, right=True),
        Column("unknown", unknown_nodes, right=True),
        *counts,
        *(own if ledger.convention == "matrix" else ()),
        bytes_column("weights read", lambda o: o.weight_read_bytes),
        bytes_column("read", lambda o: o.read_bytes),
        bytes_column("written", lambda o: o.write_bytes),
    )


def node_columns(ledger: Ledger) -> Sequence[Column[NodeCost]]:
    """The node table: every node in execution order; how often it runs, where that is not once for all."""
    repeats: tuple[Column[NodeCost], ...] = (Column("runs", lambda n: n.repeats, right=True),)
    return (
        Column("node", lambda n: n.node),
        Column("operator", lambda n: f"{n.domain}::{n.op_type}" if n.domain else n.op_type),
        Column("module", lambda n: n.module_path),
        *node_counts(ledger),
        count_column("params", lambda n: n.params),
        bytes_column("weights read", lambda n: n.weight_read_bytes),
        bytes_column("read", lambda n: n.read_bytes),
        bytes_column("written", lambda n: n.write_bytes),
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
