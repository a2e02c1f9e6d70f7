"""The examples of the README, run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYTHON_BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


def onnxlens(folder: Path, *arguments: str) -> str:
    run = f"import sys; from onnxlens.cli.main import run; sys.exit(run({list(arguments)}))"
    done = subprocess.run(
        [sys.executable, "-c", run], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_your_own_module_is_checked_and_counted(tmp_path: Path) -> None:
    (tmp_path / "mynet.py").write_text(PYTHON_BLOCKS[0])
    assert "all outputs agree" in onnxlens(tmp_path, "check", "mynet:spec")
    # 16 channels x 31 x 31 positions, each over 3 channels x 9 taps; then 15,376 inputs to 10 classes
    macs = 16 * 31 * 31 * 27 + 16 * 31 * 31 * 10
    assert f"total: {macs:,} MACs" in onnxlens(tmp_path, "profile", "mynet:spec", "--depth", "3")


def test_the_python_api_in_ten_lines_runs(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PYTHON_BLOCKS[1]], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    # every layer of HED is a convolution: a quarter of its MACs at 256 x 256
    assert done.stdout.splitlines()[0] == f"{80_210_296_832 // 4} 14716168"
    assert (tmp_path / "out" / "hed.svg").is_file()


def test_one_target_serves_several_questions(tmp_path: Path) -> None:
    small = PYTHON_BLOCKS[2].replace('"clip-text"', '"hed", onnxlens.Settings(height=64, width=64)')
    program = f"import onnxlens\n{small}\nassert checked.passed\nprint(ledger.totals.macs)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout == f"{80_210_296_832 // 64}\n", done.stderr


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(([\w/.-]+)\)", README))))
def test_every_link_has_a_target(target: str) -> None:
    assert (ROOT / target).exists()


def test_every_verb_is_in_the_readme() -> None:
    from onnxlens.cli.main import VERBS

    for verb in VERBS:
        assert f"`onnxlens {verb}" in README
