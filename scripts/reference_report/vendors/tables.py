"""The tables of one network: its modules with every tool's figures, and how those were led back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

from onnxlens.reports.numbers import TOOL_COSTS, share, short_count
from onnxlens.reports.tables.led import led_parts, led_records
from onnxlens.reports.tables.module_names import module_name
from onnxlens.reports.tables.query import Asked, Query
from onnxlens.reports.tables.render import Column, first_of, render_table
from onnxlens.reports.tables.rows import Rows, rows_of, selected
from onnxlens.reports.tables.tools import headline, shortened
from onnxlens.specs.layers import WAYS, LayerReport, ToolCosts
from onnxlens.specs.roofline import ChipBounds
from reference_report.vendors.records import OURS, Recorded

SHOWN: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "k230": ("K230", "off chip"),
        "ethos-u-u55-256": ("U55-256", "cycles"),
        "ethos-u-u85-512": ("U85-512", "cycles"),
        "tpu-mlir-bm1684x": ("BM1684X", "cycles"),
        "rknn-rk3588": ("RK3588", "cycles"),
        "qnn-v75": ("HTP v75", "cycles of the simulator"),
        "openvino": ("OpenVINO", "time"),
    }
)
"""By the label of a report what its column is called, and what is in it."""

LONGEST = 120
"""Characters of a reason."""

TOLD = 0.01
"""The part at no node that is told by names."""

GOAL = 0.97
"""The part of a report that should lead to nodes."""

NOTHING, INDENT = "-", "&nbsp;" * 2


@dataclass(frozen=True)
class Tool:
    """One report of a network.

    Attributes:
        costs: None where the tool made nothing of it.
        bounds: ours on the same chip; None where it has no file of it.
    """

    report: LayerReport
    costs: ToolCosts | None = None
    bounds: ChipBounds | None = None

    @property
    def title(self) -> str:
        """What heads its column."""
        return SHOWN[self.report.label][0]

    @property
    def metric(self) -> str:
        """What it says most about; "" for nothing."""
        return headline(self.costs) if self.costs else ""

    def bound_cycles(self, bound_s: float | None) -> int | None:
        """A bound in cycles of its clock."""
        clock = self.bounds.chip.clock_hz if self.bounds else None
        return None if clock is None or not bound_s else round(bound_s * clock.value)

    @property
    def nowhere(self) -> float | None:
        """The part of its figures that leads to no node; None where it has none."""
        parts = self.parts()
        whole = sum(parts.values())
        return parts.get("unattributed", 0) / whole if whole else None

    def parts(self) -> Mapping[Any, float]:
        """What each way of leading records back comes to, in its figure, else in records."""
        if self.costs is None:
            return {}
        return led_parts(self.costs).get(self.metric) or led_records(self.costs)


def tools_of(found: Recorded) -> Sequence[Tool]:
    """The reports of a network, in the order of the columns."""
    ledger = found.ledger
    bounds = {each.chip.name: each for each in ledger.bounds}
    tools = {
        costs.report.label: Tool(costs.report, costs, bounds.get(OURS.get(costs.report.label, ("",))[0]))
        for costs in ledger.tools
    }
    tools.update((report.label, Tool(report)) for report in found.failed)
    return [tools[label] for label in SHOWN if label in tools]


def module_table(found: Recorded) -> str:
    """A row for each module: short figures, as Markdown."""
    query = Query(Asked(depth=found.network.depth))
    rows = rows_of(found.ledger, query)
    name = module_name(found.ledger.modules, found.ledger.graph, nested=True)
    columns: list[Column[Any]] = [
        Column("module", lambda row: f"{INDENT * row.whole.depth}`{name(row.whole).strip()}`"),
        _short(rows, "macs", "MACs"),
    ]
    for tool in tools_of(found):
        if tool.costs and tool.metric:
            columns += _columns_of(rows, tool)
    return render_table(list(selected(rows, query).rows), columns, "md") + "\n"


def _short(rows: Rows, name: str, title: str) -> Column[Any]:
    column = rows.columns[name]
    return Column(title, lambda row: column.cell(row, exact=False), right=True)


def _columns_of(rows: Rows, tool: Tool) -> Sequence[Column[Any]]:
    """Our bound in cycles if the chip is known, and the tool's figure with the ratio of the two."""
    label = tool.report.label
    theirs = partial(_text, rows, f"{tool.metric}@{label}", f"bound_ratio@{label}")
    column: Column[Any] = Column(f"{tool.title}: {SHOWN[label][1]}", theirs, right=True)
    if tool.bounds is None:
        return [column]
    return [Column(f"our bound, {tool.title}", partial(_bound, rows, tool), right=True), column]


def _text(rows: Rows, figure: str, ratio: str, row: Any) -> str:
    text = str(rows.columns[figure].cell(row, exact=False))
    times = rows.columns[ratio].cell(row, exact=False) if ratio in rows.columns else NOTHING
    return text if times == NOTHING else f"{text} ({times})"


def _bound(rows: Rows, tool: Tool, row: Any) -> str:
    cycles = tool.bound_cycles(_bound_s(rows, tool, row))
    return NOTHING if cycles is None else short_count(cycles)


def _bound_s(rows: Rows, tool: Tool, row: Any) -> Any:
    assert tool.bounds is not None
    name = f"bound_s@{tool.bounds.label}"
    return rows.columns[name if name in rows.columns else "bound_s"].exact(row)


def exact_table(found: Recorded) -> str:
    """The same of all modules with every digit, as CSV."""
    query = Query()
    rows = rows_of(found.ledger, query)
    columns = [rows.columns[name] for name in ("path", "class", "macs")]
    for tool in tools_of(found):
        label = tool.report.label
        if tool.bounds:
            columns.append(Column(f"bound_cycles@{label}", partial(_bound_cycles, rows, tool)))
        names = [*(tool.costs.figures if tool.costs else ()), "bound_ratio", "placement", "refused", "led"]
        columns += [rows.columns[f"{name}@{label}"] for name in names if f"{name}@{label}" in rows.columns]
    return render_table(list(selected(rows, query).rows), columns, "csv") + "\n"


def _bound_cycles(rows: Rows, tool: Tool, row: Any) -> int | None:
    return tool.bound_cycles(_bound_s(rows, tool, row))


def tool_table(found: Recorded) -> str:
    """A row for each tool: its version, what it comes to, and how that was led back."""
    return render_table(list(tools_of(found)), TOOL_COLUMNS, "md") + "\n"


def _of_parts(way: str, tool: Tool) -> str:
    parts = tool.parts()
    return share(parts.get(way, 0), sum(parts.values()), 2) or NOTHING


def _whole(tool: Tool) -> str:
    if not tool.metric:
        return "all refused" if tool.report.refused else "no result"
    parts = led_parts(tool.costs)[tool.metric] if tool.costs else {}
    return f"{TOOL_COSTS[tool.metric].short(sum(parts.values()))} ({SHOWN[tool.report.label][1]})"


def _meets(tool: Tool) -> str:
    if tool.nowhere is None:
        return NOTHING
    return "yes" if 1 - tool.nowhere >= GOAL else "no"


WAY_TITLES: Mapping[str, str] = MappingProxyType(
    {"exact": "one module", "fused": "fused", "shared": "divided", "unattributed": "no node"}
)

TOOL_COLUMNS: Sequence[Column[Tool]] = (
    Column("tool", lambda tool: f"`{tool.report.label}`"),
    Column("version", lambda tool: tool.report.version),
    Column("layers", lambda tool: len(tool.report.records), right=True),
    Column("in all", _whole, right=True),
    *(Column(WAY_TITLES[way], partial(_of_parts, way), right=True) for way in WAYS),
    Column("97 % led back", _meets),
    Column("nodes refused", lambda tool: len(tool.report.refused) or NOTHING, right=True),
)


def remarks(found: Recorded) -> Sequence[str]:
    """What each tool refuses and why, what it failed at, and what its report says of itself."""
    texts = {
        tool.title: [*_refusals(found, tool), *filter(None, tool.report.notes)] for tool in tools_of(found)
    }
    return [f"- **{title}**: {'; '.join(said)}" for title, said in texts.items() if said]


def _lost(found: Recorded, tool: Tool) -> Iterator[str]:
    """The largest layers that lead to no node, where these are more than a hundredth."""
    if (tool.nowhere or 0) > TOLD:
        head = f"{tool.report.label}: "
        lines = (note.removeprefix(head) for note in found.ledger.notes if note.startswith(head))
        yield from (f"**{line}**" for line in lines if line.startswith("lead to no node"))


def _refusals(found: Recorded, tool: Tool) -> Iterator[str]:
    """Each reason, with the modules that have it."""
    modules: dict[str, list[str]] = {}
    for node, reason in (tool.costs.refused if tool.costs else {}).items():
        modules.setdefault(shortened(reason, LONGEST), []).append(found.ledger.nodes[node].module_path)
    for reason in map(partial(shortened, most=LONGEST), tool.report.refused.values()):
        modules.setdefault(reason, [])
    for reason, paths in modules.items():
        where = first_of([f"`{path}`" for path in dict.fromkeys(paths)], 3)
        yield f"**refuses** {reason}{f' in {where}' if where else ''}"
