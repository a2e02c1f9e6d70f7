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
from onnxlens.reference_model.weights.choice import seeded_tensor

GOLDEN = Path(__file__).parents[1] / "data" / "golden"
BOUND = 1e-5
# DPT's float32 result moves by 6e-5 with the threads and the math library; float64 sees what that hides
BOUNDS = {"midas-dpt-hybrid": 2e-4}
FLOAT64_BOUND = 1e-8
TIMESTEPS = (1, 981)
CONTROLS = [(320, 1)] * 3 + [(320, 2)] + [(640, 2)] * 2 + [(640, 4)] + [(1280, 4)] * 2 + [(1280, 8)] * 4
PROMPTS = (
    (49406, 320, 1125, 539, 320, 2368, *(49407,) * 71),
    (49406, 1000, 2000, 3000, *(49407,) * 73),
)


def uniform(name: str, shape: tuple[int, ...], low: float = -1.0, high: float = 1.0) -> Tensor:
    drawn = np.random.default_rng(zlib.crc32(f"input:{name}".encode())).random(shape)
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
        case "openpose-body" | "openpose-hand":
            return (uniform(graph.removeprefix("openpose-"), image, -0.5, 0.5),)
        case "mlsd-large" | "mlsd-tiny":
            return (uniform(graph.replace("-", "_"), (batch, 4, height, width)),)
        case "hed":
            return (uniform("hed_apache2", image, 0, 255),)
        case "hed-bsds":
            return (uniform("hed_bsds", image, 0, 1),)
        case _:
            return (uniform("dpt_hybrid", image),)


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


def golden_of(graph: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((GOLDEN / f"{name}.json").read_text())[graph]
    return found


def assert_golden(output: Tensor, golden: dict[str, Any], bound: float) -> None:
    assert list(output.shape) == golden["shape"]
    found = deviations(output, golden)
    assert max(found.values()) < bound, found


WITHOUT_GOLDEN = ("control-ldm", "uniformer-seg")
"""The first is two others; test_segmentation_network.py holds the second to its formulas."""


@pytest.fixture(scope="module", params=[name for name in catalog.names() if name not in WITHOUT_GOLDEN])
def network(request: pytest.FixtureRequest) -> Iterator[tuple[str, nn.Module]]:
    """One network at a time: the UNet alone holds 3.4 GB."""
    yield request.param, seeded_network(request.param)


@pytest.mark.parametrize("size", ["64x64", "192x128"])
def test_outputs_are_the_published_implementation_s(network: tuple[str, nn.Module], size: str) -> None:
    graph, module = network
    golden = golden_of(graph, size)
    inputs = golden_inputs(graph, golden["batch"], golden["height"], golden["width"])
    with torch.inference_mode():
        outputs = module(*inputs)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    for output, entry in zip(outputs, golden["outputs"], strict=True):
        assert_golden(output, entry, BOUNDS.get(graph, BOUND))


@pytest.mark.parametrize("graph", ["mlsd-large", "mlsd-tiny"])
def test_inputs_of_a_wide_range_reach_the_ceiling_of_relu6(graph: str) -> None:
    golden = golden_of(graph, "range10_64x64")
    module = seeded_network(graph)
    image = uniform(graph.replace("-", "_"), (1, 4, 64, 64), -10, 10)
    ceilings = [layer for layer in module.modules() if isinstance(layer, nn.ReLU6)]
    reached: list[bool] = []
    for layer in ceilings:
        layer.register_forward_hook(lambda _, __, output: reached.append(bool((output == 6).any())))
    with torch.inference_mode():
        output = module(image)
    assert any(reached)
    assert_golden(output, golden["outputs"][0], BOUND)


def test_depth_in_float64_is_the_published_implementation_s() -> None:
    module = seeded_network("midas-dpt-hybrid").double()
    for size in ("64x64", "192x128"):
        golden = golden_of("midas-dpt-hybrid", f"float64_{size}")
        inputs = golden_inputs("midas-dpt-hybrid", golden["batch"], golden["height"], golden["width"])
        with torch.inference_mode():
            output = module(*(tensor.double() for tensor in inputs))
        assert_golden(output, golden["outputs"][0], FLOAT64_BOUND)
