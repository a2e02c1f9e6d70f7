"""OpenVINO on this machine's processor: the time of every layer, and the error of the outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from onnxlens.profile.vendor.compilers.child import WORKERS, run_worker
from onnxlens.profile.vendor.compilers.exchange import error_note, read_arrays, result_of, write_arrays
from onnxlens.profile.vendor.compilers.lookup import Compiler, CompileRequest, Run, find_packages
from onnxlens.profile.vendor.readers.lookup import read_report
from onnxlens.specs.layers import LayerReport

WARMUP, RUNS = 1, 5


def _compile(request: CompileRequest) -> LayerReport:
    source, folder = request.source, request.folder
    run = Run(
        request.python,
        source.one_file(folder),
        source.inputs,
        list(source.outputs),
        timeout_s=request.timeout_s,
        profile=True,
    )
    result, got = _ran(run)
    report = read_report(folder / "counters.json", "openvino")
    notes = (*report.notes, error_note(got, source.outputs), *result["notes"])
    return replace(report, version=result["version"], notes=notes)


def _ran(run: Run) -> tuple[Mapping[str, Any], Mapping[str, np.ndarray]]:
    """The worker's result, and the outputs."""
    folder = run.model.parent
    asked = {
        "model": run.model.name,
        "inputs": write_arrays(folder / "inputs.npz", run.inputs),
        "outputs": list(run.outputs),
        "warmup": WARMUP if run.profile else 0,
        "runs": RUNS if run.profile else 1,
    }
    worker = WORKERS / "openvino.py"
    result = result_of(run_worker(run.python, worker, asked, folder, run.timeout_s), "OpenVINO")
    return result, read_arrays(folder / "outputs.npz", run.outputs)


COMPILER = Compiler(
    name="openvino",
    doc="time by layer on this processor, output error",
    install="pip install openvino==2026.4.1",
    find=lambda python: find_packages(["openvino"], python),
    compile=_compile,
    run=lambda run: _ran(run)[1],
)
