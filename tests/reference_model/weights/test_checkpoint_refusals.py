"""A file that runs code, is damaged, or is another network's is refused in one line that says what it is."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from onnxlens.errors import CheckpointError
from tests.reference_model.weights.files import (
    Malice,
    opened,
    saved,
    saved_raw_pickle,
    saved_safetensors,
    state,
    trainer_class,
)


def refusal(path: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        opened(path)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


HIDING_PLACES: dict[str, Callable[[Malice], object]] = {
    "alone": lambda malice: malice,
    "as an entry": lambda malice: {**state(), "net.extra": malice},
    "next to the entries": lambda malice: {"state_dict": state(), "callbacks": {"x": [malice]}},
}


@pytest.mark.parametrize("where", HIDING_PLACES)
@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_runs_code_is_refused_and_does_not_run(
    where: str, zipped: bool, tmp_path: Path
) -> None:
    marker = tmp_path / "marker"
    path = saved(HIDING_PLACES[where](Malice(marker)), tmp_path / "evil.ckpt", zipped=zipped)
    assert "holds more than tensors" in refusal(path)
    assert not marker.exists()


def test_a_bare_pickle_that_really_runs_code_is_refused_and_does_not_run(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    path = saved_raw_pickle({"state_dict": Malice(marker)}, tmp_path / "evil.pt")
    pickle.loads(path.read_bytes())
    assert marker.exists()
    marker.unlink()
    assert "a pickle can run code; give a .safetensors file" in refusal(path)
    assert not marker.exists()


def test_malice_in_a_trainers_notes_does_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    marker = tmp_path / "marker"
    with monkeypatch.context() as patch:
        callback = trainer_class(patch)()
        callback.hook = Malice(marker)
        path = saved({"state_dict": state(), "callbacks": callback}, tmp_path / "evil.ckpt")
    assert "holds more than tensors" in refusal(path)
    assert not marker.exists()


def test_a_pickle_under_the_safe_suffix_is_refused(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    path = saved(Malice(marker), tmp_path / "evil.safetensors")
    assert refusal(path).startswith("not a readable safetensors file (")
    assert not marker.exists()


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".ckpt", ".safetensors"])
@pytest.mark.parametrize("content", [b"", b"hello world\n", b"PK\x03\x04"], ids=["empty", "text", "stub"])
def test_a_file_that_is_not_a_checkpoint_is_refused(suffix: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"bad{suffix}"
    path.write_bytes(content)
    message = refusal(path)
    assert "download it again" in message or "is damaged, and was not loaded" in message


def test_an_index_that_is_nested_deep_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors.index.json"
    path.write_bytes(b"[" * 100_000)
    assert refusal(path).startswith("not an index of checkpoint files (RecursionError: ")


@pytest.mark.parametrize("kind", ["zip.pth", "old.pth", "short.safetensors"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_truncated_file_is_refused(kind: str, share: float, tmp_path: Path) -> None:
    path = tmp_path / kind
    if path.suffix == ".safetensors":
        saved_safetensors(state(), path)
    else:
        saved(state(), path, zipped=kind.startswith("zip"))
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    message = refusal(path)
    assert "download it again" in message or "is damaged, and was not loaded" in message


def test_a_missing_file_a_folder_and_a_foreign_suffix_are_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.pth").mkdir()
    (tmp_path / "model.onnx").write_bytes(b"x")
    assert refusal(tmp_path / "none.pth").startswith("no such file; give a checkpoint, or --weights seeded")
    assert refusal(tmp_path / "folder.pth") == "a folder that holds no checkpoint; give a file"
    assert refusal(tmp_path / "model.onnx") == (
        "suffix '.onnx' is no checkpoint's; "
        "expected one of .pth, .pt, .ckpt, .bin, .tar, .safetensors, .index.json"
    )


@pytest.mark.parametrize("content", [[torch.zeros(1)], torch.zeros(1)], ids=["list", "Tensor"])
def test_a_file_without_names_is_refused(content: object, tmp_path: Path) -> None:
    message = refusal(saved(content, tmp_path / "list.pth"))
    assert message == f"holds a {type(content).__name__}, expected a dict of tensors (a state_dict)"


def spoiled() -> dict[str, Tensor]:
    """One entry missing, one more than there should be, one of another shape."""
    entries = {**state(), "net.extra": torch.zeros(2), "net.linear.weight": torch.zeros(3, 2)}
    del entries["net.linear.bias"]
    return entries


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_missing_unexpected_and_misshapen_entries_are_all_named_at_once(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"other{suffix}"
    (saved_safetensors if suffix == ".safetensors" else saved)(spoiled(), path)
    assert refusal(path) == (
        "not a checkpoint of net: 1 of 3 keys missing (net.linear.bias); 1 unexpected (net.extra); "
        "1 of the wrong shape (net.linear.weight (3, 2) for (2, 3)); is it another network's file?"
    )


def test_one_missing_entry_is_enough_and_the_optional_one_is_not_missed(tmp_path: Path) -> None:
    path = saved({"net.linear.weight": torch.zeros(2, 3)}, tmp_path / "part.pth")
    assert refusal(path) == (
        "not a checkpoint of net: 1 of 3 keys missing (net.linear.bias); is it another network's file?"
    )


def test_an_optional_entry_of_another_shape_is_refused(tmp_path: Path) -> None:
    path = saved({**state(), "net.position_ids": torch.arange(3)[None]}, tmp_path / "short.pth")
    assert "1 of the wrong shape (net.position_ids (1, 3) for (1, 4))" in refusal(path)


def test_a_long_list_names_five_and_counts_the_rest(tmp_path: Path) -> None:
    extra = {f"net.extra_{index}": torch.zeros(1) for index in range(7)}
    message = refusal(saved({**state(), **extra}, tmp_path / "more.pth"))
    shown = ", ".join(f"net.extra_{index}" for index in range(5))
    assert f"7 unexpected ({shown}, and 2 more)" in message
