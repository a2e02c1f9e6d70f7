"""The installed package: its import is light, and its wheel works elsewhere."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def python(*arguments: str, cwd: Path = ROOT, interpreter: str = sys.executable) -> str:
    done = subprocess.run(
        [interpreter, *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def modules_after(statement: str) -> set[str]:
    return set(
        json.loads(python("-c", f"{statement}; import json, sys; print(json.dumps(sorted(sys.modules)))"))
    )


def test_importing_onnxlens_imports_neither_torch_nor_onnx() -> None:
    loaded = modules_after("import onnxlens; onnxlens.list_graphs; onnxlens.GraphSpec; onnxlens.__version__")
    assert "onnxlens.api" in loaded
    assert not loaded & {"torch", "onnx", "onnx_ir", "onnxscript", "onnxruntime", "numpy"}


def test_the_command_line_imports_no_network_to_answer_help_or_list_graphs() -> None:
    listing = "import sys; from onnxlens.cli.main import run; run({}); print(int('torch' in sys.modules))"
    assert python("-c", listing.format(["--help"])).splitlines()[-1] == "0"
    assert python("-c", listing.format(["graphs"])).splitlines()[-1] == "0"


def test_the_folder_named_profile_does_not_shadow_the_standard_librarys() -> None:
    python("-c", "import cProfile, torch")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the tree, built from a copy: a build leaves folders behind, which later builds read."""
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "tree"
    shutil.copytree(ROOT / "onnxlens", copy / "onnxlens", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    python("-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(folder), str(copy))
    return next(folder.glob("onnxlens-*.whl"))


def clean_environment(folder: Path) -> str:
    """The interpreter of a new, empty environment."""
    venv.create(folder, with_pip=True)
    return str(folder / "bin" / "python")


def test_the_wheel_works_from_another_folder(wheel: Path, tmp_path: Path) -> None:
    interpreter = clean_environment(tmp_path / "env")
    python("-m", "pip", "install", "--quiet", "--no-deps", str(wheel), cwd=tmp_path, interpreter=interpreter)
    # The dependencies are borrowed: installing them anew is what the slow test below does.
    site = Path(
        python(
            "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", interpreter=interpreter
        ).strip()
    )
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib"))
    where = python("-c", "import onnxlens; print(onnxlens.__file__)", cwd=tmp_path, interpreter=interpreter)
    assert Path(where.strip()).is_relative_to(tmp_path)
    arguments = ("profile", "hed", "--height", "64", "--width", "64", "--format", "json")
    run = f"import sys; from onnxlens.cli.main import run; sys.exit(run({list(arguments)}))"
    document = json.loads(python("-c", run, cwd=tmp_path, interpreter=interpreter))
    # 80,210,296,832 at 512 x 512, and every layer of HED is a convolution: 64 times fewer at 64 x 64
    assert document["totals"]["macs"] == 80_210_296_832 // 64
    assert (site / "onnxlens" / "py.typed").is_file()
    assert not (site / "tests").exists()


@pytest.mark.slow
def test_the_wheel_installs_all_it_needs(wheel: Path, tmp_path: Path) -> None:
    interpreter = clean_environment(tmp_path / "env")
    constraints = str(ROOT / "constraints.txt")
    python(
        "-m",
        "pip",
        "install",
        "--quiet",
        "-c",
        constraints,
        str(wheel),
        cwd=tmp_path,
        interpreter=interpreter,
    )
    command = str(tmp_path / "env" / "bin" / "onnxlens")
    done = subprocess.run(
        [command, "check", "hed", "--height", "64", "--width", "64"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "all outputs agree" in done.stdout
