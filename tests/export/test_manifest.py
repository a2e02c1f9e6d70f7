"""The manifest has the module's own structure and tensors."""

from __future__ import annotations

import json
import math
import shutil
from importlib.metadata import version
from pathlib import Path

import onnx
import pytest

import onnxlens as api
from onnxlens.errors import CheckpointError, GraphError
from onnxlens.export.exported import ExportedWeights
from onnxlens.reference_model import catalog
from onnxlens.specs.codec import read_spec
from onnxlens.specs.manifest import ExportedGraph, Manifest, data_path_of, manifest_path_of, open_export
from tests.export import tiny as tiny_network
from tests.trust import trusted


def test_modules_and_tensors_are_the_modules_own(tiny: ExportedGraph) -> None:
    module = tiny_network.Tiny()
    manifest = tiny.manifest
    assert manifest.modules == {path: type(child).__name__ for path, child in module.named_modules()}
    assert manifest.modules["attention.q"] == "Linear"
    parameters = {name: tuple(p.shape) for name, p in module.named_parameters()}
    buffers = {name: tuple(b.shape) for name, b in module.named_buffers()}
    assert {t.name: t.shape for t in manifest.tensors if t.kind == "parameter"} == parameters
    assert {t.name: t.shape for t in manifest.tensors if t.kind == "buffer"} == buffers
    assert {t.name for t in manifest.tensors if t.dtype == "int64"} == {"position_ids"}


def test_parameters_that_the_forward_pass_skips_are_in_the_manifest_and_not_in_the_file(
    tiny: ExportedGraph,
) -> None:
    listed = {tensor.name: tensor.elements for tensor in tiny.manifest.tensors}
    model = onnx.load(tiny.onnx_path, load_external_data=False)
    held = {
        weight.name: math.prod(weight.dims) for weight in model.graph.initializer if weight.name in listed
    }
    assert set(listed) - set(held) == {"unused.weight", "unused.bias", "position_ids"}
    assert sum(held.values()) == tiny_network.PARAMS + tiny_network.WIDTH  # and the buffer "scale"
    assert sum(listed.values()) == (tiny_network.PARAMS + tiny_network.UNUSED_PARAMS + tiny_network.BUFFERS)


def test_the_manifest_of_a_factory_says_how_to_build_it_again(tiny: ExportedGraph) -> None:
    manifest = tiny.manifest
    assert (manifest.graph, manifest.family, manifest.opset) == ("tiny", "user", 18)
    assert (manifest.origin, manifest.settings) == ("tests.export.tiny:network", {})
    assert (manifest.weights, manifest.has_weights) == ("seeded", True)
    assert manifest.inputs == (tiny_network.IMAGE,)
    assert manifest.outputs == (tiny_network.LOGITS,)
    assert manifest.input_ranges == {"image": (-1.0, 1.0)}
    assert manifest.versions["torch"] == version("torch")
    assert set(manifest.versions) == {"onnxlens", "torch", "onnxscript", "onnx-ir", "onnx"}


def test_the_manifest_of_a_catalog_graph_holds_its_sizes(hed: ExportedGraph) -> None:
    manifest = hed.manifest
    assert (manifest.origin, manifest.family) == ("hed", "annotator")
    assert manifest.settings == {"batch": 1, "height": 64, "width": 32}
    spec = catalog.get("hed", height=64, width=32)
    assert manifest.outputs == spec.outputs
    assert manifest.input_ranges == {"image": (0, 255)}
    assert {t.name: list(t.shape) for t in manifest.tensors} == published_hed()
    assert {t.kind for t in manifest.tensors} == {"parameter"}


def published_hed() -> dict[str, list[int]]:
    layout = Path(__file__).parents[1] / "data" / "checkpoints" / "ControlNetHED.json"
    keys: dict[str, list[int]] = json.loads(layout.read_text(encoding="utf-8"))["keys"]
    return keys


def test_the_manifest_on_disk_is_the_one_returned(
    tiny: ExportedGraph, weightless_tiny: ExportedGraph
) -> None:
    assert read_spec(tiny.manifest_path, Manifest) == tiny.manifest
    assert read_spec(weightless_tiny.manifest_path, Manifest) == weightless_tiny.manifest
    assert (weightless_tiny.manifest.weights, weightless_tiny.manifest.has_weights) == ("none", False)


def test_the_three_files_are_named_alike() -> None:
    assert data_path_of(Path("a/x.onnx")) == Path("a/x.onnx.data")
    assert manifest_path_of(Path("a/x.onnx")) == Path("a/x.json")


def test_a_graph_without_a_manifest_and_a_missing_graph_cannot_be_opened(
    tiny: ExportedGraph, tmp_path: Path
) -> None:
    with pytest.raises(GraphError, match=r"x\.onnx: no such file; give an \.onnx file or a graph"):
        open_export(tmp_path / "x.onnx")
    path = Path(shutil.copy(tiny.onnx_path, tmp_path))
    with pytest.raises(GraphError, match=r"tiny\.onnx: no manifest tiny\.json .*--against unoptimised$"):
        open_export(path)


def test_missing_weights_cannot_be_opened(weightless_tiny: ExportedGraph) -> None:
    with pytest.raises(CheckpointError, match=r"tiny\.onnx: exported with --weights none, so it cannot run"):
        ExportedWeights(weightless_tiny)


@pytest.mark.parametrize("share", [None, 0.0, 0.9])
def test_a_data_file_that_is_missing_or_truncated_is_refused(
    share: float | None, tiny: ExportedGraph, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(tiny.onnx_path.parent, tmp_path / "copy")) / "tiny.onnx"
    exported = open_export(copy)
    if share is None:
        exported.data_path.unlink()
    else:
        content = tiny.data_path.read_bytes()
        exported.data_path.write_bytes(content[: int(share * len(content))])
    expected = "no such file; it holds the weights" if share is None else "cannot be read .* export again$"
    with pytest.raises(CheckpointError, match=rf"tiny\.onnx\.data: .*{expected}"):
        weights = ExportedWeights(exported)
        for name in weights.tensors:
            weights.read(name)


def test_a_checkpoint_is_named_in_the_manifest(tmp_path: Path) -> None:
    import torch

    path = tmp_path / "trained.pth"
    torch.save({f"tiny.{key}": value for key, value in tiny_network.Tiny().state_dict().items()}, path)
    exported = api.export_graph(tiny_network.TARGET, tmp_path / "out", api.Settings(weights=path))
    assert exported.manifest.weights == "trained.pth"
    assert str(tmp_path) not in exported.manifest_path.read_text(encoding="utf-8")
    assert api.check_graph(exported.onnx_path, trusted(exported.onnx_path)).passed
