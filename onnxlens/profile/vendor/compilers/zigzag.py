"""ZigZag: the cycles and the energy of every layer on one of the arrays that it brings."""

from __future__ import annotations

from pathlib import Path

from onnxlens.profile.vendor.compilers.lookup import Compiler, CompileRequest, find_packages
from onnxlens.profile.vendor.compilers.simulated import STEM, Forms, simulate
from onnxlens.profile.vendor.readers.lookup import read_report
from onnxlens.specs.layers import LayerReport

ARRAYS = {  # by chip the files of the hardware and of the mapping that ZigZag brings
    "tpu-like": ("tpu_like", "tpu_like"),
    "edge-tpu-like": ("edge_tpu_like", "edge_tpu_like"),
    "ascend-like": ("ascend_like", "ascend_like"),
    "tesla-npu-like": ("tesla_npu_like", "tesla_npu_like"),
    "meta-prototype": ("meta_prototype", "meta_prototype_like"),
}


def _compile(request: CompileRequest) -> LayerReport:
    hardware, mapping = ARRAYS[request.chip]
    asked = {"workload": f"{STEM}.yaml", "hardware": hardware, "mapping": mapping, "reports": "layers"}
    return simulate(request, "zigzag", asked, _read)


def _read(folder: Path, forms: Forms) -> LayerReport:
    return read_report(folder / "layers", "zigzag")


COMPILER = Compiler(
    name="zigzag",
    doc="cycles and energy by layer, of a cost model",
    install="pip install zigzag-dse==3.9.1 six",
    find=lambda python: find_packages(["zigzag-dse", "six"], python),
    compile=_compile,
    chips=tuple(ARRAYS),
)
