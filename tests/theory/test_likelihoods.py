"""Likelihoods against closed forms and torch.distributions, in float64."""

import itertools
import math

import mpmath
import pytest
import torch
from torch import distributions as D

from epslab.probability.bounds import bits_per_dim
from epslab.probability.likelihoods import Bernoulli, Categorical, DiscretisedLogisticMixture, Normal
from epslab.types import dequantise, quantise

EXACT = {"rtol": 1e-12, "atol": 1e-12}


def random(*shape: int, seed: int = 0, scale: float = 1.0) -> torch.Tensor:
    return scale * torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def grey(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_zero_logits_of_the_course_cost_exactly_four_bits_a_pixel() -> None:
    zeros = torch.zeros(2, 16, 28, 28, dtype=torch.float64)
    nll = -Categorical(16).log_prob(zeros, grey(2, 1, 28, 28))
    torch.testing.assert_close(nll, torch.full((2,), 784 * math.log(16), dtype=torch.float64), **EXACT)
    torch.testing.assert_close(nll, torch.full((2,), 2173.7, dtype=torch.float64), rtol=0, atol=0.05)
    torch.testing.assert_close(
        bits_per_dim(nll, (1, 28, 28)), torch.full((2,), 4.0, dtype=torch.float64), rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("channels", [1, 3])
def test_categorical_is_the_sum_of_independent_categorical_pixels(channels: int) -> None:
    levels, logits, images = 5, random(2, channels * 5, 3, 4), grey(2, channels, 3, 4)
    pixels = D.Categorical(logits=logits.view(2, channels, levels, 3, 4).movedim(2, -1))
    expected = pixels.log_prob(quantise(images, levels)).sum((1, 2, 3))
    torch.testing.assert_close(Categorical(levels).log_prob(logits, images), expected, **EXACT)
    shown = dequantise(torch.arange(levels), levels).double()
    torch.testing.assert_close(Categorical(levels).mean(logits), (pixels.probs * shown).sum(-1), rtol=1e-7, atol=1e-7)


def test_a_fair_coin_for_every_binary_pixel_costs_one_bit() -> None:
    images = (grey(3, 2, 4, 4) > 0.5).double()
    nll = -Bernoulli().log_prob(torch.zeros_like(images), images)
    torch.testing.assert_close(bits_per_dim(nll, (2, 4, 4)), torch.ones(3, dtype=torch.float64), **EXACT)


def test_bernoulli_is_the_sum_of_independent_coins() -> None:
    logits, images = random(3, 2, 4, 4, scale=3), (grey(3, 2, 4, 4) > 0.5).double()
    expected = D.Bernoulli(logits=logits).log_prob(images).sum((1, 2, 3))
    torch.testing.assert_close(Bernoulli().log_prob(logits, images), expected, **EXACT)
    torch.testing.assert_close(Bernoulli().mean(logits), 1 / (1 + (-logits).exp()), **EXACT)


def test_bernoulli_of_a_grey_image_is_the_expectation_over_binary_draws_of_it() -> None:
    logits, image = random(1, 1, 2, 2), grey(1, 1, 2, 2)
    expected = 0.0
    for bits in itertools.product((0.0, 1.0), repeat=4):
        draw = torch.tensor(bits, dtype=torch.float64).view(1, 1, 2, 2)
        probability = torch.where(draw == 1, image, 1 - image).prod()
        expected += probability * Bernoulli().log_prob(logits, draw)
    torch.testing.assert_close(Bernoulli().log_prob(logits, image), expected, **EXACT)


def test_normal_is_the_sum_of_independent_normal_densities() -> None:
    means, images = random(3, 2, 4, 4), grey(3, 2, 4, 4)
    expected = D.Normal(means, 0.3).log_prob(images).sum((1, 2, 3))
    torch.testing.assert_close(Normal(0.3).log_prob(means, images), expected, **EXACT)
    assert torch.equal(Normal(0.3).mean(means), means)


@pytest.mark.parametrize("level", [0, 1, 100, 254, 255])
@pytest.mark.parametrize(("mean", "log_scale"), [(0.0, -2.0), (-0.7, -4.0), (0.9, -7.0), (-30.0, -3.0), (0.3, 6.0)])
def test_a_logistic_bin_is_right_to_the_last_digits_however_small(level: int, mean: float, log_scale: float) -> None:
    parameters = torch.tensor([0.0, mean, log_scale], dtype=torch.float64).view(1, 3, 1, 1)
    image = torch.full((1, 1, 1, 1), level / 255, dtype=torch.float64)
    with mpmath.workdps(4000):  # a tail of e^-7000 subtracted from 1
        scale, centre = mpmath.exp(mpmath.mpf(log_scale)), mpmath.mpf(2 * level) / 255 - 1

        def cdf(x: mpmath.mpf) -> mpmath.mpf:
            return 1 / (1 + mpmath.exp(-(x - mpmath.mpf(mean)) / scale))

        upper = cdf(centre + mpmath.mpf(1) / 255) if level < 255 else mpmath.mpf(1)
        lower = cdf(centre - mpmath.mpf(1) / 255) if level > 0 else mpmath.mpf(0)
        expected = float(mpmath.log(upper - lower))
    log_p = DiscretisedLogisticMixture(256, 1).log_prob(parameters, image).item()
    assert log_p == pytest.approx(expected, rel=1e-11, abs=1e-13)


def test_a_mixture_weighs_its_components_and_its_mean_is_that_of_its_levels() -> None:
    likelihood = DiscretisedLogisticMixture(levels=7, mixtures=3)
    parameters = random(1, likelihood.channels(2), 1, 1)
    one = DiscretisedLogisticMixture(levels=7, mixtures=1)
    weights = parameters.view(2, 3, 3)[:, 0].softmax(-1)
    expected_mean = torch.zeros(2, dtype=torch.float64)
    for level in range(7):
        image = torch.full((1, 1, 1, 1), level / 6, dtype=torch.float64)
        for channel in range(2):
            of_channel = parameters.view(2, 3, 3)[channel]
            parts = [one.log_prob(of_channel[:, i].view(1, 3, 1, 1), image).exp() for i in range(3)]
            probability = sum(w * part for w, part in zip(weights[channel], parts, strict=True))
            log_p = likelihood.log_prob(of_channel.reshape(1, 9, 1, 1), image)
            torch.testing.assert_close(log_p.exp(), probability, **EXACT)
            expected_mean[channel] += level / 6 * probability.item()
    torch.testing.assert_close(likelihood.mean(parameters).flatten(), expected_mean, **EXACT)


@pytest.mark.parametrize(
    "likelihood",
    [Categorical(4), Bernoulli(), Normal(0.2), DiscretisedLogisticMixture(16, 2)],
    ids=lambda likelihood: type(likelihood).__name__,
)
def test_log_prob_is_summed_over_pixels_and_channels_never_averaged(likelihood: object) -> None:
    images = (grey(2, 3, 4, 5) * 2).floor() if isinstance(likelihood, Bernoulli) else grey(2, 3, 4, 5)
    parameters = random(2, likelihood.channels(3), 4, 5)
    log_p = likelihood.log_prob(parameters, images)
    assert log_p.shape == (2,)
    by_channel = parameters.view(2, 3, -1, 4, 5)
    parts = [
        likelihood.log_prob(by_channel[:, c, :, i : i + 1, j : j + 1], images[:, c : c + 1, i : i + 1, j : j + 1])
        for c, i, j in itertools.product(range(3), range(4), range(5))
    ]
    torch.testing.assert_close(log_p, torch.stack(parts).sum(0), **EXACT)
