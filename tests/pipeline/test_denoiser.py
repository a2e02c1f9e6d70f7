"""Guidance and controls, on networks whose noise is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from onnxlens.pipeline.denoiser import Denoiser, Prompt, Run, Steering, control_scales
from onnxlens.specs.tensor import TensorSpec

CONTROLS = (
    TensorSpec("control_0", "float32", (1, 4, 2, 2)),
    TensorSpec("control_1", "float32", (1, 4, 1, 1)),
)
X = np.arange(16, dtype=np.float32).reshape(1, 4, 2, 2) / 8

Arrays = Mapping[str, np.ndarray]


class Calls:
    """A UNet and ControlNets that note their batches."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def unet(self, inputs: Arrays) -> Arrays:
        """x times the context, plus the controls, plus the timestep."""
        self.batches.append(len(inputs["x"]))
        context = inputs["context"][:, :1, :1, None]
        time = inputs["timesteps"][:, None, None, None].astype(np.float32)
        return {"eps": inputs["x"] * context + inputs["control_0"] + inputs["control_1"] + time / 100}

    def controlnet(self, inputs: Arrays) -> Arrays:
        self.batches.append(-len(inputs["x"]))
        level = inputs["hint"].mean(axis=(1, 2, 3), keepdims=True) * inputs["context"][:, :1, :1, None]
        return {"control_0": level + inputs["x"], "control_1": 10 * level}


def prompt(value: float, *, controlled: bool = True) -> Prompt:
    return Prompt(np.full((1, 77, 8), value, np.float32), controlled)


def hint(value: float) -> np.ndarray:
    return np.full((1, 3, 16, 16), value, np.float32)


def steering(run: Run, level: float = 0.5, scales: tuple[float, ...] = (1, 1)) -> tuple[Steering, ...]:
    return (Steering(run, hint(level), scales),)


def denoiser(calls: Calls, passes: tuple[tuple[Prompt, ...], ...], scale: float = 9) -> Denoiser:
    return Denoiser(calls.unet, CONTROLS, steering(calls.controlnet), passes, scale)


NEGATIVE, POSITIVE = prompt(2), prompt(3)


def test_the_noise_is_shifted_from_the_negative_prompts_to_the_positive_ones() -> None:
    calls = Calls()
    # hint 0.5: control_0 = 0.5 c + x and control_1 = 5 c, so eps = c x + x + 5.5 c + t / 100
    negative, positive = (c * X + X + 5.5 * c + 0.51 for c in (2, 3))
    found = denoiser(calls, ((NEGATIVE, POSITIVE),))(X, 51)
    np.testing.assert_allclose(found, negative + 9 * (positive - negative), rtol=1e-6)
    assert calls.batches == [-2, 2]


def test_two_passes_equal_one_batch() -> None:
    batched, apart = Calls(), Calls()
    expected = denoiser(batched, ((NEGATIVE, POSITIVE),))(X, 7)
    assert np.array_equal(denoiser(apart, ((NEGATIVE,), (POSITIVE,)))(X, 7), expected)
    assert apart.batches == [-1, 1, -1, 1]


def test_guidance_of_1_equals_the_positive_prompt_alone() -> None:
    alone = denoiser(Calls(), ((POSITIVE,),), scale=1)(X, 7)
    both = denoiser(Calls(), ((NEGATIVE, POSITIVE),), scale=1)(X, 7)
    np.testing.assert_allclose(both, alone, rtol=1e-6)
    np.testing.assert_allclose(alone, 4 * X + 16.5 + 0.07, rtol=1e-6)


@pytest.mark.parametrize("apart", [False, True])
def test_a_prompt_that_is_not_controlled_takes_zeros(apart: bool) -> None:
    calls, free = Calls(), prompt(2, controlled=False)
    passes = ((free,), (POSITIVE,)) if apart else ((free, POSITIVE),)
    negative, positive = 2 * X, 3 * X + X + 16.5
    np.testing.assert_allclose(denoiser(calls, passes)(X, 0), negative + 9 * (positive - negative), rtol=1e-6)
    assert calls.batches == ([1, -1, 1] if apart else [-1, 2])


def test_two_controlnets_are_the_sum_of_their_scaled_outputs() -> None:
    calls = Calls()
    given: list[Arrays] = []

    def unet(inputs: Arrays) -> Arrays:
        given.append(inputs)
        return calls.unet(inputs)

    one = replace(denoiser(calls, ((POSITIVE,),)), unet=unet)
    two = replace(
        one, steering=steering(calls.controlnet, 0.5, (0.5, 2)) + steering(calls.controlnet, 1.0, (3, 0.25))
    )
    two(X, 0)
    # hints of 0.5 and 1 at context 3: levels of 1.5 and 3
    np.testing.assert_allclose(given[0]["control_0"], 0.5 * (1.5 + X) + 3 * (3 + X), rtol=1e-6)
    np.testing.assert_allclose(given[0]["control_1"], np.full((1, 4, 1, 1), 2 * 15 + 0.25 * 30), rtol=1e-6)


def test_control_scales_fade_towards_the_finest_in_guess_mode() -> None:
    assert control_scales(0.7, False) == (0.7,) * 13
    scales = control_scales(2, True)
    assert len(scales) == 13
    assert scales[12] == 2
    assert scales[10] == pytest.approx(2 * 0.825 * 0.825)
    assert scales[0] == pytest.approx(2 * 0.09941396, rel=1e-6)  # 0.825 ** 12
