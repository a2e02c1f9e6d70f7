"""Checkpoints of the annotators, written in the layouts in which they are published."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from onnxlens.errors import CheckpointError
from onnxlens.reference_model import catalog
from tests.reference_model.weights.files import opened_for, published, saved, saved_safetensors

LAYOUTS = {
    "openpose-body": "body_pose_model",
    "openpose-hand": "hand_pose_model",
    "hed": "ControlNetHED",
    "hed-bsds": "network-bsds500",
    "mlsd-large": "mlsd_large_512_fp32",
    "mlsd-tiny": "mlsd_tiny_512_fp32",
    "midas-dpt-hybrid": "dpt_hybrid-midas-501f0c75",
    "uniformer-seg": "upernet_global_small",
}


@pytest.mark.parametrize(("graph", "layout"), LAYOUTS.items())
def test_a_file_in_the_published_layout_fills_the_network(graph: str, layout: str, tmp_path: Path) -> None:
    content = published(layout)
    first = next(iter(content))
    content[first] = torch.full_like(content[first], 0.5).contiguous()
    weights = opened_for(catalog.get(graph), saved(content, tmp_path / f"{layout}.pth"))
    assert set(weights.tensors) == set(content)  # no prefix: the file's names are the network's
    assert np.all(weights.read(first) == 0.5)
    assert {str(weights.read(name).dtype) for name in list(content)[:8]} <= {"float32", "int64"}


def test_the_segmentation_s_file_as_it_was_trained_has_more_than_its_state(tmp_path: Path) -> None:
    meta = {"CLASSES": ("wall", "building"), "PALETTE": [[120, 120, 120], [180, 120, 120]], "iter": 160000}
    content = {"meta": meta, "state_dict": published("upernet_global_small"), "optimizer": {"state": {}}}
    weights = opened_for(catalog.get("uniformer-seg"), saved(content, tmp_path / "upernet_global_small.pth"))
    assert set(weights.tensors) == set(content["state_dict"])


@pytest.mark.parametrize(("graph", "layout"), LAYOUTS.items())
def test_a_file_that_lacks_a_tensor_is_refused_by_its_name(graph: str, layout: str, tmp_path: Path) -> None:
    content = published(layout)
    gone = list(content)[3]
    del content[gone]
    with pytest.raises(CheckpointError, match=rf"1 of \d+ keys missing \({gone}\)"):
        opened_for(catalog.get(graph), saved(content, tmp_path / f"{layout}.pth"))


@pytest.mark.parametrize("graph", ["mlsd-tiny", "mlsd-large", "hed"])
def test_the_safetensors_copy_gives_the_same_values(graph: str, tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(1)
    content = {
        key: value.contiguous()
        if value.dtype == torch.int64
        else torch.rand(value.shape, generator=generator)
        for key, value in published(LAYOUTS[graph]).items()
    }
    pickled = opened_for(catalog.get(graph), saved(content, tmp_path / "a.pth"))
    copy = opened_for(catalog.get(graph), saved_safetensors(content, tmp_path / "a.safetensors"))
    for key in content:
        assert np.array_equal(pickled.read(key), copy.read(key)), key


def test_the_float16_file_of_hed_is_widened(tmp_path: Path) -> None:
    weights = opened_for(
        catalog.get("hed"), saved(published("ControlNetHED", torch.float16), tmp_path / "h.pth")
    )
    assert weights.read("norm").dtype == np.float32
