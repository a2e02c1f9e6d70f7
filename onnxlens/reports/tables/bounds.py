"""The columns of bounds on chips: of the first chip by their names, of another with ``@CHIP`` behind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from types import MappingProxyType
from typing import Any

from onnxlens.reports.numbers import AT_MOST, UNKNOWN, bounded, short_count, short_time
from onnxlens.reports.tables.render import By, Column
from onnxlens.specs.groups import by_operator
from onnxlens.specs.ledger import Ledger, ModuleCost, NodeCost, is_lower_bound
from onnxlens.specs.roofline import COMPUTE, ELEMENTWISE, TRANSCENDENTAL, Bound, ChipBounds

AT = "@"
"""Stands between the name of a column and its chip."""

Figure = Callable[[ChipBounds, Bound], Any]
Find = Callable[[Any], Bound | None]


def _percent(bounds: ChipBounds, bound: Bound) -> float | None:
    whole = bounds.total.bound_s
    return round(100 * bound.bound_s / whole, 3) if whole else None


def _grades(bounds: ChipBounds, bound: Bound) -> str | None:
    return ", ".join(bounds.grades.get(bound.limited_by, ())) or None


FIGURES: Mapping[str, tuple[Figure, Callable[[Any], str]]] = MappingProxyType(
    {
        "bound_s": (lambda bounds, bound: bound.bound_s, short_time),
        "limited_by": (lambda bounds, bound: bound.limited_by or None, str),
        "bound_percent": (_percent, "{:.1f} %".format),
        "serial_s": (lambda bounds, bound: bound.serial_s, short_time),
        "compute_s": (lambda bounds, bound: bound.limits.get(COMPUTE), short_time),
        "elementwise_s": (lambda bounds, bound: bound.limits.get(ELEMENTWISE), short_time),
        "transcendental_s": (lambda bounds, bound: bound.limits.get(TRANSCENDENTAL), short_time),
        "memory_s": (lambda bounds, bound: bound.memory_s, short_time),
        "fit_bound_s": (lambda bounds, bound: bound.fit_bound_s, short_time),
        "lost_macs": (lambda bounds, bound: bound.lost_macs, short_count),
        "blame": (lambda bounds, bound: bound.blame or None, str),
        "vendor_cycles": (lambda bounds, bound: bound.vendor_cycles, short_count),
        "vendor_macs": (lambda bounds, bound: bound.vendor_macs, short_count),
        "turning_factor": (lambda bounds, bound: bounds.turning_factor(bound), "{:.3g}".format),
        "grades": (_grades, str),
    }
)
"""Each figure of a row, and how it is shown to people."""

BOUND_TEXTS = frozenset({"limited_by", "blame", "grades"})
QUOTIENTS = frozenset({"bound_percent", "turning_factor"})
"""What lacks no part: of lower bounds it would be neither over nor under."""

FOR_PEOPLE = ("bound_s", "limited_by", "serial_s")
"""What a table shows of every chip unless columns are chosen."""


def is_bound(name: str) -> bool:
    """Whether a column is one of bounds, of whatever chip."""
    return name.partition(AT)[0] in FIGURES


def shown_bounds(ledger: Ledger) -> Sequence[str]:
    """What a table shows of the chips, each figure of all chips side by side."""
    labels = ["", *(f"{AT}{each.label}" for each in ledger.bounds[1:])] if ledger.bounds else []
    return [name + label for name in FOR_PEOPLE for label in labels]


def bound_columns(ledger: Ledger, by: By) -> Mapping[str, Column[Any]]:
    """The columns of every chip for rows of a kind."""
    found = {}
    for place, bounds in enumerate(ledger.bounds):
        find = FINDERS[by](ledger, bounds)
        for name, (figure, shown) in FIGURES.items():
            whole = f"{name}{AT}{bounds.label}" if place else name
            if name == "bound_percent" and is_lower_bound("bound_s", ledger.totals.lower_bounds):
                shown = f"{AT_MOST} {{:.1f}} %".format
            found[whole] = _column(whole, partial(_figure_of, figure, bounds, find), shown)
    return found


def _column(name: str, exact: Callable[[Any], Any], shown: Callable[[Any], str]) -> Column[Any]:
    plain = name.partition(AT)[0]

    def lower(row: Any) -> bool:
        return is_lower_bound(plain, row.lower_bounds)

    def known(row: Any) -> Any:
        """Nothing where the row has nothing but unknown parts, nor of them a share."""
        value = exact(row)
        return None if lower(row) and (plain in QUOTIENTS or not value) else value

    def short(row: Any) -> str:
        value = known(row)
        if value is None:
            return UNKNOWN if lower(row) and exact(row) is not None else "-"
        return bounded(shown(value), value, lower=lower(row))

    return Column(name, known, short, right=plain not in BOUND_TEXTS, lower=lower)


def _figure_of(figure: Figure, bounds: ChipBounds, find: Find, row: Any) -> Any:
    bound = find(row)
    return None if bound is None else figure(bounds, bound)


def _of_modules(ledger: Ledger, bounds: ChipBounds) -> Find:
    def find(module: ModuleCost) -> Bound | None:
        return bounds.modules.get(module.path)

    return find


def _of_nodes(ledger: Ledger, bounds: ChipBounds) -> Find:
    places = {id(node): index for index, node in enumerate(ledger.nodes)}

    @cache
    def bound(index: int) -> Bound:
        return bounds.of((index,))

    def find(node: NodeCost) -> Bound | None:
        return bound(places[id(node)]) if id(node) in places else None

    return find


def _of_groups(by: By, ledger: Ledger, bounds: ChipBounds) -> Find:
    grouping = ledger.grouping if by == "group" and ledger.grouping is not None else by_operator(ledger)
    members: dict[str, list[int]] = {}
    for index, name in enumerate(grouping.names):
        members.setdefault(name, []).append(index)

    @cache
    def bound(name: str) -> Bound | None:
        return bounds.of(members[name]) if name in members else None

    return lambda group: bound(group.name)


FINDERS: Mapping[By, Callable[[Ledger, Any], Callable[[Any], Any]]] = MappingProxyType(
    {
        "module": _of_modules,
        "node": _of_nodes,
        "op": partial(_of_groups, "op"),
        "group": partial(_of_groups, "group"),
    }
)
