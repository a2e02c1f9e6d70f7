"""Exports in float16 and bfloat16: content of the file, counts, and errors against float32."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, numpy_helper
from safetensors.torch import save_file

import onnxlens as api
from onnxlens.cli.main import run
from onnxlens.errors import ExportError, UsageError
from onnxlens.profile.runtime import peaks
from onnxlens.reference_model import catalog
from onnxlens.specs.bench import BenchRequest
from onnxlens.specs.graph import GraphSpec
from tests import small_unet
from tests.export import test_normalization, tiny
from tests.small_catalog import seeded_state
from tests.trust import trusted

HALVES = {
    "float16": (TensorProto.FLOAT16, np.dtype(np.float16)),
    "bfloat16": (TensorProto.BFLOAT16, np.dtype(ml_dtypes.bfloat16)),
}
SETTINGS = {"float16": api.Settings(dtype="float16"), "bfloat16": api.Settings(dtype="bfloat16", opset=22)}


def loaded(path: Path) -> dict[str, np.ndarray]:
    """Every initializer's values."""
    return {entry.name: numpy_helper.to_array(entry) for entry in onnx.load(path).graph.initializer}


@pytest.fixture(scope="module")
def half_unet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return api.export_graph(small_unet.TARGET, tmp_path_factory.mktemp("h"), SETTINGS["float16"]).onnx_path


def io_types(path: Path) -> dict[str, int]:
    graph = onnx.load(path, load_external_data=False).graph
    return {value.name: value.type.tensor_type.elem_type for value in (*graph.input, *graph.output)}


def test_inputs_and_outputs_are_of_the_type_and_integers_are_not(half_unet: Path, tmp_path: Path) -> None:
    half, brain = TensorProto.FLOAT16, TensorProto.BFLOAT16
    types = {"x": half, "timesteps": TensorProto.INT64, "context": half, "eps": half}
    assert io_types(half_unet) == types
    path = api.export_graph(tiny.TARGET, tmp_path, SETTINGS["bfloat16"]).onnx_path
    assert io_types(path) == {"image": brain, "logits": brain}


@pytest.mark.parametrize("dtype", HALVES)
def test_weights_are_rounded_to_the_type_once(dtype: str, tmp_path: Path) -> None:
    values = loaded(api.export_graph(tiny.TARGET, tmp_path, SETTINGS[dtype]).onnx_path)
    kind = HALVES[dtype][1]
    used = {name: exact for name, exact in seeded_state(tiny.network()).items() if name in values}
    assert {"conv.weight", "norm.bias", "attention.q.weight", "scale"} <= set(used)
    for name, exact in used.items():
        assert values[name].dtype == kind
        assert np.array_equal(values[name], exact.astype(kind))  # to nearest, as numpy rounds


@pytest.mark.parametrize("dtype", HALVES)
def test_the_manifest_says_the_type(dtype: str, tmp_path: Path) -> None:
    manifest = api.export_graph(tiny.TARGET, tmp_path, SETTINGS[dtype]).manifest
    assert manifest.dtype == dtype
    types = {entry.name: entry.dtype for entry in manifest.tensors}
    assert (types["scale"], types["position_ids"]) == (dtype, "int64")
    assert {tensor.dtype for tensor in (*manifest.inputs, *manifest.outputs)} == {dtype}


@pytest.mark.parametrize("dtype", HALVES)
def test_a_checkpoint_is_rounded_once(dtype: str, tmp_path: Path) -> None:
    state = seeded_state(tiny.network())
    state["head.weight"][0, 0] = 1 + 2**-8 + 2**-20  # in bfloat16 over the middle of 1 and 1 + 2^-7
    save_file(
        {f"tiny.{name}": torch.from_numpy(value) for name, value in state.items()}, tmp_path / "w.safetensors"
    )
    settings = replace(SETTINGS[dtype], weights=tmp_path / "w.safetensors")
    values = loaded(api.export_graph(tiny.TARGET, tmp_path / "out", settings).onnx_path)
    assert values["head.weight"][0, 0] == (1 + 2**-7 if dtype == "bfloat16" else 1 + 2**-8)
    assert np.array_equal(values["conv.weight"], state["conv.weight"].astype(HALVES[dtype][1]))


@pytest.mark.parametrize("dtype", HALVES)
def test_macs_stay_and_bytes_halve(dtype: str) -> None:
    ledger = api.profile_graph(tiny.TARGET, SETTINGS[dtype])
    totals, rows = ledger.totals, {module.path: module for module in ledger.modules}
    assert (totals.macs, totals.unknown_nodes) == (tiny.MACS, 0)
    # two bytes to each of 8 filters of 3 x 3 x 3 and their biases; to the picture, and to 8 maps
    conv, positions = rows["conv"], tiny.SIDE**2
    assert conv.resident_weight_bytes == conv.weight_read_bytes == 2 * (8 * 27 + 8)
    assert (conv.read_bytes, conv.write_bytes) == (2 * 3 * positions, 2 * 8 * positions)
    # likewise 8 x 4 weights and 4 biases
    assert rows["head"].resident_weight_bytes == 2 * (8 * 4 + 4)


def test_bfloat16_convolutions_need_an_opset_that_has_them(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"unsupported type: tensor\(bfloat16\); from --opset 22 on"):
        api.export_graph(tiny.TARGET, tmp_path / "out", api.Settings(dtype="bfloat16"))


def test_another_type_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="dtype 'int8' is none of float32, float16, bfloat16"):
        api.export_graph(tiny.TARGET, tmp_path / "out", api.Settings(dtype="int8"))


def test_tied_weights_stay_tied(tmp_path: Path) -> None:
    target = "tests.export.tiny:tied"
    exported = api.export_graph(target, tmp_path, api.Settings(dtype="float16"))
    assert {name for name, values in loaded(exported.onnx_path).items() if values.ndim == 2} == {
        "first.weight"
    }
    assert api.check_graph(exported.onnx_path, api.Settings(factory=target)).passed


def test_the_type_of_a_file_is_its_own(half_unet: Path) -> None:
    with pytest.raises(UsageError, match="opset, weights, dtype and sizes are those of the file"):
        api.profile_graph(half_unet, api.Settings(dtype="float16"))


def test_half_arithmetic_is_held_to_float32_on_the_same_weights(half_unet: Path) -> None:
    report = api.check_graph(half_unet, trusted(half_unet))
    assert report.passed
    (result,) = report.outputs
    assert result.tolerance == 1e-2
    # one rounding of the output alone is about 2^-11 / sqrt(3) = 2.8e-4; a network adds to it
    assert 1e-4 < result.rel_l2 < 5e-3


def test_against_itself_unoptimised_the_tolerance_is_the_types_too(half_unet: Path) -> None:
    report = api.check_graph(half_unet, reference="unoptimised")
    assert report.passed and {result.tolerance for result in report.outputs} == {1e-2}


@pytest.mark.parametrize("verb", ["check", "bench"])
def test_what_the_provider_has_no_kernel_for_is_one_line(
    capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    code = run([verb, tiny.TARGET, "--dtype", "bfloat16", "--opset", "22", "--quiet"])
    printed = capsys.readouterr()
    assert (code, printed.out) == (2, "")
    assert re.fullmatch(
        r"onnxlens: \S+/tiny.onnx: ONNX Runtime's provider 'cpu' has no kernel for Conv\(22\) in bfloat16 "
        r"\(node 'node_conv2d'\); export with another --dtype, or take another --provider\n",
        printed.err,
    )


def test_modules_are_compared_in_float32_alone(half_unet: Path) -> None:
    with pytest.raises(
        UsageError, match=r"layers are compared in float32 alone, this export is in float16; "
    ):
        api.check_layers(half_unet, trusted(half_unet))


def test_pytorch_is_timed_in_the_type_of_the_file(half_unet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def recorded(module: Any) -> Any:
        seen.append({tensor.dtype for tensor in module.parameters()})
        return module

    monkeypatch.setattr(peaks, "SIDES", {"cpu": 32})
    monkeypatch.setattr(torch, "compile", recorded)
    report = api.bench_graph(
        half_unet, trusted(half_unet), BenchRequest(runs=2, warmup=1, against_torch=True)
    )
    assert (report.dtype, report.matrix_product.dtype) == ("float16", "float16")
    assert report.eager is not None and seen == [{torch.float16}]


def loud_norms() -> GraphSpec:
    """Values whose squares are beyond float16's largest, 65504, in groups that are averaged in two steps."""
    return replace(test_normalization.SPEC, input_ranges={"x": (-4000.0, 4000.0)})


def test_long_normalizations_are_summed_in_float32() -> None:
    report = api.check_graph("tests.export.test_half_precision:loud_norms", api.Settings(dtype="float16"))
    assert all(result.rel_l2 < 1e-3 for result in report.outputs), report.outputs


@pytest.mark.parametrize("value", [0.0, -1.5, 3.0])
def test_bfloat16_goes_through_pytorch_and_back(value: float) -> None:
    from onnxlens.specs.tensor import as_array, as_tensor

    array = np.full((2, 3), value, HALVES["bfloat16"][1])
    tensor = as_tensor(array)
    assert tensor.dtype == torch.bfloat16 and tensor.tolist() == [[value] * 3] * 2
    assert as_array(tensor).dtype == array.dtype and np.array_equal(as_array(tensor), array)


def sizes(name: str) -> dict[str, int]:
    return {} if name == "clip-text" else {"batch": 1, "height": 64, "width": 64}


@pytest.mark.slow
@pytest.mark.parametrize("opset", [18, 23])
@pytest.mark.parametrize("name", catalog.names())
def test_every_graph_is_counted_in_half_precision(name: str, opset: int) -> None:
    settings = api.Settings("none", opset, **sizes(name))
    exact = api.profile_graph(name, settings).totals
    for dtype in ("float16", *(("bfloat16",) if opset >= 22 else ())):
        half = api.profile_graph(name, replace(settings, dtype=dtype)).totals
        assert (half.macs, half.params, half.unknown_nodes) == (exact.macs, exact.params, 0)
        # integers and what is computed in float32 keep their size: less than 1 in 1000; but at 64 x 64 the
        # windows of pyramid pooling, which the exporter averages in float32, are 4 in 100
        most = 5e-2 if name == "uniformer-seg" else 1e-3
        for figure in ("weight_read_bytes", "read_bytes", "write_bytes"):
            assert getattr(half, figure) == pytest.approx(getattr(exact, figure) / 2, rel=most)
