"""The main job on what users bring: factories and files, among graphs of the catalog."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

import onnxlens
from onnxlens.errors import UsageError
from tests.export.tiny import TARGET

TIMED = {"summary.txt", "summary.md", "summary.csv", "summary.json", "index.md"}
SCHEMA = Path(__file__).parents[2] / "docs" / "schemas" / "summary.schema.json"


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny network's file without a manifest, as if from elsewhere."""
    exported = onnxlens.export_graph(TARGET, tmp_path_factory.mktemp("from"))
    folder = tmp_path_factory.mktemp("elsewhere")
    for path in (exported.onnx_path, exported.onnx_path.with_suffix(".onnx.data")):
        shutil.copy(path, folder)
    return Path((folder / exported.onnx_path.name).rename(folder / "brought.onnx"))


def test_a_factory_and_a_file_are_counted_compared_timed_and_drawn(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for _ in range(2):  # the second replaces what the first has written
        summary = onnxlens.run_reference(onnxlens.Job(out, (TARGET, str(file))))
    made, brought = summary.graphs
    assert (made.graph, brought.graph, summary.succeeded) == ("tiny", "brought", True)
    assert (made.macs, made.inputs) == (brought.macs, brought.inputs)
    for graph, reference in ((made, "pytorch"), (brought, "unoptimised")):
        assert graph.latency
        named = {out / path for path in graph.files.values()}
        assert named == set((out / graph.graph).iterdir())
        assert json.loads((out / graph.graph / "parity.json").read_text())["reference"] == reference
    schema = json.loads(SCHEMA.read_text())
    Draft202012Validator(schema).validate(json.loads((out / "summary.json").read_text()))
    assert "onnx" not in brought.files
    assert file.is_file()


def test_two_processes_write_the_files_that_one_writes(file: Path, tmp_path: Path) -> None:
    one, two = (
        onnxlens.run_reference(
            onnxlens.Job(tmp_path / str(processes), (TARGET, str(file)), processes=processes)
        )
        for processes in (1, 2)
    )
    assert [graph.graph for graph in two.graphs] == ["tiny", "brought"]
    for before, after in zip(one.graphs, two.graphs, strict=True):
        assert after.latency
        assert after.worst == before.worst
        assert after.files == before.files
        assert (after.macs, after.nodes, after.outcome) == (before.macs, before.nodes, "done")
    first, second = (
        {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()}
        for out in (tmp_path / "1", tmp_path / "2")
    )
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name] and name.name not in TIMED] == []


def test_two_of_one_name_and_what_does_not_exist_are_refused_at_once(file: Path, tmp_path: Path) -> None:
    other = shutil.copy(file, tmp_path / "tiny.onnx")
    with pytest.raises(UsageError, match=r"are both called tiny; run them one by one"):
        onnxlens.run_reference(onnxlens.Job(tmp_path / "out", (TARGET, str(other))))
    with pytest.raises(UsageError, match=r"no\.onnx: no such file"):
        onnxlens.run_reference(onnxlens.Job(tmp_path / "out", ("no.onnx",)))
    assert not (tmp_path / "out").exists()
