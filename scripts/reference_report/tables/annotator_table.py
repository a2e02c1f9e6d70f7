"""The document's annotator table: each printed figure, ours, and why they differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from onnxlens.reports.numbers import shapes, short_count
from onnxlens.reports.tables.render import Column
from onnxlens.specs.ledger import Ledger
from reference_report.tables.cells import GIGA, MEGA, agreement, file_links
from reference_report.tables.evidence import (
    Evidence,
    batch_norm_elements,
    used_params,
    where_shape_stands,
)
from reference_report.tables.printed import ANNOTATORS, NO_NETWORK, UNKNOWN, PrintedAnnotator

BATCH_NORM_OPERATIONS = 4
"""What a counter charges an element that subtracts a mean, divides, scales and shifts."""


SHOWN_OUTPUTS = 2
"""More than these are shown by the first and the last."""


@dataclass(frozen=True, slots=True)
class AnnotatorRow:
    """A printed row with our ledger of the same network; None where an algorithm does the work."""

    printed: PrintedAnnotator
    ledger: Ledger | None
    peer_total: int | None

    @property
    def difference(self) -> str:
        """Both figures against ours."""
        if self.ledger is None:
            return "no network"
        if self.printed.macs_g == UNKNOWN:
            return "not known there"
        if not self.printed.macs_g:
            return "no figures there"
        macs = agreement(self.printed.macs_g, self.ledger.totals.macs, GIGA)
        params = agreement(self.printed.params_m, self.ledger.totals.params, MEGA)
        return "both agree" if macs == params == "agree" else f"MACs: {macs}; params: {params}"

    @property
    def reasons(self) -> str:
        """Every cause that the ledger shows."""
        if self.ledger is None:
            return "the control image is made by an algorithm: nothing to count"
        causes = (
            _batch_norm_cause(self.printed, self.ledger),
            _unused_params(self.ledger),
            where_shape_stands(self.ledger, self.printed.output) if self.printed.output else "",
        )
        return "; ".join(cause for cause in causes if cause)


def annotator_rows(evidence: Evidence) -> Sequence[AnnotatorRow]:
    """The table, in the document's order, and then the networks that it only names."""
    return tuple(
        AnnotatorRow(
            printed,
            evidence.count(printed.graph, None) if printed.graph else None,
            evidence.peers(printed.graph) if printed.graph else None,
        )
        for printed in ANNOTATORS
    )


def _batch_norm_cause(printed: PrintedAnnotator, ledger: Ledger) -> str:
    """MACs and batch normalisation in one sum, where that sum is what is printed."""
    elements = batch_norm_elements(ledger)
    if not elements or printed.macs_g in ("", UNKNOWN, NO_NETWORK):
        return ""
    together = ledger.totals.macs + BATCH_NORM_OPERATIONS * elements
    said = agreement(printed.macs_g, together, GIGA)
    return (
        f"{ledger.totals.macs / GIGA:.3f} G MACs + {BATCH_NORM_OPERATIONS} operations on each of "
        f"{elements:,} batch-norm elements = {together / GIGA:.3f} G"
    ) + ("" if said == "agree" else f" ({said})")


def _unused_params(ledger: Ledger) -> str:
    used = used_params(ledger)
    if used == ledger.totals.params:
        return ""
    return f"{used:,} of the {ledger.totals.params:,} params are used by the forward pass"


def _macs(row: AnnotatorRow) -> str:
    return short_count(row.ledger.totals.macs) if row.ledger else "-"


def _params(row: AnnotatorRow) -> str:
    return short_count(row.ledger.totals.params) if row.ledger else "-"


def _printed(figure: str, unit: str) -> str:
    """``263.13 G``; a sign that is not a number is kept, and a dash stands for an empty cell."""
    return figure if figure in (UNKNOWN, NO_NETWORK) else f"{figure} {unit}" if figure else "-"


def _outputs(row: AnnotatorRow) -> str:
    if row.ledger is None:
        return "-"
    texts = [f"`{tensor.name}` {tensor.shape_text()}" for tensor in row.ledger.modules[0].outputs]
    return ", ".join(texts) if len(texts) <= SHOWN_OUTPUTS else f"{len(texts)}: {texts[0]} .. {texts[-1]}"


def _inputs(row: AnnotatorRow) -> str:
    return shapes(row.ledger.modules[0].inputs) if row.ledger else "-"


PAGE_COLUMNS: Sequence[Column[AnnotatorRow]] = (
    Column("scenario", lambda r: r.printed.scenario),
    Column("model", lambda r: r.printed.model),
    Column("input", _inputs),
    Column("output: printed", lambda r: r.printed.output or "-"),
    Column("output: ours", _outputs),
    Column("MACs: printed", lambda r: _printed(r.printed.macs_g, "G"), right=True),
    Column("MACs: ours", _macs, right=True),
    Column("params: printed", lambda r: _printed(r.printed.params_m, "M"), right=True),
    Column("params: ours", _params, right=True),
    Column("difference", lambda r: r.difference),
    Column("why", lambda r: r.reasons),
    Column("files", lambda r: file_links(r.printed.graph, r.peer_total) if r.ledger else "-"),
)

DATA_COLUMNS: Sequence[Column[AnnotatorRow]] = (
    Column("source", lambda r: r.printed.source),
    Column("scenario", lambda r: r.printed.scenario),
    Column("model", lambda r: r.printed.model),
    Column("graph", lambda r: r.printed.graph),
    Column("input, printed", lambda r: r.printed.input),
    Column("input, ours", lambda r: shapes(r.ledger.modules[0].inputs) if r.ledger else ""),
    Column("output, printed", lambda r: r.printed.output),
    Column("outputs, ours", lambda r: shapes(r.ledger.modules[0].outputs) if r.ledger else ""),
    Column("GMACs, printed", lambda r: r.printed.macs_g),
    Column("MACs, ours", lambda r: r.ledger.totals.macs if r.ledger else ""),
    Column("M params, printed", lambda r: r.printed.params_m),
    Column("params, ours", lambda r: r.ledger.totals.params if r.ledger else ""),
    Column("onnx-tool's count", lambda r: "" if r.peer_total is None else r.peer_total),
    Column("difference", lambda r: r.difference),
    Column("why", lambda r: r.reasons),
)
