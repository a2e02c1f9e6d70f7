"""The packages that make files of the recipes, in a folder of their own, beside the project's environment.

They are pinned here and nowhere else; torch, onnx and what they need are those of the project.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

PACKAGES = ("onnxruntime-genai==0.18.0", "onnxruntime==1.32.0", "transformers==5.24.0")
HERE = Path(__file__).parent


class CannotInstall(RuntimeError):
    """The package index does not answer, or has no such package."""


def install(folder: Path) -> None:
    """Into a folder, of which no byte is in the project's environment."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(folder), *PACKAGES]
    done = subprocess.run(pip, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CannotInstall(done.stderr.strip().splitlines()[-1])


def build(packages: Path, folder: Path, wanted: Iterable[str]) -> subprocess.CompletedProcess[str]:
    """``FAMILY:SIZE:FORM`` each, into the folder."""
    command = [sys.executable, str(HERE / "build.py"), str(folder), *wanted]
    offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "PYTHONPATH": str(packages)}
    return subprocess.run(command, env={**os.environ, **offline}, capture_output=True, text=True, check=False)
