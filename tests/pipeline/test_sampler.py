"""The sampler against values derived by hand, and its known properties."""

from __future__ import annotations

from decimal import Decimal
from math import sqrt

import numpy as np
import pytest

from onnxlens.pipeline.sampler import (
    DdimStep,
    alphas,
    ddim_steps,
    denoised,
    gaussian,
    noised,
    sampled_latent,
)
from onnxlens.reference_model.pipeline import Sampling


def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def test_alphas_are_the_products_of_what_each_step_of_the_training_leaves() -> None:
    low, high = Decimal("0.00085").sqrt(), Decimal("0.012").sqrt()
    left, expected = Decimal(1), []
    for step in range(1000):
        left *= 1 - (low + (high - low) * step / 999) ** 2
        expected.append(float(left))
    assert expected[0] == 0.99915
    np.testing.assert_allclose(alphas(), expected, rtol=1e-12)


def test_each_step_leads_to_the_next_ones_level_and_the_last_to_the_first_of_the_training() -> None:
    steps, alpha = ddim_steps(Sampling(steps=4).timesteps, 0), alphas()
    assert [step.timestep for step in steps] == [751, 501, 251, 1]
    assert [step.alpha for step in steps] == [alpha[751], alpha[501], alpha[251], alpha[1]]
    assert [step.next_alpha for step in steps] == [alpha[501], alpha[251], alpha[1], 0.99915]
    assert [step.sigma for step in steps] == [0, 0, 0, 0]


def test_a_step_by_hand() -> None:
    step = DdimStep(1, alpha=0.25, next_alpha=0.81, sigma=0.3)
    x, eps = np.array([1], np.float32), np.array([0.5], np.float32)
    # the picture is (1 - sqrt(0.75) 0.5) / 0.5 = 1.1339746
    # without noise again 0.9 x 1.1339746 + sqrt(0.19) 0.5; with 0.3 of it sqrt(0.19 - 0.09) 0.5 + 0.3 n
    still = DdimStep(1, 0.25, 0.81, 0).apply(x, eps, rng())
    assert still.dtype == np.float32
    assert still[0] == pytest.approx(1.2385221, abs=1e-6)
    drawn = float(gaussian((1,), rng())[0])
    assert step.apply(x, eps, rng())[0] == pytest.approx(1.1786910 + 0.3 * drawn, abs=1e-6)


def test_the_noise_that_is_added_again_is_that_of_the_posterior() -> None:
    (step,) = ddim_steps((500,), 0.5)
    # of DDPM: beta' = (1 - a') / (1 - a) (1 - a / a'), and eta halves its root
    beta = (1 - step.next_alpha) / (1 - step.alpha) * (1 - step.alpha / step.next_alpha)
    assert step.sigma == pytest.approx(sqrt(beta) / 2)
    assert 0 < step.sigma**2 < 1 - step.next_alpha


def test_who_knows_the_noise_finds_the_picture() -> None:
    picture, noise = gaussian((1, 4, 3, 2), rng()), gaussian((1, 4, 3, 2), np.random.default_rng(4))
    steps = ddim_steps(Sampling(steps=20).timesteps, 0)
    start = sqrt(steps[0].alpha) * picture + sqrt(1 - steps[0].alpha) * noise
    *_, last = denoised(start, steps, lambda x, timestep: noise, rng())
    np.testing.assert_allclose(last, sqrt(0.99915) * picture + sqrt(1 - 0.99915) * noise, atol=2e-5)


def test_without_eta_the_generator_is_not_asked_and_with_it_the_seed_decides() -> None:
    def run(eta: float, seed: int) -> np.ndarray:
        x = np.ones((1, 4, 2, 2), np.float32)
        steps = ddim_steps(Sampling(steps=5).timesteps, eta)
        *_, last = denoised(x, steps, lambda x, timestep: np.tanh(x), np.random.default_rng(seed))
        return last

    assert np.array_equal(run(0, 1), run(0, 2))
    assert np.array_equal(run(1, 1), run(1, 1))
    assert not np.array_equal(run(1, 1), run(1, 2))


def test_a_starting_picture_gets_the_noise_that_the_first_step_expects() -> None:
    latent, step = np.full((1, 4, 1, 1), 2, np.float32), DdimStep(1, 0.36, 0.81, 0)
    drawn = gaussian(latent.shape, rng())
    np.testing.assert_allclose(noised(latent, step, rng()), 0.6 * 2 + 0.8 * drawn, rtol=1e-6)


def test_a_latent_is_drawn_from_its_moments_with_a_bounded_variance() -> None:
    # log-variances of 0, 100 (bounded at 20) and -100 (at -30): deviations of 1, e^10 and e^-15
    moments = np.zeros((1, 8, 1, 3), np.float32)
    moments[:, :4] = 5
    moments[:, 4:] = [0, 100, -100]
    drawn = gaussian((1, 4, 1, 3), rng())
    expected = 0.18215 * (5 + drawn * np.array([1, 22026.4658, 3.059e-7]))
    np.testing.assert_allclose(sampled_latent(moments, rng()), expected, rtol=1e-5)
