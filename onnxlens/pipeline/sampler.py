"""DDIM: the noise levels that are visited, and the step from one to the next.

Song et al. 2020, "Denoising Diffusion Implicit Models", arXiv 2010.02502. Coefficients are float64, latents
float32.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from onnxlens.reference_model.pipeline import LATENT_SCALE
from onnxlens.specs.generate import TRAINING_STEPS

Floats = NDArray[np.float32]
Noise = Callable[[Floats, int], Floats]
"""Predicts the noise in a latent at a timestep."""

BETA_START, BETA_END = 0.00085, 0.0120
"""How much noise the first and the last step of the training adds."""

LEAST_LOG_VARIANCE, MOST_LOG_VARIANCE = -30.0, 20.0


def alphas() -> NDArray[np.float64]:
    """The share of the picture in the latent's variance after each step of the training, falling (1000,)."""
    betas = np.linspace(sqrt(BETA_START), sqrt(BETA_END), TRAINING_STEPS) ** 2
    return np.asarray(np.cumprod(1 - betas), np.float64)


@dataclass(frozen=True, slots=True)
class DdimStep:
    """One step of sampling.

    Attributes:
        alpha: the picture's share in the latent that comes in.
        next_alpha: in the one that goes out.
        sigma: of the noise that is added again.
    """

    timestep: int
    alpha: float
    next_alpha: float
    sigma: float

    def apply(self, x: Floats, eps: Floats, rng: np.random.Generator) -> Floats:
        """The next latent, from the one at ``timestep`` and the noise that was predicted in it."""
        picture = (x - sqrt(1 - self.alpha) * eps) / sqrt(self.alpha)
        direction = sqrt(1 - self.next_alpha - self.sigma**2) * eps
        x = sqrt(self.next_alpha) * picture + direction
        return x + self.sigma * gaussian(x.shape, rng) if self.sigma else x


def ddim_steps(timesteps: Sequence[int], eta: float) -> tuple[DdimStep, ...]:
    """The steps at ``timesteps``, falling; the last one leads to the first step of the training.

    sigma = eta * sqrt((1 - a') / (1 - a) * (1 - a / a')), a' the next step's alpha.
    """
    alpha = alphas()
    levels = [float(alpha[timestep]) for timestep in timesteps] + [float(alpha[0])]
    return tuple(
        DdimStep(timestep, now, after, eta * sqrt((1 - after) / (1 - now) * (1 - now / after)))
        for timestep, now, after in zip(timesteps, levels, levels[1:], strict=False)
    )


def denoised(
    x: Floats, steps: Sequence[DdimStep], noise: Noise, rng: np.random.Generator
) -> Iterator[Floats]:
    """The latent after each step."""
    for step in steps:
        x = step.apply(x, noise(x, step.timestep), rng)
        yield x


def gaussian(shape: tuple[int, ...], rng: np.random.Generator) -> Floats:
    """Standard normal noise."""
    return rng.standard_normal(shape, dtype=np.float32)


def noised(latent: Floats, step: DdimStep, rng: np.random.Generator) -> Floats:
    """A picture's latent with as much noise as ``step`` expects in it."""
    x: Floats = sqrt(step.alpha) * latent + sqrt(1 - step.alpha) * gaussian(latent.shape, rng)
    return x


def sampled_latent(moments: Floats, rng: np.random.Generator) -> Floats:
    """A latent as the UNet takes it, drawn from the VAE encoder's moments (B, 8, H, W): (B, 4, H, W)."""
    mean, log_variance = np.split(moments, 2, axis=1)
    deviation = np.exp(0.5 * np.clip(log_variance, LEAST_LOG_VARIANCE, MOST_LOG_VARIANCE))
    latent: Floats = LATENT_SCALE * (mean + deviation * gaussian(mean.shape, rng))
    return latent
