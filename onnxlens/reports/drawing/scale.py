"""A cost as a colour: which figures can be shown, their steps, and what each step means."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import floor, log10
from types import MappingProxyType
from typing import Literal

from onnxlens.errors import UsageError
from onnxlens.reports.drawing.palette import HEAT, NO_FIGURE, PLAIN
from onnxlens.reports.numbers import short_bytes, short_count, short_time
from onnxlens.specs.flow import FlowGraph, FlowNode

Meaning = Literal["share", "peak", "value"]
"""A part of the whole graph's sum, a part of the largest figure, or a figure that is compared as it is."""

NO_COLOUR = "none"
DEFAULT_COLUMN = "macs"


@dataclass(frozen=True, slots=True)
class CostColumn:
    """A column of the ledger as a picture shows it."""

    title: str
    short: Callable[[float], str]
    meaning: Meaning = "share"


def _count(figure: float) -> str:
    return short_count(round(figure))


def _bytes(figure: float) -> str:
    return short_bytes(round(figure))


COLUMNS: Mapping[str, CostColumn] = MappingProxyType(
    {
        "macs": CostColumn("MACs", _count),
        "params": CostColumn("params", _count),
        "vector_ops": CostColumn("vector ops", _count),
        "special_ops": CostColumn("special ops", _count),
        "flops": CostColumn("FLOPs", _count),
        "weight_read_bytes": CostColumn("weights read", _bytes),
        "read_bytes": CostColumn("read", _bytes),
        "write_bytes": CostColumn("written", _bytes),
        "moved_bytes": CostColumn("moved", _bytes),
        "resident_weight_bytes": CostColumn("resident weights", _bytes),
        "live_bytes": CostColumn("live", _bytes, "peak"),
        "latency_s": CostColumn("latency", short_time),
        "bound_s": CostColumn("lower bound", short_time),
        "unknown_nodes": CostColumn("unknown nodes", _count),
        "arithmetic_intensity": CostColumn("FLOPs/byte", lambda figure: f"{figure:.3g}", "value"),
        "achieved_macs_per_s": CostColumn("MACs/s", _count, "value"),
        "parity_error": CostColumn("error", lambda figure: f"{figure:.1e}", "value"),
    }
)
"""What a box can be coloured by, by the ledger's name."""
MEASURED_BY: Mapping[str, str] = MappingProxyType(
    {"latency_s": "latency", "achieved_macs_per_s": "latency", "parity_error": "parity"}
)
"""Columns that need a run, and the option that has it measured."""


def cost_column(name: str) -> CostColumn:
    """How a column is shown; one that is not in the table is shown as it is."""
    return COLUMNS.get(name, CostColumn(name, lambda figure: f"{figure:.4g}", "value"))


@dataclass(frozen=True, slots=True)
class Step:
    """One colour of the scale, and what a figure must be to have it."""

    fill: str
    share: str
    figure: str


@dataclass(frozen=True, slots=True)
class Scale:
    """The colours of a picture's boxes.

    Attributes:
        column: the ledger's name for the cost; "none" for a picture without.
        limits: the figures at which the next darker colour begins, rising.
        whole: what the shares are of: the sum over all boxes, or the largest figure.
        complete: every box has the figure.
    """

    column: str = NO_COLOUR
    limits: tuple[float, ...] = ()
    whole: float = 0
    complete: bool = True

    def fill(self, node: FlowNode) -> str:
        """The ground of a box."""
        if self.column == NO_COLOUR:
            return PLAIN
        figure = figure_of(node, self.column)
        return NO_FIGURE if figure is None else self._colours[sum(figure >= limit for limit in self.limits)]

    def steps(self) -> Sequence[Step]:
        """The legend, from light to dark."""
        kind = cost_column(self.column)
        bounds = [(self.limits[0], "<"), *((limit, "≥") for limit in self.limits)] if self.limits else []
        return [
            Step(
                fill,
                "" if kind.meaning == "value" else f"{sign} {_percent(limit / self.whole)}",
                f"{sign} {kind.short(limit)}",
            )
            for fill, (limit, sign) in zip(self._colours, bounds, strict=bool(bounds))
        ]

    @property
    def _colours(self) -> Sequence[str]:
        """As many as there are steps, the darkest last."""
        return (HEAT[0], *HEAT[len(HEAT) - len(self.limits) :]) if self.limits else HEAT[:1]


def figure_of(node: FlowNode, column: str) -> int | float | None:
    """What a box costs with all blocks that it stands for; None where that is not known.

    What is a maximum, a rate or an error is that of one block.
    """
    figure = node.costs.get(column)
    if figure is None or cost_column(column).meaning != "share":
        return figure
    return figure * node.repeats


def require_column(column: str) -> None:
    """Refuse to colour by what is no column of the ledger, before any work is done for it.

    Raises:
        UsageError: it is none.
    """
    if column not in COLUMNS and column != NO_COLOUR:
        raise UsageError(
            f"{column!r} is no column to colour by; choose one of {', '.join((*COLUMNS, NO_COLOUR))}"
        )


def require_figures(flows: Sequence[FlowGraph], column: str) -> None:
    """Refuse to colour by a column that was not computed or measured for any box.

    Raises:
        UsageError: no box has a figure.
    """
    boxes = [node for flow in flows for node in flow.nodes if node.order]
    known = {name for node in boxes for name in node.costs}
    if column not in known and column != NO_COLOUR:
        there = ", ".join((*(name for name in COLUMNS if name in known), NO_COLOUR))
        hint = f" (--{MEASURED_BY[column]} measures it)" if column in MEASURED_BY else ""
        raise UsageError(f"{flows[0].graph}: no box has {column}{hint}; there are {there}")


def scale_of(flow: FlowGraph, column: str) -> Scale:
    """The scale that shows ``column`` over the boxes of ``flow``; where none has it, one without steps."""
    if column == NO_COLOUR:
        return Scale()
    boxes = [node for node in flow.nodes if node.order]
    figures = [figure for node in boxes if (figure := figure_of(node, column)) is not None]
    if not figures:
        return Scale(column, complete=False)
    meaning = cost_column(column).meaning
    whole = sum(figures) if meaning == "share" else max(figures)
    return Scale(column, _limits(figures, whole, meaning), whole, len(figures) == len(boxes))


STEPS = len(HEAT) - 1
PEAK_SHARES = (0.1, 0.25, 0.5, 0.75, 0.9)
ROUND = (1, 2, 5)
LEAST_EXPONENT = -300


def _limits(figures: Sequence[float], whole: float, meaning: Meaning) -> tuple[float, ...]:
    most = max(figures)
    if most <= 0:
        return ()
    if meaning == "peak":
        return tuple(share * whole for share in PEAK_SHARES)
    if meaning == "share":
        return tuple(share * whole for share in _rounds_up_to(most / whole, ROUND, STEPS))
    return _even_limits([figure for figure in figures if figure > 0])


def _even_limits(figures: Sequence[float]) -> tuple[float, ...]:
    """Round numbers between the least and the greatest figure, in about equal ratios; at most STEPS."""
    least, most = min(figures), max(figures)
    found: list[float] = []
    for mantissas in (ROUND, ROUND[:1]):
        found = [limit for limit in _rounds_up_to(most, mantissas, 300) if limit > least]
        if len(found) <= STEPS:
            return tuple(found)
    return tuple(found[:: -(-len(found) // STEPS)])


def _rounds_up_to(most: float, mantissas: Sequence[int], steps: int) -> list[float]:
    """The last so many round numbers, such as 1, 2, 5, 10, that are not over ``most``, rising."""
    found: list[float] = []
    for exponent in range(floor(log10(most)), LEAST_EXPONENT, -1):
        rounds = [float(f"{mantissa}e{exponent}") for mantissa in reversed(mantissas)]
        found += [limit for limit in rounds if limit <= most]
        if len(found) >= steps:
            break
    return found[:steps][::-1]


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
