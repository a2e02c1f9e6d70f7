"""Compiling with several tools: each in its own row, the others go on when one fails."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from math import inf
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import onnxlens
from onnxlens.api import compile as api
from onnxlens.cli.main import run
from onnxlens.errors import ToolError, UsageError
from onnxlens.profile.vendor.compilers.lookup import Compiler, CompileRequest, Found, named_python
from onnxlens.specs.compiled import CompileAsk
from onnxlens.specs.layers import LayerRecord, LayerReport
from tests.specs.test_document_schemas import complaints

HERE = Found(Path("/usr/bin/true"), "1.2")

Compile = Callable[[CompileRequest], LayerReport]


def report_of(request: CompileRequest) -> LayerReport:
    """A report with a layer for each node, of as many cycles as its position."""
    nodes = request.source.graph.nodes
    layers = (
        LayerRecord(n.view.name, n.view.op_type, figures={"cycles": i + 1}) for i, n in enumerate(nodes)
    )
    errors = {"y": 1e-3, "z": inf}
    return LayerReport("good", tuple(layers), "1.2", request.chip, notes=("as it is",), output_error=errors)


def failing(request: CompileRequest) -> LayerReport:
    raise ToolError("its process died of SIGABRT; its last words: no tile fits")


def refusing(request: CompileRequest) -> LayerReport:
    name = request.source.graph.nodes[0].view.name
    return LayerReport("none", (LayerRecord(name, "MatMul", (name,), "cpu"),), refused={name: "no MatMul"})


@pytest.fixture
def tools(monkeypatch: pytest.MonkeyPatch) -> dict[str, Compiler]:
    """Compilers by name; ``good`` has two chips."""
    found = {
        name: Compiler(name, f"says {name}", f"pip install {name}", lambda python: HERE, work, chips)
        for name, work, chips in (
            ("good", report_of, ("small", "large")),
            ("bad", failing, ()),
            ("none", refusing, ()),
        )
    }
    monkeypatch.setattr(api, "COMPILERS", dict.fromkeys(found, ""))
    monkeypatch.setattr(api, "compiler_of", found.__getitem__)
    return found


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Two nodes without names, of a batch that is open, with a weight beside the file."""
    weight = numpy_helper.from_array(np.eye(4, dtype=np.float32), "w")
    value = helper.make_tensor_value_info
    ends = [value("x", TensorProto.FLOAT, ["n", 4]), value("y", TensorProto.FLOAT, ["n", 4])]
    nodes = [helper.make_node("MatMul", ["x", "w"], ["m"]), helper.make_node("Relu", ["m"], ["y"])]
    graph = helper.make_graph(nodes, "two", ends[:1], ends[1:], [weight])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    path = tmp_path / "two.onnx"
    onnx.save(made, path, save_as_external_data=True, location="two.data", size_threshold=0)
    return path


def compiled(model: Path, ask: CompileAsk) -> onnxlens.CompileReport:
    return onnxlens.compile_graph(model, ask, onnxlens.Settings(dims={"n": 3}))


def test_the_other_tools_go_on_when_one_fails(tools: dict[str, Compiler], model: Path) -> None:
    report = compiled(model, CompileAsk(("bad", "good", "none")))
    bad, good, none = report.compilations
    assert (bad.report, bad.failure) == (None, "its process died of SIGABRT; its last words: no tile fits")
    assert good.report is not None
    assert [layer.figures for layer in good.report.records] == [{"cycles": 1}, {"cycles": 2}]
    assert [each.passed for each in (bad, good, none)] == [False, True, False]
    assert not report.passed


def test_a_tool_compiles_for_every_chip_that_is_asked_for(tools: dict[str, Compiler], model: Path) -> None:
    report = compiled(model, CompileAsk(("good",), {"good": ("large", "small")}))
    assert [each.chip for each in report.compilations] == ["large", "small"]
    assert compiled(model, CompileAsk(("good",))).compilations[0].chip == "small"


def test_a_report_of_the_graph_itself_is_not_doubted(
    tools: dict[str, Compiler], model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a tool adds may cost most: it was given this graph, and no other."""

    def copying(request: CompileRequest) -> LayerReport:
        made = report_of(request)
        return replace(made, records=(*made.records, LayerRecord("copy", "Copy", figures={"cycles": 90})))

    tools["good"] = replace(tools["good"], compile=copying)
    report = compiled(model, CompileAsk(("good",)))
    assert any("96.8 % at no node" in note for note in report.ledger.notes)
    assert onnxlens.layer_doubts(report.ledger) == []
    assert run(["compile", str(model), "--dim", "n=3", "--with", "good", "--quiet"]) == 0
    assert "warning" not in "".join(capsys.readouterr())


def test_a_graph_whose_sizes_depend_on_data_has_its_rows(
    tools: dict[str, Compiler], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    value = helper.make_tensor_value_info
    ends = [value("x", TensorProto.FLOAT, [4]), value("y", TensorProto.INT64, [1, "n"])]
    graph = helper.make_graph([helper.make_node("NonZero", ["x"], ["y"])], "some", ends[:1], ends[1:])
    path = tmp_path / "some.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    assert run(["compile", str(path), "--with", "bad,good"]) == 1
    rows = capsys.readouterr().out.splitlines()
    assert [row.split()[2] for row in rows if row.startswith(("bad ", "good "))] == ["failed", "compiled"]
    with onnxlens.OpenedTarget(path) as opened:  # a report from elsewhere, too
        report = LayerReport("plain", (LayerRecord("y", sources=("y",), outputs=((1, 2),)),))
        assert onnxlens.with_layers(opened, opened.ledger, report).tools[0].matches[0].nodes == (0,)


def test_a_tool_is_given_one_file_at_its_sizes(
    tools: dict[str, Compiler], model: Path, tmp_path: Path
) -> None:
    def keeping(request: CompileRequest) -> LayerReport:
        source = request.source
        path = source.one_file(request.folder)
        held = onnx.load(path)
        assert [node.name for node in held.graph.node] == ["m", "y"]  # as the graph calls them
        assert numpy_helper.to_array(held.graph.initializer[0]).tolist() == np.eye(4).tolist()
        values = (*held.graph.input, *held.graph.value_info, *held.graph.output)
        sizes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in values}
        assert sizes == {"x": [3, 4], "m": [3, 4], "y": [3, 4]}
        assert np.array_equal(source.outputs["y"], np.maximum(source.inputs["x"], 0))
        return report_of(request)

    tools["good"] = replace(tools["good"], compile=keeping)
    report = compiled(model, CompileAsk(("good",), keep=tmp_path / "kept"))
    assert report.passed
    assert (tmp_path / "kept" / "good" / "model.onnx").is_file()


def test_what_is_kept_is_read_again_as_it_was(
    tools: dict[str, Compiler], model: Path, tmp_path: Path
) -> None:
    ask = CompileAsk(("good",), {"good": ("small", "large")}, keep=tmp_path / "kept")
    compiled_report = compiled(model, ask)
    reports, faults = onnxlens.read_all_layers(tmp_path / "kept")
    assert {report.label for report in reports} == {"good-small", "good-large"}
    assert not faults
    made = {done.report.label: done.report.records for done in compiled_report.compilations if done.report}
    assert {report.label: report.records for report in reports} == made
    (tmp_path / "kept" / "good-small" / "layers.json").unlink()
    (tmp_path / "kept" / "good-small" / "request.json").write_text("{}")  # of a tool that has failed
    (large,), (fault,) = onnxlens.read_all_layers(tmp_path / "kept")
    assert large.label == "good-large"
    assert fault.startswith(f"left out: {tmp_path / 'kept' / 'good-small'}: ")


@pytest.mark.parametrize(
    ("ask", "expected"),
    [
        (lambda: CompileAsk(()), "name the tools to compile with, each once"),
        (lambda: CompileAsk(("good", "good")), "name the tools to compile with, each once"),
        (lambda: CompileAsk(("good",), {"bad": ("x",)}), "--chip bad=..: bad is not among the tools: good"),
        (lambda: CompileAsk(("good",), {"good": ("x",)}), "no chip 'x'; it compiles for small, large"),
        (lambda: CompileAsk(("bad",), {"bad": ("x",)}), "no chip 'x'; it has no chips to choose"),
        (lambda: CompileAsk(("good",), paths={"bad": Path("x")}), "--tool-path bad=..: bad is not among"),
    ],
)
def test_what_cannot_be_asked_for(
    tools: dict[str, Compiler], model: Path, ask: Callable[[], CompileAsk], expected: str
) -> None:
    with pytest.raises(UsageError, match=expected):
        compiled(model, ask())


def test_a_tool_that_is_not_there_is_refused_before_anything_is_done(
    tools: dict[str, Compiler], capsys: pytest.CaptureFixture[str]
) -> None:
    tools["bad"] = replace(tools["bad"], find=lambda python: Found(missing="the environment has no bad"))
    with pytest.raises(UsageError, match=r"bad: is not installed: the environment has no bad; install it \("):
        onnxlens.compile_graph("nowhere.onnx", CompileAsk(("good", "bad")))
    assert run(["compile", "nowhere.onnx", "--with", "good,bad"]) == 2
    assert "bad: is not installed" in capsys.readouterr().err


def test_sizes_that_are_open_are_refused_before_any_tool_is_run(
    tools: dict[str, Compiler], model: Path
) -> None:
    with pytest.raises(UsageError, match=r"input 'x' has shape \(n, 4\); fix it with --shape or --dim"):
        onnxlens.compile_graph(model, CompileAsk(("good",)))


def test_the_exit_code_says_whether_all_took_the_graph(
    tools: dict[str, Compiler], model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = [str(model), "--dim", "n=3", "--quiet"]
    assert run(["compile", *where, "--with", "good,bad", "--format", "json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert complaints("compile", document) == []
    assert document["costs"]["columns"].count("cycles@good-small") == 1
    assert [each["passed"] for each in document["compilations"]] == [True, False]
    assert document["compilations"][0]["report"]["output_error"] == {"y": 1e-3, "z": None}
    assert run(["compile", *where, "--with", "good", "--chip", "good=large"]) == 0
    text = capsys.readouterr().out
    assert "good-large: as it is" in text
    assert "not finite" in text
    assert "cycles" in text
    ran = len(list(model.parent.iterdir()))
    assert run(["compile", *where, "--with", "good", "--hardware", "k230", "--keep", f"{model}.kept"]) == 2
    assert "no peak is published for float32" in capsys.readouterr().err
    assert len(list(model.parent.iterdir())) == ran  # refused before any tool is run
    assert run(["compile", *where]) == 2
    assert "give a TARGET and --with TOOL" in capsys.readouterr().err


def test_the_list_says_what_is_missing(
    tools: dict[str, Compiler], capsys: pytest.CaptureFixture[str]
) -> None:
    tools["bad"] = replace(tools["bad"], find=lambda python: Found(missing="the environment has no bad"))
    assert run(["compile", "--list", "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert complaints("compilers", document) == []
    states = {each["name"]: each for each in document["compilers"]}
    assert (states["good"]["version"], states["good"]["python"]) == ("1.2", "/usr/bin/true")
    assert (states["bad"]["missing"], states["bad"]["python"]) == ("the environment has no bad", "")
    assert run(["compile", "--list"]) == 0
    assert "bad: the environment has no bad: pip install bad" in capsys.readouterr().out


def test_a_python_is_named_by_an_option_or_a_variable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ONNXLENS_TOOL_ETHOS_U", str(tmp_path))
    assert named_python("ethos-u", {}) == tmp_path / "bin" / "python"
    assert named_python("ethos-u", {"ethos-u": Path("/opt/python3")}) == Path("/opt/python3")
    assert named_python("rknn", {}) is None
    monkeypatch.chdir(tmp_path.parent)
    assert named_python("rknn", {"rknn": Path(tmp_path.name)}) == tmp_path / "bin" / "python"
