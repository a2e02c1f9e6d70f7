"""OpenVINO on this machine's processor: the time of every layer, and the error of the outputs."""

from __future__ import annotations

from dataclasses import replace

from onnxlens.profile.vendor.compilers.child import WORKERS, run_worker
from onnxlens.profile.vendor.compilers.exchange import error_note, read_arrays, result_of, write_arrays
from onnxlens.profile.vendor.compilers.lookup import Compiler, CompileRequest, find_packages
from onnxlens.profile.vendor.readers.lookup import read_report
from onnxlens.specs.layers import LayerReport

WARMUP, RUNS = 1, 5


def _compile(request: CompileRequest) -> LayerReport:
    source, folder = request.source, request.folder
    outputs = list(source.outputs)
    asked = {
        "model": source.one_file(folder).name,
        "inputs": write_arrays(folder / "inputs.npz", source.inputs),
        "outputs": outputs,
        "warmup": WARMUP,
        "runs": RUNS,
    }
    worker = WORKERS / "openvino.py"
    outcome = run_worker(request.python, worker, asked, folder, request.timeout_s)
    result = result_of(outcome, "openvino")
    report = read_report(folder / "counters.json", "openvino")
    got = read_arrays(folder / "outputs.npz", outputs)
    notes = (*report.notes, error_note(got, source.outputs), *result["notes"])
    return replace(report, version=result["version"], notes=notes)


COMPILER = Compiler(
    name="openvino",
    doc="time by layer on this processor, output error",
    install="pip install openvino==2026.4.1",
    find=lambda python: find_packages(["openvino"], python),
    compile=_compile,
)
