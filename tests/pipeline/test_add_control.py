"""A fresh ControlNet beside Stable Diffusion, from small networks under the names of the large ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import onnxlens as api
from onnxlens.errors import CheckpointError, UsageError
from onnxlens.reference_model import catalog
from onnxlens.reference_model.config import UNetConfig
from onnxlens.reference_model.controlnet import ControlNet
from onnxlens.reference_model.unet import UNet
from tests.cli.calls import onnxlens

CONFIG = UNetConfig(base_channels=32, multipliers=(1,), res_blocks=1, attention_at=(), context_width=8)
UNET, CONTROL = "model.diffusion_model.", "control_model."


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> dict[str, Tensor]:
    """Small networks in the catalog; the entries of a checkpoint of Stable Diffusion."""
    networks = {"sd-unet": lambda: UNet(CONFIG), "controlnet": lambda: ControlNet(CONFIG)}
    entries = {name: replace(catalog.ENTRIES[name], factory=made) for name, made in networks.items()}
    monkeypatch.setattr(catalog, "ENTRIES", {**catalog.ENTRIES, **entries})
    torch.manual_seed(1)
    unet = {UNET + key: value.half() for key, value in UNet(CONFIG).state_dict().items()}
    others = {"first_stage_model.x": torch.ones(2), "betas": torch.ones(3), "model_ema.x": torch.ones(4)}
    return {**unet, **others}


def written(entries: dict[str, Tensor], path: Path) -> Path:
    torch.save({"state_dict": entries, "global_step": 7}, path)
    return path


@pytest.mark.parametrize("suffix", [".safetensors", ".ckpt"])
def test_the_copy_is_the_unets_and_the_rest_is_as_it_is_made(
    small: dict[str, Tensor], tmp_path: Path, suffix: str
) -> None:
    source, out = written(small, tmp_path / "sd.ckpt"), tmp_path / f"out{suffix}"
    assert onnxlens("add-control", source, out).out == f"{out}\n"
    found = load_file(out) if suffix == ".safetensors" else torch.load(out)["state_dict"]
    control = {key.removeprefix(CONTROL) for key in found if key.startswith(CONTROL)}
    assert control == ControlNet(CONFIG).state_dict().keys()
    for key in control:
        value = found[CONTROL + key]
        assert value.dtype == torch.float16
        if UNET + key in small:
            assert torch.equal(value, small[UNET + key])
        else:  # zero: the zero convolutions, and the hint block's last; drawn: the hint block's others
            assert key.startswith(("zero_convs.", "middle_block_out.", "input_hint_block."))
            drawn = key.startswith("input_hint_block.") and not key.startswith("input_hint_block.14.")
            assert bool(value.any()) == drawn
    rest = {key: value for key, value in found.items() if not key.startswith(CONTROL)}
    assert rest.keys() == small.keys() - {"model_ema.x"}
    assert all(torch.equal(value, small[key]) for key, value in rest.items())
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["sd.ckpt", out.name])


def test_the_seed_decides_what_is_drawn(small: dict[str, Tensor], tmp_path: Path) -> None:
    source = written(small, tmp_path / "sd.ckpt")
    first, same, other = (
        load_file(api.add_control(source, tmp_path / f"{index}.safetensors", seed))
        for index, seed in enumerate((0, 0, 1))
    )
    assert all(torch.equal(value, same[key]) for key, value in first.items())
    differ = {key for key, value in first.items() if not torch.equal(value, other[key])}
    assert differ
    assert all(key.startswith("control_model.input_hint_block.") for key in differ)


@pytest.mark.parametrize("wrapped", ["_orig_mod.model.", "model.diffusion_model._orig_mod."])
def test_what_a_compiler_puts_into_keys_is_no_part_of_them(
    small: dict[str, Tensor], tmp_path: Path, wrapped: str
) -> None:
    plain = wrapped.replace("_orig_mod.", "")
    keys = {key: wrapped + key.removeprefix(plain) if key.startswith(plain) else key for key in small}
    source = written({keys[key]: value for key, value in small.items()}, tmp_path / "sd.ckpt")
    found = load_file(api.add_control(source, tmp_path / "x.safetensors"))
    assert found.keys() >= small.keys() - {"model_ema.x"}
    copied = [key for key in small if CONTROL + key.removeprefix(UNET) in found]
    assert len(copied) > 20
    assert all(torch.equal(found[CONTROL + key.removeprefix(UNET)], small[key]) for key in copied)


def test_entries_of_one_memory_are_written_apart(small: dict[str, Tensor], tmp_path: Path) -> None:
    table = torch.arange(1000.0)
    source = written({**small, "a": table, "b": table, "c": table[:2]}, tmp_path / "sd.ckpt")
    found = load_file(api.add_control(source, tmp_path / "x.safetensors"))
    assert [found[key].numel() for key in "abc"] == [1000, 1000, 2]
    pickled = torch.load(api.add_control(source, tmp_path / "x.pt"))["state_dict"]
    assert pickled["c"].untyped_storage().nbytes() == 2 * 4


def test_a_seed_out_of_range_is_refused(small: dict[str, Tensor], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="seed -1: expected 0 to"):
        api.add_control(written(small, tmp_path / "sd.ckpt"), tmp_path / "x.ckpt", -1)


def test_what_is_no_stable_diffusion_is_refused_and_nothing_is_written(
    small: dict[str, Tensor], tmp_path: Path
) -> None:
    lacking = {key: value for key, value in small.items() if not key.endswith("out.2.weight")}
    wide = {**small, f"{UNET}out.2.weight": torch.ones(4, 64, 3, 3)}
    again = {**small, "control_model.zero_convs.0.0.bias": torch.ones(2)}
    for entries, says in (
        (lacking, r"not a checkpoint of Stable Diffusion 1.5: 1 of \d+ keys missing \(.*out.2.weight"),
        (wide, "of the wrong shape"),
        (again, "holds a ControlNet already"),
        ({"x": torch.ones(1)}, "not a checkpoint of Stable Diffusion 1.5"),
    ):
        with pytest.raises(CheckpointError, match=says):
            api.add_control(written(entries, tmp_path / "sd.ckpt"), tmp_path / "out" / "x.ckpt")
    with pytest.raises(UsageError, match=r"x.bin: a checkpoint is written as .safetensors, .pth"):
        api.add_control(written(small, tmp_path / "sd.ckpt"), tmp_path / "x.bin")
    assert [path.name for path in tmp_path.iterdir()] == ["sd.ckpt"]
    outcome = onnxlens("add-control", tmp_path / "no.ckpt", tmp_path / "x.ckpt")
    assert outcome.code == 2
    assert outcome.err.endswith("no.ckpt: no such file; give a checkpoint of Stable Diffusion 1.5\n")
