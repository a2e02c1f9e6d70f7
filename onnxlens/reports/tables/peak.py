"""The tensors that are alive at the peak of activation memory, as a table and a document."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from onnxlens.reports.numbers import (
    AT_LEAST,
    UNKNOWN,
    as_if_held,
    bounded,
    counted,
    share,
    short_bytes,
)
from onnxlens.reports.tables.module_names import root_name
from onnxlens.reports.tables.reconciliation import heading_of
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
from onnxlens.specs.ledger import Ledger, is_lower_bound
from onnxlens.specs.memory import LiveTensor, MemoryPeak, NodePlace


def peak_table(
    ledger: Ledger,
    peak: MemoryPeak,
    table_format: TableFormat,
    width: int | None,
    more_notes: Sequence[str] = (),
    stored_as: str = "",
) -> str:
    """The tensors, the largest first; exact as CSV, else with the sum and where it is reached.

    Columns that do not fit ``width`` characters are left out; None shows all.
    """
    columns = list(tensor_columns(ledger, peak).values())
    if table_format == "csv":
        return render_table(peak.tensors, columns, "csv")
    shown, hidden = fitted(peak.tensors, columns, width if table_format == "table" else None)
    where = f"while {peak.node} of {peak.module_path or root_name(ledger)} runs"
    notes = [
        *hidden_note(hidden),
        f"alive: {alive_text(ledger, peak.live_bytes)} in {counted(len(peak.tensors), 'tensor')}, {where}",
        f"weights: {short_bytes(ledger.totals.resident_weight_bytes)} more, if all are kept",
        *([as_if_held(stored_as)] if stored_as else []),
        *more_notes,
        "last_consumer: the last node that reads the tensor or a view of it; kept: to the end",
    ]
    return with_notes(
        heading_of(ledger), render_table(peak.tensors, shown, table_format), notes, table_format
    )


def peak_document(ledger: Ledger, peak: MemoryPeak, stored_as: str) -> dict[str, Any]:
    """All of it, exact; a size that is unknown is absent."""
    columns = tensor_columns(ledger, peak)
    return {
        "schema": "onnxlens.memory/1",
        "graph": ledger.graph,
        "source": ledger.source,
        "opset": ledger.opset,
        "node": peak.node,
        "path": peak.module_path or root_name(ledger),
        "live_bytes": peak.live_bytes,
        "lower_bound": bool(at_least(ledger)),
        "stored_as": stored_as,
        "tensors": [
            to_plain({name: column.exact(tensor) for name, column in columns.items()})
            for tensor in peak.tensors
        ],
    }


def at_least(ledger: Ledger) -> str:
    """What stands before a sum of activations of which one has no known size."""
    return f"{AT_LEAST} " if is_lower_bound("live_bytes", ledger.totals.lower_bounds) else ""


def alive_text(ledger: Ledger, size_bytes: int) -> str:
    """A sum of activations, of which some may have no known size."""
    return bounded(short_bytes(size_bytes), size_bytes, lower=bool(at_least(ledger)))


def tensor_columns(ledger: Ledger, peak: MemoryPeak) -> Mapping[str, Column[LiveTensor]]:
    """The columns of a table of activations, with their shares of the peak."""
    root = root_name(ledger)

    def node(place: NodePlace | None) -> str | None:
        return None if place is None else place.node

    def path(place: NodePlace | None) -> str | None:
        return None if place is None else place.module_path or root

    def percent(each: LiveTensor) -> float | None:
        known = each.size_bytes is not None and not at_least(ledger)
        return 100 * (each.size_bytes or 0) / peak.live_bytes if known and peak.live_bytes else None

    return {
        "tensor": Column("tensor", lambda each: each.tensor.name),
        "size_bytes": figure_column("size_bytes", lambda each: each.size_bytes, short_bytes, UNKNOWN),
        "size_percent": figure_column("size_percent", percent, lambda part: share(part, 100), UNKNOWN),
        "shape": Column("shape", lambda each: each.tensor.shape_text()),
        "producer_path": _text("producer_path", lambda each: path(each.producer)),
        "last_consumer_path": _text("last_consumer_path", lambda each: path(each.last_consumer)),
        "producer": _text("producer", lambda each: node(each.producer), "input"),
        "last_consumer": _text("last_consumer", lambda each: node(each.last_consumer), "kept"),
        "dtype": Column("dtype", lambda each: each.tensor.dtype),
    }


def _text(title: str, text: Callable[[LiveTensor], str | None], missing: str = "-") -> Column[LiveTensor]:
    return Column(title, text, lambda each: text(each) or missing)
