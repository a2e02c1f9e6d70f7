"""Checkpoints as they are in use: nested, with prefixes, with more or less in them, in several files."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from onnxlens.errors import CheckpointError
from onnxlens.reference_model.weights.checkpoint import STRICT, CheckpointReading, CheckpointWeights
from onnxlens.specs.graph import CheckpointScope
from onnxlens.specs.module_state import state_of
from tests.reference_model.weights.files import saved, saved_safetensors


def net() -> nn.Module:
    """A convolution, a normalization, and a head that shares the convolution's bias."""
    module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Linear(4, 4))
    module[2].bias = module[0].bias
    return module


STATE: Mapping[str, Tensor] = {
    name: torch.full_like(values, index + 1)
    for index, (name, values) in enumerate(net().state_dict().items())
    if name != "2.bias"
} | {"2.bias": torch.full((4,), 2.0)}
"""A value for each entry: its position from 1; the head's bias has the convolution's, 2."""


def prefixed(prefix: str, state: Mapping[str, Any] = STATE) -> dict[str, Any]:
    return {f"{prefix}{name}": values for name, values in state.items()}


def without(*names: str) -> dict[str, Tensor]:
    return {name: values for name, values in STATE.items() if name not in names}


def opened(path: Path, reading: CheckpointReading = STRICT) -> CheckpointWeights:
    return CheckpointWeights(path, "net", state_of(net()), CheckpointScope(), reading)


def assert_read(source: CheckpointWeights, counter: int = 7) -> None:
    expected = {
        "0.weight": 1, "0.bias": 2, "1.weight": 3, "1.bias": 4, "1.running_mean": 5, "1.running_var": 6,
        "1.num_batches_tracked": counter, "2.weight": 8,
    }  # fmt: skip
    assert {name: source.read(name).flat[0] for name in source.tensors} == expected


OPTIMIZER = {"state": {0: {"exp_avg": torch.zeros(4)}}, "param_groups": [{"lr": 0.1}]}

LAYOUTS: dict[str, Any] = {
    "model": {"model": STATE, "optimizer": OPTIMIZER, "epoch": 3},
    "model_state_dict": {"model_state_dict": STATE, "optimizer_state_dict": OPTIMIZER},
    "params_ema": {"params_ema": STATE},
    "two levels": {"checkpoint": {"model": STATE, "step": 2}},
    "beside tensors": {"net": STATE, "loss": torch.ones(1)},
    "state_dict first": {"state_dict": STATE, "state_dict_ema": prefixed("")},
    "module.": prefixed("module."),
    "nested and module.": {"state_dict": prefixed("module."), "best_acc1": torch.ones(())},
    "_orig_mod.": prefixed("_orig_mod."),
    "both": prefixed("_orig_mod.module."),
    "compiled inside": {name.replace("1.", "1._orig_mod.", 1): values for name, values in STATE.items()},
    "lightning": {"state_dict": prefixed("model."), "hyper_parameters": {"lr": 0.1}},
    "parameters": {k: nn.Parameter(v) if v.is_floating_point() else v for k, v in STATE.items()},
    "one name of two": without("2.bias"),
    "the other name": without("0.bias"),
    "options": {"model": STATE, "args": argparse.Namespace(lr=0.1, out=Path("x"))},
    "half": {k: v.half() if v.is_floating_point() else v for k, v in STATE.items()},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_values_are_those_of_the_file(layout: str, tmp_path: Path) -> None:
    assert_read(opened(saved(LAYOUTS[layout], tmp_path / "trained.pth")))


@pytest.mark.parametrize("suffix", ["bin", "pth.tar"])
def test_a_pickle_may_have_another_suffix(suffix: str, tmp_path: Path) -> None:
    assert_read(opened(saved(STATE, tmp_path / f"trained.{suffix}")))


def test_files_older_than_the_counter_of_batches_are_read(tmp_path: Path) -> None:
    assert_read(opened(saved(without("1.num_batches_tracked"), tmp_path / "old.pth")), counter=0)


READINGS: dict[str, tuple[Any, CheckpointReading]] = {
    "an extra entry": ({**STATE, "ema.decay": torch.ones(1)}, CheckpointReading(allow_extra=True)),
    "a prefix, others beside": (
        {"state_dict": {**prefixed("model."), "loss.weight": torch.ones(1)}},
        CheckpointReading("model."),
    ),
    "without its dot": ({**prefixed("model."), "loss.weight": torch.ones(1)}, CheckpointReading("model")),
    "one of two": (
        {"params": {k: v * 0 for k, v in STATE.items()}, "params_ema": STATE},
        CheckpointReading("params_ema."),
    ),
    "nested prefix": ({"a": {"b": prefixed("net.")}, "c": STATE}, CheckpointReading("a.b.net.")),
    "found prefix and extras": (
        {**prefixed("module."), "module.extra": torch.ones(1), "other": torch.ones(1)},
        CheckpointReading(allow_extra=True),
    ),
    "no dot at all": (prefixed("net_"), CheckpointReading("net_")),
}


@pytest.mark.parametrize("case", READINGS)
def test_the_user_says_how_to_read_it(case: str, tmp_path: Path) -> None:
    content, reading = READINGS[case]
    assert_read(opened(saved(content, tmp_path / "trained.pth"), reading))


REFUSED: dict[str, tuple[Any, CheckpointReading, str]] = {
    "extra": (
        {**STATE, "ema.decay": torch.ones(1)}, STRICT,
        "not a checkpoint of net: 1 unexpected (ema.decay); --allow-extra leaves them out",
    ),
    "twice": (
        {"params": STATE, "params_ema": STATE}, STRICT,
        "holds net 2 times, under params., params_ema.; choose one: --strip-prefix params_ema.",
    ),
    "beside a prefix": (
        {**prefixed("module."), "loss": torch.ones(1)}, STRICT,
        "not a checkpoint of net: 1 unexpected (loss); --allow-extra leaves them out",
    ),
    "wrong prefix": (
        STATE, CheckpointReading("model."),
        "not a checkpoint of net: 7 of 8 keys missing (model.0.weight, model.0.bias, model.1.weight, "
        "model.1.bias, model.1.running_mean, and 2 more); is it another network's file?",
    ),
    "nested, one missing": (
        {"model": without("0.weight"), "optimizer": OPTIMIZER}, STRICT,
        "not a checkpoint of net: 1 of 8 keys missing (0.weight); is it another network's file?",
    ),
    "extras do not make up for a missing one": (
        {**without("0.weight"), "extra": torch.ones(1)}, CheckpointReading(allow_extra=True),
        "not a checkpoint of net: 1 of 8 keys missing (0.weight); is it another network's file?",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_another_file_is_refused(case: str, tmp_path: Path) -> None:
    content, reading, message = REFUSED[case]
    path = saved(content, tmp_path / "trained.pth")
    with pytest.raises(CheckpointError) as caught:
        opened(path, reading)
    assert str(caught.value) == f"{path}: {message}"


def test_two_values_for_one_tensor_are_refused(tmp_path: Path) -> None:
    source = opened(saved({**STATE, "2.bias": torch.zeros(4)}, tmp_path / "untied.pth"))
    with pytest.raises(CheckpointError, match=r"0\.bias and 2\.bias differ, and are one tensor in "):
        source.read("0.bias")


def sharded(
    folder: Path, writer: Callable[..., Path] = saved_safetensors, suffix: str = "safetensors"
) -> Path:
    """Two files and their index."""
    names = list(STATE)
    files = {"part-1": names[:3], "part-2": names[3:]}
    for file, held in files.items():
        writer({name: STATE[name] for name in held}, folder / f"{file}.{suffix}")
    places = {name: f"{file}.{suffix}" for file, held in files.items() for name in held}
    index = folder / f"{'model' if suffix == 'safetensors' else 'pytorch_model'}.{suffix}.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return index


@pytest.mark.parametrize(("writer", "suffix"), [(saved_safetensors, "safetensors"), (saved, "bin")])
@pytest.mark.parametrize("as_folder", [False, True])
def test_several_files_are_read_by_their_index(
    writer: Callable[..., Path], suffix: str, as_folder: bool, tmp_path: Path
) -> None:
    index = sharded(tmp_path, writer, suffix)
    source = opened(tmp_path if as_folder else index)
    assert source.label == index.name
    assert_read(source)


def test_a_folder_stands_for_its_only_checkpoint_or_the_one_of_the_usual_name(tmp_path: Path) -> None:
    saved(STATE, tmp_path / "trained.pth")
    (tmp_path / "config.json").write_text("{}")
    assert opened(tmp_path).label == "trained.pth"
    saved(STATE, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match=r"holds several checkpoints \(other\.pth, trained\.pth\);"):
        opened(tmp_path)
    saved(STATE, tmp_path / "pytorch_model.bin")
    assert opened(tmp_path).label == "pytorch_model.bin"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not an index of checkpoint files"),
        ("{}", r"not an index of checkpoint files \(KeyError: 'weight_map'\); download it again"),
        ('{"weight_map": {"0.weight": "part-9.safetensors"}}', r"part-9\.safetensors: no such file"),
        (
            '{"weight_map": {"z": "part-1.safetensors"}}',
            r"z is not in part-1\.safetensors, as the",
        ),
        ('{"weight_map": ["x"]}', "not an index of checkpoint files"),
    ],
)
def test_a_damaged_index_is_refused(text: str, message: str, tmp_path: Path) -> None:
    index = sharded(tmp_path, saved_safetensors, "safetensors")
    index.write_text(text)
    with pytest.raises(CheckpointError, match=message) as caught:
        opened(index)
    assert "\n" not in str(caught.value)
