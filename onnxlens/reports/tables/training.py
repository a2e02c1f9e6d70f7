"""What a training step costs: a row for each mode, or for each module of one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, TypeVar

from onnxlens.reports.numbers import AT_LEAST, bounded, share, short_bytes, short_count
from onnxlens.reports.tables.render import Column, TableFormat, fitted, hidden_note, render_table, with_notes
from onnxlens.specs.codec import to_plain
from onnxlens.specs.training import ModuleTraining, TrainingCost, TrainingReport

LEVELS = 2
"""Of modules in a table, unless more are asked for."""

Row = TypeVar("Row")

FIGURES: Sequence[tuple[str, str]] = (
    ("macs", "MACs"),
    ("backward_macs", "backward MACs"),
    ("params", "params"),
    ("trained_params", "trained"),
    ("weight_bytes", "weights"),
    ("gradient_bytes", "gradients"),
    ("optimizer_bytes", "optimizer"),
    ("saved_bytes", "saved"),
    ("total_bytes", "total"),
    ("needed_bytes", "needed"),
    ("reached_params", "reached"),
    ("input_gradient_macs", "inputs' gradients"),
    ("weight_gradient_macs", "weights' gradients"),
    ("recomputed_macs", "run again"),
)
"""The figures in the order of the columns, by name."""


def training_table(
    report: TrainingReport, table_format: TableFormat, depth: int | None, width: int | None
) -> str:
    """Of several modes a row for each; of one a row for each module, down to ``depth`` levels."""
    if len(report.costs) > 1:
        columns = _columns(Column("mode", attrgetter("mode")), lambda cost: cost.totals, _is_lower)
        return _text(report, report.costs, columns, table_format, width)
    cost = report.costs[0]
    levels = depth if depth is not None or table_format == "csv" else LEVELS
    modules = [each for each in cost.modules if levels is None or _depth(each) <= levels]
    name = Column[ModuleTraining]("module", lambda each: each.path or report.graph)
    kind = Column[ModuleTraining]("class", attrgetter("class_name"))
    rows = _columns(name, lambda each: each, lambda each: _is_lower(cost))
    return _text(report, modules, [rows[0], kind, *rows[1:]], table_format, width)


def training_document(report: TrainingReport) -> dict[str, Any]:
    """All of it, exact."""
    return {
        "schema": "onnxlens.training/1",
        "graph": report.graph,
        **({} if report.batch is None else {"batch": report.batch}),
        "dtype": report.costs[0].dtype,
        "optimizer": report.request.optimizer,
        "checkpointed": list(report.request.units),
        "costs": [
            {
                "mode": cost.mode,
                "title": cost.title,
                "lower_bound": _is_lower(cost),
                "recomputed_bytes": cost.recomputed_bytes,
                "unknown": dict(cost.unknown),
                "totals": _plain(cost.totals),
                "modules": [_plain(each) for each in cost.modules],
            }
            for cost in report.costs
        ],
    }


def _plain(module: ModuleTraining) -> dict[str, Any]:
    derived = {"backward_macs": module.backward_macs, "total_bytes": module.total_bytes}
    return {**to_plain(module), **derived}


def _is_lower(cost: TrainingCost) -> bool:
    return bool(cost.unknown)


def _depth(module: ModuleTraining) -> int:
    return module.path.count(".") + 1 if module.path else 0


def _columns(
    first: Column[Row], module: Callable[[Row], ModuleTraining], is_lower: Callable[[Row], bool]
) -> list[Column[Row]]:
    return [first, *(_column(name, title, module, is_lower) for name, title in FIGURES)]


def _column(
    name: str, title: str, module: Callable[[Row], ModuleTraining], is_lower: Callable[[Row], bool]
) -> Column[Row]:
    short = short_bytes if name.endswith("_bytes") else short_count
    can_lack = name.endswith("macs") or name in ("saved_bytes", "needed_bytes", "total_bytes")

    def exact(row: Row) -> int:
        figure: int = getattr(module(row), name)
        return figure

    def text(row: Row) -> str:
        return bounded(short(exact(row)), exact(row), lower=can_lack and is_lower(row))

    return Column(title, exact, text, right=True, csv_title=name)


def _text(
    report: TrainingReport,
    rows: Sequence[Row],
    columns: Sequence[Column[Row]],
    table_format: TableFormat,
    width: int | None,
) -> str:
    shown, hidden = fitted(rows, columns, width if table_format == "table" else None)
    table = render_table(rows, columns if table_format == "csv" else shown, table_format)
    of_batch = "" if report.batch is None else f", batch {report.batch}"
    heading = (
        f"{report.graph}: one step of training{of_batch}, {report.costs[0].dtype}, {report.request.optimizer}"
    )
    notes = [note for cost in report.costs for note in _notes(cost)]
    return with_notes(heading, table, [*hidden_note(hidden), *notes, KEPT], table_format)


KEPT = (
    "saved: what PyTorch keeps on a CPU from the forward to the backward pass, each memory once, without the "
    "loss, and without what operators use while they run"
)


def _notes(cost: TrainingCost) -> list[str]:
    """What the figures of a mode do not say."""
    totals, name = cost.totals, f"{cost.mode}: " if cost.mode else ""
    found = []
    if idle := totals.trained_params - totals.reached_params:
        found.append(
            f"{name}no gradient arrives at {short_count(idle)} of the trained params: they stay as they are"
        )
    if needless := totals.saved_bytes - totals.needed_bytes:
        found.append(
            f"{name}{short_bytes(needless)} ({share(needless, totals.saved_bytes)}) of what is saved is read "
            "by no gradient: inputs of frozen convolutions"
        )
    if cost.recomputed_bytes:
        found.append(
            f"{name}a call that runs again keeps up to {short_bytes(cost.recomputed_bytes)} meanwhile"
        )
    if cost.unknown:
        names = ", ".join(f"{operator} ({times})" for operator, times in cost.unknown.items())
        found.append(f"{name}unknown, so that figures with {AT_LEAST} lack it: {names}")
    return found
