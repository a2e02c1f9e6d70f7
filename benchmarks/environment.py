"""The environment of a measured process: this working copy, on this machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def environment(checkout: Path = ROOT) -> dict[str, str]:
    """The onnxlens of a checkout, whatever is installed.

    Python may write byte code: packages are compiled when they are installed, a checkout by its first run.
    """
    variables = {**os.environ, "PYTHONPATH": str(checkout)}
    variables.pop("PYTHONDONTWRITEBYTECODE", None)
    return variables


def conditions(packages: Sequence[str]) -> Mapping[str, str]:
    """The machine, its load, and the versions of the packages."""
    sys.path.insert(0, str(ROOT))
    from onnxlens.profile.runtime.machine import machine

    named = {key: value for key, value in machine().items() if key not in ("torch", "onnxruntime")}
    return {**named, **{package: version(package) for package in packages}}
