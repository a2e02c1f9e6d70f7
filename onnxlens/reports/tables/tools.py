"""The columns of what other tools report: METRIC@LABEL of each report, and how surely that is of the row."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial
from typing import Any

from onnxlens.errors import UsageError
from onnxlens.reports.numbers import PART, TOOL_COSTS, bounded
from onnxlens.reports.tables.bounds import Members
from onnxlens.reports.tables.render import Column, first_of
from onnxlens.specs.layers import METRICS, LayerReport, ToolCosts
from onnxlens.specs.ledger import Ledger
from onnxlens.specs.roofline import AT, ChipBounds

TOOL_TEXTS = frozenset({"placement", "led", "refused"})
RATIOS = ("bound_ratio", "macs_ratio")
TOOL_COLUMNS = (*METRICS, *RATIOS, "placement", "led", "refused")
"""What a report may have a column of, before the ``@``."""

OWN = "own_"
"""How the columns begin that leave out the modules inside a module."""

HEADLINES = ("time_s", "cycles", "cost_share", "off_chip_bytes", "macs", "error")
"""What is said of a tool first: the first of these that it reports."""

SHOWN = ("bound_ratio", "off_chip_bytes", "energy_pj", "error", "placement", "refused", "macs_ratio", "led")
"""What a table shows after that unless columns are chosen, each of all reports side by side."""

WIDEST = 12
"""Characters of a heading's line: labels are long."""


def is_of_tool(name: str) -> bool:
    """Whether a column is one of a report."""
    plain, at, _ = name.partition(AT)
    return bool(at) and plain.removeprefix(OWN) in TOOL_COLUMNS


def headline(costs: ToolCosts) -> str:
    """The metric that says most of a tool's report."""
    return next((name for name in (*HEADLINES, *METRICS) if name in costs.figures), "")


def require_metric(name: str) -> None:
    """Refuse what no report can have a figure of.

    Raises:
        UsageError: it is no metric.
    """
    if name and name not in METRICS:
        raise UsageError(f"--metric {name!r}: there are {', '.join(METRICS)}")


def shown_tools(ledger: Ledger) -> Sequence[str]:
    """What a table shows of the tools: the first figure of each side by side, then one after another."""
    first = [headline(each) + AT + each.report.label for each in ledger.tools if each.figures]
    return [*first, *(name + AT + each.report.label for name in SHOWN for each in ledger.tools)]


def tool_columns(ledger: Ledger, members: Members) -> Mapping[str, Column[Any]]:
    """The columns of every report, for rows of which ``members`` has the nodes."""
    columns = (_columns_of(ToolView(ledger, costs), members) for costs in ledger.tools)
    return {column.title: column for each in columns for column in each}


def own_tool_columns(ledger: Ledger, members: Members) -> Mapping[str, Column[Any]]:
    """The same of rows of which ``members`` has the nodes that are in no module inside them."""
    return {
        OWN + name: replace(column, title=OWN + name, lines=(OWN + column.lines[0], *column.lines[1:]))
        for name, column in tool_columns(ledger, members).items()
    }


def _columns_of(tool: ToolView, members: Members) -> Iterator[Column[Any]]:
    found = cache(partial(_Row, tool))

    def row_of(row: Any) -> _Row:
        return found(tuple(members(row)))

    for name in TOOL_COLUMNS:
        if name in (*tool.costs.figures, *RATIOS, *TOOL_TEXTS):
            make = _text if name in TOOL_TEXTS else _figure
            yield make(name, tool.costs.report.label, row_of)


def _figure(name: str, label: str, row_of: Callable[[Any], _Row]) -> Column[Any]:
    def exact(row: Any) -> int | float | None:
        return row_of(row).figure(name)

    def lower(row: Any) -> bool:
        return row_of(row).lacks(name)

    def short(row: Any) -> str:
        if (value := exact(row)) is None:
            return "-"
        text = TOOL_COSTS[name].short(value)
        return bounded(f"{PART}{text}" if row_of(row).is_part else text, 1, lower=lower(row))

    return Column(
        name + AT + label, exact, short, right=True, lower=lower, sums=True, lines=heading(name, label)
    )


def _text(name: str, label: str, row_of: Callable[[Any], _Row]) -> Column[Any]:
    def exact(row: Any) -> str | None:
        return first_of(getattr(row_of(row), name), None, "; ") or None

    def short(row: Any) -> str:
        return first_of([shortened(text) for text in getattr(row_of(row), name)], 2) or "-"

    return Column(name + AT + label, exact, short, sums=True, lines=heading(name, label))


def shortened(text: str, most: int = 32) -> str:
    """A reason that stands in a cell."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def heading(name: str, label: str) -> Sequence[str]:
    """The lines of a heading: the name, and ``@`` and the label in parts that are no wider than need be."""
    lines = [""]
    for part in re.findall(r"[^-]+-?|-", AT + label):
        if lines[-1] and len(lines[-1] + part) > WIDEST:
            lines.append("")
        lines[-1] += part
    return (name, *(shortened(line, 2 * WIDEST) for line in lines))


@dataclass(frozen=True)
class ToolView:
    """What one report says of the nodes of a ledger."""

    ledger: Ledger
    costs: ToolCosts

    @cached_property
    def matches(self) -> Mapping[int, Sequence[int]]:
        """The records of each node, by their positions."""
        found: dict[int, list[int]] = {}
        for index, match in enumerate(self.costs.matches):
            for node in match.nodes:
                found.setdefault(node, []).append(index)
        return found

    @cached_property
    def covered(self) -> Mapping[str, Collection[int]]:
        """By metric the nodes of all records that have it."""
        found = {name: set(nodes) for name, nodes in self.costs.figures.items()}
        for match in self.costs.matches:
            for name in match.record.figures:
                found.setdefault(name, set()).update(match.nodes)
        return found

    @cached_property
    def chip(self) -> ChipBounds | None:
        """The bounds of the chip that the report is of."""
        return next((each for each in self.ledger.bounds if is_same_chip(each, self.costs.report)), None)


def is_same_chip(bounds: ChipBounds, report: LayerReport) -> bool:
    """Whether a tool's name of its chip is that of a chip of ours, or its end: u55-256 of ethos-u55-256."""
    ours = _letters(bounds.chip.name)
    theirs = [_letters(name) for name in (report.chip, report.tool + report.chip, report.label) if name]
    return ours in theirs or (len(_letters(report.chip)) > 2 and ours.endswith(_letters(report.chip)))


def _letters(name: str) -> str:
    return re.sub("[^a-z0-9]", "", name.partition(AT)[0].lower())


class _Row:
    """What the report says of the nodes of a row together."""

    def __init__(self, tool: ToolView, nodes: tuple[int, ...]) -> None:
        self._tool = tool
        self._nodes = nodes

    @cached_property
    def _matches(self) -> Sequence[int]:
        known = self._tool.matches
        return list(dict.fromkeys(index for node in self._nodes for index in known.get(node, ())))

    @cached_property
    def is_part(self) -> bool:
        """Whether the figures of a record are also of nodes of other rows, so that a part of them is here."""
        inside = set(self._nodes)
        held = [self._tool.costs.matches[index].parts for index in self._matches]
        return any(not inside.issuperset(nodes) and not inside.isdisjoint(nodes) for nodes in held)

    def figure(self, name: str) -> int | float | None:
        """A metric of the nodes together, or a ratio."""
        ratios = {"bound_ratio": self._bound_ratio, "macs_ratio": self._macs_ratio}
        return ratios[name]() if name in ratios else self._tool.costs.of(name, self._nodes)

    def lacks(self, name: str) -> bool:
        """Whether the report says nothing of some nodes that multiply."""
        time = "time_s" if "time_s" in self._tool.costs.figures else "cycles"
        metric = {"bound_ratio": time, "macs_ratio": "macs"}.get(name, name)
        if METRICS[metric].together == "largest":
            return False
        covered = self._tool.covered.get(metric, ())
        return any(self._tool.ledger.nodes[node].macs for node in self._nodes if node not in covered)

    def _macs_ratio(self) -> float | None:
        nodes = [self._tool.ledger.nodes[node] for node in self._nodes]
        theirs, ours = self.figure("macs"), sum(node.macs for node in nodes)
        known = ours and not any(node.status == "unknown" for node in nodes)
        return theirs / ours if theirs is not None and known else None

    def _bound_ratio(self) -> float | None:
        if (chip := self._tool.chip) is None:
            return None
        spent, cycles, clock = self.figure("time_s"), self.figure("cycles"), chip.chip.clock_hz
        if spent is None and cycles is not None and clock is not None:
            spent = cycles / clock.value
        bound_s = 0.0 if spent is None else chip.of(self._nodes).bound_s
        return spent / bound_s if spent is not None and bound_s else None

    @property
    def led(self) -> Sequence[str]:
        """How its figures were led to it.

        exact: they are of its nodes alone; fused: nodes of other rows, fused into its own, are in them too;
        shared: such nodes have a part of them; no figure: they stand at other rows, or there are none.
        """
        if not self._matches:
            return ()
        inside, every = set(self._nodes), self._tool.costs.matches
        holding = [index for index in self._matches if not inside.isdisjoint(every[index].parts)]
        if not holding:
            return ("no figure",)
        least = min(every[index].confidence for index in holding)
        whole = all(inside.issuperset(every[index].nodes) for index in holding)
        way = "shared" if self.is_part else "exact" if whole else "fused"
        return (way,) if least == 1 else (f"{way}, aligned ({least:.2f})",)

    @property
    def placement(self) -> Sequence[str]:
        """The units that run its nodes, with their numbers where there are several."""
        known = self._tool.costs.placement
        times = Counter(known[node] for node in self._nodes if node in known)
        return tuple(times) if len(times) == 1 else [f"{name} {count}" for name, count in times.most_common()]

    @property
    def refused(self) -> Sequence[str]:
        """Why the tool does not take nodes of it, with their number."""
        known = self._tool.costs.refused
        times = Counter(known[node] for node in self._nodes if node in known)
        if len(self._nodes) == 1:
            return tuple(times)
        return [f"{count} x {reason}" for reason, count in times.most_common()]
