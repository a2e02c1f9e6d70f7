"""Sophgo's tpu-mlir: the trace of its cycle model, instruction by instruction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from onnxlens.profile.vendor.compilers.child import WORKERS, run_worker
from onnxlens.profile.vendor.compilers.exchange import result_of, write_arrays
from onnxlens.profile.vendor.compilers.lookup import Compiler, CompileRequest, find_packages
from onnxlens.profile.vendor.readers.lookup import read_report
from onnxlens.specs.layers import LayerReport

FLOATING = ("bm1684x", "bm1688", "bm1690", "cv186x", "cv184x")
"""The chips that compute in float16; the others in int8 alone."""

INTEGER = ("bm1684", "cv183x", "cv182x", "cv181x", "cv180x")

INSTALL = "python3.10 -m venv tpu-mlir && tpu-mlir/bin/pip install 'tpu-mlir[onnx]==1.30.2' 'setuptools<80'"

PACKAGES = ("tpu-mlir", "onnx", "onnxruntime", "onnxsim", "setuptools")


def _variants(chip: str) -> Sequence[str]:
    return ("int8",) if chip in FLOATING else ()


def _compile(request: CompileRequest) -> LayerReport:
    source, folder = request.source, request.folder
    chip, _, variant = request.chip.partition("@")
    dtype = "f16" if chip in FLOATING and not variant else "int8"
    names = write_arrays(folder / "inputs.npz", source.inputs)
    asked = {"model": source.one_file(folder).name, "chip": chip, "dtype": dtype, "inputs": names}
    worker = WORKERS / "tpu_mlir.py"
    result = result_of(run_worker(request.python, worker, asked, folder, request.timeout_s), "tpu-mlir")
    report = read_report(folder, "tpu-mlir", chip=request.chip)
    how = f"{chip}, {dtype}{', calibrated by one sample' if dtype == 'int8' else ''}"
    return replace(report, version=result["version"], notes=(*report.notes, how))


COMPILER = Compiler(
    name="tpu-mlir",
    doc="cycles by layer of the model of Sophgo's TPUs, in float16 or int8 (CHIP@int8)",
    install=INSTALL,
    find=lambda python: find_packages(PACKAGES, python),
    compile=_compile,
    chips=(*FLOATING, *INTEGER),
    variants=_variants,
)
