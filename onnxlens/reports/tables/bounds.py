"""The columns of bounds on chips: of the first chip by their names, of another with ``@CHIP`` behind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

from onnxlens.reports.numbers import AT_MOST, COSTS, UNKNOWN, bounded
from onnxlens.reports.tables.render import Column
from onnxlens.specs.ledger import Ledger, is_lower_bound
from onnxlens.specs.roofline import AT, COMPUTE, ELEMENTWISE, TRANSCENDENTAL, Bound, ChipBounds

Figure = Callable[[ChipBounds, Bound], Any]
Members = Callable[[Any], Sequence[int]]
"""The nodes of a row, by their positions in the ledger."""


def _percent(bounds: ChipBounds, bound: Bound) -> float | None:
    whole = bounds.total.bound_s
    return round(100 * bound.bound_s / whole, 3) if whole else None


def _grades(bounds: ChipBounds, bound: Bound) -> str | None:
    return ", ".join(bounds.grades.get(bound.limited_by, ())) or None


FIGURES: Mapping[str, Figure] = MappingProxyType(
    {
        "bound_s": lambda bounds, bound: bound.bound_s,
        "limited_by": lambda bounds, bound: bound.limited_by or None,
        "bound_percent": _percent,
        "serial_s": lambda bounds, bound: bound.serial_s,
        "compute_s": lambda bounds, bound: bound.limits.get(COMPUTE),
        "elementwise_s": lambda bounds, bound: bound.limits.get(ELEMENTWISE),
        "transcendental_s": lambda bounds, bound: bound.limits.get(TRANSCENDENTAL),
        "memory_s": lambda bounds, bound: bound.memory_s,
        "fit_bound_s": lambda bounds, bound: bound.fit_bound_s,
        "lost_macs": lambda bounds, bound: bound.lost_macs,
        "blame": lambda bounds, bound: bound.blame or None,
        "vendor_cycles": lambda bounds, bound: bound.vendor_cycles,
        "vendor_macs": lambda bounds, bound: bound.vendor_macs,
        "turning_factor": lambda bounds, bound: bounds.turning_factor(bound),
        "grades": _grades,
    }
)
"""Each figure of a row."""

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


def bound_columns(ledger: Ledger, members: Members) -> Mapping[str, Column[Any]]:
    """The columns of every chip, for rows of which ``members`` has the nodes."""
    found = {}
    for index, bounds in enumerate(ledger.bounds):
        for name, figure in FIGURES.items():
            shown = COSTS[name].short if name in COSTS else str
            if name == "bound_percent" and is_lower_bound("bound_s", ledger.totals.lower_bounds):
                shown = f"{AT_MOST} {{:.1f}} %".format
            whole = f"{name}{AT}{bounds.label}" if index else name
            found[whole] = _column(whole, partial(_figure_of, figure, bounds, members), shown)
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

    return Column(name, known, short, right=plain not in BOUND_TEXTS, lower=lower, sums=True)


def _figure_of(figure: Figure, bounds: ChipBounds, members: Members, row: Any) -> Any:
    return figure(bounds, bounds.of(members(row)))
