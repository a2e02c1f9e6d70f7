"""The networks against what the published implementations print for seeded weights and inputs.

``tests/data/golden`` holds, for each output, its shape, mean, standard deviation, norm, and 24 of its values.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from onnxlens.reference_model import catalog
from onnxlens.reference_model.weights.seeded import seeded_tensor

GOLDEN = Path(__file__).parents[1] / "data" / "golden"
BOUND = 1e-5
TIMESTEPS = (1, 981)
CONTROLS = [(320, 1)] * 3 + [(320, 2)] + [(640, 2)] * 2 + [(640, 4)] + [(1280, 4)] * 2 + [(1280, 8)] * 4
PROMPTS = (
    (49406, 320, 1125, 539, 320, 2368, *(49407,) * 71),
    (49406, 1000, 2000, 3000, *(49407,) * 73),
)


def uniform(tag: str, shape: tuple[int, ...], low: float = -1.0, high: float = 1.0) -> Tensor:
    drawn = np.random.default_rng(zlib.crc32(f"input:{tag}".encode())).random(shape)
    return torch.from_numpy((low + (high - low) * drawn).astype(np.float32))


def golden_inputs(graph: str, batch: int, height: int, width: int) -> tuple[Tensor, ...]:
    latent = (batch, 4, height // 8, width // 8)
    image = (batch, 3, height, width)
    text = (batch, 77, 768)
    timesteps = torch.tensor(TIMESTEPS[:batch])
    match graph:
        case "clip-text":
            return (torch.tensor(PROMPTS[:batch]),)
        case "controlnet":
            hint = uniform("cn.hint", image, 0, 1)
            return uniform("cn.x", latent), hint, timesteps, uniform("cn.ctx", text)
        case "sd-unet":
            controls = [
                uniform(f"un.c{index}", (batch, channels, *(ceil(side / reduction) for side in latent[2:])))
                for index, (channels, reduction) in enumerate(CONTROLS)
            ]
            return uniform("un.x", latent), timesteps, uniform("un.ctx", text), *controls
        case "vae-encoder":
            return (uniform("ve.x", image),)
        case "vae-decoder":
            return (uniform("vd.z", latent),)
        case _:
            return (uniform("hed_apache2", image, 0, 255),)


def seeded_network(graph: str) -> nn.Module:
    spec = catalog.get(graph)
    module = spec.build("meta")
    shapes = {key: tuple(tensor.shape) for key, tensor in module.state_dict().items()}

    def draw(key: str) -> Tensor:
        return torch.from_numpy(seeded_tensor(spec.checkpoint.prefix + key, shapes[key]))

    with ThreadPoolExecutor(2) as pool:
        state = dict(zip(shapes, pool.map(draw, shapes), strict=True))
    module.load_state_dict(state, assign=True)
    return module


def deviations(output: Tensor, golden: dict[str, Any]) -> dict[str, float]:
    values = output.double().flatten()
    expected = torch.tensor(golden["value"], dtype=torch.float64)
    sampled = values[torch.tensor(golden["index"])]
    return {
        "value": float((sampled - expected).norm() / expected.norm()),
        "l2": abs(float(values.norm()) - golden["l2"]) / golden["l2"],
        "std": abs(float(values.std(correction=0)) - golden["std"]) / golden["std"],
        "mean": abs(float(values.mean()) - golden["mean"]) / golden["std"],
    }


@pytest.fixture(
    scope="module", params=["clip-text", "vae-encoder", "vae-decoder", "hed", "controlnet", "sd-unet"]
)
def network(request: pytest.FixtureRequest) -> Iterator[tuple[str, nn.Module]]:
    """One network at a time: the UNet alone holds 3.4 GB."""
    yield request.param, seeded_network(request.param)


@pytest.mark.parametrize("size", ["64x64", "192x128"])
def test_outputs_are_the_published_implementation_s(network: tuple[str, nn.Module], size: str) -> None:
    graph, module = network
    golden = json.loads((GOLDEN / f"{size}.json").read_text())[graph]
    inputs = golden_inputs(graph, golden["batch"], golden["height"], golden["width"])
    with torch.inference_mode():
        outputs = module(*inputs)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    assert [list(output.shape) for output in outputs] == [entry["shape"] for entry in golden["outputs"]]
    for output, entry in zip(outputs, golden["outputs"], strict=True):
        found = deviations(output, entry)
        assert max(found.values()) < BOUND, found
