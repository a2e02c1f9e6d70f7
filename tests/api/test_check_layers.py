"""A fault in one module is named exactly; a correct file passes; the first diverging module runs alone."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

import onnxlens as api
import onnxlens.api.check_layers
from onnxlens import LayerRequest, Settings
from onnxlens.errors import GraphError, ParityError, UsageError
from onnxlens.specs.parity import ModuleParityReport
from tests.faults import float16_overflow, plant, swapped_concat, wrong_epsilon
from tests.small_unet import TARGET
from tests.trust import trusted

SMALL_CHUNKS = 600_000
"""Bytes: a twentieth of all tensors of the small UNet."""


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return api.export_graph(TARGET, tmp_path_factory.mktemp("sound")).onnx_path


@pytest.fixture(scope="module")
def sound_report(sound: Path) -> ModuleParityReport:
    report = api.check_layers(
        sound, trusted(sound), request=LayerRequest(reproduce=sound.parent / "diverging")
    )
    assert not (sound.parent / "diverging").exists()  # no module diverges
    return report


@pytest.fixture
def copy(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound.parent, tmp_path / "copy")) / sound.name


def test_a_sound_file_passes_module_by_module(sound_report: ModuleParityReport) -> None:
    assert sound_report.passed
    assert sound_report.first_diverging is sound_report.first_over is None
    assert {layer.verdict for layer in sound_report.layers} == {"agrees"}
    assert max(layer.introduced for layer in sound_report.ranked if layer.introduced is not None) > 1e-8
    orders = [layer.order for layer in sound_report.layers]
    assert orders == sorted(orders)


def test_every_module_has_a_row_and_leaf_modules_have_a_local_error(
    sound: Path, sound_report: ModuleParityReport
) -> None:
    counted = {module.path for module in api.profile_graph(sound).modules if module.order}
    rows = {layer.path: layer for layer in sound_report.layers if layer.kind == "module"}
    assert set(rows) == counted
    for path, row in rows.items():
        has_others = any(other.startswith(f"{path}.") for other in counted) or path == ""
        assert (row.introduced is None) == has_others, path
        assert row.inherited is not None
        assert row.output is not None
    assert rows[""].tensors == ("eps",)
    assert rows["input_blocks.0.0"].inherited == 0  # it reads the graph's own input


FAULTS = {
    "group norm": (wrong_epsilon, "middle_block.0.in_layers.0"),
    "layer norm": (wrong_epsilon, "input_blocks.1.1.transformer_blocks.0.norm2"),
    "skip": (swapped_concat, "output_blocks.2"),
    "convolution": (float16_overflow, "output_blocks.1.0.out_layers.3"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_named_exactly(name: str, copy: Path) -> None:
    fault, where = FAULTS[name]
    plant(copy, fault, where)
    report = api.check_layers(copy, trusted(copy))
    (diverging,) = (layer for layer in report.layers if layer.verdict == "introduces")
    assert report.first_diverging == diverging == report.ranked[0]
    if fault is swapped_concat:  # it is the UNet itself that joins the skips
        assert (diverging.path, diverging.kind, diverging.operators) == ("", "operators", ("Concat",))
        assert diverging.tensors == (
            "cat_3",
        )  # cat is in the timestep's embedding, cat_1 before output_blocks.0
    else:
        assert (diverging.path, diverging.kind) == (where, "module")
    assert not report.passed
    before = [layer for layer in report.layers if layer.order < diverging.order]
    assert {layer.verdict for layer in before} <= {"agrees"}
    last = report.layers[-1]
    assert (last.path, last.verdict) == ("", "carries")
    assert diverging.inherited is not None
    assert diverging.inherited < 1e-5 < (diverging.output or 0)


def test_an_overflow_is_an_infinite_error(copy: Path) -> None:
    plant(copy, float16_overflow, "input_blocks.0.0")
    diverging = api.check_layers(copy, trusted(copy)).first_diverging
    assert diverging is not None
    assert (diverging.path, diverging.introduced, diverging.output, diverging.max_abs) == (
        "input_blocks.0.0", np.inf, np.inf, np.inf,
    )  # fmt: skip


def test_two_faults_are_both_named_and_the_first_diverges_first(copy: Path) -> None:
    plant(copy, wrong_epsilon, "out.0")
    plant(copy, wrong_epsilon, "input_blocks.1.0.in_layers.0")
    report = api.check_layers(copy, trusted(copy))
    named = [layer.path for layer in report.layers if layer.verdict == "introduces"]
    assert named == ["input_blocks.1.0.in_layers.0", "out.0"]
    assert report.first_diverging is not None
    assert report.first_diverging.path == named[0]


def test_small_chunks_give_the_same_rows(
    sound: Path, sound_report: ModuleParityReport, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[int] = []

    def spied(*arguments: object) -> dict[str, np.ndarray]:
        values = capture(*arguments)  # type: ignore[arg-type]
        taken.append(sum(value.nbytes for value in values.values()))
        return values

    capture = onnxlens.api.check_layers.capture
    monkeypatch.setattr(onnxlens.api.check_layers, "capture", spied)
    report = api.check_layers(sound, trusted(sound), request=LayerRequest(memory_bytes=SMALL_CHUNKS))
    assert len(taken) > 5
    assert max(taken) < SMALL_CHUNKS
    for got, expected in zip(report.layers, sound_report.layers, strict=True):
        assert (got.path, got.call, got.tensors, got.verdict) == (
            expected.path, expected.call, expected.tensors, "agrees",
        )  # fmt: skip
        assert got.output == pytest.approx(expected.output, abs=1e-6)


def test_a_stop_ends_at_the_first_over_the_tolerance_and_runs_no_further(
    copy: Path, sound_report: ModuleParityReport
) -> None:
    plant(copy, wrong_epsilon, "input_blocks.1.0.in_layers.0")
    steps: list[int] = []
    report = api.check_layers(
        copy,
        trusted(copy),
        LayerRequest(memory_bytes=SMALL_CHUNKS, stop=True),
        progress=lambda step, done, total: steps.append(done),
    )
    assert report.stopped
    assert report.layers[-1] == report.first_diverging
    assert len(report.layers) < 20
    assert max(steps) < len(sound_report.layers) / 4


def test_the_worst_of_several_samples_counts(sound: Path, sound_report: ModuleParityReport) -> None:
    report = api.check_layers(sound, trusted(sound), request=LayerRequest(samples=2))
    assert report.samples == 2
    pairs = [
        (got.introduced, one.introduced)
        for got, one in zip(report.layers, sound_report.layers, strict=True)
        if got.introduced is not None and one.introduced is not None
    ]
    assert all(got >= one for got, one in pairs)
    assert sum(got > one for got, one in pairs) > len(pairs) / 4


def test_an_error_that_only_accumulates_fails_without_a_diverging_module(sound: Path) -> None:
    # no module's local error is over 2.5e-6; in this graph that of the timestep's sinusoids is the largest
    report = api.check_layers(sound, trusted(sound), request=LayerRequest(tolerance=7e-7))
    over = [layer for layer in report.layers if layer.verdict == "introduces"]
    assert [layer.path for layer in over] == ["time_embed"]
    propagating = [layer for layer in report.layers if layer.verdict == "carries"]
    assert all((layer.introduced or 0) <= 7e-7 < (layer.output or 0) for layer in propagating)
    assert not report.passed


def test_the_first_diverging_module_is_written_alone_and_its_readme_runs(copy: Path, tmp_path: Path) -> None:
    plant(copy, wrong_epsilon, "middle_block.0.out_layers.0")
    report = api.check_layers(copy, trusted(copy), request=LayerRequest(reproduce=tmp_path / "out"))
    diverging = report.first_diverging
    assert diverging is not None
    assert diverging.introduced is not None
    out = tmp_path / "out"
    name = "middle_block.0.out_layers.0.onnx"
    assert sorted(path.name for path in out.iterdir()) == ["README.txt", "expected.npz", "inputs.npz", name]
    model = onnx.load(str(out / name))
    assert {tensor.name for tensor in model.graph.initializer} >= {
        "middle_block.0.out_layers.0.weight", "middle_block.0.out_layers.0.bias",
    }  # fmt: skip
    # an instance norm between two views, and its weight and bias of 64 floats
    assert (out / name).stat().st_size < 8192
    code = re.findall(r"<<'END'\n(.*?) +END\n", (out / "README.txt").read_text(), flags=re.DOTALL)[0]
    done = subprocess.run(
        [sys.executable, "-c", code.replace("\n    ", "\n").lstrip()],
        cwd=out,
        capture_output=True,
        text=True,
        check=True,
    )
    assert float(done.stdout.split()[-1]) == pytest.approx(diverging.introduced, rel=1e-3)


def test_operators_between_modules_are_written_too(copy: Path, tmp_path: Path) -> None:
    plant(copy, swapped_concat, "output_blocks.1")
    api.check_layers(copy, trusted(copy), request=LayerRequest(reproduce=tmp_path / "out"))
    model = onnx.load(str(tmp_path / "out" / "model.onnx"))
    assert [node.op_type for node in model.graph.node] == ["Concat"]
    assert len(np.load(tmp_path / "out" / "inputs.npz")) == 2


def strip(path: Path) -> None:
    """Leave nothing of the modules but the names of their weights."""
    model = onnx.load(str(path), load_external_data=False)
    for node in model.graph.node:
        node.name = ""
        del node.metadata_props[:]
    path.write_bytes(model.SerializeToString())


def test_layers_that_weights_alone_name_are_compared_and_the_others_say_why_not(copy: Path) -> None:
    strip(copy)
    report = api.check_layers(copy, trusted(copy))
    assert report.passed
    rows = {layer.path: layer for layer in report.layers if layer.kind == "module" and layer.path}
    classes = {layer.class_name for layer in rows.values() if layer.output is not None}
    assert {"Conv2d", "Linear", "LayerNorm"} <= classes
    for layer in rows.values():
        if layer.class_name not in ("Conv2d", "Linear", "LayerNorm", "GroupNorm"):
            assert layer.output is None
            assert "by its weights alone" in layer.reason


def test_a_fault_behind_a_layer_that_its_weight_names_is_between_it_and_the_next(copy: Path) -> None:
    plant(copy, float16_overflow, "input_blocks.0.0")
    strip(copy)
    diverging = api.check_layers(copy, trusted(copy)).first_diverging
    assert diverging is not None
    assert {"Cast", "Div"} <= set(diverging.operators)


def test_what_cannot_be_compared_is_refused(copy: Path) -> None:
    with pytest.raises(UsageError, match=r"holds [\d,]+ bytes, --memory allows 1,000; allow more"):
        api.check_layers(copy, trusted(copy), request=LayerRequest(memory_bytes=1000))
    with pytest.raises(UsageError, match="cannot run without weights"):
        api.check_layers(TARGET, Settings(weights="none"))
    with pytest.raises(UsageError, match="0 samples"):
        LayerRequest(samples=0)
    with pytest.raises(ParityError, match="is not a positive number"):
        LayerRequest(tolerance=0.0)
    copy.with_suffix(".json").unlink()
    with pytest.raises(GraphError, match="no manifest"):
        api.check_layers(copy, trusted(copy))


@pytest.fixture(scope="module")
def full_unet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All layers and weights of the UNet, on 8 x 8 latents."""
    folder = tmp_path_factory.mktemp("full")
    return api.export_graph("sd-unet", folder, Settings(height=64, width=64)).onnx_path


FULL_FAULTS = {
    "group norm": (wrong_epsilon, "output_blocks.5.0.in_layers.0"),
    "skip": (swapped_concat, "output_blocks.8"),
    "convolution": (float16_overflow, "middle_block.1.proj_out"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FULL_FAULTS)
def test_a_fault_in_the_full_unet_is_named_exactly(name: str, full_unet: Path) -> None:
    fault, where = FULL_FAULTS[name]
    sound_bytes = full_unet.read_bytes()
    plant(full_unet, fault, where)
    try:
        report = api.check_layers(full_unet, trusted(full_unet))
    finally:
        full_unet.write_bytes(sound_bytes)
    (diverging,) = (layer for layer in report.layers if layer.verdict == "introduces")
    assert diverging == report.first_diverging
    if fault is swapped_concat:  # the UNet itself adds the control to the skip, and joins the two
        assert (diverging.path, diverging.kind, diverging.operators) == ("", "operators", ("Add", "Concat"))
    else:
        assert (diverging.path, diverging.kind) == (where, "module")
    assert "not comparable" not in {layer.verdict for layer in report.layers}
