"""A ControlNet that has learned nothing yet, added to a checkpoint of Stable Diffusion."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch

from onnxlens.api.staging import staged_file
from onnxlens.errors import CheckpointError, UsageError
from onnxlens.reference_model import catalog
from onnxlens.reference_model.weights.checkpoint import COMPILED, CheckpointReading, CheckpointWeights
from onnxlens.reference_model.weights.checkpoint_file import (
    SAFETENSORS_SUFFIX,
    HeldTensors,
    checkpoint_file,
    open_checkpoint,
)
from onnxlens.specs.generate import MOST_SEED, require_between
from onnxlens.specs.module_state import state_of
from onnxlens.specs.progress import Progress, silent

CONTROL, UNET = "control_model.", "model.diffusion_model."
AVERAGED = "model_ema."
"""The moving average of the weights, which the published ControlNets' files have not."""

SUFFIXES = (SAFETENSORS_SUFFIX, ".pth", ".pt", ".ckpt")


def add_control(source: Path | str, out: Path | str, seed: int = 0, progress: Progress = silent) -> Path:
    """Write a checkpoint with a fresh ControlNet beside all of Stable Diffusion, ready to be trained.

    ``control_model.X`` is ``model.diffusion_model.X`` where that exists. What does not, the hint block and
    the zero convolutions, is as its constructor makes it: drawn, or zero.

    Args:
        source: Stable Diffusion 1.5, as published: with the keys of its original code.
        out: what is written, at once or not at all; its suffix says the format.
        seed: of what is drawn.
        progress: shows the steps.

    Raises:
        CheckpointError: ``source`` is no such checkpoint, or has a ControlNet already.
        UsageError: ``out`` has another suffix, or cannot be written; or the seed is out of range.
    """
    require_between("seed", seed, 0, MOST_SEED)
    if not Path(source).exists():
        raise CheckpointError(f"{source}: no such file; give a checkpoint of Stable Diffusion 1.5")
    path, target = checkpoint_file(Path(source)), Path(out)
    if target.suffix not in SUFFIXES:
        raise UsageError(f"{target}: a checkpoint is written as {', '.join(SUFFIXES)}; choose one of them")
    progress("reading the checkpoint", 0, 0)
    held = _stable_diffusion(path)
    named = {COMPILED.sub("", key): key for key in held.shapes}
    entries = {name: held.read(key) for name, key in named.items() if not name.startswith(AVERAGED)}
    entries |= dict(_control(entries, seed))
    progress("writing the checkpoint", 0, 0)
    with staged_file(target) as file:
        _write(entries, file)
    return target


def _stable_diffusion(path: Path) -> HeldTensors:
    """The tensors of the file, once they are known to be Stable Diffusion's and no ControlNet's."""
    places = open_checkpoint(path)
    if any(_count(held, CONTROL) for held in places):
        raise CheckpointError(
            f"{path}: holds a ControlNet already ({CONTROL}..); give Stable Diffusion alone"
        )
    spec = catalog.get("sd-unet")
    reading = CheckpointReading(strip_prefix="")
    CheckpointWeights(path, "Stable Diffusion 1.5", state_of(spec.build("meta")), spec.checkpoint, reading)
    return max(places, key=lambda held: _count(held, UNET))


def _count(held: HeldTensors, prefix: str) -> int:
    """How many keys begin so, but for what wrappers for training put into them."""
    return sum(COMPILED.sub("", key).startswith(prefix) for key in held.shapes)


def _control(entries: dict[str, torch.Tensor], seed: int) -> Iterator[tuple[str, torch.Tensor]]:
    """The ControlNet's entries: copies of the UNet's, and what it has of its own in the UNet's type."""
    dtype = next(each.dtype for key, each in entries.items() if key.startswith(UNET))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        fresh = catalog.get("controlnet").build().state_dict()
    for key, value in fresh.items():
        copied = entries.get(UNET + key)
        yield CONTROL + key, value.to(dtype) if copied is None else copied.clone()


def _write(entries: dict[str, torch.Tensor], file: Path) -> None:
    """Write each entry with memory of its own: safetensors refuses what is shared, torch writes all of it."""
    memory: set[int] = set()
    for key, each in entries.items():
        whole = each.untyped_storage()
        if whole.data_ptr() in memory or whole.nbytes() != each.nbytes:
            entries[key] = each.clone()
        memory.add(whole.data_ptr())
    if file.suffix == SAFETENSORS_SUFFIX:
        from safetensors.torch import save_file

        save_file({key: each.contiguous() for key, each in entries.items()}, file)
    else:
        torch.save({"state_dict": entries}, file)
