"""Subgraphs against PyTorch's own module: on its inputs in the whole network, and called alone."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

import onnxlens as api
from onnxlens import Settings
from onnxlens.errors import CheckpointError, GraphError, UsageError
from onnxlens.profile.parity.parity import compare
from onnxlens.profile.runtime.session import open_session, run
from onnxlens.profile.subgraph import weight_files
from onnxlens.specs.manifest import ExtractReport, open_export
from tests import call_nets, small_unet
from tests.export import tiny
from tests.faults import plant, wrong_epsilon
from tests.small_catalog import half_checkpoint
from tests.trust import trusted


@pytest.fixture(scope="module", params=[18, pytest.param(23, marks=pytest.mark.slow)])
def unet(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of opset 23, where group normalization and attention are one operator each."""
    folder = tmp_path_factory.mktemp(f"unet-{request.param}")
    return api.export_graph(small_unet.TARGET, folder, Settings(opset=request.param)).onnx_path


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return api.export_graph(call_nets.TARGET, tmp_path_factory.mktemp("calls")).onnx_path


def agree_on_pytorchs_tensors(out: Path) -> None:
    """The file's outputs are those of PyTorch's module, on its inputs in a run of the whole network."""
    onnx.checker.check_model(str(out), full_check=True)
    inputs, expected = (dict(np.load(out.with_suffix(f".{kind}.npz"))) for kind in ("inputs", "expected"))
    assert all(np.abs(value).max() > 0 for value in expected.values())
    results = compare(run(open_session(out), inputs), expected)
    assert results
    assert all(result.passed for result in results), results


def roles(report: ExtractReport) -> tuple[list[str], list[str]]:
    return [port.role for port in report.inputs], [port.role for port in report.outputs]


MODULES = {
    "input_blocks.1": ["x", "emb", "context"],  # an encoder block, with attention
    "input_blocks.1.1.transformer_blocks.0.attn1": ["x"],  # attention of x to itself: passed in twice
    "input_blocks.0.0": ["input"],  # a leaf, which reads the graph's own input
}
MORE_MODULES = {
    "input_blocks.1.0": ["x", "emb"],  # a ResBlock
    "input_blocks.1.1": ["x", "context"],  # a SpatialTransformer
    "input_blocks.2": ["x"],  # a block that reads neither embedding nor context
    "middle_block": ["x", "emb", "context"],
    "middle_block.0.in_layers.0": ["input"],  # a GroupNorm
}


@pytest.mark.parametrize(
    "module", [*MODULES, *(pytest.param(module, marks=pytest.mark.slow) for module in MORE_MODULES)]
)
def test_subgraphs_of_a_unet_are_pytorchs_modules(unet: Path, tmp_path: Path, module: str) -> None:
    out = tmp_path / "module.onnx"
    inputs, outputs = roles(api.extract_module(unet, module, out, trusted(unet), data=True))
    assert [role.partition("[")[0] for role in inputs] == {**MODULES, **MORE_MODULES}[module]
    assert outputs == ["returned"]
    agree_on_pytorchs_tensors(out)
    checked = api.check_graph(out, trusted(out))  # PyTorch's module called alone, on other values
    assert checked.passed
    assert checked.graph == f"small-unet/{module}"


def test_a_subgraph_is_compared_module_by_module_and_extracted_from_again(unet: Path, tmp_path: Path) -> None:
    api.extract_module(unet, "input_blocks.1", tmp_path / "block.onnx", trusted(unet))
    layers = api.check_layers(tmp_path / "block.onnx", trusted(tmp_path / "block.onnx"))
    assert layers.passed
    rows = {layer.path: layer for layer in layers.layers if layer.kind == "module"}
    assert "input_blocks.1.1.transformer_blocks.0.attn2.to_k" in rows
    assert rows["input_blocks.1"].verdict == rows[""].verdict == "agrees"
    report = api.extract_module(
        tmp_path / "block.onnx",
        "input_blocks.1.0",
        tmp_path / "res.onnx",
        trusted(tmp_path / "block.onnx"),
        data=True,
    )
    assert roles(report)[0] == ["x", "emb"]
    agree_on_pytorchs_tensors(tmp_path / "res.onnx")
    assert (
        api.check_graph(tmp_path / "res.onnx", trusted(tmp_path / "res.onnx")).graph
        == "small-unet/input_blocks.1.0"
    )


def test_the_ledgers_rows_are_the_same_alone(unet: Path, tmp_path: Path) -> None:
    whole = {module.path: module for module in api.profile_graph(unet).modules}
    for module in ("input_blocks.1", "output_blocks.0.0", "out"):
        api.extract_module(unet, module, tmp_path / "alone.onnx", trusted(unet))
        rows = {row.path: row for row in api.profile_graph(tmp_path / "alone.onnx").modules}
        inside = [path for path in rows if path == module or path.startswith(f"{module}.")]
        assert set(inside) == {path for path in whole if path == module or path.startswith(f"{module}.")}
        for path in ("", *inside):
            row, expected = rows[path], whole[path or module]
            assert (row.macs, row.vector_ops, row.special_ops, row.params, row.moved_bytes) == (
                expected.macs, expected.vector_ops, expected.special_ops, expected.params,
                expected.moved_bytes,
            ), path  # fmt: skip
            assert row.class_name == (expected.class_name if path else "")


def test_a_broken_subgraph_fails_its_check(unet: Path, tmp_path: Path) -> None:
    out = tmp_path / "res.onnx"
    api.extract_module(unet, "input_blocks.1.0", out, trusted(unet))
    plant(out, wrong_epsilon, "input_blocks.1.0.in_layers.0")
    assert not api.check_graph(out, trusted(out)).passed


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_graph_in_a_half_type_gives_modules_in_it(dtype: str, tmp_path: Path) -> None:
    path = api.export_graph(call_nets.TARGET, tmp_path / "whole", Settings(dtype=dtype)).onnx_path
    out = tmp_path / "joins.onnx"
    report = api.extract_module(path, "joins", out, trusted(path), data=dtype == "float16")
    assert {port.tensor.dtype for port in report.inputs} == {dtype}
    assert report.weight_bytes == 2 * (4 * 4 + 4)  # the linear layer
    if dtype == "float16":
        assert np.load(tmp_path / "joins.inputs.npz")["row"].dtype == np.float16
        assert api.check_graph(out, trusted(out)).passed
    else:
        with pytest.raises(UsageError, match="is in bfloat16, which .npz files have not"):
            api.extract_module(path, "joins", out, trusted(path), data=True)


def test_the_whole_network_is_its_own_subgraph(calls: Path, tmp_path: Path) -> None:
    report = api.extract_module(calls, "", tmp_path / "whole.onnx", trusted(calls), data=True)
    assert (report.call, report.calls, len(report.inputs), len(report.outputs)) == (1, 1, 2, 2)
    agree_on_pytorchs_tensors(tmp_path / "whole.onnx")
    assert api.check_graph(tmp_path / "whole.onnx", trusted(tmp_path / "whole.onnx")).passed
    manifest = open_export(calls).manifest
    assert open_export(tmp_path / "whole.onnx").manifest == replace(
        manifest, data_digest=None
    )  # in its own file


def test_arguments_in_lists_and_by_name_and_one_that_is_not_read(calls: Path, tmp_path: Path) -> None:
    report = api.extract_module(calls, "joins", tmp_path / "joins.onnx", trusted(calls), data=True)
    assert roles(report) == (["parts[0]", "parts[1]"], ["returned[0]", "returned[1]"])
    assert [port.tensor.shape for port in report.outputs] == [(2, 3, 4), (2, 4)]
    assert not report.notes
    agree_on_pytorchs_tensors(tmp_path / "joins.onnx")
    assert api.check_graph(tmp_path / "joins.onnx", trusted(tmp_path / "joins.onnx")).passed


def test_the_example_in_the_docs_checks_a_runtime_against_the_data(calls: Path, tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "extract.md").read_text(encoding="utf-8")
    (lines,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    api.extract_module(calls, "joins", tmp_path / "block.onnx", trusted(calls), data=True)
    done = subprocess.run(
        [sys.executable, "-c", lines], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    printed = [line.rpartition(" ") for line in done.stdout.splitlines()]
    assert [shape for shape, _, _ in printed] == [
        "add (2, 3, 4) largest difference:", "mean (2, 4) largest difference:",
    ]  # fmt: skip
    assert all(float(apart) < 1e-5 for _, _, apart in printed)


def test_an_input_returned_unchanged_is_not_an_output(calls: Path, tmp_path: Path) -> None:
    report = api.extract_module(calls, "passes", tmp_path / "passes.onnx", trusted(calls), data=True)
    assert roles(report) == (["x"], ["returned[1]"])
    agree_on_pytorchs_tensors(tmp_path / "passes.onnx")
    assert api.check_graph(tmp_path / "passes.onnx", trusted(tmp_path / "passes.onnx")).passed


@pytest.mark.parametrize("wanted", [None, 1, 2])
def test_one_of_several_calls_is_extracted(calls: Path, tmp_path: Path, wanted: int | None) -> None:
    report = api.extract_module(
        calls, "twice", tmp_path / "twice.onnx", trusted(calls), call=wanted, data=True
    )
    assert (report.call, report.calls) == (wanted or 1, 2)
    assert report.notes == (f"call {wanted or 1} of 2; --call takes another",)
    assert [port.tensor.name for port in report.inputs] == ["relu" if wanted == 2 else "x"]
    agree_on_pytorchs_tensors(tmp_path / "twice.onnx")
    assert api.check_graph(tmp_path / "twice.onnx", trusted(tmp_path / "twice.onnx")).passed


def test_a_call_that_does_not_exist_is_refused(calls: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="calls: twice has no call 3: it is called 2 times"):
        api.extract_module(calls, "twice", tmp_path / "twice.onnx", trusted(calls), call=3)
    shutil.copy(calls, tmp_path / "alone.onnx")
    with pytest.raises(UsageError, match="twice has no call 1: its calls are not known: alone.onnx has no"):
        api.extract_module(
            tmp_path / "alone.onnx",
            "twice",
            tmp_path / "twice.onnx",
            trusted(tmp_path / "alone.onnx"),
            call=1,
        )


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        ("adds", "takes float32(2, 3, 4), float32(2, 3, 4), the file reads "),
        ("borrows", "it reads twice.weight, a weight of another module"),
        ("shifts", "PyTorch's call reads shift float32(4,), which the file holds as a constant or comp"),
    ],
)
def test_a_file_that_cannot_be_matched_is_written_without_a_pytorch_side(
    calls: Path, tmp_path: Path, module: str, reason: str
) -> None:
    out = tmp_path / "alone.onnx"
    (note,) = api.extract_module(calls, module, out, trusted(calls)).notes
    assert note.startswith("no PyTorch side: ")
    assert reason in note
    with pytest.raises(GraphError, match=f"calls/{module}: has no PyTorch side: .* --against unoptimised"):
        api.check_graph(out, trusted(out))
    assert api.check_graph(out, reference="unoptimised").passed
    with pytest.raises(GraphError, match="has no PyTorch side to give its data"):
        api.extract_module(calls, module, tmp_path / "other.onnx", trusted(calls), data=True)
    assert not (tmp_path / "other.onnx").exists()


def test_weights_that_do_not_fit_into_the_file_are_external_data(
    calls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weight_files, "ONE_FILE_BYTES", 100)
    monkeypatch.setattr(weight_files, "ALIGNMENT_BYTES", 32)
    out = tmp_path / "joins.onnx"
    report = api.extract_module(calls, "joins", out, trusted(calls))
    assert [path.name for path in report.files] == ["joins.onnx", "joins.json", "joins.onnx.data"]
    # a bias of 4 floats, too small, stays inside; the 4 x 4 weight takes 64 bytes
    assert (tmp_path / "joins.onnx.data").stat().st_size == 64
    assert api.check_graph(out, trusted(out)).passed
    assert api.extract_module(out, "joins.line", tmp_path / "line.onnx", trusted(out)).weight_bytes == 64 + 16
    assert api.check_graph(tmp_path / "line.onnx", trusted(tmp_path / "line.onnx")).passed


def test_without_weights_the_file_is_counted_and_not_run(calls: Path, tmp_path: Path) -> None:
    out = tmp_path / "joins.onnx"
    for target in (calls, call_nets.TARGET):
        (tmp_path / "joins.onnx.data").write_text("of an earlier file")
        report = api.extract_module(target, "joins", out, Settings(weights="none"))
        assert (report.weights, [path.name for path in report.files]) == (
            "none",
            ["joins.onnx", "joins.json"],
        )
        assert not (tmp_path / "joins.onnx.data").exists()
        weights = [tensor for tensor in onnx.load(str(out), load_external_data=False).graph.initializer]
        assert {weight_files.is_external(tensor) for tensor in weights if "joins" in tensor.name} == {True}
        # 2 x 3 rows, each a product of 4 with a 4 x 4 weight
        assert api.profile_graph(out).totals.macs == 2 * 3 * 4 * 4
        with pytest.raises(CheckpointError, match="exported with --weights none"):
            api.check_graph(out, trusted(out))


def test_a_factory_gives_its_module_the_same_weights_as_its_file(calls: Path, tmp_path: Path) -> None:
    api.extract_module(calls, "joins", tmp_path / "of_file.onnx", trusted(calls))
    report = api.extract_module(call_nets.TARGET, "joins", tmp_path / "of_factory.onnx", data=True)
    assert report.weights == "seeded"
    files = [tmp_path / f"of_{kind}.onnx" for kind in ("file", "factory")]
    assert files[0].read_bytes() == files[1].read_bytes()
    agree_on_pytorchs_tensors(files[1])


def test_a_checkpoint_gives_its_module_the_values_in_it(tmp_path: Path) -> None:
    made = half_checkpoint(tiny.network())
    state = {
        key: torch.full_like(value, 0.25) if value.is_floating_point() else value
        for key, value in made.items()
    }
    torch.save(state, tmp_path / "trained.pth")
    out = tmp_path / "out" / "attention.onnx"
    settings = Settings(weights=tmp_path / "trained.pth")
    report = api.extract_module(tiny.TARGET, "attention", out, settings, data=True)
    assert report.weights == "trained.pth"
    held = {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(str(out)).graph.initializer}
    weights = [values for name, values in held.items() if name.startswith("attention.")]
    assert len(weights) == 4 + 4  # weight and bias of q, k, v and out
    assert all(np.array_equal(values, np.full_like(values, 0.25)) for values in weights)
    agree_on_pytorchs_tensors(out)
    assert api.check_graph(out, trusted(out)).passed
    del state["tiny.attention.k.bias"]
    torch.save(state, tmp_path / "trained.pth")
    with pytest.raises(CheckpointError, match=r"tiny\.attention\.k\.bias"):
        api.extract_module(tiny.TARGET, "attention", tmp_path / "none" / "x.onnx", settings)
    assert not (tmp_path / "none").exists()


def test_a_file_from_elsewhere_is_extracted_without_a_pytorch_side(calls: Path, tmp_path: Path) -> None:
    shutil.copy(calls, tmp_path / "theirs.onnx")
    shutil.copy(f"{calls}.data", tmp_path / f"{calls.name}.data")
    out = tmp_path / "joins.onnx"
    api.extract_module(calls, "joins", out, trusted(calls))
    # overwrites ours, whose manifest is removed
    report = api.extract_module(tmp_path / "theirs.onnx", "joins", out, trusted(tmp_path / "theirs.onnx"))
    assert [path.name for path in report.files] == ["joins.onnx"]
    assert not out.with_suffix(".json").exists()
    assert (report.call, report.calls, report.weights) == (0, None, "")
    assert report.notes == (
        "no PyTorch side: theirs.onnx has no manifest; check it with --against unoptimised",
    )
    assert api.check_graph(out, reference="unoptimised").passed
    (tmp_path / f"{calls.name}.data").unlink()
    with pytest.raises(CheckpointError, match="its values cannot be read .* put its data file beside it; .* --weights none"):
        api.extract_module(tmp_path / "theirs.onnx", "joins", out, trusted(tmp_path / "theirs.onnx"))


def test_bad_output_paths_are_refused(calls: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"block\.bin: is not an \.onnx file"):
        api.extract_module(calls, "joins", tmp_path / "block.bin", trusted(calls))
    with pytest.raises(UsageError, match="is the file to extract from; choose another --out"):
        api.extract_module(calls, "joins", calls)
    with pytest.raises(UsageError, match="its data needs its weights"):
        api.extract_module(calls, "joins", tmp_path / "x.onnx", Settings(weights="none"), data=True)
    assert list(tmp_path.iterdir()) == []


def test_weights_that_the_source_file_reads_are_not_overwritten(calls: Path, tmp_path: Path) -> None:
    for file in (calls, Path(f"{calls}.data")):
        shutil.copy(file, tmp_path)
    theirs = (tmp_path / calls.name).rename(tmp_path / "renamed.onnx")  # points at calls.onnx.data still
    with pytest.raises(UsageError, match=r"calls\.onnx\.data beside it holds weights of .*renamed\.onnx"):
        api.extract_module(theirs, "joins", tmp_path / "calls.onnx", Settings(weights="none"))
    assert (tmp_path / "calls.onnx.data").read_bytes() == Path(f"{calls}.data").read_bytes()


def test_data_of_an_earlier_module_do_not_stay_with_another(calls: Path, tmp_path: Path) -> None:
    out = tmp_path / "module.onnx"
    api.extract_module(calls, "joins", out, trusted(calls), data=True)
    (tmp_path / "module.other.npz").write_bytes(b"another file")
    api.extract_module(calls, "passes", out, trusted(calls))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "module.json", "module.onnx", "module.other.npz",
    ]  # fmt: skip
