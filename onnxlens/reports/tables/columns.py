"""The columns of module, operator and node tables, by the names that options, headings, CSV and JSON use."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import cache, partial
from operator import attrgetter
from types import MappingProxyType
from typing import Any

from onnxlens.reports.numbers import COST_NAMES, COSTS, figure_text, shapes, short_count
from onnxlens.reports.tables.bounds import BOUND_TEXTS
from onnxlens.reports.tables.bounds import FIGURES as BOUND_FIGURES
from onnxlens.reports.tables.chips import chip_columns_of_modules
from onnxlens.reports.tables.experts import expert_columns, of_modules, of_nodes
from onnxlens.reports.tables.facts import FACTS, fact_column
from onnxlens.reports.tables.fused import FUSED
from onnxlens.reports.tables.module_names import root_name, timed_in
from onnxlens.reports.tables.reconciliation import exact_peer, operator_name, short_peer
from onnxlens.reports.tables.render import By, Cell, Column, first_of
from onnxlens.reports.tables.shares import LATENCY, Costed, cost_share, lacks_peer, peer_share, time_share
from onnxlens.reports.tables.tools import OWN as OWN
from onnxlens.reports.tables.tools import TOOL_TEXTS, is_of_tool
from onnxlens.specs.ledger import (
    OPERATIONS,
    TRAFFIC,
    BodyCost,
    Ledger,
    ModuleCost,
    NodeCost,
    OperatorCost,
    Window,
    is_lower_bound,
)
from onnxlens.specs.peers import PEERS, Peer
from onnxlens.specs.roofline import AT
from onnxlens.specs.text import enclosing

Builder = Callable[[Ledger], Column[Any]]
ModuleColumn = Column[ModuleCost]


def cost_column(name: str, short: Callable[[float], str] | None = None) -> Column[Any]:
    """The column of a cost, which is an attribute of that name of every row."""
    figure = attrgetter(name)

    def text(row: Any) -> str:
        value = figure(row)
        return "-" if value is None else figure_text(name, value, row.lower_bounds, short)

    def lower(row: Any) -> bool:
        return is_lower_bound(name, row.lower_bounds)

    sums = name not in ("resident_weight_bytes", "working_bytes", "parity_error")
    return Column(COSTS[name].title, figure, text, right=True, lower=lower, sums=sums)


def operations_column(name: str) -> Column[NodeCost]:
    """Operations of a node; of an unknown one no figure at all, because 0 would be one."""
    counted: Column[NodeCost] = cost_column(name)
    return replace(
        counted, exact=lambda node: None if node.status == "unknown" else counted.cell(node, exact=True)
    )


def _peer_count(peer: Peer, ledger: Ledger) -> Column[Costed]:
    """What the peer counts; no figure at all in another convention."""
    if ledger.convention != peer:
        return Column(peer, lambda row: None, right=True)
    return Column(
        peer,
        lambda row: exact_peer(row.peer),
        lambda row: short_peer(row.peer, short_count),
        right=True,
        lower=lacks_peer,
        sums=True,
    )


def _unknown_nodes(row: ModuleCost | OperatorCost) -> int:
    """How many nodes of the row cannot be counted in the ledger's convention."""
    return row.unknown_nodes if row.peer is None else row.peer.unknown_nodes


def _same(column: Column[Any]) -> Builder:
    return lambda ledger: column


def _costs(*names: str) -> Mapping[str, Builder]:
    return {name: _same(cost_column(name)) for name in names}


PEER_NAMES: Mapping[Peer, str] = MappingProxyType(
    {"onnx-tool": "onnx_tool_macs", "fvcore": "fvcore_flops", "thop": "thop_macs"}
)
PERCENT = "_percent"
SHARE = "macs" + PERCENT
TIME_SHARE = "latency" + PERCENT

_PEER_COLUMNS: Mapping[str, Builder] = {
    name: builder
    for peer in PEERS
    for name, builder in (
        (PEER_NAMES[peer], partial(_peer_count, peer)),
        (PEER_NAMES[peer] + PERCENT, partial(peer_share, peer)),
    )
}
_SHARES: Mapping[str, Builder] = {
    name.removesuffix("_bytes") + PERCENT: partial(cost_share, name)
    for name in ("params", *OPERATIONS[1:], *TRAFFIC)
}
NAMED_ONLY = frozenset((*_SHARES, *(OWN + name for name in _SHARES)))
"""What a table, CSV and JSON have only where it is named."""
_TRAFFIC = _costs(*TRAFFIC)
_INTENSITY = {
    "arithmetic_intensity": _same(cost_column("arithmetic_intensity", lambda figure: f"{figure:.1f}"))
}
_UNKNOWN = _same(Column("unknown", _unknown_nodes, right=True, sums=True))
LOWER_BOUNDS: Column[Any] = Column("lower_bounds", lambda row: " ".join(row.lower_bounds or ()) or None)
"""The names of the row's figures that lack those of unknown nodes: for machines, which read no sign."""
_BOUNDS = {"lower_bounds": _same(LOWER_BOUNDS)}

MODULE_CLASS: Column[Any] = Column("class", lambda m: m.class_name)
MODULE_ORDER: Column[Any] = Column("#", lambda m: m.order, lambda m: m.order or "-", right=True)


def _module_path(ledger: Ledger) -> ModuleColumn:
    root = root_name(ledger)
    return Column("module", lambda m: m.path or root)


def _node_path(ledger: Ledger) -> Column[NodeCost]:
    root = root_name(ledger)
    return Column("module", lambda n: n.module_path or root)


def _timed_in(ledger: Ledger) -> ModuleColumn:
    root = root_name(ledger)
    return Column("timed in", lambda m: timed_in(m.timed_in, root))


def _latency(ledger: Ledger) -> ModuleColumn:
    """The time; of a module whose nodes were fused into another's, which has it."""
    column, root = cost_column("latency_s"), root_name(ledger)

    def text(module: ModuleCost) -> Cell:
        where = timed_in(module.timed_in, root, 1) if module.latency_s is None else None
        return column.cell(module, exact=False) if where is None else f"in {where}"

    return replace(column, short=text)


def _operators(module: ModuleCost, limit: int | None = None) -> str:
    """``Conv 2, Relu 2``: the types that do most first."""
    return first_of([f"{name} {times}" for name, times in module.operators.items()], limit)


def _module_windows(ledger: Ledger) -> Callable[[ModuleCost], Window | None]:
    """What the only node of a module slides over that slides over anything."""
    paths = {module.path for module in ledger.modules}
    times: Counter[str] = Counter()
    found: dict[str, Window] = {}
    for index, window in ledger.windows.items():
        around = enclosing(ledger.nodes[index].module_path, paths)
        times.update(around)
        found.update(dict.fromkeys(around, window))
    return lambda module: found[module.path] if times[module.path] == 1 else None


def _node_windows(ledger: Ledger) -> Callable[[NodeCost], Window | None]:
    found = {id(ledger.nodes[index]): window for index, window in ledger.windows.items()}
    return lambda node: found.get(id(node))


def _window_columns(of: Callable[[Ledger], Callable[[Any], Window | None]]) -> Mapping[str, Builder]:
    """Kernel, stride and groups of the rows in which one node decides."""

    def built(text: Callable[[Window], str | int | None], right: bool, ledger: Ledger) -> Column[Any]:
        windows = cache(partial(of, ledger))  # few tables show them
        return Column("", lambda row: text(window) if (window := windows()(row)) else None, right=right)

    return {
        "kernel": partial(built, lambda window: _by_axis(window.kernel), False),
        "stride": partial(built, lambda window: _by_axis(window.stride), False),
        "groups": partial(built, lambda window: window.groups, True),
    }


def _by_axis(sizes: Iterable[int]) -> str:
    return "x".join(map(str, sizes))


def _status(node: NodeCost) -> str:
    """Counted or not and why; of a node that runs graphs what one run of each costs, and how many counted."""
    status = f"{node.status}: {node.reason}" if node.reason else node.status
    return "; ".join([status, *map(_body_status, node.bodies)])


def _body_status(body: BodyCost) -> str:
    times = "in all its runs" if body.all_runs else f"x {body.repeats}"
    return f"{body.name} {short_count(body.macs)} MACs {times}"


_ON_CHIPS: Mapping[str, Builder] = {
    name: _same(Column(name, lambda row: None, right=name not in BOUND_TEXTS))
    for name in (*FUSED, *BOUND_FIGURES)
}
"""What ``bound_columns`` fills in where a chip is given, and ``fused_columns`` with a fusion."""

_OPERATIONS = _costs("vector_ops", "special_ops", "flops")

LEDGER_COLUMNS: Mapping[str, Builder] = MappingProxyType(
    {
        "order": _same(MODULE_ORDER),
        "path": _module_path,
        "class": _same(MODULE_CLASS),
        "depth": _same(Column("depth", lambda m: m.depth, right=True)),
        "inputs": _same(Column("in", lambda m: shapes(m.inputs), lambda m: shapes(m.inputs, 2))),
        "outputs": _same(Column("out", lambda m: shapes(m.outputs), lambda m: shapes(m.outputs, 2))),
        "operators": _same(Column("operators", _operators, lambda m: _operators(m, 3))),
        **_window_columns(_module_windows),
        **_costs("macs"),
        SHARE: partial(cost_share, "macs"),
        **_PEER_COLUMNS,
        **_costs("params"),
        **_OPERATIONS,
        **_TRAFFIC,
        **_SHARES,
        **expert_columns(of_modules),
        **_costs("resident_weight_bytes", "live_bytes", "working_bytes"),
        "fits": _same(Column("fits", lambda m: None)),  # what it is to fit into is asked with the rows
        **_INTENSITY,
        "unknown_nodes": _UNKNOWN,
        LATENCY: _latency,
        TIME_SHARE: partial(time_share, ""),
        "timed_in": _timed_in,
        **_costs("achieved_macs_per_s", "parity_error"),
        **_ON_CHIPS,
        "evidence": _same(Column("named by", lambda m: m.evidence)),
        **_BOUNDS,
    }
)
"""What a module's row has: its costs with everything below it."""

OWN_COLUMNS: Mapping[str, Builder] = MappingProxyType(
    {
        OWN + name: LEDGER_COLUMNS[name]
        for name in (
            "operators", "macs", SHARE, *_PEER_COLUMNS, "params", *_OPERATIONS, *_TRAFFIC, *_SHARES,
            *_INTENSITY, "unknown_nodes", LATENCY, *_BOUNDS,
        )
    }
    | {OWN + TIME_SHARE: partial(time_share, "own_seconds")}
)  # fmt: skip

GROUP_COLUMNS: Mapping[str, Builder] = MappingProxyType(
    {
        "group": _same(Column("group", lambda g: g.name)),
        "nodes": _same(Column("nodes", lambda o: o.nodes, right=True, sums=True)),
        "free_nodes": _same(Column("free", lambda o: o.free_nodes, right=True, sums=True)),
        "unknown_nodes": _UNKNOWN,
        **_costs("macs"),
        SHARE: partial(cost_share, "macs"),
        **_PEER_COLUMNS,
        **_costs("params"),
        **_OPERATIONS,
        **_TRAFFIC,
        **_SHARES,
        **_INTENSITY,
        **_costs(LATENCY),
        TIME_SHARE: partial(time_share, "node_seconds"),
        **_costs("achieved_macs_per_s"),
        **_ON_CHIPS,
        **_BOUNDS,
    }
)
"""What the row of a group of nodes has: all of them together."""

OPERATOR_COLUMNS: Mapping[str, Builder] = MappingProxyType(
    {
        "operator": _same(Column("operator", lambda o: o.name)),
        **{name: build for name, build in GROUP_COLUMNS.items() if name != "group"},
    }
)
"""What the row of an operator type has."""

NODE_COLUMNS: Mapping[str, Builder] = MappingProxyType(
    {
        "node": _same(Column("node", lambda n: n.node)),
        "operator": _same(Column("operator", operator_name)),
        "path": _node_path,
        "class": _same(MODULE_CLASS),
        **{name: partial(fact_column, name) for name in FACTS},
        **_window_columns(_node_windows),
        "macs": _same(operations_column("macs")),
        SHARE: partial(cost_share, "macs"),
        **_PEER_COLUMNS,
        "why_not_as_ours": _same(Column("", lambda node: node.peer.cause if node.peer else None)),
        **{name: _same(operations_column(name)) for name in _OPERATIONS},
        **_costs("params"),
        **_TRAFFIC,
        **_SHARES,
        **expert_columns(of_nodes),
        **_INTENSITY,
        "status": _same(Column("status", _status)),
        "repeats": _same(Column("runs", lambda n: n.repeats, right=True)),
        **_ON_CHIPS,
        **_BOUNDS,
    }
)
"""What a node's row has."""

COLUMNS: Mapping[By, Mapping[str, Builder]] = MappingProxyType(
    {
        "module": {**LEDGER_COLUMNS, **OWN_COLUMNS},
        "op": OPERATOR_COLUMNS,
        "node": NODE_COLUMNS,
        "group": GROUP_COLUMNS,
    }
)
"""Every column, by the kind of the rows and the name that options, headings, CSV and JSON call it."""


class Names(frozenset[str]):
    """Names of columns, those of other chips included."""

    def __contains__(self, name: object) -> bool:
        return super().__contains__(str(name).partition(AT)[0])


TEXTS = Names(
    {
        "path", "class", "fits", "inputs", "outputs", "operators", "own_operators", "kernel", "stride",
        "timed_in", "evidence", "lower_bounds", "own_lower_bounds", "operator", "node", "status",
        "why_not_as_ours", "group", "attributes", "family", "resolution", "dtype", "kind", "sources",
        *BOUND_TEXTS, *TOOL_TEXTS, *(OWN + name for name in TOOL_TEXTS),
    }
)  # fmt: skip
"""The columns that hold text; all others hold numbers."""


def shown_name(name: str) -> str:
    """What heads a column in a table for people: narrow, and taken by every option too."""
    if is_of_tool(name):
        return name
    plain = name.removeprefix(OWN)
    head = plain.replace(PERCENT, "_share").removesuffix("_s")
    head = (COSTS[plain].head if plain in COSTS else "") or head
    short = {SHARE: "share", "free_nodes": "free"}.get(plain, head)
    return OWN + short if plain != name else short


SHORT_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "module": "path", "in": "inputs", "out": "outputs", "#": "order", "named by": "evidence",
        "runs": "repeats", "%": SHARE, "macs %": SHARE, "time": LATENCY, "time %": TIME_SHARE,
        "p10": "p10_s", "p90": "p90_s", "layout": "layout_s", "% of peak": "peak_percent",
        "peak_share": "peak_percent", "from": "sources",
        **COST_NAMES,
        **{shown_name(name): name for columns in COLUMNS.values() for name in columns},
    }
)  # fmt: skip
"""What else columns may be called, in small letters."""


def present_columns(ledger: Ledger) -> Mapping[str, ModuleColumn]:
    """The columns of modules that hold a figure in some row; one without was not computed, and is absent."""
    every = {name: build(ledger) for name, build in LEDGER_COLUMNS.items()}
    every.update(chip_columns_of_modules(ledger))
    return {
        name: column
        for name, column in every.items()
        if name == SHARE
        or (name not in NAMED_ONLY and any(column.exact(module) is not None for module in ledger.modules))
    }
