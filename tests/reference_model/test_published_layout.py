"""The networks' ``state_dict`` against the keys, shapes and integer entries of the published checkpoints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from onnxlens.reference_model import catalog

CHECKPOINTS = Path(__file__).parents[1] / "data" / "checkpoints"

ENTRIES = {
    "clip-text": 197,
    "controlnet": 340,
    "sd-unet": 686,
    "vae-encoder": 106 + 2,
    "vae-decoder": 138 + 2,
    # weight and bias: features, first stage and five refinements of seven layers; two branches or one
    "openpose-body": (12 + 2 * 5 + 5 * 2 * 7) * 2,
    "openpose-hand": (15 + 2 + 5 * 7) * 2,
    # a convolution and the five entries of its batch norm, in the heads with a bias; a last one without norm
    "mlsd-large": (1 + 2 + 12 * 3) * 6 + (8 + 1) * 2 * 7 + 2,
    "mlsd-tiny": (1 + 2 + 9 * 3) * 6 + (4 + 1) * 2 * 7 + 2,
    "hed": 1 + (2 + 2 + 3 + 3 + 3) * 2 + 5 * 2,
    "hed-bsds": (2 + 2 + 3 + 3 + 3) * 2 + 5 * 2 + 2,
    # tokens, ResNet, projection, transformer, its unused norm and head, readouts, decoder
    "midas-dpt-hybrid": 2 + (1 + 16 * 3 + 3) * 3 + 2 + 12 * 12 + 4 + (2 + 3) * 2 + 4 + 4 * 5 * 2 + 3 * 2,
    # patches and last norms; seven local blocks of 12 layers' weights and two batch norms, eleven global ones
    # of 7 layers; the heads' 12 convolutions with their batch norm, and two that classify
    "uniformer-seg": 4 * 4 + 4 * 2 + 7 * (6 * 2 + 2 * 5) + 11 * 7 * 2 + 13 * 6 + 2 * 2,
    "control-ldm": 340 + 686,
}

FILES = {
    "openpose-body": "body_pose_model",
    "openpose-hand": "hand_pose_model",
    "mlsd-large": "mlsd_large_512_fp32",
    "mlsd-tiny": "mlsd_tiny_512_fp32",
    "hed": "ControlNetHED",
    "hed-bsds": "network-bsds500",
    "midas-dpt-hybrid": "dpt_hybrid-midas-501f0c75",
    "uniformer-seg": "upernet_global_small",
}


def published(graph: str) -> dict[str, Any]:
    name = FILES.get(graph, "control_sd15")
    layout: dict[str, Any] = json.loads((CHECKPOINTS / f"{name}.json").read_text())
    return layout


@pytest.mark.parametrize("graph", catalog.names())
def test_keys_and_shapes_are_the_published_ones(graph: str) -> None:
    spec = catalog.get(graph)
    expected = {
        key: shape
        for file_key, shape in published(graph)["keys"].items()
        if (key := spec.checkpoint.module_key(file_key)) is not None
    }
    state = spec.build("meta").state_dict()
    assert {key: list(tensor.shape) for key, tensor in state.items()} == expected
    assert len(state) == ENTRIES[graph]


@pytest.mark.parametrize("graph", catalog.names())
def test_only_the_published_integer_entries_are_integers(graph: str) -> None:
    spec = catalog.get(graph)
    expected = {spec.checkpoint.module_key(key) for key in published(graph)["int64_keys"]} - {None}
    state = spec.build("meta").state_dict()
    assert {key for key, tensor in state.items() if tensor.dtype == torch.int64} == expected
    assert {tensor.dtype for key, tensor in state.items() if key not in expected} == {torch.float32}


@pytest.mark.parametrize("graph", catalog.names())
def test_the_published_file_is_among_those_that_are_looked_for(graph: str) -> None:
    assert published(graph)["checkpoint"] in catalog.checkpoint_names(graph)


def test_the_two_halves_make_the_whole_vae() -> None:
    graphs = ("vae-encoder", "vae-decoder")
    halves = [catalog.get(graph).build("meta").state_dict().keys() for graph in graphs]
    vae = {key for key in published("vae-encoder")["keys"] if key.startswith("first_stage_model.")}
    assert len(vae) == 248
    assert {f"first_stage_model.{key}" for half in halves for key in half} == vae
    assert not halves[0] & halves[1]


def test_position_ids_may_be_absent_and_count_the_positions() -> None:
    spec = catalog.get("clip-text")
    (optional,) = spec.checkpoint.optional
    embeddings = spec.build("cpu").state_dict()[optional]
    assert embeddings.tolist() == [list(range(77))]
