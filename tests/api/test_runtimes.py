"""Other runtimes in ONNX Runtime's place: a fake of one, off by a known factor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

import onnxlens as api
from onnxlens.api import bench
from onnxlens.errors import ToolError
from onnxlens.profile.runtime import latency, peaks
from onnxlens.profile.vendor.compilers import lookup
from onnxlens.profile.vendor.compilers.lookup import Compiler, Found, Run
from onnxlens.reports.tables.bench import bench_table
from onnxlens.reports.tables.parity import parity_table
from onnxlens.specs.bench import BenchRequest
from onnxlens.specs.parity import LayerRequest, Reference
from tests.export.tiny import TARGET

OFF = 1e-3
"""The relative error of every output."""


def too_large(run: Run) -> Mapping[str, np.ndarray]:
    """ONNX Runtime's outputs, times 1 + OFF."""
    session = ort.InferenceSession(run.model, providers=["CPUExecutionProvider"])  # its weights are inside
    known = {value.name for value in session.get_inputs()}
    fed = {name: array for name, array in run.inputs.items() if name in known}
    return dict(zip(run.outputs, [a * (1 + OFF) for a in session.run(run.outputs, fed)], strict=True))


def failing(run: Run) -> Mapping[str, np.ndarray]:
    raise ToolError("its process died of SIGSEGV")


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> Compiler:
    """A runtime that is there."""
    made = Compiler(
        name="qnn",
        doc="",
        install="pip install it",
        find=lambda python: Found(Path("python"), "1"),
        compile=lambda request: pytest.fail("nothing is compiled"),
        chips=("small",),
        run=too_large,
    )
    monkeypatch.setattr(lookup, "compiler_of", lambda name: replace(made, name=name))
    return made


@pytest.mark.parametrize("reference", ["pytorch", "unoptimised"])
def test_a_runtime_in_half_precision_has_the_tolerance_of_that(tool: Compiler, reference: Reference) -> None:
    report = api.check_graph(TARGET, provider="qnn", reference=reference)
    (result,) = report.outputs
    assert (report.passed, report.provider, result.tolerance) == (True, "qnn", 1e-2)
    assert result.rel_l2 == pytest.approx(OFF, rel=1e-2)


def test_a_runtime_in_float32_is_held_to_the_graphs_own_tolerance(tool: Compiler) -> None:
    report = api.check_graph(TARGET, provider="openvino")
    assert (report.passed, report.outputs[0].tolerance) == (False, 1e-5)
    assert "OpenVINO against PyTorch" in parity_table(report, "table")
    assert api.check_graph(TARGET, provider="openvino", tolerance=2 * OFF).passed


def test_layers_are_compared_one_by_one(tool: Compiler) -> None:
    report = api.check_layers(TARGET, request=LayerRequest(provider="qnn"))
    locals_ = [layer.introduced for layer in report.layers if layer.introduced is not None]
    assert len(locals_) > 5
    assert max(locals_) == pytest.approx(OFF, rel=1e-2)
    assert report.passed


def test_a_runtime_that_fails_is_one_line(tool: Compiler, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup, "compiler_of", lambda name: replace(tool, run=failing))
    with pytest.raises(ToolError, match="^provider 'qnn': its process died of SIGSEGV$"):
        api.check_graph(TARGET, provider="qnn")


def test_a_runtime_that_is_not_there_is_refused_first(
    tool: Compiler, monkeypatch: pytest.MonkeyPatch
) -> None:
    absent = replace(tool, find=lambda python: Found(missing="the environment has no qnn"))
    monkeypatch.setattr(lookup, "compiler_of", lambda name: absent)
    with pytest.raises(ToolError, match=r"no qnn; install it \(pip install it\), or .* in ONNXLENS_TOOL_QNN"):
        api.check_graph("nowhere.onnx", provider="qnn")


def test_two_runtimes_are_timed_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []
    clock = iter(np.cumsum([0, 1, 0, 10, 0, 3, 0, 30, 0, 2, 0, 20]).tolist())  # begin and end of each call
    monkeypatch.setattr(latency, "perf_counter", lambda: next(clock))
    calls = {"a": lambda: called.append("a"), "b": lambda: called.append("b")}
    timed = latency.time_in_turns(calls, warmup=2, runs=3, device="here")
    assert called == ["a", "b", "a", "b"] + ["a", "b"] * 3
    assert [(each.median_s, each.warmup, each.runs) for each in timed.values()] == [(2, 2, 3), (20, 2, 3)]
    assert [(name, each.provider) for name, each in timed.items()] == [("a", "a"), ("b", "b")]


def test_a_benchmark_has_openvino_beside_onnx_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[int] = []
    monkeypatch.setattr(peaks, "SIDES", {"cpu": 32})
    monkeypatch.setattr(bench, "require_openvino", lambda: None)
    monkeypatch.setattr(bench, "openvino_call", lambda *given: (lambda: runs.append(1), "OpenVINO 9"))
    report = api.bench_graph(TARGET, request=BenchRequest("openvino", runs=2, warmup=1))
    assert (report.provider, len(runs)) == ("cpu", 3)
    assert report.beside is not None
    assert (report.beside.provider, report.beside.runs) == ("OpenVINO 9", 2)
    assert "\nOpenVINO 9: " in bench_table(report)
    assert api.bench_graph(TARGET, request=BenchRequest(runs=1, warmup=0)).beside is None
