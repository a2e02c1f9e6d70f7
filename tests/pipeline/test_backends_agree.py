"""ONNX Runtime's latents against PyTorch's, step by step and after several."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from onnxlens.pipeline.generate import Generation
from onnxlens.pipeline.graphs import Graphs
from onnxlens.pipeline.sampler import Floats, denoised, gaussian
from onnxlens.pipeline.tokenizer import surrogate_tokenizer
from onnxlens.specs.generate import Control, GenerateRequest
from tests import small_pipeline

SIDE = 64
STEP_BOUND, LATENT_BOUND = 1e-5, 1e-3
"""Of the relative L2 error: of a step from the same latent, and of the last latent of up to twenty steps."""

START = gaussian((1, 4, SIDE // 8, SIDE // 8), np.random.default_rng(0))


def run(
    backend: Literal["torch", "onnx"], steps: int, given: list[Floats]
) -> tuple[list[Floats], list[Floats]]:
    """The latent after each step, and after each step from a given latent."""
    controls = tuple(Control("canny", Path(), strength) for strength in (1.0, 0.5))
    request = GenerateRequest("a disc", controls, negative="grey", steps=steps, guess_mode=False)
    generation = Generation(request, Graphs(backend, "seeded", SIDE, SIDE), surrogate_tokenizer())
    images = [np.random.default_rng(i).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8) for i in range(2)]
    prompts, every = generation.prompts(), generation.steps
    rng = np.random.default_rng(0)
    with ExitStack() as stack:
        denoiser = generation.denoiser(stack, prompts, images)
        latents = list(denoised(START, every, denoiser, rng))
        pairs = zip([START, *given][:-1] if given else [], every, strict=False)
        single = [step.apply(x, denoiser(x, step.timestep), rng) for x, step in pairs]
    return latents, single


def relative(found: Floats, expected: Floats) -> float:
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def compare(steps: int) -> None:
    latents, _ = run("torch", steps, [])
    own, single = run("onnx", steps, latents)
    assert len(latents) == len(own) == len(single) == steps
    assert all(np.isfinite(latent).all() and latent.std() > 0.1 for latent in latents)
    assert max(map(relative, single, latents)) < STEP_BOUND
    assert relative(own[-1], latents[-1]) < LATENT_BOUND


def test_small_networks_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    small_pipeline.install(monkeypatch)
    with small_pipeline.one_thread():
        compare(5)


@pytest.mark.slow
def test_the_reference_model_agrees() -> None:
    compare(20)
