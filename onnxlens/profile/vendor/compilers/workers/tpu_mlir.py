"""Has tpu-mlir compile an ONNX file and trace its cycle model: a script, see ``start.py``.

The wheel bundles the C library of the machine that it was built on, with which its programs crash on another:
they get this system's. They import PyTorch, and use it for PyTorch's own files: where it is missing a module
without parts is in its place.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

C_LIBRARY = ("libc.", "libdl.", "libm.", "libpthread.", "librt.")

TORCH = """
class Tensor: ...
def __getattr__(name):
    raise (AttributeError if name[:2] == "__" else ImportError)("PyTorch is not installed: " + name)
"""
"""A module whose parts are missing: who tries to import one goes on without."""


def _environment(root: Path) -> Mapping[str, str]:
    """Variables under which the tools find their programs, their packages and their libraries."""
    bundled, packages = root / "lib" / "third_party", Path("packages").absolute()
    packages.mkdir()
    if find_spec("torch") is None:
        (packages / "torch.py").write_text(TORCH, encoding="utf-8")
    python, programs = root / "python", root / "cross_toolchains" / "ppl_compile"
    paths: dict[str, list[Any]] = {
        "PATH": [root / "bin", python / "tools", python / "utils", os.environ.get("PATH", "")],
        "PYTHONPATH": [root, python, root / "customlayer" / "python", root.parent, packages],
        "LD_LIBRARY_PATH": [root / "lib", root / "lib" / "capi", bundled],
        "LD_PRELOAD": _of_the_system(bundled),
    }
    joined = {name: os.pathsep.join(map(str, each)) for name, each in paths.items()}
    return {**os.environ, **joined, "TPUC_ROOT": str(root), "PPL_PROJECT_ROOT": str(programs)}


def _of_the_system(bundled: Path) -> list[Path]:
    """This system's C library, part by part that is bundled: what is loaded already is not looked for."""
    maps = Path("/proc/self/maps").read_text(encoding="utf-8")
    own = next(Path(line.split()[-1]).parent for line in maps.splitlines() if line.endswith("/libc.so.6"))
    parts = [own / path.name for path in bundled.glob("lib*.so.*") if path.name.startswith(C_LIBRARY)]
    return [path for path in parts if path.is_file()]


def _run(tool: str, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
    script = Path(environment["TPUC_ROOT"]) / "python" / "tools" / f"{tool}.py"
    done = subprocess.run([sys.executable, str(script), *arguments], env=environment, check=False)
    if done.returncode:
        sys.exit(f"{tool} ended with the code {done.returncode}")


def _compile(request: Mapping[str, Any], environment: Mapping[str, str]) -> None:
    """Leave the trace and the final MLIR; what is compiled is not run."""
    chip, kind = request["chip"], {"float16": "F16", "int8": "INT8"}[request["dtype"]]
    told = ["--model_name", "model", "--model_def", request["model"], "--mlir", "model.mlir"]
    _run("model_transform", [*told, "--not_inference"], environment)
    chosen = ["--mlir", "model.mlir", "--chip", chip, "--quantize", kind, "--model", "model.bmodel"]
    if kind == "INT8":
        _write_sample(request["inputs"])
        samples = ["model.mlir", "--dataset", "samples", "--input_num", "1", "-o", "ranges.txt"]
        _run("run_calibration", samples, environment)
        chosen += ["--calibration_table", "ranges.txt"]
    _run("model_deploy", [*chosen, "--skip_validation", "--debug"], environment)


def _write_sample(names: Sequence[str]) -> None:
    """The sample, by the names of the inputs."""
    Path("samples").mkdir()
    with np.load("inputs.npz") as arrays:
        np.savez("samples/sample.npz", **{name: arrays[str(at)] for at, name in enumerate(names)})


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Compile the model."""
    spec = find_spec("tpu_mlir")
    assert spec is not None and spec.origin is not None
    _compile(request, _environment(Path(spec.origin).parent))
    return {"version": version("tpu-mlir"), "report": "."}
