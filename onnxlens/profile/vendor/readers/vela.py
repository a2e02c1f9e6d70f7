"""Vela's ``*_per-layer.csv``: what Arm's compiler for the Ethos-U expects of every operator.

Source: ``stats_writer.py`` and ``npu_performance.py`` of ethos-u-vela 5.2.0 and files that it wrote: the one
is of its compiler Regor, the other of the one before, and of Vela 3 and 4, whose table names two columns
``Network%``. ``Op Cycles`` is the largest of the NPU's and the memories' cycles, for they overlap, so
``cycles`` is not their sum; bandwidth is not in the file. An operator that is fused into the one before has a
row of zeros, whose figures that one has. One on the CPU has zeros too: it is not modelled.
"""

from __future__ import annotations

from onnxlens.profile.vendor.readers.given import Given, Row
from onnxlens.profile.vendor.readers.reader import Reader
from onnxlens.profile.vendor.readers.values import known, refuse
from onnxlens.specs.layers import LayerRecord, LayerReport

TOOL = "ethos-u"

NEEDED = ("NNG Operator", "Op Cycles", "NPU", "MAC Count", "Name")

OPERATORS = ("Original Operator", "TFLite_operator", "TOSA_operator")
"""What the column of the operator of the file is called: by Regor, and by the compiler before it."""

MEMORIES = ("DRAM AC", "OffFlash AC")
"""Columns of cycles of memories off the chip."""


def _recognizes(given: Given) -> bool:
    if given.path.is_dir():
        return bool(given.all_named("_per-layer.csv"))
    head = given.head().split("\n", 1)[0]
    return all(name in head for name in ("NNG Operator", "Op Cycles"))


def _read(given: Given) -> LayerReport:
    path = given.one_named("_per-layer.csv", "a table of layers of Vela")
    rows = given.table(NEEDED, path, repeated=("Network%",))
    return LayerReport(
        TOOL,
        tuple(map(_record, rows)),
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
    operator = next((row[column] for column in OPERATORS if column in row.columns), None)
    if operator is None:
        refuse(f"{row.where}, line 1", f"no column {OPERATORS[0]!r}, nor {OPERATORS[1]!r}")
    return LayerRecord(name, operator, (name,), row.get("Target").lower(), known(figures))


READERS = (Reader(TOOL, "the CSV file that vela --verbose-performance writes", _recognizes, _read),)
