"""What a tool reports of the nodes of the small ledger, led back by hand."""

from __future__ import annotations

from dataclasses import replace

from onnxlens.specs.layers import LayerMatch, LayerRecord, LayerReport, ToolCosts
from onnxlens.specs.ledger import Ledger
from tests.reports import ledgers

CONV, EXP, SORT, FOLD, GEMM = range(5)
"""The nodes of the ledger by their positions; the first two are of ``block.conv`` and ``block``."""

PAIR = LayerRecord(
    "conv+exp", "Fused", ("conv", "exp"), "npu", {"cycles": 900, "macs": 1_769_472, "error": 0.25}
)
HEAD = LayerRecord("gemm", "Gemm", ("gemm",), "cpu", {"cycles": 80, "macs": 2 * 655_360, "time_s": 0.5})
DMA = LayerRecord("copy", "Copy", (), "", {"cycles": 20})


def costs(**changes: object) -> ToolCosts:
    """A pair of nodes of two modules whose cycles are divided 2 : 1, the head, and a copy of no node."""
    report = LayerReport("ethos-u", (PAIR, HEAD, DMA), "5.2.0", "u55-256", {"sort": "no Sort"}, ("a model",))
    return ToolCosts(
        replace(report, **changes),  # type: ignore[arg-type]
        (
            LayerMatch(PAIR, "shared", "node", 1.0, (CONV, EXP), (CONV, EXP)),
            LayerMatch(HEAD, "exact", "aligned", 0.8, (GEMM,), (GEMM,)),
            LayerMatch(DMA, "unattributed", "none", 0.0, ()),
        ),
        {
            "cycles": {CONV: 600, EXP: 300, GEMM: 80},
            "macs": {CONV: 1_769_472, GEMM: 2 * 655_360},
            "error": {CONV: 0.25, EXP: 0.25},
            "time_s": {GEMM: 0.5},
        },
        {CONV: "npu", EXP: "npu", GEMM: "cpu"},
        {SORT: "no Sort"},
    )


def ledger(*tools: ToolCosts) -> Ledger:
    """The small ledger, nothing in it unknown, with the reports, or with that one."""
    return replace(ledgers.known_ledger(), tools=tools or (costs(),))
