"""Writes checkpoint files: of any shape in a few bytes, in every format, well-meant and not."""

from __future__ import annotations

import json
import os
import pickle
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from onnxlens.reference_model.weights.checkpoint import CheckpointWeights
from onnxlens.specs.graph import CheckpointScope, GraphSpec
from onnxlens.specs.module_state import ModuleState, state_of
from onnxlens.specs.tensor import TensorSpec

LAYOUTS = Path(__file__).parents[2] / "data" / "checkpoints"

SCOPE = CheckpointScope("net.", optional=("position_ids",))
TENSORS = {
    "linear.weight": TensorSpec("linear.weight", "float32", (2, 3)),
    "linear.bias": TensorSpec("linear.bias", "float32", (2,)),
    "position_ids": TensorSpec("position_ids", "int64", (1, 4)),
}
"""The tensors of a network of one layer and a table."""


def state() -> dict[str, Tensor]:
    """The entries of the network in ``TENSORS``, by their keys in a file; each value occurs once."""
    return {
        "net.linear.weight": torch.arange(6.0).reshape(2, 3),
        "net.linear.bias": torch.tensor([6.0, 7.0]),
        "net.position_ids": torch.arange(4)[None],
    }


def opened(path: Path) -> CheckpointWeights:
    return CheckpointWeights(path, "net", ModuleState(TENSORS), SCOPE)


def opened_for(spec: GraphSpec, path: Path) -> CheckpointWeights:
    return CheckpointWeights(path, spec.name, state_of(spec.build("meta")), spec.checkpoint)


def published(layout: str, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """Every entry of a published file; all elements of a tensor share one number, so files are small."""
    entries = json.loads((LAYOUTS / f"{layout}.json").read_text(encoding="utf-8"))
    return {
        key: torch.tensor(index % 100, dtype=torch.int64 if key in entries["int64_keys"] else dtype).expand(
            shape
        )
        for index, (key, shape) in enumerate(entries["keys"].items())
    }


def saved(content: Any, path: Path, *, zipped: bool = True) -> Path:
    """``torch.save``; not zipped is the format before torch 1.6."""
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    return path


def saved_safetensors(content: Mapping[str, Tensor], path: Path) -> Path:
    save_file({key: tensor.contiguous() for key, tensor in content.items()}, path)
    return path


def trainer_class(monkeypatch: pytest.MonkeyPatch) -> type:
    """A class that pickles as the trainer's callback; its package is gone when the patch is undone."""
    name = "pytorch_lightning.callbacks.model_checkpoint"
    callback = type("ModelCheckpoint", (), {"__module__": name})
    for length in range(1, 4):
        package = ".".join(name.split(".")[:length])
        monkeypatch.setitem(sys.modules, package, ModuleType(package))
    monkeypatch.setattr(sys.modules[name], "ModelCheckpoint", callback, raising=False)
    return callback


class Malice:
    """Runs a command when it is unpickled: one that makes ``marker``."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.marker}",)


def saved_raw_pickle(content: Any, path: Path) -> Path:
    path.write_bytes(pickle.dumps(content, protocol=2))
    return path
