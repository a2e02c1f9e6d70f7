"""The examples of the README, run."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.cli.calls import done

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYTHON_BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


@pytest.fixture(autouse=True)
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user's folder is the current one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("")


def test_your_own_module_is_checked_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("mynet.py").write_text(PYTHON_BLOCKS[0])
    monkeypatch.setitem(sys.modules, "mynet", ModuleType("mynet"))
    del sys.modules["mynet"]  # and again after the test
    assert "all outputs agree" in done("check", "mynet:spec")
    # 16 channels x 31 x 31 positions, each over 3 channels x 9 taps; then 15,376 inputs to 10 classes
    macs = 16 * 31 * 31 * 27 + 16 * 31 * 31 * 10
    assert f"total: {macs:,} MACs" in done("profile", "mynet:spec", "--depth", "3")


def test_the_python_api_in_ten_lines_runs(capsys: pytest.CaptureFixture[str]) -> None:
    exec(PYTHON_BLOCKS[1], {})
    # every layer of HED is a convolution: a quarter of its MACs at 256 x 256
    assert capsys.readouterr().out.splitlines()[0] == f"{80_210_296_832 // 4} 14716168"
    assert Path("out/hed.svg").is_file()


def test_one_target_serves_several_questions() -> None:
    small = PYTHON_BLOCKS[2].replace('"clip-text"', '"hed", onnxlens.Settings(height=64, width=64)')
    names: dict[str, Any] = {}
    exec(f"import onnxlens\n{small}", names)
    assert names["checked"].passed
    assert names["ledger"].totals.macs == 80_210_296_832 // 64


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(([\w/.-]+)\)", README))))
def test_every_link_has_a_target(target: str) -> None:
    assert (ROOT / target).exists()


def test_every_verb_is_in_the_readme() -> None:
    from onnxlens.cli.main import VERBS

    for verb in VERBS:
        assert f"`onnxlens {verb}" in README
