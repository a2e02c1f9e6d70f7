"""What a measured process runs in: this working copy, on this machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def environment() -> dict[str, str]:
    """This working copy's onnxlens, whatever is installed."""
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def conditions(packages: Sequence[str]) -> Mapping[str, str]:
    """The machine, its load, and the versions of the packages."""
    sys.path.insert(0, str(ROOT))
    from onnxlens.profile.runtime.machine import machine

    named = {key: value for key, value in machine().items() if key not in ("torch", "onnxruntime")}
    return {**named, **{package: version(package) for package in packages}}
