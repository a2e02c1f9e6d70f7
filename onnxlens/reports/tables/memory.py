"""A memory plan: the tensors at its peak as a table, all of it as a document, its arena as a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from onnxlens.errors import UsageError
from onnxlens.reports.numbers import UNKNOWN, bounded, counted, share, short_bytes
from onnxlens.reports.tables.module_names import root_name
from onnxlens.reports.tables.peak import at_least, peak_document, peak_table, tensor_columns
from onnxlens.reports.tables.render import Column, TableFormat, render_table
from onnxlens.specs.codec import to_plain, to_text
from onnxlens.specs.ledger import Ledger
from onnxlens.specs.memory import MemoryPlan, PlannedTensor

ARENA_SUFFIXES = (".csv", ".json")


def require_arena_suffix(path: Path) -> None:
    """Refuse a file of another kind before any work is done for it.

    Raises:
        UsageError: the suffix is none of ``ARENA_SUFFIXES``.
    """
    if path.suffix not in ARENA_SUFFIXES:
        raise UsageError(f"{path}: an arena is written as {' or '.join(ARENA_SUFFIXES)}; choose one of them")


def memory_table(
    ledger: Ledger, plan: MemoryPlan, table_format: TableFormat, width: int | None, stored_as: str = ""
) -> str:
    """The tensors that are alive at the peak, and below them what the plan makes of all."""
    return peak_table(ledger, plan.peak, table_format, width, list(_notes(ledger, plan)), stored_as)


def memory_document(ledger: Ledger, plan: MemoryPlan, stored_as: str) -> dict[str, Any]:
    """All of it, exact: the peak, every step, and the place of every tensor of known size."""
    peak = peak_document(ledger, plan.peak, stored_as)
    columns, root = _columns(ledger, plan), root_name(ledger)
    return {
        "schema": "onnxlens.memory-plan/1",
        **{name: peak.pop(name) for name in ("graph", "source", "opset", "stored_as", "lower_bound")},
        "in_place": plan.in_place,
        "order": plan.order,
        "file_peak_bytes": plan.file_peak_bytes,
        "peak": {name: found for name, found in peak.items() if name != "schema"},
        "arena": {
            "size_bytes": plan.arena_bytes,
            "lower_bound_bytes": plan.alive_bytes,
            "alignment_bytes": plan.alignment_bytes,
            "heuristic": plan.heuristic,
            "unsized_tensors": plan.unsized,
            "tensors": [
                to_plain({name: column.exact(tensor) for name, column in columns.items()})
                for tensor in plan.tensors
            ],
        },
        "steps": [
            {"node": step.node, "path": step.module_path or root, "live_bytes": level}
            for step, level in zip(plan.steps, plan.levels_bytes, strict=True)
        ],
    }


def arena_text(ledger: Ledger, plan: MemoryPlan, stored_as: str, suffix: str) -> str:
    """What a file of the arena holds: a line for every tensor as CSV, the whole document as JSON."""
    if suffix == ".json":
        return to_text(memory_document(ledger, plan, stored_as))
    return render_table(plan.tensors, list(_columns(ledger, plan).values()), "csv") + "\n"


def _notes(ledger: Ledger, plan: MemoryPlan) -> Sequence[str]:
    file_order = f"{at_least(ledger)}{short_bytes(plan.file_peak_bytes)}"
    order = f"order: the file's{', as no search found a lower peak' if plan.searched else ''}"
    if plan.order != "file":
        saved = plan.file_peak_bytes - plan.peak.live_bytes
        by = f"{short_bytes(saved)} ({share(saved, plan.file_peak_bytes)})"
        order = f"order: found by a {plan.order} search, {by} below the peak of the file's, {file_order}"
    reused = (
        "outputs of elementwise operators take the memory of inputs that are needed no more"
        if plan.in_place
        else "no output takes the memory of an input (--in-place)"
    )
    buffers = len({tensor.buffer for tensor in plan.tensors})
    least = short_bytes(plan.alive_bytes) if plan.alive_bytes or not plan.unsized else UNKNOWN
    arena = (
        f"arena: {bounded(short_bytes(plan.arena_bytes), plan.arena_bytes, lower=bool(plan.unsized))} for "
        f"{counted(len(plan.tensors), 'tensor')} in {counted(buffers, 'buffer')}, at least {least}; "
        f"best fit by {plan.heuristic}, offsets in multiples of {plan.alignment_bytes} B"
    )
    unsized = [f"of unknown size, and in no arena: {plan.unsized}"] if plan.unsized else []
    return [order, reused, arena, *unsized]


def _columns(ledger: Ledger, plan: MemoryPlan) -> Mapping[str, Column[PlannedTensor]]:
    def of_live(column: Column[Any]) -> Column[PlannedTensor]:
        return Column(column.title, lambda each: column.exact(each.live))

    tensor, size, _, *others = tensor_columns(ledger, plan.peak).items()
    return {
        **{name: of_live(column) for name, column in (tensor, size)},
        "offset_bytes": Column("offset_bytes", lambda each: each.offset_bytes),
        "buffer": Column("buffer", lambda each: each.buffer),
        "first_step": Column("first_step", lambda each: each.first_step),
        "last_step": Column("last_step", lambda each: each.last_step),
        **{name: of_live(column) for name, column in others},
    }
