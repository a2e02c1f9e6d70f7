"""Checkpoints in the published layouts and formats are opened, matched and read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from onnxlens.reference_model import catalog
from onnxlens.reference_model.weights.checkpoint import CheckpointWeights
from tests.reference_model.weights.files import (
    SCOPE,
    TENSORS,
    opened,
    opened_for,
    published,
    saved,
    saved_safetensors,
    state,
    trainer_class,
)

WRITERS: dict[str, Callable[[Path], Path]] = {
    "zip.pth": lambda folder: saved(state(), folder / "zip.pth"),
    "old.pt": lambda folder: saved(state(), folder / "old.pt", zipped=False),
    "wrapped.ckpt": lambda folder: saved({"state_dict": state(), "epoch": 3}, folder / "wrapped.ckpt"),
    "same.safetensors": lambda folder: saved_safetensors(state(), folder / "same.safetensors"),
}


def assert_read_exactly(source: CheckpointWeights) -> None:
    assert source.read("linear.weight").tolist() == [[0, 1, 2], [3, 4, 5]]
    assert source.read("linear.bias").tolist() == [6, 7]
    assert source.read("position_ids").tolist() == [[0, 1, 2, 3]]
    for name, tensor in TENSORS.items():
        assert source.read(name).dtype == np.dtype(tensor.dtype)


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_values(name: str, tmp_path: Path) -> None:
    source = opened(WRITERS[name](tmp_path))
    assert source.label == name
    assert_read_exactly(source)


@pytest.mark.parametrize("name", WRITERS)
def test_other_networks_entries_next_to_ours_are_ignored(name: str, tmp_path: Path) -> None:
    others = {"other.linear.weight": torch.zeros(9), "network": torch.zeros(1)}
    mixed = {**others, **state()}
    path = tmp_path / name
    if path.suffix == ".safetensors":
        saved_safetensors(mixed, path)
    else:
        saved({"state_dict": mixed}, path)
    assert_read_exactly(opened(path))


@pytest.mark.parametrize("safetensors", [False, True], ids=["pth", "safetensors"])
def test_a_half_precision_hed_file_is_widened(safetensors: bool, tmp_path: Path) -> None:
    spec = catalog.get("hed", height=64, width=64)
    entries = published("ControlNetHED", torch.float16)
    if safetensors:
        small = {key: entries[key] for key in ("norm", "block1.projection.weight")}
        path = saved_safetensors(entries, tmp_path / "ControlNetHED.safetensors")
    else:
        small = entries
        path = saved(entries, tmp_path / "ControlNetHED.pth")
    source = opened_for(spec, path)
    for name in small:
        values = source.read(name)
        assert values.dtype == np.float32
        assert values.shape == tuple(entries[name].shape)
        assert (values == float(entries[name].flatten()[0])).all()
        assert values.flags.c_contiguous


@pytest.mark.parametrize("graph", ["clip-text", "controlnet", "sd-unet", "vae-encoder", "vae-decoder"])
def test_each_network_finds_its_part_in_a_whole_model_file(graph: str, tmp_path: Path) -> None:
    entries = published("control_sd15")
    path = saved({"state_dict": entries, "global_step": 7}, tmp_path / "control_sd15.ckpt")
    spec = catalog.get(graph, batch=1, height=64, width=64)
    source = opened_for(spec, path)
    for name in list(source.tensors)[::50]:
        values = source.read(name)
        assert values.flat[0] == entries[spec.checkpoint.prefix + name].flatten()[0]
        assert values.shape == source.tensors[name].shape


def test_position_ids_that_a_file_lacks_count_from_zero(tmp_path: Path) -> None:
    entries = published("control_sd15")
    key = "cond_stage_model.transformer.text_model.embeddings.position_ids"
    del entries[key]
    spec = catalog.get("clip-text")
    source = opened_for(spec, saved(entries, tmp_path / "clip.ckpt"))
    values = source.read(key.removeprefix("cond_stage_model."))
    assert values.dtype == np.int64
    assert values.tolist() == [list(range(77))]


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_bfloat16_is_widened_without_a_loss(suffix: str, tmp_path: Path) -> None:
    # 1 + 2**-7 is the first bfloat16 above 1; float16 would hold it too, but not 2**100
    entries = {**state(), "net.linear.bias": torch.tensor([1 + 2**-7, 2.0**100], dtype=torch.bfloat16)}
    path = tmp_path / f"bf{suffix}"
    source = opened(saved_safetensors(entries, path) if suffix == ".safetensors" else saved(entries, path))
    assert source.read("linear.bias").tolist() == [1.0078125, 2.0**100]
    assert source.read("linear.bias").dtype == np.float32


@pytest.mark.parametrize("zipped", [True, False])
def test_a_trainers_notes_are_read_over(
    zipped: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        callback = trainer_class(patch)
        instance = callback()
        instance.best = 1
        notes = {"callbacks": {callback: {"best": np.float64(0.5)}, "more": [instance, np.int64(3)]}}
        path = saved({"state_dict": state(), **notes}, tmp_path / "trained.ckpt", zipped=zipped)
    assert_read_exactly(opened(path))


def test_a_trainers_numbers_from_an_older_numpy_are_read_over(tmp_path: Path) -> None:
    path = saved({"state_dict": state(), "best": np.float64(0.5)}, tmp_path / "old.ckpt", zipped=False)
    content = path.read_bytes()
    assert b"numpy._core.multiarray" in content
    path.write_bytes(content.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    assert_read_exactly(opened(path))


def test_values_stay_in_the_file_until_they_are_read(tmp_path: Path) -> None:
    path = saved(state(), tmp_path / "late.pth")
    source = opened(path)
    content = bytearray(path.read_bytes())
    offset = content.index(torch.tensor([6.0, 7.0]).numpy().tobytes())
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(torch.tensor([8.0, 9.0]).numpy().tobytes())
    assert source.read("linear.bias").tolist() == [8, 9]


def test_entries_that_are_not_tensors_or_have_no_name_are_ignored(tmp_path: Path) -> None:
    path = saved({**state(), "net.note": "text", 3: torch.zeros(1)}, tmp_path / "notes.pth")
    assert_read_exactly(opened(path))
    assert SCOPE.module_key("net.note") == "note"
