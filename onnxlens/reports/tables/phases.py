"""The phases of a language model as tables and a document."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from operator import attrgetter
from typing import Any

from onnxlens.reports.numbers import AT_LEAST, UNKNOWN, bounded, short_bytes, short_count, short_time
from onnxlens.reports.tables.render import (
    Column,
    TableFormat,
    figure_column,
    fitted,
    hidden_note,
    render_table,
    with_notes,
)
from onnxlens.specs.codec import to_plain
from onnxlens.specs.ledger import is_lower_bound
from onnxlens.specs.phases import PHASES, Phase, PhaseCost, PhasePoint, PhaseRow, PhasesReport
from onnxlens.specs.record import record
from onnxlens.specs.text import around

LEVELS = 3
"""Of modules in a table, unless more are asked for: equal layers are one row."""

FIGURES: Mapping[str, tuple[str, Callable[[float], str]]] = {
    "macs": ("macs", short_count),
    "vector_ops": ("elementwise", short_count),
    "special_ops": ("transcendental", short_count),
    "weight_read_bytes": ("weights_read", short_bytes),
    "cache_read_bytes": ("cache_read", short_bytes),
    "cache_write_bytes": ("cache_written", short_bytes),
    "activation_bytes": ("activations", short_bytes),
}
"""What a point and a module have in common, its head, and how it is shown."""

MEMORY: Mapping[str, str] = {"cache_bytes": "cache", "live_bytes": "live", "memory_bytes": "memory"}
TRAFFIC = frozenset({"cache_read_bytes", "cache_write_bytes", "activation_bytes"})
TIMES: Mapping[Phase, str] = {"prefill": "first_token", "decode": "per_token"}
"""What the time of a phase is called."""

LENGTHS: Mapping[Phase, str] = {"prefill": "prompt", "decode": "context"}


@record(frozen=True, slots=True)
class PhasesLayout:
    """What is shown.

    Attributes:
        depth: the levels of modules; None for three in a table, all as data.
        width: of the screen in characters; None shows all columns.
    """

    depth: int | None = None
    width: int | None = None


@record(frozen=True, slots=True)
class _Line:
    """A module at one point, for machines."""

    point: PhasePoint
    row: PhaseRow
    cost: PhaseCost


def phases_table(report: PhasesReport, table_format: TableFormat, layout: PhasesLayout) -> str:
    """A table of each phase, and one of modules; as CSV a line for every module and point."""
    if table_format == "csv":
        return render_table(list(_lines(report, layout.depth)), list(_line_columns(report)), "csv")
    width = layout.width if table_format == "table" else None
    texts = []
    hidden: list[Column[Any]] = []
    for phase in PHASES:
        if points := report.of(phase):
            shown, left_out = fitted(points, list(_point_columns(report, phase)), width)
            texts.append(_titled(_heading(phase), render_table(points, shown, table_format), table_format))
            hidden += left_out
    depth = LEVELS if layout.depth is None else layout.depth
    rows = [row for row in report.rows if row.depth <= depth]
    columns = list(_row_columns(report, rows))
    named, others = fitted(rows, columns, width)
    texts.append(_titled(_module_heading(report), render_table(rows, named, table_format), table_format))
    names = {column.title: column for column in (*hidden, *others)}
    notes = [*hidden_note(list(names.values())), *_notes(report)]
    heading = f"{report.graph} ({report.source}): the phases of a language model"
    return with_notes(heading, "\n\n".join(texts), notes, table_format)


def phases_document(report: PhasesReport, layout: PhasesLayout) -> dict[str, Any]:
    """All of it, exact; a figure that is not known is absent."""
    rows = [row for row in report.rows if layout.depth is None or row.depth <= layout.depth]
    return {
        "schema": "onnxlens.phases/1",
        **to_plain(report),
        "noise": list(report.noise),
        "points": [_plain_point(point) for point in report.points],
        "rows": [
            {**to_plain(row), "times": len(row.paths), "costs": [_plain_cost(cost) for cost in row.costs]}
            for row in rows
        ],
    }


def _plain_point(point: PhasePoint) -> dict[str, Any]:
    at_most = {label: point.batch / bound for label, bound in point.cost.bound_s.items() if bound}
    return {
        **to_plain(point),
        "cost": _plain_cost(point.cost),
        "parts": {part: _plain_cost(cost) for part, cost in point.parts.items()},
        **({"tokens_per_s_at_most": at_most} if at_most and point.phase == "decode" else {}),
    }


def _plain_cost(cost: PhaseCost) -> dict[str, Any]:
    more = {"flops": cost.flops, "moved_bytes": cost.moved_bytes}
    plain = {**to_plain(cost), **more, "arithmetic_intensity": cost.arithmetic_intensity}
    return {name: figure for name, figure in plain.items() if figure is not None}


def _titled(title: str, table: str, table_format: TableFormat) -> str:
    return f"**{title}**\n\n{table}" if table_format == "md" else f"{title}\n{table}"


def _heading(phase: Phase) -> str:
    if phase == "prefill":
        return "prefill: a prompt is read with an empty cache"
    return "decode: one more token of each sequence, behind a context in the cache"


def _module_heading(report: PhasesReport) -> str:
    shown = [_at(report.points[index]) for index in _shown_points(report)]
    return f"modules: {' and '.join(shown)}; equal layers together"


def _at(point: PhasePoint) -> str:
    return f"{point.phase} of {LENGTHS[point.phase]} {point.length:,} (batch {point.batch})"


def _shown_points(report: PhasesReport) -> Sequence[int]:
    """Of each phase the longest of the first batch."""
    found = []
    for phase in PHASES:
        indices = [index for index, point in enumerate(report.points) if point.phase == phase]
        same = [index for index in indices if report.points[index].batch == report.points[indices[0]].batch]
        if same:
            found.append(max(same, key=lambda index: report.points[index].length))
    return found


def _point_columns(report: PhasesReport, phase: Phase) -> Iterator[Column[PhasePoint]]:
    yield Column("batch", lambda point: point.batch, right=True)
    yield Column(LENGTHS[phase], lambda point: point.length, right=True)
    time = TIMES[phase]
    many = len(report.chips) > 1
    for label in report.chips:
        at = f"@{label}" if many else ""
        yield _bound_column(f"{time}{at}", label, lambda point: point.cost)
        yield Column(f"limited_by{at}", partial(_limit, label))
    if any(point.measured for point in report.points):
        yield figure_column("measured", lambda p: p.measured.median_s if p.measured else None, short_time)
    for name, (title, short) in FIGURES.items():
        yield _figure_column(title, name, short, lambda point: point.cost)
    yield figure_column("flops/byte", lambda point: point.cost.arithmetic_intensity, "{:.3g}".format)
    for name, title in MEMORY.items():
        yield _memory_column(title, name, apart=name == "cache_bytes")


def _limit(label: str, of: PhasePoint | _Line) -> str:
    return of.cost.limited_by[label]


def _memory_column(title: str, name: str, *, apart: bool) -> Column[PhasePoint]:
    """Bytes, at least where a node is not known, but for the caches."""

    def text(point: PhasePoint) -> str:
        size = getattr(point, name)
        return bounded(short_bytes(size), size, lower=not apart and bool(point.cost.unknown_nodes))

    return Column(title, lambda point: getattr(point, name), text, right=True)


def _figure_column(
    title: str, name: str, short: Callable[[float], str], cost: Callable[[Any], PhaseCost]
) -> Column[Any]:
    def text(row: Any) -> str:
        of = cost(row)
        known = "moved_bytes" if name in TRAFFIC else name
        return bounded(
            short(getattr(of, name)), getattr(of, name), lower=is_lower_bound(known, of.lower_bounds)
        )

    return Column(title, lambda row: getattr(cost(row), name), text, right=True, csv_title=name)


def _bound_column(title: str, label: str, cost: Callable[[Any], PhaseCost]) -> Column[Any]:
    """The least time: of what is known, where a node is not."""

    def text(row: Any) -> str:
        bound = cost(row).bound_s[label]
        if not bound:
            return UNKNOWN if is_lower_bound("bound_s", cost(row).lower_bounds) else "-"
        return f"{AT_LEAST} {short_time(bound)}"

    return Column(title, lambda row: cost(row).bound_s[label], text, right=True)


def _row_columns(report: PhasesReport, rows: Sequence[PhaseRow]) -> Iterator[Column[PhaseRow]]:
    yield Column("module", lambda row: _nested(report, row))
    yield Column("times", lambda row: f"x{len(row.paths)}" if len(row.paths) > 1 else "", right=True)
    if any(row.part for row in rows):
        yield Column("part", lambda row: row.part or "")
    for index in _shown_points(report):
        cost = partial(_cost_at, index)
        phase = report.points[index].phase
        for label in report.chips:
            at = f"@{label}" if len(report.chips) > 1 else ""
            yield _bound_column(f"{phase}{at}", label, cost)
        for name, (title, short) in FIGURES.items():
            if any(getattr(row.costs[index], name) for row in rows) and name in SHOWN[phase]:
                yield _figure_column(f"{phase} {title}", name, short, cost)


SHOWN: Mapping[Phase, Sequence[str]] = {
    "prefill": ("macs", "activation_bytes", "cache_write_bytes"),
    "decode": ("macs", "weight_read_bytes", "cache_read_bytes", "activation_bytes"),
}
"""What is shown of modules: what differs between the phases."""


def _cost_at(index: int, row: PhaseRow) -> PhaseCost:
    return row.costs[index]


def _nested(report: PhasesReport, row: PhaseRow) -> str:
    """The module within its parent, indented; of several layers the numbers of the first and the last."""
    known = {path for each in report.rows for path in each.paths}
    names = [path.removeprefix(f"{around(path, known)}.").split(".") for path in row.paths]
    both = zip(names[0], names[-1], strict=True)
    name = ".".join(first if first == last else _through(first, last, len(names)) for first, last in both)
    return "  " * row.depth + (name or report.graph)


def _through(first: str, last: str, count: int) -> str:
    """``0-31`` for all numbers between, ``1,..,31`` for some."""
    return f"{first}-{last}" if int(last) - int(first) + 1 == count else f"{first},..,{last}"


def _lines(report: PhasesReport, depth: int | None) -> Iterator[_Line]:
    for index, point in enumerate(report.points):
        for row in report.rows:
            if depth is None or row.depth <= depth:
                yield _Line(point, row, row.costs[index])


def _line_columns(report: PhasesReport) -> Iterator[Column[_Line]]:
    for name in ("phase", "batch", "tokens", "context"):
        yield Column(name, attrgetter(f"point.{name}"))
    yield Column("path", lambda line: line.row.path or report.graph)
    yield Column("times", lambda line: len(line.row.paths))
    yield Column("part", lambda line: line.row.part)
    for name, (title, short) in FIGURES.items():
        yield _figure_column(title, name, short, lambda line: line.cost)
    yield Column("unknown_nodes", lambda line: line.cost.unknown_nodes)
    for label in report.chips:
        yield Column(f"bound_s@{label}", partial(_bound_of, label))
        yield Column(f"limited_by@{label}", partial(_limit, label))


def _bound_of(label: str, line: _Line) -> float:
    return line.cost.bound_s[label]


def _notes(report: PhasesReport) -> Iterator[str]:
    yield _caches_note(report)
    weights = short_bytes(report.resident_weight_bytes)
    for batch, context in report.outweighs.items():
        sequences = f"{batch} sequence{'s' if batch > 1 else ''}"
        if context is None:
            yield f"the caches of {sequences} never outweigh the weights ({weights})"
        else:
            beyond = report.positions is not None and context > report.positions
            more = f", which is more than the file's {report.positions:,} positions" if beyond else ""
            yield (
                f"the caches of {sequences} outweigh the weights ({weights}) from a context of {context:,} "
                f"on{more}"
            )
    yield from _fit_notes(report)
    if report.chips:
        names = ", ".join(f"{label} ({title})" for label, title in report.chips.items())
        yield (
            f"first_token, per_token: lower bounds of the time to the first token and of a step on {names}, "
            "whatever is fused; not predictions: a run takes longer"
        )
    yield "memory: weights, the caches once after it, and the activations alive at their most (live)"
    yield from _part_notes(report)
    if report.stored_as:
        yield f"types: as if floats were held as {report.stored_as}"
    yield from _measured_notes(report)
    if unknown := max(point.cost.unknown_nodes for point in report.points):
        yield f"unknown: {unknown} nodes; {AT_LEAST}: at least, without what they cost"
    yield from (f"note: {note}" for note in report.notes)


def _caches_note(report: PhasesReport) -> str:
    kinds = Counter((cache.operator or f"their {cache.found_by}s", cache.kind) for cache in report.caches)
    found = ", ".join(f"{count} {kind} by {how}" for (how, kind), count in kinds.items())
    per_token = f"{short_bytes(report.cache_bytes_per_token)} per token and sequence"
    fixed = f", and {short_bytes(report.cache_fixed_bytes)} per sequence" if report.cache_fixed_bytes else ""
    return f"caches: {len(report.caches)} inputs ({found}): {per_token}{fixed}"


def _fit_notes(report: PhasesReport) -> Iterator[str]:
    for fit in report.fits:
        where = f"{fit.label}: with batch {fit.batch} "
        memory = f"in {fit.memory_bytes / 1e9:,.1f} GB"
        if fit.context is None:
            yield f"{where}not even a context of one token fits {memory}"
        elif fit.is_limited:
            yield f"{where}a context of at most {fit.context:,} fits {memory}"
        else:
            yield f"{where}every context that the file has positions for fits {memory} ({fit.context:,})"


def _part_notes(report: PhasesReport) -> Iterator[str]:
    """What the embedding and the head are of the last point of each phase."""
    for index in _shown_points(report):
        point = report.points[index]
        parts = [
            f"{part} {short_count(cost.macs)} MACs, {short_bytes(cost.weight_read_bytes)} of weights"
            for part, cost in point.parts.items()
        ]
        yield f"{_at(point)}: {'; '.join(parts)}"
    if any("head" in point.parts and point.tokens > 1 for point in report.points):
        yield "the head makes the logits of every token of the prompt, as the file has it"


def _measured_notes(report: PhasesReport) -> Iterator[str]:
    if not report.machine:
        return
    facts = (f"{name}: {found}" for name, found in report.machine.items() if name != "load")
    load = f"load average: {report.load_before or 0:.1f} before, {report.load_after or 0:.1f} after"
    yield ", ".join(chain(("measured: ONNX Runtime on cpu",), facts, (load,)))
    yield from (f"noisy: {reason}" for reason in report.noise)
    for point in report.points:
        if (time := point.measured) is not None:
            yield (
                f"measured: {_at(point)}: {short_time(time.median_s)} (p10 {short_time(time.p10_s)}, p90 "
                f"{short_time(time.p90_s)}; runs {time.runs}, warm-ups {time.warmup})"
            )
