"""The Python API, on a factory's network, on a graph of the catalog, and on files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

import onnxlens
import onnxlens as api
from onnxlens.errors import GraphError, UsageError
from onnxlens.specs.manifest import ExportedGraph
from tests.export import tiny as tiny_network
from tests.export.tiny import TARGET
from tests.trust import trusted

HED_64 = onnxlens.Settings(height=64, width=64)

# 3x3 convolutions of HED at 64 x 64: positions x (in x out channels of each, summed) x 9 taps, block by block
HED_MACS = (
    64 * 64 * (3 * 64 + 64 * 64) * 9
    + 32 * 32 * (64 * 128 + 128 * 128) * 9
    + 16 * 16 * (128 * 256 + 2 * 256 * 256) * 9
    + 8 * 8 * (256 * 512 + 2 * 512 * 512) * 9
    + 4 * 4 * (3 * 512 * 512) * 9
    # and a 1x1 projection to one channel off each block
    + 64 * 64 * 64 + 32 * 32 * 128 + 16 * 16 * 256 + 8 * 8 * 512 + 4 * 4 * 512
)  # fmt: skip

HED_PARAMS = (
    9 * (3 * 64 + 64 * 64 + 64 * 128 + 128 * 128 + 128 * 256 + 2 * 256**2 + 256 * 512 + 5 * 512**2)
    + (2 * 64 + 2 * 128 + 3 * 256 + 6 * 512)  # their biases
    + (64 + 128 + 256 + 512 + 512) + 5  # the projections
    + 3  # the image's mean
)  # fmt: skip


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> ExportedGraph:
    return onnxlens.export_graph(TARGET, tmp_path_factory.mktemp("api"))


def test_every_public_name_is_exported_and_no_other() -> None:
    assert all(getattr(onnxlens, name) is not None for name in onnxlens.__all__)
    assert set(onnxlens.__all__) <= set(dir(onnxlens))
    assert onnxlens.Settings is api.Settings
    with pytest.raises(AttributeError, match="module 'onnxlens' has no attribute 'exprot_graph'"):
        _ = onnxlens.exprot_graph  # type: ignore[attr-defined]


def test_the_catalog_is_listed_at_the_settings_size() -> None:
    specs = {
        spec.name: spec for spec in onnxlens.list_graphs(onnxlens.Settings(batch=3, height=64, width=128))
    }
    assert specs["hed"].inputs[0].shape == (3, 3, 64, 128)
    assert specs["sd-unet"].inputs[0].shape == (3, 4, 64 // 8, 128 // 8)
    assert {spec.name: spec.inputs[0].shape[0] for spec in onnxlens.list_graphs()}["clip-text"] == 2


def test_an_export_names_its_files(exported: ExportedGraph) -> None:
    folder = exported.onnx_path.parent
    assert exported.onnx_path == folder / "tiny.onnx"
    assert exported.data_path == folder / "tiny.onnx.data"
    assert exported.manifest_path == folder / "tiny.json"
    assert exported.data_path.is_file()


@pytest.mark.parametrize("opset", [18, 21, 23])
def test_a_factorys_network_is_counted_exactly_at_every_opset(opset: int) -> None:
    ledger = onnxlens.profile_graph(TARGET, onnxlens.Settings(opset=opset))
    assert (ledger.graph, ledger.source, ledger.opset, ledger.weights) == ("tiny", "tiny.onnx", opset, "none")
    assert ledger.totals.macs == tiny_network.MACS
    assert ledger.totals.params == tiny_network.PARAMS + tiny_network.UNUSED_PARAMS
    assert ledger.totals.buffers == tiny_network.BUFFERS
    assert ledger.totals.unknown_nodes == 0
    paths = {module.path: module for module in ledger.modules}
    assert paths["unused"].order == 0
    assert paths["unused"].params == tiny_network.UNUSED_PARAMS
    # one head over 36 positions of 8 channels: four projections, and both products
    assert paths["attention"].macs == 4 * 36 * 8 * 8 + 2 * 36 * 36 * 8


def test_a_file_is_counted_as_the_graph_it_was_exported_from(exported: ExportedGraph) -> None:
    from_file = onnxlens.profile_graph(exported.onnx_path)
    from_text = onnxlens.profile_graph(str(exported.onnx_path))
    assert from_file == from_text
    assert from_file.totals == onnxlens.profile_graph(TARGET).totals


def test_a_catalog_graph_is_counted_at_its_size() -> None:
    ledger = onnxlens.profile_graph("hed", HED_64)
    assert ledger.totals.macs == HED_MACS
    assert ledger.totals.params == HED_PARAMS
    doubled = onnxlens.profile_graph("hed", onnxlens.Settings(batch=2, height=64, width=64))
    assert doubled.totals.macs == 2 * HED_MACS


def test_a_catalog_graph_agrees_with_pytorch() -> None:
    report = onnxlens.check_graph("hed", HED_64)
    assert (report.graph, report.weights, report.provider, report.reference) == (
        "hed", "seeded", "cpu", "pytorch",
    )  # fmt: skip
    assert [result.tensor for result in report.outputs] == [f"edge_{scale}" for scale in range(1, 6)]
    assert report.passed
    for result in report.outputs:
        assert result.reference_max_abs > 0.1
        assert 0 < result.rel_l2 < 1e-5
        assert result.tolerance == 1e-5


def test_a_file_agrees_with_pytorch_and_with_itself_unoptimised(exported: ExportedGraph) -> None:
    assert onnxlens.check_graph(exported.onnx_path, trusted(exported.onnx_path)).passed
    report = onnxlens.check_graph(exported.onnx_path, reference="unoptimised")
    assert (report.reference, report.weights, report.passed) == ("unoptimised", "seeded", True)


def test_a_check_with_other_weights_in_the_file_than_the_module_has_uses_the_files(
    exported: ExportedGraph, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(exported.onnx_path.parent, tmp_path / "copy"))
    before = onnxlens.check_graph(copy / "tiny.onnx", trusted(copy / "tiny.onnx"))
    data = bytearray((copy / "tiny.onnx.data").read_bytes())
    (copy / "tiny.onnx.data").write_bytes(bytes(len(data)))
    manifest = copy / "tiny.json"
    told = json.loads(manifest.read_text(encoding="utf-8"))
    del told["data_digest"]  # which would tell that the data are another export's
    manifest.write_text(json.dumps(told), encoding="utf-8")
    after = onnxlens.check_graph(copy / "tiny.onnx", trusted(copy / "tiny.onnx"))
    assert before.passed
    assert {result.reason for result in after.outputs} == {"all zero on both sides"}  # as all weights are
    assert "" in {result.reason for result in before.outputs}
    assert after.outputs[0].reference_max_abs == after.outputs[0].max_abs == 0


def test_a_graph_is_checked_with_the_requested_weights(tmp_path: Path) -> None:
    state = {f"tiny.{key}": value for key, value in tiny_network.Tiny().state_dict().items()}
    torch.save(state, tmp_path / "trained.pth")
    report = onnxlens.check_graph(TARGET, onnxlens.Settings(weights=tmp_path / "trained.pth"))
    assert (report.weights, report.passed) == ("trained.pth", True)
    with pytest.raises(UsageError, match="cannot run without weights"):
        onnxlens.check_graph(TARGET, onnxlens.Settings(weights="none"))


def test_a_tolerance_that_nothing_meets_is_a_result_and_not_an_error(exported: ExportedGraph) -> None:
    report = onnxlens.check_graph(exported.onnx_path, trusted(exported.onnx_path), tolerance=1e-12)
    assert not report.passed
    assert report.outputs[0].rel_l2 > 1e-12


def test_the_tolerance_is_the_factory_s_own_unless_one_is_requested() -> None:
    target = "tests.export.tiny:tolerant"
    assert [result.tolerance for result in onnxlens.check_graph(target).outputs] == [0.25]
    assert [result.tolerance for result in onnxlens.check_graph(target, tolerance=0.5).outputs] == [0.5]
    assert onnxlens.check_layers(target).tolerance == 0.25


def test_flow_and_picture_stop_at_the_requested_depth(exported: ExportedGraph, tmp_path: Path) -> None:
    flow = onnxlens.flow_of(exported.onnx_path, 1)
    assert {node.path for node in flow.nodes if node.kind == "module"} == {
        "conv",
        "norm",
        "attention",
        "head",
    }
    assert "attention.q" in {node.path for node in onnxlens.flow_of(exported.onnx_path, 2).nodes}
    picture = onnxlens.render_graph(exported.onnx_path, tmp_path / "new" / "tiny.dot", 1)
    assert picture == tmp_path / "new" / "tiny.dot"
    text = picture.read_text(encoding="utf-8")
    assert text.startswith("digraph tiny {")
    assert "TinyAttention" in text


@pytest.mark.parametrize("suffix", [".svg", ".png", ".pdf"])
def test_a_picture_is_in_the_format_of_its_suffix(
    suffix: str, exported: ExportedGraph, tmp_path: Path, dot: str
) -> None:
    assert dot
    picture = onnxlens.render_graph(exported.onnx_path, tmp_path / f"tiny{suffix}")
    head = {".svg": b"<?xml", ".png": b"\x89PNG", ".pdf": b"%PDF"}[suffix]
    assert picture.read_bytes().startswith(head)
    assert [path.name for path in tmp_path.iterdir()] == [f"tiny{suffix}"]


@pytest.mark.parametrize(
    "settings", [onnxlens.Settings(opset=23), onnxlens.Settings(weights="none"), onnxlens.Settings(batch=1)]
)
def test_settings_are_refused_for_a_file_which_has_its_own(
    settings: onnxlens.Settings, exported: ExportedGraph
) -> None:
    for task in (onnxlens.profile_graph, onnxlens.check_graph):
        with pytest.raises(
            UsageError, match=r"tiny\.onnx: .* are those of the file; leave those options out"
        ):
            task(exported.onnx_path, settings)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("tests.export.tiny:nothing", "has no attribute 'nothing'.*; give package.module:factory"),
        ("tests.export.nowhere:network", "cannot be imported .*No module named 'tests.export.nowhere'"),
        (":network", "cannot be imported"),
        ("tests.export.tiny:NOT_CALLABLE", "expected a function that returns a GraphSpec, found int"),
        ("tests.export.tiny:not_a_spec", "expected it to return an onnxlens.GraphSpec, it returned int"),
        ("clip-txt", "unknown graph 'clip-txt': did you mean 'clip-text'?"),
        ("xyzzy", "unknown graph 'xyzzy': the graphs are clip-text, "),
    ],
)
def test_a_target_that_does_not_exist_is_refused(target: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        onnxlens.export_graph(target, tmp_path / "out")
    with pytest.raises(UsageError, match=message):
        onnxlens.profile_graph(target)
    assert not (tmp_path / "out").exists()


def test_a_path_that_does_not_exist_is_refused_as_a_path(tmp_path: Path) -> None:
    for task in (onnxlens.profile_graph, onnxlens.check_graph):
        for target in (tmp_path / "no.onnx", str(tmp_path / "no.onnx"), "no.onnx"):
            with pytest.raises(GraphError, match=r"no\.onnx: no such file; give an \.onnx file or a graph"):
                task(target)


def test_progress_names_the_steps(tmp_path: Path) -> None:
    steps: list[str] = []
    onnxlens.export_graph(TARGET, tmp_path, progress=lambda step, done, total: steps.append(step))
    assert list(dict.fromkeys(steps)) == ["tracing", "simplifying", "checking", "writing weights"]
