"""Graphs of the catalog, exported once for all tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

import onnxlens as api
from onnxlens.profile.graph.graph import Graph
from onnxlens.profile.graph.loading import load_graph


def _weightless(name: str, folder: Path) -> Graph:
    settings = api.Settings(weights="none")
    return load_graph(api.export_graph(name, folder, settings).onnx_path)


@pytest.fixture(scope="session")
def hed(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    """The soft-edge network at 512 x 512."""
    return _weightless("hed", tmp_path_factory.mktemp("hed"))


@pytest.fixture(scope="session")
def clip_text(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    """CLIP's text encoder, batch 2."""
    return _weightless("clip-text", tmp_path_factory.mktemp("clip-text"))
