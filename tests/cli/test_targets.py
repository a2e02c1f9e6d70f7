"""What a target may be: the folder of a run or an export, and a factory that gives a module instead."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from onnxlens.api.opened import OpenedTarget
from tests.cli.calls import done, onnxlens

MODULES = """
from torch import nn

def net():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())

made = net()

class Two(nn.Module):
    def forward(self, left, right, *rest, scale=1):
        return left * right * scale
"""


def test_a_folder_with_one_file_is_that_file(bare_tiny: Path, tmp_path: Path) -> None:
    graph = tmp_path / "run" / "tiny"
    shutil.copytree(bare_tiny.parent, graph)
    (tmp_path / "run" / ".onnxlens-stage-1").mkdir()
    (tmp_path / "run" / ".onnxlens-stage-1" / "half.onnx").touch()
    counted = done("profile", graph / bare_tiny.name, "--format", "csv")
    assert "Conv2d" in counted or "Linear" in counted
    assert done("profile", graph, "--format", "csv") == counted
    assert done("profile", tmp_path / "run", "--format", "csv") == counted


def test_a_folder_in_the_current_one_needs_no_slash_unless_a_graph_is_called_so(
    bare_tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("out", "hed"):
        shutil.copytree(bare_tiny.parent, tmp_path / name)
    assert OpenedTarget("out").path.resolve() == tmp_path / "out" / bare_tiny.name
    assert not OpenedTarget("hed").is_file
    assert OpenedTarget("./hed").is_file


def test_a_folder_with_several_files_lists_them(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.onnx").touch()
    outcome = onnxlens("profile", tmp_path)
    names = f"{tmp_path / 'a' / 'a.onnx'}, {tmp_path / 'b' / 'b.onnx'}"
    assert outcome.code == 2
    assert outcome.err == f"onnxlens: {tmp_path}: is a folder with 2 .onnx files; name one of {names}\n"


def test_a_module_is_not_extracted_over_the_file_of_its_folder(bare_tiny: Path, tmp_path: Path) -> None:
    shutil.copytree(bare_tiny.parent, tmp_path / "net")
    out = tmp_path / "net" / bare_tiny.name
    outcome = onnxlens("extract", tmp_path / "net", "--module", "", "--out", out)
    assert (outcome.code, outcome.out) == (2, "")
    assert "is the file to extract from" in outcome.err


@pytest.mark.parametrize("attribute", ["net", "made", "Two"])
def test_the_lines_that_a_modules_factory_lacks_can_be_pasted(
    attribute: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    name = f"module_of_{attribute}"
    source = tmp_path / f"{name}.py"
    source.write_text(MODULES)
    outcome = onnxlens("profile", f"{name}:{attribute}")
    assert outcome.code == 2
    refusal, lines = outcome.err.split("\n\n")
    assert (
        f"it returned a module, {'Two' if attribute == 'Two' else 'Sequential'}; put these lines" in refusal
    )
    assert refusal.endswith(f"and name {name}:spec")
    assert len(lines.splitlines()) == 3
    pasted = tmp_path / f"{name}_pasted.py"
    pasted.write_text(f"{MODULES}\n{lines}")
    # 4 channels at 222 x 222, each over 3 channels x 9 taps; a product of two tensors has no MAC
    macs = 0 if attribute == "Two" else 4 * 222 * 222 * 27
    assert f"total: {macs:,} MACs" in done("profile", f"{name}_pasted:spec")
