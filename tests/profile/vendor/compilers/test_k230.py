"""Compiling for the K230: the tables of a dump, refusals by node, and one real run."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic

import onnx
import pytest
from onnx import TensorProto, helper

import onnxlens
from onnxlens.api.compile import _Source
from onnxlens.api.layers import layer_doubts, led_to_nodes, with_layers
from onnxlens.profile.vendor.compilers import child, k230
from onnxlens.profile.vendor.compilers.lookup import CompileRequest
from onnxlens.specs.compiled import CompileAsk
from onnxlens.specs.layers import LayerReport
from onnxlens.specs.progress import silent
from tests.export import tiny

ABORT = """Unhandled exception. System.InvalidOperationException: no tiling for the operator {operator}
   at Nncase.Passes.Somewhere()
Aborted"""

FAKE = """#!{python}
import json, os, shutil, sys, time, onnx, numpy as np
from pathlib import Path
request = json.loads(Path("request.json").read_text())
operators = {{node.op_type for node in onnx.load(request["model"]).graph.node}}
if {refused!r} in operators:
    sys.exit({abort!r})
if request["dump"]:
    shutil.copytree({dump!r}, "dump/7_After/10_ToTir")
    Path("dump/7_After/11_BufferStage").mkdir()
    if {trace!r} in operators:
        {traced}
        sys.exit("Unhandled exception. \\n   at Nncase.Passes.DumpTraceInfoPass.RunCoreAsync()")
Path("result.json").write_text(json.dumps({{"version": "2.11.0", "notes": ["as it is"]}}))
if request["simulate"]:
    {simulate}
    np.savez("outputs.npz", **{{"0": np.zeros((1, 36, 4), np.float32)}})
"""

RECORDED = Path(__file__).parents[3] / "data" / "vendor" / "k230-tiny"


WAIT = "Path('waiting').touch(); time.sleep(3600)"
"""What a tool does that is not done in time."""


@pytest.fixture
def compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., LayerReport]:
    """What comes of the tiny network with a tool that copies a recorded dump.

    It refuses one operator, and ends at another when it is to dump, after the tables. An hour is over as soon
    as it waits.
    """
    folder = tmp_path / "work"

    def clock() -> float:
        return monotonic() + 3600 * (folder / "waiting").exists()

    for module in (child, k230):
        monkeypatch.setattr(module, "monotonic", clock)

    def made(refused: str = "", trace: str = "", traced: str = "pass", simulate: str = "pass") -> LayerReport:
        text = ABORT.format(operator=refused)
        python = tmp_path / "python"
        fake = FAKE.format(
            python=sys.executable,
            refused=refused,
            abort=text,
            dump=str(RECORDED),
            trace=trace,
            traced=traced,
            simulate=simulate,
        )
        python.write_text(fake)
        python.chmod(0o755)
        folder.mkdir()
        with onnxlens.OpenedTarget(tiny.TARGET) as it:
            it.require_weights()
            report = k230.COMPILER.compile(CompileRequest(_Source(it), "", python, folder, 1800, silent))
            return led_to_nodes(it, report)

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
        ("Gather", ("node_select",)),
    ]
    tensors = {record.name: record.sources for record in report.records if not record.placement}
    assert tensors["conv2d"] == ("conv2d",)
    assert "logits 1.0e+00" in " ".join(report.notes) and "as it is" in report.notes


@pytest.mark.parametrize(
    ("fake", "said", "then"),
    [
        ({"simulate": WAIT}, "it takes more than 1,800 s (--timeout)", ("as it is",)),
        ({"simulate": "os.abort()"}, "its process died of SIGABRT", ("as it is",)),
        ({"trace": "Softmax", "traced": WAIT}, "it takes more than 1,800 s (--timeout)", ()),
    ],
    ids=["simulation too long", "simulator aborts", "too long after the tables"],
)
def test_what_was_compiled_is_told_without_a_simulation(
    compiled: Callable[..., LayerReport], fake: dict[str, str], said: str, then: tuple[str, ...]
) -> None:
    report = compiled(**fake)
    assert report.refused == {}
    assert sum(record.figures.get("macs", 0) for record in report.records) == tiny.MACS
    assert report.notes[2:] == (f"the outputs were not simulated: {said}", *then)


def test_a_report_that_was_kept_leads_to_the_same_nodes(
    compiled: Callable[..., LayerReport], tmp_path: Path
) -> None:
    report = compiled()
    with onnxlens.OpenedTarget(tiny.TARGET) as it:
        own = with_layers(it, it.ledger, report, doubted=False).tools[0]
    for folder in ("work", "work/report"):
        ledger = onnxlens.import_profile(tmp_path / folder, tiny.TARGET)
        (kept,) = ledger.tools
        assert (kept.matches, kept.figures, kept.placement) == (own.matches, own.figures, own.placement)
        assert layer_doubts(ledger) == []


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
        report = k230.COMPILER.compile(request)
    assert (report.records, report.refused) == ((), {"how large": "nncase takes no Det"})


@pytest.mark.vendor
def test_a_real_run(require_compiler: Callable[[str], None]) -> None:
    require_compiler("k230")
    report = onnxlens.compile_graph(tiny.TARGET, CompileAsk(("k230",)))
    (found,) = report.compilations
    assert found.report is not None, found.failure
    macs = sum(record.figures.get("macs", 0) for record in found.report.records)
    assert macs == report.ledger.totals.macs == 38880
    (tool,) = report.ledger.tools
    nodes = report.ledger.nodes
    assert tool.figures["macs"] == {at: cost.macs for at, cost in enumerate(nodes) if cost.macs}
    on_cpu = {nodes[at].op_type for at, units in tool.placement.items() if "cpu" in units}
    assert on_cpu >= {"InstanceNormalization", "Softmax", "Gather"}
    error = next(note for note in found.report.notes if note.startswith("relative L2"))
    assert float(error.split()[-1]) < 0.1
