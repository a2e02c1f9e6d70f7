"""Naming, for a test's file, the factory that its manifest tells of: the tests' own functions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from onnxlens import Settings
from onnxlens.specs.manifest import read_manifest
from tests.export.tiny import TARGET

TINY = ("--factory", TARGET)
"""What the command line is told of a file of the tests' tiny network."""


def trusted(path: Path, settings: Settings | None = None) -> Settings:
    """The settings, with the factory of the file's network, if a factory made it."""
    manifest = read_manifest(path)
    made = manifest is not None and ":" in manifest.origin
    return replace(settings or Settings(), factory=manifest.origin if manifest and made else None)
