"""Rockchip's rknn-toolkit2: cycles of its cost model by layer; in int8 the error of every tensor too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from onnxlens.profile.vendor.compilers.child import WORKERS, run_worker
from onnxlens.profile.vendor.compilers.exchange import result_of, write_arrays
from onnxlens.profile.vendor.compilers.lookup import Compiler, CompileRequest, find_packages
from onnxlens.profile.vendor.readers.lookup import read_report
from onnxlens.specs.layers import LayerReport

FLOATING = ("rk3588", "rk3576", "rk3562", "rk3566", "rk3568", "rv1126b")
"""The chips that compute in float16; the others in int8 alone."""

INTEGER = ("rv1103", "rv1103b", "rv1106", "rv1106b", "rk2118")

INSTALL = (
    "python3.11 -m venv rknn && rknn/bin/pip install --no-deps rknn-toolkit2==2.5.0 && rknn/bin/pip install "
    "torch==2.13.0 numpy==1.26.4 onnx==1.16.1 onnxruntime==1.18.1 protobuf==4.25.4 'setuptools<80' psutil "
    "ruamel.yaml scipy tqdm opencv-python-headless fast-histogram"
)

PACKAGES = ("rknn-toolkit2", "torch", "onnx", "onnxruntime", "numpy")


def _variants(chip: str) -> Sequence[str]:
    return ("int8",) if chip in FLOATING else ()


def _compile(request: CompileRequest) -> LayerReport:
    source, folder = request.source, request.folder
    chip, _, variant = request.chip.partition("@")
    dtype = "float16" if chip in FLOATING and not variant else "int8"
    asked = {"model": source.one_file(folder).name, "chip": chip, "dtype": dtype}
    write_arrays(folder / "inputs.npz", source.inputs)
    worker = WORKERS / "rknn.py"
    result = result_of(run_worker(request.python, worker, asked, folder, request.timeout_s), "rknn")
    report = read_report(folder / result["files"]["table"], "rknn", chip=request.chip)
    how = f"{chip}, {dtype}{', calibrated by one sample' if dtype == 'int8' else ''}"
    return replace(report, version=result["version"], notes=(*report.notes, how))


COMPILER = Compiler(
    name="rknn",
    doc="cycles of the NPU and of DRAM by layer in float16; in int8 (CHIP@int8) the error of each tensor too",
    install=INSTALL,
    find=lambda python: find_packages(PACKAGES, python),
    compile=_compile,
    chips=(*FLOATING, *INTEGER),
    variants=_variants,
)
