"""What a file may decide: never which code runs, and nothing that its manifest and its network contradict."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from math import nan
from pathlib import Path
from typing import Any

import pytest

import onnxlens as api
from onnxlens.api.cache import cache_folder, proof_of
from onnxlens.cli.main import run
from onnxlens.errors import GraphError, OnnxlensError, UsageError
from onnxlens.specs.summary import Job
from tests.export import tiny

MARKER = "ran.txt"
WEIGHT = "attention.q.weight"

MODULE = f'''
from pathlib import Path
Path("{MARKER}").write_text("this module was imported")
from tests.export.tiny import network
'''
"""A module that leaves a trace when it is imported."""


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return api.export_graph(tiny.TARGET, tmp_path_factory.mktemp("tiny")).onnx_path


@pytest.fixture
def path(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the export, in a current folder of its own."""
    for file in exported.parent.iterdir():
        shutil.copy(file, tmp_path / file.name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    return tmp_path / exported.name


def edit(path: Path, **fields: Any) -> None:
    """Change fields of the file's manifest."""
    manifest = path.with_suffix(".json")
    document = json.loads(manifest.read_text(encoding="utf-8"))
    manifest.write_text(json.dumps(document | fields), encoding="utf-8")


@pytest.fixture
def marked(path: Path) -> Iterator[Path]:
    """A file whose manifest names a function of a module in the current folder."""
    (path.parent / "marking.py").write_text(MODULE, encoding="utf-8")
    edit(path, origin="marking:network")
    yield path
    sys.modules.pop("marking", None)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["check"], 2),
        (["check", "--layers"], 2),
        (["bench", "--runs", "1", "--against", "torch"], 2),
        (["ledger", "--parity"], 2),
        (["check", "--against", "unoptimised"], 0),
        (["extract", "--module", "attention", "--out", "alone.onnx"], 0),
        (["profile"], 0),
        (["ledger"], 0),
        (["bench", "--runs", "1"], 0),
        (["reconcile"], 0),
        (["render", "--out", "flow.dot"], 0),
    ],
)
def test_no_verb_imports_what_a_manifest_names(
    arguments: list[str], code: int, marked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([arguments[0], str(marked), *arguments[1:], "-q"]) == code
    assert not (marked.parent / MARKER).exists()
    assert "marking" not in sys.modules
    if code:
        assert "'marking:network' made its network" in capsys.readouterr().err


def test_an_extraction_says_what_it_did_without(marked: Path) -> None:
    (note,) = api.extract_module(marked, "attention", marked.parent / "alone.onnx").notes
    assert "no PyTorch side" in note
    assert "name it with --factory" in note


def test_a_factory_that_the_user_names_is_called(marked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", str(marked), "--factory", "marking:network"]) == 0
    assert (marked.parent / MARKER).exists()
    assert "calling marking:network" in capsys.readouterr().err


def test_ones_own_export_needs_no_second_word_and_another_users_does(
    path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert api.check_graph(path).passed
    assert api.check_layers(path).passed
    monkeypatch.setenv("ONNXLENS_CACHE", str(tmp_path_factory.mktemp("another user's")))
    with pytest.raises(UsageError, match="name it with --factory"):
        api.check_graph(path)


def test_a_proven_factory_is_not_looked_for_in_the_current_folder(marked: Path) -> None:
    edit(marked, origin_proof=proof_of("marking:network"))
    with pytest.raises(UsageError, match="No module named 'marking'.*add --factory with this name"):
        api.check_graph(marked)
    assert not (marked.parent / MARKER).exists()


def test_the_key_is_the_users_alone(path: Path) -> None:
    key = cache_folder() / "key"
    assert key.stat().st_mode & 0o777 == 0o600
    key.write_bytes(b"short")  # damaged
    try:
        with pytest.raises(UsageError, match="name it with --factory"):
            api.check_graph(path)
    finally:
        key.unlink()


def test_a_factory_is_for_files_that_one_has_made(path: Path, tmp_path: Path) -> None:
    hed = api.export_graph("mlsd-tiny", tmp_path / "hed", api.Settings(height=64, width=64)).onnx_path
    for target, match in ((hed, "catalog's 'mlsd-tiny'"), (tiny.TARGET, "is for .onnx files")):
        with pytest.raises(UsageError, match=match):
            api.check_graph(target, api.Settings(factory=tiny.TARGET))


def _other_data(path: Path) -> None:
    data = path.with_name(path.name + ".data")
    content = bytearray(data.read_bytes())
    content[0] ^= 1
    data.write_bytes(content)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (_other_data, r"tiny\.onnx\.data: is not the file that tiny\.json was written with"),
        (lambda path: edit(path, settings={"height": 999_999_999, "weights": 1}), "has the settings"),
        (lambda path: edit(path, outputs=[]), "takes or returns other tensors"),
        (lambda path: edit(path, tensors=[]), "has another attention"),
        (lambda path: edit(path, input_ranges={"x": [nan, 1]}), r"the range of input 'x' is \(nan, 1.0\)"),
    ],
)
def test_a_manifest_is_held_to_its_files_and_its_network(
    change: Callable[[Path], None], match: str, path: Path
) -> None:
    change(path)
    with pytest.raises(GraphError, match=match):
        api.check_graph(path, api.Settings(factory=tiny.TARGET))


def test_a_catalog_file_that_claims_another_size_is_refused_before_anything_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = api.export_graph("mlsd-tiny", tmp_path, api.Settings(height=64, width=64)).onnx_path
    edit(file, settings={"batch": 1, "height": 2**14, "width": 2**14})
    monkeypatch.setattr("onnxlens.specs.graph.GraphSpec.build", lambda *_, **__: pytest.fail("was built"))
    with pytest.raises(GraphError, match="takes or returns other tensors"):
        api.check_graph(file)


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        (
            {"inputs": [{"name": "sound", "dtype": "float32", "shape": [1]}]},
            "lists the inputs sound, the file",
        ),
        (
            {"tensors": [{"name": WEIGHT, "dtype": "float32", "shape": [9], "kind": "parameter"}]},
            r"lists attention.q.weight as \(9,\), the file as \(8, 8\)",
        ),
    ],
)
def test_a_manifest_of_another_file_is_refused_when_the_file_is_read(
    fields: dict[str, Any], match: str, path: Path
) -> None:
    edit(path, **fields)
    with pytest.raises(GraphError, match=match):
        api.profile_graph(path)


def test_weights_of_a_killed_second_export_are_not_taken_for_the_firsts(tmp_path: Path) -> None:
    """Killed between the renames: the new weights are there, the graph and the manifest are the old ones."""
    settings = api.Settings(height=64, width=64)
    old, new = (api.export_graph("mlsd-tiny", tmp_path / name, settings).onnx_path for name in ("old", "new"))
    _other_data(new)
    shutil.copy(new.with_name("mlsd-tiny.onnx.data"), old.with_name("mlsd-tiny.onnx.data"))
    with pytest.raises(OnnxlensError, match="is not the file that mlsd-tiny.json was written with"):
        api.check_graph(old)


def test_the_main_job_writes_files_that_belong_together(tmp_path: Path) -> None:
    summary = api.run_reference(Job(tmp_path, ("mlsd-tiny",), quick=True))
    assert api.check_graph(tmp_path / summary.graphs[0].files["onnx"]).passed
