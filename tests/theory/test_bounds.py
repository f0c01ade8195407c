"""Estimates of log p(x) on a linear-Gaussian model, where log p(x), the posterior and every gap are known exactly.

x = W z + mu + s·noise with z ~ N(0, I_D). The columns of W are orthogonal, so the posterior has a diagonal covariance.
"""

import itertools
import math

import pytest
import torch
from torch import Tensor

from epslab.probability.bounds import bits_per_dim, importance_weighted, prior_monte_carlo
from epslab.probability.densities import log_normal, log_standard_normal
from epslab.probability.divergences import kl_normal
from epslab.seeds import noise, of_indices

SIDE, STD = 5, 0.7


class LinearGaussian:
    """The model, with q the true posterior shifted by ``shift`` standard deviations and ``widen`` in log std."""

    def __init__(self, latent_dim: int, shift: float = 0.0, widen: float = 0.0) -> None:
        generator = torch.Generator().manual_seed(latent_dim)
        basis = torch.linalg.qr(torch.randn(SIDE**2, latent_dim, generator=generator, dtype=torch.float64)).Q
        self.W = 1.5 * basis
        self.mu = torch.full((SIDE**2,), 0.5, dtype=torch.float64)
        self.shift, self.widen, self.latent_dim = shift, widen, latent_dim

    def sample(self, n: int) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        z = torch.randn(n, self.latent_dim, generator=generator, dtype=torch.float64)
        eps = torch.randn(n, SIDE**2, generator=generator, dtype=torch.float64)
        return (z @ self.W.T + self.mu + STD * eps).view(n, 1, SIDE, SIDE)

    def log_p(self, images: Tensor) -> Tensor:
        covariance = self.W @ self.W.T + STD**2 * torch.eye(SIDE**2, dtype=torch.float64)
        return torch.distributions.MultivariateNormal(self.mu, covariance).log_prob(images.flatten(1))

    def posterior(self, images: Tensor) -> tuple[Tensor, Tensor]:
        precision = 1 + (self.W**2).sum(0) / STD**2
        mean = (images.flatten(1) - self.mu) @ self.W / STD**2 / precision
        return mean, (-0.5 * precision.log()).expand_as(mean)

    def q(self, images: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_std = self.posterior(images)
        return mean + self.shift * log_std.exp(), log_std + self.widen

    def gap(self, images: Tensor) -> Tensor:
        return kl_normal(*self.q(images), *self.posterior(images))

    def log_weights(self, images: Tensor, samples: int, *, seeds: Tensor, first: int = 0) -> Tensor:
        mean, log_std = self.q(images)
        z = mean + log_std.exp() * self.draws(seeds, samples, first)
        return self.log_x_given(z, images) + log_standard_normal(z) - log_normal(z, mean, log_std)

    def log_likelihoods(self, images: Tensor, samples: int, *, seeds: Tensor, first: int = 0) -> Tensor:
        return self.log_x_given(self.draws(seeds, samples, first), images)

    def draws(self, seeds: Tensor, samples: int, first: int) -> Tensor:
        counters = range(first, first + samples)
        return torch.stack([noise(seeds, k, (self.latent_dim,), torch.float64) for k in counters])

    def log_x_given(self, z: Tensor, images: Tensor) -> Tensor:
        return log_normal(images.flatten(1), z @ self.W.T + self.mu, torch.tensor([math.log(STD)], dtype=torch.float64))


def replicated(model: LinearGaussian, times: int) -> tuple[Tensor, Tensor]:
    """One image many times over, each with a seed of its own."""
    return model.sample(1).expand(times, -1, -1, -1), of_indices(0, torch.arange(times))


def mean_and_error(values: Tensor) -> tuple[float, float]:
    return values.mean().item(), (values.std() / math.sqrt(len(values))).item()


def test_bits_per_dim_converts_nats_by_hand() -> None:
    nll = torch.tensor([math.log(2) * 3 * 4 * 5, 0.0], dtype=torch.float64)
    torch.testing.assert_close(
        bits_per_dim(nll, (3, 4, 5)), torch.tensor([1.0, 0.0], dtype=torch.float64), rtol=1e-14, atol=0
    )


@pytest.mark.parametrize("samples", [1, 2, 50])
def test_with_the_true_posterior_every_number_of_samples_gives_log_p_exactly(samples: int) -> None:
    model = LinearGaussian(3)
    images = model.sample(8)
    bound = importance_weighted(model, images, samples, torch.Generator().manual_seed(0))
    torch.testing.assert_close(bound, model.log_p(images), rtol=1e-12, atol=1e-10)


def test_one_sample_is_the_elbo_whose_gap_is_the_kl_to_the_posterior() -> None:
    model = LinearGaussian(3, shift=0.8, widen=0.3)
    images, seeds = replicated(model, 20_000)
    mean, error = mean_and_error(importance_weighted(model, images, 1, seeds=seeds))
    gap = model.gap(images[:1]).item()
    assert gap > 50 * error
    assert abs(mean - (model.log_p(images[:1]).item() - gap)) < 4 * error


def test_the_elbo_is_the_expected_log_likelihood_minus_the_kl_of_both_terms() -> None:
    model = LinearGaussian(2, shift=0.5, widen=-0.4)
    image = model.sample(1)
    mean, log_std = model.q(image)
    residual = image.flatten(1) - model.mu - mean @ model.W.T
    spread = ((model.W**2).sum(0) * (2 * log_std).exp()).sum()
    expected_log_likelihood = (
        -0.5 * (residual.square().sum() + spread) / STD**2
        - SIDE**2 * math.log(STD)
        - 0.5 * SIDE**2 * math.log(2 * math.pi)
    )
    kl = kl_normal(mean, log_std, torch.zeros_like(mean), torch.zeros_like(mean))
    elbo = expected_log_likelihood - kl
    torch.testing.assert_close(elbo, model.log_p(image) - model.gap(image), rtol=1e-12, atol=1e-10)


def test_the_importance_weighted_bound_never_falls_with_k_and_reaches_log_p() -> None:
    model = LinearGaussian(3, shift=0.8, widen=0.3)
    images, seeds = replicated(model, 4000)
    log_p = model.log_p(images[:1]).item()
    bounds = [importance_weighted(model, images, k, seeds=seeds) for k in (1, 2, 4, 8, 16, 64)]
    for smaller, larger in itertools.pairwise(bounds):
        rise, error = mean_and_error(larger - smaller)
        assert rise > 4 * error  # it rises, measured: the same draws are in both
    for bound in bounds:
        mean, error = mean_and_error(bound)
        assert mean < log_p + 4 * error
    assert log_p - bounds[-1].mean().item() < 0.02 * model.gap(images[:1]).item()


def test_the_exponential_of_both_estimates_is_unbiased() -> None:
    model = LinearGaussian(1, shift=0.5, widen=0.2)
    images, seeds = replicated(model, 5000)
    for estimate in (importance_weighted, prior_monte_carlo):
        ratio = (estimate(model, images, 4, seeds=seeds) - model.log_p(images)).exp()
        mean, error = mean_and_error(ratio)
        assert abs(mean - 1) < 4 * error


def test_the_error_of_prior_monte_carlo_grows_with_the_number_of_latents() -> None:
    curve = []
    for latent_dim in (1, 4, 8, 16):
        model = LinearGaussian(latent_dim)
        images = model.sample(800)
        seeds = of_indices(0, torch.arange(800))
        curve.append(model.log_p(images) - prior_monte_carlo(model, images, 256, seeds=seeds))
    for fewer, more in itertools.pairwise(curve):
        rise = more.mean() - fewer.mean()
        error = math.sqrt((more.var() + fewer.var()) / 800)
        assert rise > 4 * error
    assert curve[0].mean() < 0.05
    assert curve[-1].mean() > 5
