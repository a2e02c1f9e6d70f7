"""Recording what tools say goes on where it was: what is there of the same tool and graph is not run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from onnxlens.specs.compiled import Compilation, CompileAsk
from onnxlens.specs.layers import LayerRecord, LayerReport
from reference_report.vendors import recording
from reference_report.vendors.networks import Measured, Network
from reference_report.vendors.recording import Recording, record_network
from reference_report.vendors.records import reports_of

EVERY = Recording()


def a_file(path: Path, operator: str, weight: float) -> Path:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in "xy")
    values = helper.make_tensor("w", TensorProto.FLOAT, [2], [weight, 1.0])
    graph = helper.make_graph([helper.make_node(operator, ["x", "w"], ["y"], "n")], "net", [x], [y], [values])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path


@dataclass
class Tools:
    """Two tools: what each is asked for, in their order, and which of them fail."""

    versions: dict[str, str] = field(default_factory=lambda: {"openvino": "1", "qnn": "1"})
    failing: set[str] = field(default_factory=set)
    times_s: list[float] = field(default_factory=lambda: [0.5] * 9)
    asked: list[str] = field(default_factory=list)

    def states(self) -> list[Any]:
        return [
            SimpleNamespace(name=name, version=version, missing="") for name, version in self.versions.items()
        ]

    def compile(self, it: Any, ask: CompileAsk, progress: Any) -> Any:
        (tool,) = ask.tools
        self.asked.append(tool)
        chip = next(iter(ask.chips.get(tool, ())), "")
        if tool in self.failing:
            return SimpleNamespace(compilations=[Compilation(tool, chip, 1.0, failure="it died")])
        record = LayerRecord("n", "Add", ("n",), "npu", {"time_s": self.times_s.pop(0)})
        report = LayerReport(tool, (record,), self.versions[tool], chip)
        return SimpleNamespace(compilations=[Compilation(tool, chip, 1.0, report)])


@dataclass(frozen=True)
class OfAFile(Network):
    file: Path = Path()

    def given(self, folder: Path, weights: str, progress: Any = None) -> tuple[Any, None]:
        return self.file, None


@pytest.fixture
def tools(monkeypatch: pytest.MonkeyPatch) -> Tools:
    made = Tools()
    monkeypatch.setattr(recording, "list_compilers", made.states)
    monkeypatch.setattr(recording, "compile_graph", made.compile)
    monkeypatch.setattr(recording, "MEASURED", {})
    return made


@pytest.fixture
def run(tmp_path: Path, tools: Tools) -> Callable[..., tuple[list[str], list[str]]]:
    """Record a file: which tools ran, and what failed."""

    def recorded(asked: Recording = EVERY, operator: str = "Add", weight: float = 1.0) -> Any:
        tools.asked.clear()
        network = OfAFile("net", "", "", 1, file=a_file(tmp_path / "net.onnx", operator, weight))
        failures = record_network(network, tmp_path / "net", asked)
        return list(tools.asked), list(failures)

    return recorded


def labels(tmp_path: Path) -> list[str]:
    return [report.label for report in reports_of(tmp_path / "net")]


def test_what_is_there_is_not_run_again(run: Any, tools: Tools, tmp_path: Path) -> None:
    assert run() == (["openvino", "qnn"], [])
    assert run() == ([], [])
    assert run(Recording(("qnn",), again=True)) == (["qnn"], [])
    tools.versions["qnn"] = "2"
    assert run() == (["qnn"], [])
    assert run(weight=2.0) == (["openvino", "qnn"], [])  # the same graph, other weights
    assert labels(tmp_path) == ["openvino", "qnn-v75"]


def test_a_tool_that_fails_leaves_the_others(run: Any, tools: Tools, tmp_path: Path) -> None:
    tools.failing.add("openvino")
    assert run() == (["openvino", "qnn"], ["net: openvino: it died"])
    assert [(each.notes, len(each.records)) for each in reports_of(tmp_path / "net")] == [
        (("it died",), 0),
        ((), 1),
    ]
    tools.failing.clear()
    assert run() == (["openvino"], [])
    tools.failing.add("openvino")
    assert run(Recording(again=True)) == (["openvino", "qnn"], ["net: openvino: it died"])
    assert [len(each.records) for each in reports_of(tmp_path / "net")] == [1, 1]  # the last good one stays


def test_records_of_another_graph_are_removed(run: Any, tools: Tools, tmp_path: Path) -> None:
    run()
    tools.versions.pop("qnn")
    assert run(operator="Mul") == (["openvino"], [])
    assert labels(tmp_path) == ["openvino"]


def test_of_a_tool_that_measures_the_quickest_run_counts(
    run: Any, tools: Tools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "MEASURED", {"openvino": Measured(3, "ms")})
    tools.times_s = [0.003, 0.001, 0.002]
    assert run(Recording(("openvino",))) == (["openvino"] * 3, [])
    (report,) = reports_of(tmp_path / "net")
    assert report.records[0].figures == {"time_s": 0.001}
    assert report.notes[0].startswith("the quickest of 3 such runs, of 1, 2, 3 ms; the machine's load ")
