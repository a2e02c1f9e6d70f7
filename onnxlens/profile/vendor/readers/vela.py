"""Vela's ``*_per-layer.csv``: what Arm's compiler for the Ethos-U expects of every operator.

Source: ``ethosu/vela/stats_writer.py`` of ethos-u-vela 5.2.0 and files that it wrote. ``Op Cycles`` is the
largest of the NPU's and the memories' cycles, for they overlap, so ``cycles`` is not their sum; bandwidth
is not in the file. An operator that is fused into the one before has a row of zeros, whose figures that one
has. One on the CPU has zeros too: it is not modelled.
"""

from __future__ import annotations

from onnxlens.profile.vendor.readers.given import Given, Row
from onnxlens.profile.vendor.readers.reader import Reader
from onnxlens.profile.vendor.readers.values import known
from onnxlens.specs.layers import LayerRecord, LayerReport

TOOL = "ethos-u"

NEEDED = ("Original Operator", "NNG Operator", "Op Cycles", "NPU", "MAC Count", "Name")

MEMORIES = ("DRAM AC", "OnFlash AC", "OffFlash AC")
"""Columns of cycles of memories off the chip; a configuration uses one or two of them."""


def _recognizes(given: Given) -> bool:
    path = (
        given.all_named("_per-layer.csv")[0]
        if given.path.is_dir() and given.all_named("_per-layer.csv")
        else None
    )
    head = given.head(path).split("\n", 1)[0]
    return all(name in head for name in ("NNG Operator", "Op Cycles"))


def _read(given: Given) -> LayerReport:
    path = given.one_named("_per-layer.csv", "a table of layers of Vela")
    return LayerReport(
        TOOL,
        tuple(_record(row) for row in given.table(NEEDED, path)),
        notes=(
            "cycles of Vela's performance model: the NPU's and the memories' overlap, and the longest counts",
        ),
    )


def _record(row: Row) -> LayerRecord:
    figures = {
        "cycles": row.whole("Op Cycles"),
        "compute_cycles": row.whole("NPU"),
        "memory_cycles": max((row.whole(name) for name in MEMORIES if name in row.columns), default=0),
        "macs": row.whole("MAC Count"),
    }
    name = row["Name"]
    return LayerRecord(name, row["Original Operator"], (name,), row.get("Target").lower(), known(figures))


READERS = (Reader(TOOL, "the CSV file that vela --verbose-performance writes", _recognizes, _read),)
