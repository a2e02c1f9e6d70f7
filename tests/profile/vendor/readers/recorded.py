"""The reports in tests/data/vendor: where each is, and what is read with it."""

from __future__ import annotations

from pathlib import Path

from onnxlens.profile.vendor.readers import read_report
from onnxlens.specs.layers import LayerRecord, LayerReport

DATA = Path(__file__).parents[3] / "data" / "vendor"

NAMES = {
    "tensorrt/hed.profile.json": "tensorrt/hed.layers.json",
    "tpu-mlir/compiler_profile_0.txt": "tpu-mlir/hed_bm1684x_f16_final.mlir",
    "scalesim": "scalesim/net.topology.csv",
}
"""The second file of a report, where it has one."""


def report_of(name: str, alone: bool = False) -> LayerReport:
    """A report in the data, recognized by itself, with its second file if it has one."""
    names = None if alone or name not in NAMES else DATA / NAMES[name]
    return read_report(DATA / name, names=names)


def by_name(report: LayerReport) -> dict[str, LayerRecord]:
    return {record.name: record for record in report.records}


def total(report: LayerReport, metric: str) -> int | float:
    return sum(record.figures.get(metric, 0) for record in report.records)
