"""Qualcomm's HTP on its simulator: which nodes it takes, and the numeric error of its half precision.

The simulator runs on this processor. What its profile calls cycles is the simulation's own cost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from onnxlens.profile.vendor.compilers.child import WORKERS, run_worker
from onnxlens.profile.vendor.compilers.exchange import error_note, read_arrays, result_of, write_arrays
from onnxlens.profile.vendor.compilers.lookup import Compiler, CompileRequest, find_packages
from onnxlens.profile.vendor.readers.lookup import read_report
from onnxlens.specs.layers import LayerRecord, LayerReport

CHIPS: Mapping[str, tuple[int, int]] = MappingProxyType(
    {
        "v75": (75, 57),
        "v68": (68, 30),
        "v69": (69, 36),
        "v73": (73, 43),
        "v79": (79, 69),
        "v81": (81, 87),
    }
)
"""By the version of the HTP: ``htp_arch``, and the ``soc_model`` of a phone's chip that has it."""

CYCLES = (
    "cycles are what the simulation costs on this processor, not the chip's time; where a Conv is fused into "
    "a Relu, the Relu has them"
)
FALLBACK = "QNN leaves it to ONNX Runtime's CPU provider"


def _compile(request: CompileRequest) -> LayerReport:
    source, folder = request.source, request.folder
    arch, soc = CHIPS[request.chip]
    names = list(source.outputs)
    asked = {
        "model": source.one_file(folder).name,
        "inputs": write_arrays(folder / "inputs.npz", source.inputs),
        "outputs": names,
        "htp_arch": arch,
        "soc_model": soc,
        "profile": True,
    }
    outcome = run_worker(request.python, WORKERS / "qnn.py", asked, folder, request.timeout_s)
    result = result_of(outcome, "qnn")
    placed = result["placed"]
    npu = [each for each in placed if each["npu"]]
    profile = folder / "profile.csv"
    report = read_report(profile, "qnn") if npu else LayerReport("qnn", ())
    share = f"{len(npu)} of {len(placed)} nodes run on the NPU, after ONNX Runtime's own fusions"
    got = read_arrays(folder / "outputs.npz", names)
    notes = (share, error_note(got, source.outputs), *((CYCLES,) if npu else ()))
    return replace(
        report,
        version=result["version"],
        chip=request.chip,
        records=(*report.records, *_placements(placed)),
        refused={each["name"]: FALLBACK for each in placed if not each["npu"]},
        notes=(*report.notes, *notes),
    )


def _placements(placed: Iterable[Mapping[str, Any]]) -> Iterable[LayerRecord]:
    """Where every node is run; the figures are in the rows of the profile."""
    for each in placed:
        name = each["name"]
        yield LayerRecord(name, each["op_type"], (name,), "npu" if each["npu"] else "cpu")


COMPILER = Compiler(
    name="qnn",
    doc="which nodes Qualcomm's HTP takes, and its output error in float16, on its simulator",
    install="pip install onnxruntime==1.31.1 onnxruntime-qnn==2.7.0, in an environment of its own",
    find=lambda python: find_packages(["onnxruntime-qnn", "numpy"], python),
    compile=_compile,
    chips=tuple(CHIPS),
)
