"""Cost models see the first layer of each form; what they say of it holds for all that are like it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from onnxlens.errors import ToolError
from onnxlens.profile.graph.loading import load_graph
from onnxlens.profile.vendor.compilers import simulated
from onnxlens.profile.vendor.compilers.lookup import CompileRequest, compiler_of
from onnxlens.profile.vendor.compilers.simulated import Forms
from onnxlens.specs.layers import LayerRecord, LayerReport
from onnxlens.specs.progress import silent
from tests.profile.models import op, save, save_net, value, weight


def chain(folder: Path) -> Path:
    """Two equal products, one of another size, and a dilated convolution."""
    nodes = [
        op("MatMul", "x w", "a"), op("MatMul", "a w", "b"), op("MatMul", "b v", "c"),
        op("Conv", "i k", "y", dilations=[2, 2]),
    ]  # fmt: skip
    return save(
        folder, nodes, [value("x", (4, 4)), value("i", (1, 1, 5, 5))],
        [value("c", (4, 2)), value("y", (1, 1, 1, 1))],
        [weight("w", 4, 4), weight("v", 4, 2), weight("k", 1, 1, 3, 3)],
        between=[value(name, (4, 4)) for name in "ab"],
    )  # fmt: skip


def told(**figures: Mapping[str, int]) -> LayerReport:
    return LayerReport("scalesim", tuple(LayerRecord(name, figures=each) for name, each in figures.items()))


def test_equal_layers_are_run_once_and_have_equal_figures(tmp_path: Path) -> None:
    forms = Forms.of(load_graph(chain(tmp_path)), "scalesim")
    forms.write(tmp_path)
    assert [line.split(",")[0] for line in (tmp_path / "workload.csv").read_text().splitlines()[1:]] == [
        "node_a",
        "node_c",
    ]
    report = forms.report(told(node_a={"cycles": 7, "macs": 64}, node_c={"cycles": 5}), {}, "")
    assert [(each.sources, each.figures["cycles"]) for each in report.records] == [
        (("node_a",), 7), (("node_b",), 7), (("node_c",), 5),
    ]  # fmt: skip
    assert list(report.refused) == ["node_y"] and "dilation" in report.refused["node_y"]
    assert report.notes == ("run: 2 of 3 layers, as equal layers have equal figures",)


def test_what_was_not_done_is_refused_for_all_of_a_form(tmp_path: Path) -> None:
    forms = Forms.of(load_graph(chain(tmp_path)), "scalesim")
    report = forms.report(told(node_c={"cycles": 5}), {"node_a": "MemoryError"}, "")
    assert {name: report.refused[name] for name in ("node_a", "node_b")} == {
        "node_a": "MemoryError", "node_b": "MemoryError",
    }  # fmt: skip
    with pytest.raises(ToolError, match="takes more than 5 s"):
        forms.report(told(other={"cycles": 5}), {}, "it takes more than 5 s")


def test_figures_are_of_all_groups_and_images(tmp_path: Path) -> None:
    node = op("Conv", "x w", "y", group=2)
    path = save(
        tmp_path, [node], [value("x", (3, 4, 3, 3))], [value("y", (3, 2, 1, 1))], [weight("w", 2, 2, 3, 3)]
    )
    forms = Forms.of(load_graph(path), "scalesim")
    (record,) = forms.report(told(node_y={"cycles": 10, "macs": 18}), {}, "").records
    assert record.figures == {"cycles": 60, "macs": 3 * 2 * 18}


WORKER = """
import json, pathlib
folder = pathlib.Path("layers")
folder.mkdir()
for name in {done}:
    layer = {{"name": name, "type": "Conv", "loop_dimensions": {{"C": 3}}}}
    cycles = {{"data_onloading": 1.0, "computation": 5.0, "data_offloading": 2.0}}
    outputs = {{"energy": {{"energy_total": 2.5}}, "latency": cycles, "memory": {{"word_accesses": {{}}}}}}
    report = {{"outputs": outputs, "inputs": {{"layer": layer}}}}
    (folder / f"{{name}}_complete.json").write_text(json.dumps(report))
{then}
"""


def run(folder: Path, monkeypatch: pytest.MonkeyPatch, worker: str) -> LayerReport:
    workers, out = folder / "workers", folder / "out"
    workers.mkdir()
    out.mkdir()
    (workers / "zigzag.py").write_text(worker)
    monkeypatch.setattr(simulated, "WORKERS", workers)
    source: Any = SimpleNamespace(graph=load_graph(save_net(folder)))
    request = CompileRequest(source, "tpu-like", Path(sys.executable), out, 60, silent)
    report = compiler_of("zigzag").compile(request)
    assert [each["name"] for each in yaml.safe_load((out / "workload.yaml").read_text())][0] == "node_a"
    return report


def test_a_tool_that_dies_leaves_what_it_has_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = WORKER.format(done=["node_a"], then="import os\nos.abort()")
    report = run(tmp_path, monkeypatch, worker)
    (record,) = report.records
    assert record.sources == ("node_a",) and record.figures["cycles"] == 8
    assert report.refused.keys() == {"node_c", "node_y"}
    assert "not done: its process died of SIGABRT" in report.refused["node_c"]


def test_a_layer_that_fails_is_refused_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = {"version": "3.9.1", "refused": [{"name": "node_c", "reason": "too large"}]}
    then = f"def main(request):\n    return {result}"
    report = run(tmp_path, monkeypatch, WORKER.format(done=["node_a", "node_y"], then=then))
    assert dict(report.refused) == {"node_c": "too large"}
    assert (report.version, report.chip) == ("3.9.1", "tpu-like")


def test_a_tool_that_does_nothing_fails_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ToolError, match="its last words: .*no such array"):
        run(tmp_path, monkeypatch, "raise SystemExit('no such array')")
