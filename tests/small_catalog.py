"""A catalog of two networks that run in a moment, for tests of the job that runs a whole catalog."""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from onnxlens.api.target import Settings
from onnxlens.export.network import Network
from onnxlens.reference_model import catalog
from onnxlens.reference_model.catalog import CatalogEntry, TensorTemplate
from onnxlens.reference_model.weights.choice import SeededWeights
from onnxlens.specs.graph import CheckpointScope, GraphSpec
from tests.export import tiny

NAMES = ("first", "second")

SMALL = {"batch": 2, "height": 64, "width": 96}
"""A small size that is not square, of the graphs of the real catalog."""


def weightless(opset: int) -> Settings:
    """For exports that the cache has for others: at 18 small as parity, at 23 as the report's figures."""
    return Settings("none", opset, **(SMALL if opset == 18 else {}))


ENTRY = CatalogEntry(
    family="annotator",
    title="a network of five layers",
    factory=tiny.Tiny,
    inputs=(TensorTemplate("image", (3, tiny.SIDE, tiny.SIDE)),),
    outputs=(TensorTemplate("logits", (tiny.SIDE**2, tiny.CLASSES)),),
    published=("other.pth", "tiny.pth"),
    checkpoint=CheckpointScope("tiny.", optional=("position_ids",)),
)


def install(monkeypatch: pytest.MonkeyPatch, cache: Path | None = None, **changes: Any) -> None:
    """Make it the catalog, with a cache of its own: ``first``, with fields changed, and ``second``."""
    first, second = NAMES
    monkeypatch.setattr(catalog, "ENTRIES", {first: replace(ENTRY, **changes), second: ENTRY})
    monkeypatch.setenv("ONNXLENS_CACHE", str(cache or tempfile.mkdtemp(dir=os.environ["ONNXLENS_CACHE"])))


def seeded_state(spec: GraphSpec) -> dict[str, np.ndarray]:
    """The values that seeded weights have for the graph, by the key of its module."""
    source = SeededWeights(Network(spec).state, spec.checkpoint.prefix)
    return {name: source.read(name) for name in source.tensors}


def half_checkpoint(spec: GraphSpec) -> dict[str, torch.Tensor]:
    """The seeded values in float16, by the key of the published file: integers stay as they are."""
    tensors = {
        spec.checkpoint.prefix + name: torch.from_numpy(values) for name, values in seeded_state(spec).items()
    }
    return {key: value.half() if value.is_floating_point() else value for key, value in tensors.items()}


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
