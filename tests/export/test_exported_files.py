"""The files of an export: graph, one file of weights, and no trace of the machine that wrote it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest

from onnxlens.errors import CheckpointError
from onnxlens.export import external_data, passes
from onnxlens.export.exported import ExportedWeights, MappedWeights
from onnxlens.export.network import Network
from onnxlens.reference_model.weights.choice import SeededWeights, seeded_tensor
from onnxlens.specs.graph import WeightSource
from onnxlens.specs.manifest import ExportedGraph, open_export
from onnxlens.specs.progress import silent
from tests.export import tiny as tiny_network

ROOT = Path(__file__).parents[2]
PAGE_BYTES = 4096
UNUSED = {"unused.weight", "unused.bias", "position_ids"}


def tiny_source() -> WeightSource:
    return SeededWeights(Network(tiny_network.network()).state, "tiny.")


def weights_of(path: Path, tensors: list[str]) -> dict[str, onnx.TensorProto]:
    model = onnx.load(path, load_external_data=False)
    found = {weight.name: weight for weight in model.graph.initializer if weight.name in tensors}
    return found


def location_of(weight: onnx.TensorProto) -> tuple[str, int, int]:
    entries = {entry.key: entry.value for entry in weight.external_data}
    return entries["location"], int(entries["offset"]), int(entries["length"])


def test_an_export_is_a_graph_one_data_file_and_a_manifest(tiny: ExportedGraph) -> None:
    folder = tiny.onnx_path.parent
    assert sorted(path.name for path in folder.iterdir()) == ["tiny.json", "tiny.onnx", "tiny.onnx.data"]
    weights = weights_of(tiny.onnx_path, list(tiny_source().tensors))
    assert {location_of(weight)[0] for weight in weights.values()} == {"tiny.onnx.data"}


def test_a_weightless_export_has_no_data_file_and_the_same_graph(
    tiny: ExportedGraph, weightless_tiny: ExportedGraph
) -> None:
    folder = weightless_tiny.onnx_path.parent
    assert sorted(path.name for path in folder.iterdir()) == ["tiny.json", "tiny.onnx"]
    assert weightless_tiny.onnx_path.read_bytes() == tiny.onnx_path.read_bytes()


@pytest.mark.parametrize("graph", ["tiny", "hed"])
def test_initializers_keep_name_type_shape_and_value_at_page_aligned_offsets(
    graph: str, request: pytest.FixtureRequest
) -> None:
    exported: ExportedGraph = request.getfixturevalue(graph)
    prefix = "tiny." if graph == "tiny" else ""
    unused = UNUSED if graph == "tiny" else set()
    tensors = {tensor.name: tensor for tensor in exported.manifest.tensors}
    weights = weights_of(exported.onnx_path, list(tensors))
    assert set(weights) == set(tensors) - unused
    end = 0
    for name, weight in weights.items():
        _, offset, length = location_of(weight)
        assert weight.data_type == onnx.TensorProto.FLOAT
        assert tuple(weight.dims) == tensors[name].shape
        assert offset % PAGE_BYTES == 0
        assert offset >= end
        assert length == 4 * tensors[name].elements
        end = offset + length
        stored = np.fromfile(exported.data_path, np.float32, tensors[name].elements, offset=offset)
        seeded = seeded_tensor(prefix + name, tensors[name].shape)
        expected = np.ones(tiny_network.WIDTH) if name == "scale" else seeded  # which the module computes
        assert np.array_equal(stored.reshape(weight.dims), expected)
    # the last tensor is padded to a whole page, and no gap is larger than a page
    assert exported.data_path.stat().st_size == -(-end // PAGE_BYTES) * PAGE_BYTES
    assert end <= sum(-(-4 * t.elements // PAGE_BYTES) * PAGE_BYTES for t in tensors.values())


@pytest.mark.parametrize("graph", ["tiny", "hed"])
def test_nothing_of_the_machine_that_exported_is_in_the_file(
    graph: str, request: pytest.FixtureRequest
) -> None:
    exported: ExportedGraph = request.getfixturevalue(graph)
    content = exported.onnx_path.read_bytes() + exported.manifest_path.read_bytes()
    for trace in (b"stack_trace", b"fx_node", b".py", str(ROOT).encode(), sys.prefix.encode()):
        assert trace not in content


@pytest.mark.parametrize("graph", ["tiny", "hed"])
def test_every_node_says_which_module_runs_it(graph: str, request: pytest.FixtureRequest) -> None:
    exported: ExportedGraph = request.getfixturevalue(graph)
    model = onnx.load(exported.onnx_path, load_external_data=False)
    keys = [{entry.key for entry in node.metadata_props} for node in model.graph.node]
    assert keys == [{"pkg.torch.onnx.name_scopes", "pkg.torch.onnx.class_hierarchy"}] * len(keys)
    assert not model.metadata_props
    assert (model.producer_name, model.graph.name) == ("onnxlens", graph)


def test_a_weightless_export_is_completed_by_writing_its_data_file(
    tiny: ExportedGraph, weightless_tiny: ExportedGraph, tmp_path: Path
) -> None:
    path = Path(shutil.copy(weightless_tiny.onnx_path, tmp_path))
    external_data.write(ir.load(path), tiny_source(), tmp_path / "tiny.onnx.data", silent)
    passes.check_file(path)
    assert (tmp_path / "tiny.onnx.data").read_bytes() == tiny.data_path.read_bytes()
    image = np.zeros((1, 3, 6, 6), np.float32)
    (logits,) = ort.InferenceSession(path).run(["logits"], {"image": image})
    assert logits.shape == (1, 36, 4)
    assert np.abs(logits).max() > 0


def test_two_exports_are_the_same_byte_for_byte(tiny: ExportedGraph, tmp_path: Path) -> None:
    """The second in another process, whose hashes and so the order of whose sets differ."""
    script = f"from onnxlens import export_graph; export_graph({tiny_network.TARGET!r}, {str(tmp_path)!r})"
    seed = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"
    environment = {**os.environ, "PYTHONHASHSEED": seed}
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT, env=environment)
    for path in (tiny.onnx_path, tiny.data_path, tiny.manifest_path):
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 16, 27])
def test_the_digest_made_while_writing_is_that_of_the_parts(size: int) -> None:
    content = bytes(range(size))
    digest = external_data.DataDigest(part_bytes=8)
    for start in range(0, size, 5):
        digest.add(memoryview(content)[start : start + 5])
    parts = [sha256(content[start : start + 8]).digest() for start in range(0, size, 8)]
    assert digest.text() == sha256(b"".join(parts)).hexdigest()


def test_the_manifest_has_the_digest_of_the_file(tiny: ExportedGraph) -> None:
    # one part, as the file is smaller than 64 MiB
    assert tiny.manifest.data_digest == sha256(sha256(tiny.data_path.read_bytes()).digest()).hexdigest()


def test_progress_is_reported_and_ends_at_the_whole(weightless_tiny: ExportedGraph, tmp_path: Path) -> None:
    steps: list[tuple[str, int, int]] = []
    model = ir.load(weightless_tiny.onnx_path)
    external_data.write(model, tiny_source(), tmp_path / "x.data", lambda *step: steps.append(step))
    used_bytes = 4 * (tiny_network.PARAMS + tiny_network.WIDTH)  # and the buffer "scale"
    assert steps[-1] == ("writing weights", used_bytes, used_bytes)
    assert len({done for _, done, _ in steps}) == len(steps) == 15  # 14 parameters in use and "scale"
    assert [done for _, done, _ in steps] == sorted(done for _, done, _ in steps)


def test_the_values_of_an_export_are_read_back(tiny: ExportedGraph) -> None:
    reopened = open_export(tiny.onnx_path)
    weights = ExportedWeights(reopened)
    assert reopened == tiny
    assert weights.label == "seeded"
    assert list(weights.tensors) == list(tiny_source().tensors)
    for name, tensor in weights.tensors.items():
        values = weights.read(name)
        assert values.dtype == np.dtype(tensor.dtype)
        expected = np.zeros(tensor.shape) if name in UNUSED else tiny_source().read(name)
        assert np.array_equal(values, expected)


def test_mapped_values_are_the_same_and_writing_them_changes_no_file(tiny: ExportedGraph) -> None:
    before = tiny.data_path.read_bytes()
    mapped, read = MappedWeights(tiny), ExportedWeights(tiny)
    for name in mapped.tensors:
        values = mapped.read(name)
        assert (values.dtype, values.shape) == (read.read(name).dtype, read.read(name).shape)
        assert np.array_equal(values, read.read(name))
        values[...] = 7
    assert isinstance(mapped.read("conv.weight"), np.memmap)
    assert tiny.data_path.read_bytes() == before


def test_mapping_a_truncated_file_says_so(tiny: ExportedGraph, tmp_path: Path) -> None:
    for path in tiny.onnx_path.parent.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / tiny.data_path.name).write_bytes(b"short")
    with pytest.raises(CheckpointError, match="head.weight cannot be read .*; is the file cut short"):
        MappedWeights(open_export(tmp_path / tiny.onnx_path.name)).read("head.weight")
