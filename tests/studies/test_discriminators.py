"""The study's two experiments with a discriminator, held to what is known of them."""

import math

import pytest
import torch
from scipy import integrate

from epslab import data
from epslab.generative.gan import GAN
from epslab.recipes.gan.plan import build
from epslab.recipes.gan.settings import GANRecipe
from epslab.studies import gan as study
from epslab.studies.discriminators import Optimum, limit, optimum, saturation


@pytest.fixture(scope="module")
def known() -> Optimum:
    return optimum(study.STEPS[0], seed=0)


def test_the_limit_is_the_games_value_at_the_optimum() -> None:
    """E_p log D* + E_q log(1 − D*), integrated by another rule."""

    def normal(x: float, mean: float, std: float) -> float:
        return math.exp(-0.5 * ((x - mean) / std) ** 2) / (std * math.sqrt(2 * math.pi))

    def game(x: float) -> float:
        p, q = 0.5 * (normal(x, -1.0, 0.5) + normal(x, 1.0, 0.5)), normal(x, 0.0, 1.5)
        return p * math.log(p / (p + q)) + q * math.log(q / (p + q))

    assert limit() == pytest.approx(integrate.quad(game, -11, 11, limit=200)[0], abs=1e-9)


def test_the_trained_discriminator_comes_near_the_optimum_and_never_beats_it(known: Optimum) -> None:
    assert known.error < 0.05
    # No discriminator has a greater expectation; a fresh sample's mean may by its own error.
    assert known.limit - 0.02 < known.value.mean < known.limit + 4 * known.value.standard_error
    untrained = optimum(0, seed=0)
    assert untrained.error > 2 * known.error
    assert untrained.value.mean < known.value.mean - 0.02


def test_the_grid_shows_what_theory_says(known: Optimum) -> None:
    """At x = ±∞ the wide normal q has all the mass; in the middle of a bump of p, p has more of it."""
    assert known.best[0] < 0.01
    assert known.best[torch.argmin((known.x - 1).abs())] > 0.6
    torch.testing.assert_close(known.best, known.best.flip(0), rtol=1e-4, atol=1e-6)


def test_a_sure_discriminator_stops_the_minimax_loss_alone() -> None:
    model = build(GANRecipe(), (1, 8, 8), 0)
    assert isinstance(model, GAN)
    found = saturation(model, data.load("digits", "train").images[:500], (0, 5, 100), 5e-4, seed=0)
    assert found.steps == (0, 5, 100)
    assert found.fooled[0] == pytest.approx(0.5, abs=0.1)
    assert found.fooled[-1] < 0.05
    # With D alike for all samples the ratio of the gradients is D/(1 − D); it varies from sample to sample.
    for d, lost, saved in zip(found.fooled, found.saturating, found.saved, strict=True):
        assert lost / saved == pytest.approx(d / (1 - d), rel=0.5)
    # The discriminator itself grows steeper, which the non-saturating loss passes on and the minimax loss does not.
    assert found.saturating[-1] < 0.5 * found.saturating[0]
    assert found.saved[-1] > found.saved[0]
