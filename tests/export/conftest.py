"""Exports that several tests look at; each is made once."""

from __future__ import annotations

import pytest

import onnxlens as api
from onnxlens.specs.manifest import ExportedGraph
from tests.export.tiny import TARGET


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> ExportedGraph:
    """The tiny network with seeded weights."""
    return api.export_graph(TARGET, tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def weightless_tiny(tmp_path_factory: pytest.TempPathFactory) -> ExportedGraph:
    """The tiny network without weights."""
    return api.export_graph(TARGET, tmp_path_factory.mktemp("weightless"), api.Settings(weights="none"))


@pytest.fixture(scope="session")
def hed(tmp_path_factory: pytest.TempPathFactory) -> ExportedGraph:
    """HED at 64 by 32, seeded."""
    settings = api.Settings(height=64, width=32)
    return api.export_graph("hed", tmp_path_factory.mktemp("hed"), settings)
