"""Sizes that a file fixes are changed where it is run, too; what it runs on is derived by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import external_data_helper
from torch import nn

import onnxlens as api
from onnxlens import BenchRequest, GraphSpec, LayerRequest, Settings, TensorSpec
from onnxlens.api.opened import OpenedTarget
from tests.profile.graph.test_optimized_files import drawn
from tests.profile.models import op, save, value

SIZE = (1, 3, 12, 16)
MACS = 12 * 16 * (8 * 3 * 9 + 4 * 8 * 9)
"""Of a convolution from 3 to 8 channels and one from 8 to 4, each with 9 taps."""

SETTINGS = Settings(shapes={"x": SIZE})


def theirs(folder: Path) -> Path:
    """Two convolutions of a picture of 8 x 8, every shape written down; weights in a file of their own."""
    nodes = [
        op("Conv", "x w1", "h", pads=[1, 1, 1, 1]),
        op("Conv", "h w2", "y", pads=[1, 1, 1, 1]),
    ]
    weights = drawn({"w1": (8, 3, 3, 3), "w2": (4, 8, 3, 3)})
    path = save(folder, nodes, [value("x", (1, 3, 8, 8))], [value("y", (1, 4, 8, 8))], weights)
    model = onnx.load(path)
    model.graph.value_info.append(value("h", (1, 8, 8, 8)))
    external_data_helper.convert_model_to_external_data(model, location="w.data", size_threshold=512)
    onnx.save(model, path)
    return path


def module() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 4, 3, padding=1))


def two_convolutions() -> GraphSpec:
    return GraphSpec("two", "user", module, (TensorSpec("x", "float32", (1, 3, 8, 8)),), (), {"x": (0, 1)})


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return api.export_graph(f"{__name__}:two_convolutions", tmp_path_factory.mktemp("ours")).onnx_path


def test_a_file_runs_at_the_sizes_that_were_given(tmp_path: Path, ours: Path) -> None:
    for path in (theirs(tmp_path), ours):
        with OpenedTarget(path, SETTINGS) as it:
            session = it.session()
            assert it.inputs["x"].shape == SIZE
            assert session.get_inputs()[0].shape == list(SIZE)
            assert session.run(None, it.inputs)[0].shape == (1, 4, *SIZE[2:])
            report = api.bench_graph(it, request=BenchRequest(runs=1, matmul_peak=False))
        assert report.modules[0].time.macs == MACS
        assert any("(1, 3, 8, 8) in the file and was changed" in note for note in report.notes)


def test_one_run_and_a_check_are_of_the_sizes_that_were_given(tmp_path: Path) -> None:
    path, arrays = theirs(tmp_path), tmp_path / "x.npz"
    np.savez(arrays, x=np.ones(SIZE, "float32"))
    ledger = api.profile_graph(path, Settings(inputs=arrays, run=True))
    assert ledger.totals.macs == MACS
    assert ledger.modules[0].outputs[0].shape == (1, 4, 12, 16)
    assert api.check_graph(path, SETTINGS, reference="unoptimised").passed


def test_pytorch_runs_at_the_sizes_that_were_given(ours: Path) -> None:
    settings = Settings(shapes={"x": SIZE}, factory=f"{__name__}:two_convolutions")
    assert api.check_graph(ours, settings).passed
    report = api.check_layers(ours, settings, LayerRequest(samples=2))
    assert report.passed
    assert {layer.path: layer.shape for layer in report.layers}["1"] == (1, 4, 12, 16)
