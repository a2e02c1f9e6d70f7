"""Compiling for the K230: the tables of a dump, refusals by node, and one real run."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

import onnxlens
from onnxlens.api.compile import _Source
from onnxlens.profile.vendor.compilers.k230 import COMPILER
from onnxlens.profile.vendor.compilers.lookup import CompileRequest
from onnxlens.specs.compiled import CompileAsk
from onnxlens.specs.layers import LayerReport
from onnxlens.specs.progress import silent
from tests.export import tiny

ABORT = """Unhandled exception. System.InvalidOperationException: no tiling for the operator {operator}
   at Nncase.Passes.Somewhere()
Aborted"""

FAKE = """#!{python}
import json, shutil, sys, onnx, numpy as np
from pathlib import Path
request = json.loads(Path("request.json").read_text())
operators = {{node.op_type for node in onnx.load(request["model"]).graph.node}}
if {refused!r} in operators:
    sys.exit({abort!r})
if request["dump"]:
    shutil.copytree({dump!r}, "dump/7_After/10_ToTir")
    if {trace!r} in operators:
        sys.exit("Unhandled exception. \\n   at Nncase.Passes.DumpTraceInfoPass.RunCoreAsync()")
if request["simulate"]:
    np.savez("outputs.npz", **{{"0": np.zeros((1, 36, 4), np.float32)}})
Path("result.json").write_text(json.dumps({{"version": "2.11.0", "notes": ["as it is"]}}))
"""

RECORDED = Path(__file__).parents[3] / "data" / "vendor" / "k230-tiny"


@pytest.fixture
def compiled(tmp_path: Path) -> Callable[..., LayerReport]:
    """What comes of the tiny network with a tool that copies a recorded dump.

    It refuses one operator, and ends at another when it is to dump, after the tables.
    """

    def made(refused: str = "", trace: str = "") -> LayerReport:
        text = ABORT.format(operator=refused)
        python = tmp_path / "python"
        fake = FAKE.format(
            python=sys.executable, refused=refused, abort=text, dump=str(RECORDED), trace=trace
        )
        python.write_text(fake)
        python.chmod(0o755)
        folder = tmp_path / "work"
        folder.mkdir()
        with onnxlens.OpenedTarget(tiny.TARGET) as it:
            it.require_weights()
            return COMPILER.compile(CompileRequest(_Source(it), "", python, folder, 60, silent))

    return made


@pytest.mark.parametrize("trace", ["", "Softmax"], ids=["at once", "without a dump the second time"])
def test_the_tables_of_a_dump_are_read_and_the_outputs_compared(
    compiled: Callable[..., LayerReport], trace: str
) -> None:
    report = compiled(trace=trace)
    assert (report.tool, report.version) == ("k230", "2.11.0")
    groups = [record for record in report.records if record.placement == "npu"]
    with onnxlens.OpenedTarget(tiny.TARGET) as it:
        expected = {(cost.node,): cost.macs for cost in it.ledger.nodes if cost.macs}
    # 36 positions of 8 channels: a 3x3 convolution, 4 linear layers and the head; 36 x 36 scores of 8, twice
    assert sum(expected.values()) == 36 * (8 * 27 + 4 * 8 * 8 + 8 * 4) + 2 * 36 * 36 * 8
    found = {record.sources: record.figures["macs"] for record in groups if "macs" in record.figures}
    assert found == expected
    cpu = [(record.op_type, record.sources) for record in report.records if record.placement == "cpu"]
    assert cpu == [
        ("InstanceNormalization", ("node_InstanceNormalization_12",)),
        ("Softmax", ("node_Softmax_65",)),
    ]
    tensors = {record.name: record.sources for record in report.records if not record.placement}
    assert tensors["conv2d"] == ("conv2d",)
    assert "logits 1.0e+00" in " ".join(report.notes) and "as it is" in report.notes


def test_what_is_refused_is_told_by_the_nodes_of_the_graph(compiled: Callable[..., LayerReport]) -> None:
    report = compiled("Softmax")
    with onnxlens.OpenedTarget(tiny.TARGET) as it:
        softmax = [node.view.name for node in it.graph.nodes if node.view.op_type == "Softmax"]
    assert report.records == ()
    reason = "InvalidOperationException: no tiling for the operator Softmax"
    assert report.refused == dict.fromkeys(softmax, reason)
    assert report.notes == (f"as a whole: {reason}",)


def test_an_operator_without_a_form_is_refused_before_the_tool_is_asked(tmp_path: Path) -> None:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (3, 3)) for name in "xy"]
    nodes = [
        helper.make_node("Det", ["x"], ["d"], name="how large"),
        helper.make_node("Mul", ["x", "d"], ["y"], name="scaled"),
    ]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:])
    path = tmp_path / "det.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    with onnxlens.OpenedTarget(path) as it:
        request = CompileRequest(_Source(it), "", Path("/no/such/python"), tmp_path, 60, silent)
        report = COMPILER.compile(request)
    assert (report.records, report.refused) == ((), {"how large": "nncase takes no Det"})


@pytest.mark.vendor
def test_a_real_run(require_compiler: Callable[[str], None]) -> None:
    require_compiler("k230")
    report = onnxlens.compile_graph(tiny.TARGET, CompileAsk(("k230",)))
    (found,) = report.compilations
    assert found.report is not None, found.failure
    macs = sum(record.figures.get("macs", 0) for record in found.report.records)
    assert macs == report.ledger.totals.macs == 38880
    error = next(note for note in found.report.notes if note.startswith("relative L2"))
    assert float(error.split()[-1]) < 0.1
