"""Files for the tests of the command line."""

from __future__ import annotations

import shutil
from pathlib import Path

import onnx
import pytest

import onnxlens as api
from tests.export.tiny import TARGET


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny network's file, with weights."""
    return api.export_graph(TARGET, tmp_path_factory.mktemp("tiny")).onnx_path


@pytest.fixture(scope="session")
def bare_tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny network's file, without weights."""
    folder = tmp_path_factory.mktemp("bare")
    return api.export_graph(TARGET, folder, api.Settings(weights="none")).onnx_path


@pytest.fixture
def tiny_copy(tiny: Path, tmp_path: Path) -> Path:
    """The tiny network's file with data and manifest, to spoil."""
    return Path(shutil.copytree(tiny.parent, tmp_path / "copy")) / tiny.name


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """A foreign graph with an unknown operator."""
    nodes = [
        onnx.helper.make_node("Relu", ["x"], ["h"], name="relu"),
        onnx.helper.make_node("Wobble", ["h"], ["y"], name="wobble", domain="com.odd"),
    ]
    x, y = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [2, 3]) for name in "xy")
    opsets = [onnx.helper.make_opsetid("", 18), onnx.helper.make_opsetid("com.odd", 1)]
    model = onnx.helper.make_model(onnx.helper.make_graph(nodes, "odd", [x], [y]), opset_imports=opsets)
    path = tmp_path / "odd.onnx"
    onnx.save(model, path)
    return path
