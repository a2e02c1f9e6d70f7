"""The columns of the module, operator and node tables, and those that the ledger offers by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from operator import attrgetter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from onnxlens.reports.numbers import COSTS, bounded, figure_text, shapes, share_text, short_count
from onnxlens.reports.tables.reconciliation import UNITS, exact_peer, operator_name, short_peer
from onnxlens.reports.tables.render import Column, first_of
from onnxlens.specs.ledger import BodyCost, Ledger, ModuleCost, NodeCost, OperatorCost, Totals, is_lower_bound

if TYPE_CHECKING:
    from onnxlens.specs.bench import ModuleTime

Costed = TypeVar("Costed", ModuleCost, OperatorCost)
ModuleColumn = Column[ModuleCost]

CSV_TITLES: Mapping[str, str] = MappingProxyType(
    {"vector_ops": "vector ops", "special_ops": "special ops", "moved_bytes": "moved", "live_bytes": "live"}
)
"""Titles in CSV, which programs read, of costs that tables for people call otherwise."""


def cost_column(name: str, short: Callable[[float], str] | None = None) -> Column[Any]:
    """The column of a cost, which is an attribute of that name of every row."""
    figure = attrgetter(name)

    def text(row: Any) -> str:
        value = figure(row)
        return "-" if value is None else figure_text(name, value, row.lower_bounds, short)

    return Column(COSTS[name].title, figure, text, right=True, csv_title=CSV_TITLES.get(name, ""))


def unknown_nodes(row: Costed) -> int:
    """How many nodes of the row cannot be counted in the ledger's convention."""
    return row.unknown_nodes if row.peer is None else row.peer.unknown_nodes


MODULE_ORDER: Column[Any] = Column("#", lambda m: m.order, lambda m: m.order or "-", right=True)
MODULE_CLASS: Column[Any] = Column("class", lambda m: m.class_name)
MODULE_EVIDENCE: ModuleColumn = Column("named by", lambda m: m.evidence)
LOWER_BOUNDS: Column[Any] = Column("lower_bounds", lambda row: " ".join(row.lower_bounds or ()) or None)
"""The names of the row's figures that lack those of unknown nodes: for machines, which read no sign."""
MODULE_UNKNOWN: ModuleColumn = Column("unknown", unknown_nodes, right=True)
TRAFFIC: Sequence[Column[Any]] = tuple(map(cost_column, ("weight_read_bytes", "read_bytes", "write_bytes")))


def module_column(ledger: Ledger, *, nested: bool) -> ModuleColumn:
    """The module's path; for people indented by depth and relative to the parent's, where ``nested``."""
    return Column("module", lambda m: m.path, module_name(ledger.modules, ledger.graph, nested=nested))


def module_columns(ledger: Ledger, *, nested: bool) -> Sequence[ModuleColumn]:
    """The module table: inputs and outputs of each module, the operators it runs, and what they cost.

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
        *map(cost_column, ("params", "moved_bytes", "live_bytes")),
        *((MODULE_UNKNOWN,) if ledger.unknown[0] else ()),
        *((MODULE_EVIDENCE,) if any(module.evidence == "weights" for module in ledger.modules) else ()),
    )


def operator_columns(ledger: Ledger) -> Sequence[Column[OperatorCost]]:
    """The operator table: all nodes of a type together."""
    counts: tuple[Column[OperatorCost], ...] = count_and_share(ledger)
    own = tuple(map(cost_column, ("vector_ops", "special_ops"))) if ledger.convention == "matrix" else ()
    return (
        Column("operator", operator_name),
        Column("nodes", lambda o: o.nodes, right=True),
        Column("free", lambda o: o.free_nodes, right=True),
        Column("unknown", unknown_nodes, right=True),
        *counts,
        *own,
        *TRAFFIC,
    )


def node_columns(ledger: Ledger) -> Sequence[Column[NodeCost]]:
    """The node table: every node in execution order; how often it runs, where that is not once for all."""
    repeats: tuple[Column[NodeCost], ...] = (Column("runs", lambda n: n.repeats, right=True),)
    return (
        Column("node", lambda n: n.node),
        Column("operator", operator_name),
        Column("module", lambda n: n.module_path),
        *_node_counts(ledger),
        cost_column("params"),
        *TRAFFIC,
        Column("status", _status),
        *(repeats if any(node.repeats != 1 for node in ledger.nodes) else ()),
    )


def _status(node: NodeCost) -> str:
    """Counted or not and why; of a node that runs graphs what one run of each costs, and how many counted."""
    status = f"{node.status}: {node.reason}" if node.reason else node.status
    return "; ".join([status, *map(_body_status, node.bodies)])


def _body_status(body: BodyCost) -> str:
    times = "in all its runs" if body.all_runs else f"x {body.repeats}"
    return f"{body.name} {short_count(body.macs)} MACs {times}"


def _operators(module: ModuleCost, limit: int | None = None) -> str:
    """``Conv 2, Relu 2``: the types that do most first."""
    return first_of([f"{name} {times}" for name, times in module.operators.items()], limit)


def count_and_share(ledger: Ledger) -> tuple[Column[Costed], ...]:
    """The rows' counts in the ledger's convention, and their share of the whole."""
    whole, whole_lower = _macs(ledger.totals), _is_part(ledger.totals)
    unit = UNITS[ledger.convention]
    return (
        Column(
            unit,
            lambda row: row.macs if row.peer is None else exact_peer(row.peer),
            lambda row: bounded(short_count(_macs(row)), _macs(row), lower=_is_part(row)),
            True,
        ),
        Column(
            f"{unit} %" if ledger.convention == "matrix" else "%",
            lambda row: None if whole_lower else round(100 * _macs(row) / whole, 3) if whole else 0,
            lambda row: share_text(_macs(row), whole, part_lower=_is_part(row), whole_lower=whole_lower),
            True,
        ),
    )


def _macs(row: ModuleCost | OperatorCost | Totals) -> int:
    return row.macs if row.peer is None else row.peer.macs


def _is_part(row: ModuleCost | OperatorCost | Totals) -> bool:
    """Whether the row's count, in the ledger's convention, lacks that of unknown nodes."""
    return is_lower_bound("macs", row.lower_bounds) if row.peer is None else row.peer.unknown_nodes > 0


def _node_counts(ledger: Ledger) -> tuple[Column[NodeCost], ...]:
    """A node's counts: ours of all kinds, or the peer's, and why it differs."""
    if ledger.convention == "matrix":
        return tuple(map(_operations, ("macs", "vector_ops", "special_ops")))
    return (
        Column(
            UNITS[ledger.convention],
            lambda node: exact_peer(node.peer),
            lambda node: short_peer(node.peer, short_count),
            True,
        ),
        Column("why not as ours", lambda node: node.peer.cause if node.peer else ""),
    )


def _operations(name: str) -> Column[NodeCost]:
    """Operations of a node; of an unknown one no figure at all, because 0 would be one."""
    counted: Column[NodeCost] = cost_column(name)
    return replace(
        counted, exact=lambda node: "" if node.status == "unknown" else counted.cell(node, exact=True)
    )


Module = TypeVar("Module", bound="ModuleCost | ModuleTime")


def module_name(modules: Iterable[Module], graph: str, *, nested: bool) -> Callable[[Module], str]:
    """What a row calls its module: the path, or where ``nested`` the name within its parent, indented.

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


def _same(column: ModuleColumn) -> Callable[[Ledger], ModuleColumn]:
    return lambda ledger: column


LEDGER_COLUMNS: Mapping[str, Callable[[Ledger], ModuleColumn]] = MappingProxyType(
    {
        "order": _same(MODULE_ORDER),
        "path": lambda ledger: module_column(ledger, nested=False),
        "class": _same(MODULE_CLASS),
        "depth": _same(Column("depth", lambda m: m.depth, right=True)),
        "macs": lambda ledger: count_and_share(ledger)[0],
        "macs_percent": lambda ledger: count_and_share(ledger)[1],
        **{
            name: _same(cost_column(name))
            for name in (
                "params", "vector_ops", "special_ops", "weight_read_bytes", "read_bytes", "write_bytes",
                "moved_bytes", "live_bytes",
            )
        },
        "arithmetic_intensity": _same(cost_column("arithmetic_intensity", lambda figure: f"{figure:.1f}")),
        "unknown_nodes": _same(MODULE_UNKNOWN),
        **{
            name: _same(cost_column(name)) for name in ("latency_s", "achieved_macs_per_s", "parity_error")
        },
        "evidence": _same(MODULE_EVIDENCE),
        "lower_bounds": _same(LOWER_BOUNDS),
    }
)  # fmt: skip
"""Every column, by the name that options, CSV and JSON call it."""

TEXTS = frozenset({"path", "class", "evidence", "lower_bounds"})
"""The columns that hold text; all others hold numbers."""

FOR_PEOPLE = (
    "path", "class", "macs", "macs_percent", "params", "moved_bytes", "live_bytes", "arithmetic_intensity",
    "unknown_nodes", "latency_s", "achieved_macs_per_s", "parity_error",
)  # fmt: skip
"""What fits on a line, unless columns are chosen."""


def present_columns(ledger: Ledger) -> Mapping[str, ModuleColumn]:
    """The columns that hold a figure in some row; one without was not computed, and is absent."""
    every = {name: column(ledger) for name, column in LEDGER_COLUMNS.items()}
    return {
        name: column
        for name, column in every.items()
        if name == "macs_percent" or any(column.exact(module) is not None for module in ledger.modules)
    }
