"""SCALE-Sim: the cycles and the memory accesses of every layer on a systolic array."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from onnxlens.profile.vendor.compilers.lookup import Compiler, CompileRequest, find_packages
from onnxlens.profile.vendor.compilers.simulated import STEM, Forms, simulate
from onnxlens.profile.vendor.readers.lookup import read_report
from onnxlens.specs.layers import LayerReport

ARRAYS = {  # by chip, as our chip files have it: rows, columns, dataflow, KiB of each memory
    "scale": (32, 32, "ws", (64, 64, 64)),
    "eyeriss": (12, 14, "ws", (108, 108, 108)),
    "google": (256, 256, "os", (6144, 6144, 2048)),
}

CONFIGURATION = """[general]
run_name = run

[architecture_presets]
ArrayHeight: {rows}
ArrayWidth: {columns}
IfmapSramSzkB: {memories[0]}
FilterSramSzkB: {memories[1]}
OfmapSramSzkB: {memories[2]}
IfmapOffset: 0
FilterOffset: 10000000
OfmapOffset: 20000000
Bandwidth: 10
Dataflow: {dataflow}
MemoryBanks: 1
ReadRequestBuffer: 32
WriteRequestBuffer: 32

[layout]
IfmapCustomLayout: False
IfmapSRAMBankBandwidth: 10
IfmapSRAMBankNum: 10
IfmapSRAMBankPort: 2
FilterCustomLayout: False
FilterSRAMBankBandwidth: 10
FilterSRAMBankNum: 10
FilterSRAMBankPort: 2

[sparsity]
SparsitySupport: false
SparseRep: ellpack_block
OptimizedMapping: false
BlockSize: 8
RandomNumberGeneratorSeed: 40

[run_presets]
InterfaceBandwidth: CALC
UseRamulatorTrace: False
"""
"""Memory as fast as is needed: no stalls, and the bandwidth that this takes is in the reports."""


def _compile(request: CompileRequest) -> LayerReport:
    rows, columns, dataflow, memories = ARRAYS[request.chip]
    text = CONFIGURATION.format(rows=rows, columns=columns, dataflow=dataflow, memories=memories)
    (request.folder / "array.cfg").write_text(text, encoding="utf-8")
    asked = {
        "topology": f"{STEM}.csv", "layout": f"{STEM}.layout.csv", "configuration": "array.cfg",
        "reports": "reports",
    }  # fmt: skip
    return simulate(request, "scalesim", asked, _read)


def _read(folder: Path, forms: Forms) -> LayerReport:
    """The reports have no MACs; those of the file are told."""
    report = read_report(folder / "reports", "scalesim", folder / f"{STEM}.csv")
    macs = {entry.name: entry.macs_each for entry in forms.files.entries}
    records = (
        replace(record, figures={**record.figures, "macs": macs[record.name]}) for record in report.records
    )
    return replace(report, records=tuple(records))


COMPILER = Compiler(
    name="scalesim",
    doc="cycles and memory accesses by layer, of a simulator",
    install="python3.11 -m venv scalesim && scalesim/bin/pip install scalesim==3.0.0 'numpy<2'",
    find=lambda python: find_packages(["scalesim"], python),
    compile=_compile,
    chips=tuple(ARRAYS),
)
