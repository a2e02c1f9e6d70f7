"""OpenVINO on this machine's processor: the time of every layer, and the error of the outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from onnxlens.profile.vendor.compilers.exchange import error_note, output_errors, ran
from onnxlens.profile.vendor.compilers.lookup import Compiler, CompileRequest, Run, find_packages
from onnxlens.profile.vendor.readers.lookup import read_report
from onnxlens.specs.layers import LayerReport

WARMUP, RUNS = 1, 5


def _compile(request: CompileRequest) -> LayerReport:
    result, got = _ran(request.profiled())
    report = read_report(request.folder / "counters.json", "openvino")
    errors = output_errors(got, request.source.outputs)
    notes = (*report.notes, error_note(errors), *result["notes"])
    return replace(report, version=result["version"], notes=notes, output_error=errors)


def _ran(run: Run) -> tuple[Mapping[str, Any], Mapping[str, np.ndarray]]:
    """The worker's result, and the outputs."""
    warmup, runs = (WARMUP, RUNS) if run.profile else (0, 1)
    return ran(run, "openvino", warmup=warmup, runs=runs)


COMPILER = Compiler(
    name="openvino",
    doc="time by layer on this processor, output error",
    install="pip install openvino==2026.4.1",
    find=lambda python: find_packages(["openvino"], python),
    compile=_compile,
    run=lambda run: _ran(run)[1],
)
