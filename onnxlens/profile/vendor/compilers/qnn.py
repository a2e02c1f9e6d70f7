"""Qualcomm's HTP on its simulator: which nodes it takes, and the numeric error of its half precision.

The simulator runs on this processor. What its profile calls cycles is the simulation's own cost.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np

from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.vendor.compilers.child import LOG
from onnxlens.profile.vendor.compilers.exchange import error_note, output_errors, ran
from onnxlens.profile.vendor.compilers.lookup import Compiler, CompileRequest, Run, find_packages
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

FUSED = "where a Conv is fused into a Relu, the Relu has its cycles"
INT8 = "int8"
INSERTED = ("QuantizeLinear", "DequantizeLinear")
QUANTIZED = (
    "int8: weights and activations of 8 bits, quantized by ONNX Runtime's own tool for QNN, calibrated on "
    "the inputs of this run"
)
REFUSED = re.compile(r"Validation FAILED for .*\n((?:\tOperator type: .*\n)+)\tREASON : (.*)")
NODE_NAME = re.compile(r"Node name: (.*) Node index: \d+")
TAIL = re.compile(r"\w+ node `.*` will not be assigned to QNN EP\.")
FALLBACK = "QNN leaves it to ONNX Runtime's CPU provider"


def _compile(request: CompileRequest) -> LayerReport:
    folder = request.folder
    result, got = _ran(request.profiled())
    why = reasons((folder / LOG).read_text("utf-8", "replace"))
    has_int8 = request.chip.endswith(INT8)
    inserted = INSERTED if has_int8 else ()
    placed = [each for each in result["placed"] if each["op_type"] not in inserted]
    npu = [each for each in placed if each["npu"]]
    report = LayerReport("qnn", ())
    if npu:
        report = read_report(folder / "profile.csv", "qnn", folder / "qnn_graphs")
    share = f"{len(npu)} of {len(placed)} nodes run on the NPU, after ONNX Runtime's own fusions"
    errors = output_errors(got, request.source.outputs)
    notes = (share, error_note(errors), *((FUSED,) if npu else ()))
    if has_int8:
        notes = (*notes, QUANTIZED)
    refused = {each["name"]: why.get(each["name"], FALLBACK) for each in placed if not each["npu"]}
    records = (_of_the_npu(record, request.source.graph, refused) for record in report.records)
    return replace(
        report,
        version=result["version"],
        chip=request.chip,
        records=(*records, *_left_over(placed)),
        refused=refused,
        notes=(*report.notes, *notes),
        output_error=errors,
    )


def reasons(log: str) -> dict[str, str]:
    """Why QNN refuses nodes, by their names, as the log of the session says."""
    return {
        name: TAIL.sub("", why).strip()
        for nodes, why in REFUSED.findall(log)
        for name in NODE_NAME.findall(nodes)
    }


def _ran(run: Run) -> tuple[Mapping[str, Any], Mapping[str, np.ndarray]]:
    """The worker's result, and the outputs."""
    chip, _, precision = run.chip.partition("@")
    arch, soc = CHIPS[chip]
    own = {"htp_arch": arch, "soc_model": soc, "profile": run.profile, "is_int8": precision == INT8}
    return ran(run, "qnn", **own)


def _of_the_npu(record: LayerRecord, graph: Graph, refused: Collection[str]) -> LayerRecord:
    """A change of layout, whose sources are tensors, without those that nodes on the processor make."""
    if record.op_type:
        return record
    left = [node.view for node in graph.nodes if node.view.name in refused]
    made = {value.name for view in left for value in view.outputs if value}
    theirs = made.union(refused)
    return replace(record, sources=tuple(name for name in record.sources if name not in theirs))


def _left_over(placed: Iterable[Mapping[str, Any]]) -> Iterable[LayerRecord]:
    """What runs on the processor, of which the profile has no rows."""
    return (
        LayerRecord(each["name"], each["op_type"], (each["name"],), "cpu")
        for each in placed
        if not each["npu"]
    )


COMPILER = Compiler(
    name="qnn",
    doc="which nodes Qualcomm's HTP takes, and its output error in float16 or int8, on its simulator",
    install=(
        "python3.11 -m venv qnn && "
        "qnn/bin/pip install onnxruntime==1.31.1 onnxruntime-qnn==2.7.0 onnx==1.23.2"
    ),
    find=lambda python: find_packages(["onnxruntime-qnn", "numpy"], python),
    compile=_compile,
    chips=tuple(CHIPS),
    variants=lambda chip: (INT8,),
    run=lambda run: _ran(run)[1],
)
