"""The rows of a table of costs: what there is, what of it is asked for, and what that is together."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import fields, replace
from operator import attrgetter
from typing import TYPE_CHECKING, Any, get_args

from onnxlens.errors import UsageError
from onnxlens.reports.tables.bounds import Members, is_bound
from onnxlens.reports.tables.chips import chip_columns, has_chips, is_figure
from onnxlens.reports.tables.columns import (
    COLUMNS,
    LEDGER_COLUMNS,
    NAMED_ONLY,
    OWN,
    OWN_COLUMNS,
    PEER_NAMES,
    PERCENT,
    SHARE,
    TEXTS,
)
from onnxlens.reports.tables.expression import Comparison, comparisons, decided
from onnxlens.reports.tables.fused import FUSED
from onnxlens.reports.tables.query import Query, near
from onnxlens.reports.tables.remedies import of_reports, remedy_of
from onnxlens.reports.tables.render import By, Column
from onnxlens.reports.tables.tools import own_tool_columns
from onnxlens.specs.groups import (
    GroupCost,
    Parts,
    by_operator,
    group_costs,
    groups_together,
    nodes_inside,
)
from onnxlens.specs.ledger import (
    STATUSES,
    Bounds,
    Evidence,
    Ledger,
    ModuleCost,
    NodeCost,
    OperatorCost,
    operator_cost,
)
from onnxlens.specs.peers import PEERS, Convention
from onnxlens.specs.record import record

Columns = Mapping[str, Column[Any]]
WORDS: Mapping[str, Sequence[str]] = {
    "fits": ("yes", "no"),
    "evidence": get_args(Evidence),
    "status": STATUSES,
}
"""The words that a column may hold, whether or not a row does."""


class OfModules:
    """What rows of modules have, with everything inside them."""

    __slots__ = ()
    if TYPE_CHECKING:
        whole: ModuleCost

    @property
    def lower_bounds(self) -> Bounds:
        """The figures that lack what is unknown."""
        return self.whole.lower_bounds


@record(frozen=True, slots=True)
class ModuleRow(OfModules):
    """A module's cost with everything inside it."""

    whole: ModuleCost
    parts: Parts

    @property
    def own(self) -> ModuleCost:
        """Its cost without the modules inside it."""
        return self.parts.own[self.whole.path]


@record(frozen=True, slots=True)
class SumOfModules(OfModules):
    """What modules cost together, with everything inside them and without; ``members`` are their nodes."""

    whole: ModuleCost
    own: ModuleCost
    members: Sequence[int]
    own_members: Sequence[int] = ()


@record(frozen=True, slots=True)
class Rows:
    """What a table may show.

    Attributes:
        every: all rows, in order.
        columns: those that hold a figure in some row, by name; one without was not computed, and is absent.
        together: what several rows cost together, each node once.
        depth, is_leaf: of a row.
    """

    every: Sequence[Any]
    columns: Columns
    together: Callable[[Sequence[Any]], Any]
    depth: Callable[[Any], int] = lambda row: 0
    is_leaf: Callable[[Any], bool] = lambda row: True


@record(frozen=True, slots=True)
class Selection:
    """The rows that are asked for.

    Attributes:
        deeper: how many rows pass that are deeper than those asked for.
        matching: how many passed before only the first of them were taken.
        undecided: how many are left out because only a lower bound of a figure is known.
    """

    rows: Sequence[Any]
    matching: int
    deeper: int
    undecided: int


def rows_of(ledger: Ledger, query: Query, shown: Collection[str] | None = None) -> Rows:
    """The rows of the kind that is asked for.

    Args:
        ledger: the costs.
        query: what is asked.
        shown: the columns that may be shown besides those that are named; None for all.

    Raises:
        UsageError: a column is asked for that holds no figure, or a text that no row has.
    """
    make = {"module": _modules, "op": _operators, "node": _nodes, "group": _groups}[query.by]
    rows = make(ledger)
    if shown is not None:
        wanted = {*shown, *query.named}
        rows = replace(rows, columns={name: rows.columns[name] for name in rows.columns if name in wanted})
    if query.fits is not None:
        rows = replace(
            rows, columns={**rows.columns, "fits": _fits(rows.columns["working_bytes"], query.fits)}
        )
    return checked(ledger.convention, rows, query)


def checked(convention: Convention, rows: Rows, query: Query) -> Rows:
    """The rows with the columns that hold a figure in some row.

    Raises:
        UsageError: a column is asked for that holds no figure, or a text that no row has.
    """
    shares = {
        SHARE,
        *NAMED_ONLY,
        *(PEER_NAMES[peer] + PERCENT for peer in PEERS if peer == convention),
    }
    present = {
        name: column
        for name, column in rows.columns.items()
        if name.removeprefix(OWN) in shares or any(column.exact(row) is not None for row in rows.every)
    }
    for name in query.named:
        if name not in present:
            is_asked = name in rows.columns and (is_bound(name) or name in FUSED)
            raise UsageError(
                f"column {name} holds no figure; {remedy_of(name, query, is_asked=is_asked)}"
                f"{of_reports(name, present)}"
            )
    for comparison in comparisons(query.where) if query.where else ():
        if comparison.column in TEXTS:
            column = present[comparison.column]
            _require_match(comparison, [str(column.exact(row) or "") for row in rows.every])
    return replace(rows, columns=present)


def selected(rows: Rows, query: Query) -> Selection:
    """The rows that pass, in the order that is asked for."""
    asked, columns = query.asked, rows.columns

    def test(row: Any) -> Callable[[Comparison], bool | None]:
        return lambda each: each.holds(columns[each.column].exact(row), lower=columns[each.column].lower(row))

    verdicts = [True if query.where is None else decided(query.where, test(row)) for row in rows.every]
    passing = [
        row
        for row, verdict in zip(rows.every, verdicts, strict=True)
        if verdict and (rows.is_leaf(row) or not asked.leaves)
    ]
    shown = [row for row in passing if asked.depth is None or rows.depth(row) <= asked.depth]
    ordered = _sorted(shown, columns, query)[: asked.top]
    tested = [columns[each.column] for each in comparisons(query.where)] if query.where else ()
    undecided = sum(
        verdict is None and any(column.lower(row) for column in tested)
        for row, verdict in zip(rows.every, verdicts, strict=True)
    )
    return Selection(ordered, len(shown), len(passing) - len(shown), undecided)


def _sorted(rows: Sequence[Any], columns: Columns, query: Query) -> Sequence[Any]:
    """Those without a figure come last."""
    if query.sort is None:
        return rows
    figure: Callable[[Any], Any] = columns[query.sort.column].exact
    lacking = [row for row in rows if figure(row) is None]
    having = [row for row in rows if figure(row) is not None]
    return [*sorted(having, key=figure, reverse=query.sort.descending), *lacking]


def _modules(ledger: Ledger) -> Rows:
    parts = Parts(ledger)
    inside = nodes_inside(ledger) if has_chips(ledger) else {}
    own: Mapping[str, list[int]] = {module.path: [] for module in ledger.modules}
    for index, node in enumerate(ledger.nodes if ledger.tools else ()):
        own[node.module_path].append(index)

    def together(rows: Sequence[ModuleRow]) -> SumOfModules:
        modules = [row.whole for row in rows]
        nodes = (
            sorted({index for module in modules for index in each.get(module.path, ())})
            for each in (inside, own)
        )
        return SumOfModules(parts.together(modules), parts.together(modules, own=True), *nodes)

    def members(row: ModuleRow | SumOfModules) -> Sequence[int]:
        return row.members if isinstance(row, SumOfModules) else inside[row.whole.path]

    def own_members(row: ModuleRow | SumOfModules) -> Sequence[int]:
        return row.own_members if isinstance(row, SumOfModules) else own[row.whole.path]

    return Rows(
        [ModuleRow(module, parts) for module in ledger.modules],
        {
            **{name: _of(build(ledger), "whole") for name, build in LEDGER_COLUMNS.items()},
            **{name: _of(build(ledger), "own") for name, build in OWN_COLUMNS.items()},
            **chip_columns(ledger, members),
            **own_tool_columns(ledger, own_members),
        },
        together,
        lambda row: row.whole.depth,
        lambda row: parts.is_leaf(row.whole),
    )


def _of(column: Column[Any], side: str) -> Column[Any]:
    """The column for one of a row's two costs."""
    return replace(
        column,
        exact=lambda row: column.exact(getattr(row, side)),
        short=lambda row: column.cell(getattr(row, side), exact=False),
        lower=lambda row: column.lower(getattr(row, side)),
    )


def _operators(ledger: Ledger) -> Rows:
    return _grouped("op", ledger, group_costs(ledger, by_operator(ledger)))


def _groups(ledger: Ledger) -> Rows:
    return _grouped("group", ledger, group_costs(ledger))


def _grouped(by: By, ledger: Ledger, groups: Sequence[GroupCost]) -> Rows:
    return Rows(groups, _built(by, ledger, attrgetter("members")), groups_together)


@record(frozen=True, slots=True)
class SumOfNodes(OperatorCost):
    """What several nodes cost together; ``members`` are their positions in the ledger."""

    params: int = 0
    status: str = "counted"
    members: Sequence[int] = ()


def _nodes(ledger: Ledger) -> Rows:
    def together(nodes: Sequence[NodeCost]) -> SumOfNodes:
        cost = operator_cost("sum", "", nodes)
        counts = {each.name: getattr(cost, each.name) for each in fields(cost)}
        chosen = sorted(index for node in nodes for index in members(node))
        return SumOfNodes(**counts, params=sum(node.params for node in nodes), members=chosen)

    places = {id(node): (index,) for index, node in enumerate(ledger.nodes)} if has_chips(ledger) else {}

    def members(row: NodeCost | SumOfNodes) -> Sequence[int]:
        return row.members if isinstance(row, SumOfNodes) else places.get(id(row), ())

    return Rows(ledger.nodes, _built("node", ledger, members), together)


def figures_of_nodes(ledger: Ledger) -> Callable[[Sequence[int]], Mapping[str, Any]]:
    """What chips, fusion and tools say of nodes together, by their positions: numbers by columns' names."""
    rows = _nodes(ledger)
    columns = {name: each for name, each in rows.columns.items() if is_figure(name)}

    def found(indices: Sequence[int]) -> Mapping[str, Any]:
        nodes = [ledger.nodes[index] for index in indices if ledger.nodes[index].repeats]
        if not nodes or not has_chips(ledger):
            return {}
        row = rows.together(nodes)
        figures = ((name, column.exact(row)) for name, column in columns.items())
        return {name: figure for name, figure in figures if figure is not None}

    return found


def _built(by: By, ledger: Ledger, members: Members) -> Columns:
    built = {name: build(ledger) for name, build in COLUMNS[by].items()}
    return {**built, **chip_columns(ledger, members)}


def _fits(size: Column[Any], limit: float) -> Column[Any]:
    """Whether a module fits if it runs alone; nothing where only a lower bound of its size is known."""
    fits = Comparison("", "working_bytes", "<=", limit)

    def exact(row: Any) -> str | None:
        held = fits.holds(size.exact(row), lower=size.lower(row))
        return None if held is None else "yes" if held else "no"

    return Column("fits", exact, lambda row: exact(row) or "?")


def _require_match(comparison: Comparison, values: Sequence[str]) -> None:
    """Refuse a text that no row has: its rows would be none, or all, for a slip of the pen."""
    column, wanted = comparison.column, comparison.value
    held = list(dict.fromkeys((*filter(None, values), *WORDS.get(column, ()))))
    if isinstance(wanted, re.Pattern):
        if any(wanted.search(value) for value in held):
            return
        small = re.compile(wanted.pattern, wanted.flags | re.IGNORECASE)
        other = [value for value in held if small.search(value)]
        hint = f"{other[0]!r} matches in other letters: (?i){wanted.pattern}" if other else ""
        raise UsageError(
            f"--where {comparison.text!r}: no {column} matches {wanted.pattern!r}; {hint or _some(held)}"
        )
    if wanted not in held:
        hint = near(wanted, held)
        raise UsageError(f"--where {comparison.text!r}: no {column} is {wanted!r}; {hint or _some(held)}")


def _some(values: Sequence[str], limit: int = 8) -> str:
    more = f", and {len(values) - limit} more" if len(values) > limit else ""
    return f"there are {', '.join(map(repr, values[:limit]))}{more}"
