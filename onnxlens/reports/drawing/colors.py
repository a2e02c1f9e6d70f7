"""The colors of a picture, for any color vision, and a cost as a color: its steps and their meaning."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from math import floor, log10

from onnxlens.errors import UsageError
from onnxlens.reports.numbers import COST_NAMES, COSTS, TOOL_COSTS, Combination, cost_of
from onnxlens.specs.flow import FlowGraph, FlowNode
from onnxlens.specs.ledger import is_lower_bound
from onnxlens.specs.roofline import AT

HEAT = ("#fef9f5", "#ffe2cb", "#ffc79b", "#f5a663", "#df862f", "#b16200")
"""Fill of a box by its cost: one hue (60 in OKLCH) from light to dark, for any color vision."""
NO_FIGURE = "#e4e7eb"
PLAIN = "#ffffff"

INK, WHITE = "#1f2933", "#ffffff"
LINE = "#52606d"
BORDER = "#7b8794"
CLUSTER_LINE = "#9aa5b1"
CLUSTER_INK = "#334e68"
CLUSTERS = ("#f5f8fb", "#ffffff")
"""Grounds of the clusters, level by level, so that a cluster differs from the one around it."""
END = "#dfe9f5"
BADGE = "#334e68"

SKIPS = ("#0072b2", "#882255", "#117733", "#aa4499", "#332288", "#5c5c5c")
"""Skip connections in turn; far from the hue of the costs, and dark enough for white text."""
BRANCHES = ("#44aa99", "#cc6677", "#88ccee", "#999933", "#ddcc77", "#aa4499")
"""Bars of branches that can run at the same time."""


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colors, 1 to 21, as WCAG 2 defines it."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@cache
def ink_on(ground: str) -> str:
    """The dark or the white ink, whichever is read better on ``ground``."""
    return max((INK, WHITE), key=lambda ink: contrast(ink, ground))


def _luminance(color: str) -> float:
    """Relative luminance of ``#rrggbb`` (WCAG 2, with the coefficients of ITU-R BT.709)."""
    red, green, blue = (_linear(int(color[start : start + 2], 16) / 255) for start in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else float(((channel + 0.055) / 1.055) ** 2.4)


def branch_color(branch: int) -> str:
    """The color of a branch's bar; "" for the trunk, which has none."""
    return BRANCHES[(branch - 1) % len(BRANCHES)] if branch else ""


NO_COLOR = "none"
DEFAULT_COLUMN = "macs"


@dataclass(frozen=True, slots=True)
class Step:
    """One color of the scale, and what a figure must be to have it."""

    fill: str
    share: str
    figure: str


@dataclass(frozen=True, slots=True)
class Scale:
    """The colors of a picture's boxes.

    Attributes:
        column: the ledger's name for the cost; "none" for a picture without.
        limits: the figures at which the next darker color begins, rising.
        whole: what the shares are of: the sum over all boxes, or the largest figure.
        complete: every box has the figure.
        lower: some boxes have a part of it, or none, because it is unknown.
    """

    column: str = NO_COLOR
    limits: tuple[float, ...] = ()
    whole: float = 0
    complete: bool = True
    lower: bool = False

    def fill(self, node: FlowNode) -> str:
        """The ground of a box."""
        if self.column == NO_COLOR:
            return PLAIN
        figure = figure_of(node, self.column)
        return NO_FIGURE if figure is None else self._colors[sum(figure >= limit for limit in self.limits)]

    def steps(self) -> Sequence[Step]:
        """The legend, from light to dark."""
        kind = cost_of(self.column)
        bounds = [(self.limits[0], "<"), *((limit, "≥") for limit in self.limits)] if self.limits else []
        return [
            Step(
                fill,
                "" if kind.combined == "none" else f"{sign} {100 * (limit / self.whole):.3g} %",
                f"{sign} {kind.short(limit)}",
            )
            for fill, (limit, sign) in zip(self._colors, bounds, strict=bool(bounds))
        ]

    @property
    def _colors(self) -> Sequence[str]:
        """As many as there are steps, the darkest last."""
        return (HEAT[0], *HEAT[len(HEAT) - len(self.limits) :]) if self.limits else HEAT[:1]


def figure_of(node: FlowNode, column: str) -> int | float | None:
    """What a box costs with all blocks that it stands for; None where that is not known.

    What is a maximum, a rate or an error is that of one block.
    """
    figure = node.costs.get(column)
    if figure is None or cost_of(column).combined != "sum":
        return figure
    return figure * node.repeats


def column_named(text: str, lacking: Collection[str] = ()) -> str:
    """The column to color by, by its name or a heading; refuses others before any work is done for them.

    Args:
        text: what the user calls it.
        lacking: the options that measure columns and were not given.

    Raises:
        UsageError: it is not one, or one that is not measured.
    """
    plain, at, chip = text.partition(AT)
    column = NO_COLOR if text == NO_COLOR else COST_NAMES.get(plain.lower())
    if at and plain.lower() in TOOL_COSTS:
        column = plain.lower()
    elif column is None or (at and cost_of(column).measured_by != "hardware"):
        known = (*COSTS, *(f"{name}{AT}REPORT" for name in TOOL_COSTS), NO_COLOR)
        raise UsageError(f"{text!r} is not a column to color by; choose one of {', '.join(known)}")
    column += at + chip
    if column != NO_COLOR and (option := cost_of(column).measured_by) in lacking:
        raise UsageError(f"--color {text}: no box has {column}; it comes with --{option}")
    return column


def require_figures(flows: Sequence[FlowGraph], column: str) -> None:
    """Refuse to color by a column that was not computed or measured for any box.

    Raises:
        UsageError: no box has a figure.
    """
    boxes = [node for flow in flows for node in flow.nodes if node.order]
    known = {name for node in boxes for name in node.costs}
    if column not in known and column != NO_COLOR:
        named = [name for name in COSTS if name in known] + sorted(name for name in known if AT in name)
        there = ", ".join((*named, NO_COLOR))
        option = cost_of(column).measured_by
        hint = f" (--{option} measures it)" if option else ""
        raise UsageError(f"{flows[0].graph}: no box has {column}{hint}; there are {there}")


def scale_of(flow: FlowGraph, column: str) -> Scale:
    """The scale that shows ``column`` over the boxes of ``flow``; where none has it, one without steps."""
    if column == NO_COLOR:
        return Scale()
    boxes = [node for node in flow.nodes if node.order]
    figures = [figure for node in boxes if (figure := figure_of(node, column)) is not None]
    lower = any(is_lower_bound(column, node.lower_bounds) for node in boxes)
    if not figures:
        return Scale(column, complete=False, lower=lower)
    combined = cost_of(column).combined
    whole = sum(figures) if combined == "sum" else max(figures)
    return Scale(column, _limits(figures, whole, combined), whole, len(figures) == len(boxes), lower)


STEPS = len(HEAT) - 1
PEAK_SHARES = (0.1, 0.25, 0.5, 0.75, 0.9)
ROUND = (1, 2, 5)
LEAST_EXPONENT = -300


def _limits(figures: Sequence[float], whole: float, combined: Combination) -> tuple[float, ...]:
    most = max(figures)
    if most <= 0:
        return ()
    if combined == "max":
        return tuple(share * whole for share in PEAK_SHARES)
    if combined == "sum":
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
