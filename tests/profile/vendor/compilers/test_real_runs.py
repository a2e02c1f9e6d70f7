"""Real runs of compilers of others on a small network; skipped where they are not installed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import onnxlens
from onnxlens.specs.compiled import CompileAsk
from onnxlens.specs.layers import LayerReport, ToolCosts

pytestmark = pytest.mark.vendor

Require = Callable[[str], None]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Conv, Relu, Conv, Add, and an Erf, which few NPUs have, with names of their own."""
    rng = np.random.default_rng(0)
    weights = {name: rng.normal(size=(8, c, 3, 3)).astype(np.float32) / 5 for name, c in (("a", 3), ("b", 8))}
    held = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "a"], ["p"], "first", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        node("Relu", ["p"], ["q"], "relu"),
        node("Conv", ["q", "b"], ["r"], "second", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        node("Add", ["q", "r"], ["s"], "sum"),
        node("Erf", ["s"], ["y"], "erf"),
    ]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, channels, 16, 16])
        for name, channels in (("x", 3), ("y", 8))
    ]
    graph = helper.make_graph(nodes, "small", ends[:1], ends[1:], held)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    path = tmp_path / "small.onnx"
    onnx.save(made, path)
    return path


def compiled(model: Path, tool: str, chip: str = "") -> tuple[LayerReport, ToolCosts]:
    report = onnxlens.compile_graph(model, CompileAsk((tool,), {tool: (chip,)} if chip else {}))
    (run,) = report.compilations
    assert run.failure == ""
    assert run.report is not None
    return run.report, report.ledger.tools[0]


def error_of(report: LayerReport) -> float:
    (note,) = [note for note in report.notes if note.startswith("relative L2 error")]
    return float(note.split()[-1])


def test_openvino_says_how_long_every_layer_takes(model: Path, require_compiler: Require) -> None:
    require_compiler("openvino")
    report, costs = compiled(model, "openvino")
    assert report.version == "2026.4.1"
    times = [layer.figures["time_s"] for layer in report.records if "time_s" in layer.figures]
    assert 0 < sum(times) < 10
    assert {2, 3, 4} < set(costs.figures["time_s"])  # and the first Conv or the Relu in it, or both
    assert error_of(report) < 1e-5


def test_qnn_says_where_every_node_runs(model: Path, require_compiler: Require) -> None:
    require_compiler("qnn")
    report, costs = compiled(model, "qnn", "v73")
    assert (report.version, report.chip) == ("2.7.0", "v73")
    assert [costs.placement[node] for node in range(5)] == ["npu", "npu", "npu", "npu", "cpu"]
    assert costs.refused == {4: "Operators of type `Erf` are not supported by QNN EP."}
    assert 4 not in costs.figures["cycles"]
    assert (costs.of("cycles", range(4)) or 0) > 0
    assert 1e-6 < error_of(report) < 1e-2  # in float16


def test_qnn_quantizes_to_8_bits(model: Path, require_compiler: Require) -> None:
    require_compiler("qnn")
    report, costs = compiled(model, "qnn", "v75@int8")
    assert list(costs.refused) == [4]
    assert 1e-3 < error_of(report) < 1e-1  # one step of 8 bits is 0.4 % of a tensor's range


@pytest.mark.parametrize(("tool", "tolerance"), [("openvino", 1e-5), ("qnn", 1e-2)])
def test_a_check_runs_it_in_onnx_runtimes_place(
    model: Path, tool: str, tolerance: float, require_compiler: Require
) -> None:
    require_compiler(tool)
    report = onnxlens.check_graph(model, provider=tool, reference="unoptimised")
    assert (report.passed, report.outputs[0].tolerance) == (True, tolerance)


@pytest.mark.parametrize("tool", ["zigzag", "scalesim"])
def test_cost_models_count_our_macs(model: Path, require_compiler: Require, tool: str) -> None:
    require_compiler(tool)
    report, costs = compiled(model, tool)
    # 3x3 convolutions of 3 and of 8 channels to 8, at 16 x 16
    assert [record.figures["macs"] for record in report.records] == [256 * 8 * 27, 256 * 8 * 72]
    assert all(record.figures["cycles"] > 0 for record in report.records)
    assert [match.way for match in costs.matches] == ["exact", "exact"] and not report.refused
