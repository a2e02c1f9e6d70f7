"""The noise that UNet and ControlNets predict together, guided away from the negative prompt."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from onnxlens.pipeline.sampler import Floats
from onnxlens.specs.tensor import Dim, TensorSpec

Run = Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]]
"""Runs a graph of the catalog: inputs by name to outputs by name."""

GUESS_DECAY = 0.825
"""In guess mode, what a control is weaker than the next coarser one."""


def control_scales(strength: float, guess_mode: bool, count: int = 13) -> tuple[float, ...]:
    """What each control is multiplied by, finest first: all by the strength, or fading in guess mode."""
    last = count - 1
    return tuple(strength * GUESS_DECAY ** (last - i) if guess_mode else strength for i in range(count))


@dataclass(frozen=True, slots=True)
class Steering:
    """A ControlNet with its control image.

    Attributes:
        hint: the control image, 0 to 1, (1, 3, 8H, 8W).
        scales: what each of its outputs is multiplied by.
    """

    run: Run
    hint: Floats
    scales: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Prompt:
    """A text's context (1, 77, 768), and whether the controls steer what it gives."""

    context: Floats
    controlled: bool = True


@dataclass(frozen=True, slots=True)
class Denoiser:
    """Predicts the noise in a latent (1, 4, H, W) at a timestep.

    Attributes:
        unet: runs ``sd-unet`` at the batch of a pass.
        controls: what a ControlNet gives; prompts that are not controlled take zeros instead.
        steering: each runs ``controlnet`` at the batch of the controlled prompts of a pass.
        passes: the prompts of each run of the UNet; in all of them the positive one, or the negative and it.
        scale: how far the noise is shifted from the negative towards the positive prompt's.
    """

    unet: Run
    controls: tuple[TensorSpec, ...]
    steering: tuple[Steering, ...]
    passes: tuple[tuple[Prompt, ...], ...]
    scale: float

    def __call__(self, x: Floats, timestep: int) -> Floats:
        """The noise, (1, 4, H, W)."""
        eps = np.concatenate([self._pass(prompts, x, timestep) for prompts in self.passes])
        if len(eps) == 1:
            return eps
        negative, positive = eps[:1], eps[1:]
        return np.asarray(negative + np.float32(self.scale) * (positive - negative))

    def _pass(self, prompts: Sequence[Prompt], x: Floats, timestep: int) -> Floats:
        controls = self._controls(prompts, x, timestep)
        return np.asarray(self.unet({**_step(prompts, x, timestep), **controls})["eps"])

    def _controls(self, prompts: Sequence[Prompt], x: Floats, timestep: int) -> Mapping[str, np.ndarray]:
        """The sum of all ControlNets' scaled outputs; zeros for prompts that are not controlled."""
        controlled = [prompt for prompt in prompts if prompt.controlled]
        count = len(prompts)
        whole = {each.name: _zeros((count, *each.shape[1:])) for each in self.controls}
        if not controlled:
            return whole
        rows = [prompt.controlled for prompt in prompts]
        step = _step(controlled, x, timestep)
        for each in self.steering:
            outputs = each.run({**step, "hint": np.repeat(each.hint, len(controlled), axis=0)})
            for control, scale in zip(self.controls, each.scales, strict=True):
                whole[control.name][rows] += np.float32(scale) * outputs[control.name]
        return whole


def _zeros(shape: Sequence[Dim]) -> Floats:
    return np.zeros([int(size) for size in shape], np.float32)


def _step(prompts: Sequence[Prompt], x: Floats, timestep: int) -> dict[str, np.ndarray]:
    """What UNet and ControlNet both take: the same latent and timestep for every prompt."""
    count = len(prompts)
    return {
        "x": np.repeat(x, count, axis=0),
        "timesteps": np.full(count, timestep, np.int64),
        "context": np.concatenate([prompt.context for prompt in prompts]),
    }
