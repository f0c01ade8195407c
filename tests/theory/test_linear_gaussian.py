"""The linear-Gaussian model: its densities against dense ones, and every bound against its exact log p(x)."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal, kl_divergence

from epslab import seeds
from epslab.errors import UserError
from epslab.generative.linear_gaussian import Gaussian, LinearGaussian
from epslab.generative.pca import FactorAnalysis, ProbabilisticPCA
from epslab.generative.vae import VAE
from epslab.probability.bounds import importance_weighted, prior_monte_carlo
from epslab.probability.likelihoods import Normal

SHAPE = (1, 2, 3)
N = 400


def model(latents: int = 2, scale: float = 1.0) -> LinearGaussian:
    g = torch.Generator().manual_seed(0)
    W = scale * torch.randn(6, latents, generator=g, dtype=torch.float64)
    mu = torch.randn(6, generator=g, dtype=torch.float64)
    psi = 0.2 + torch.rand(6, generator=g, dtype=torch.float64)
    return LinearGaussian(W, mu, psi, SHAPE)


def dense(m: LinearGaussian) -> MultivariateNormal:
    return MultivariateNormal(m.mean, m.weight @ m.weight.T + m.variance.diag())


def draws(m: LinearGaussian, n: int = N) -> Tensor:
    return m.sample(n, torch.Generator().manual_seed(1))


def wrong_proposal(m: LinearGaussian, x: Tensor) -> Gaussian:
    mean, covariance = m.posterior(x)
    return Gaussian(mean + 0.3, 1.5 * covariance + 0.05 * torch.eye(len(covariance), dtype=torch.float64))


@pytest.mark.parametrize("latents", [1, 2, 6, 9])
def test_log_prob_is_the_dense_gaussians(latents: int) -> None:
    m = model(latents)
    x = draws(m)
    torch.testing.assert_close(m.log_prob(x), dense(m).log_prob(x.flatten(1)), rtol=1e-10, atol=1e-10)


def test_log_prob_stays_accurate_as_the_noise_vanishes() -> None:
    W, mu, _ = model().buffers()
    m = LinearGaussian(W, mu, 1e-10, SHAPE)
    x = draws(m)
    # In the eigenbasis of W Wᵀ the density is a product of six one-dimensional ones.
    basis, scale, _ = torch.linalg.svd(W, full_matrices=True)
    variance = torch.full((6,), 1e-10, dtype=torch.float64)
    variance[:2] += scale**2
    projected = (x.flatten(1) - mu) @ basis
    expected = -0.5 * (projected**2 / variance + variance.log() + math.log(2 * math.pi)).sum(1)
    torch.testing.assert_close(m.log_prob(x), expected, rtol=1e-5, atol=0)


def test_the_posterior_is_the_joint_gaussians_conditional() -> None:
    m = model()
    x = draws(m)
    C = m.weight @ m.weight.T + m.variance.diag()
    gain = m.weight.T @ torch.linalg.inv(C)
    mean, covariance = m.posterior(x)
    torch.testing.assert_close(mean, (x.flatten(1) - m.mean) @ gain.T, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(covariance, torch.eye(2, dtype=torch.float64) - gain @ m.weight, rtol=1e-10, atol=1e-12)
    _, log_std = m.encode(x)
    torch.testing.assert_close(log_std, covariance.diagonal().sqrt().log().expand(N, 2))


def test_samples_have_the_models_mean_and_covariance_and_draw_the_pixels_noise() -> None:
    m = model()
    n = 40_000
    x = draws(m, n).flatten(1)
    C = dense(m).covariance_matrix
    assert ((x.mean(0) - m.mean).abs() < 4 * (C.diagonal() / n).sqrt()).all()
    variance = C.diagonal()
    error = ((variance[:, None] * variance + C**2) / n).sqrt()  # of a normal sample covariance (Wishart)
    assert ((torch.cov(x.T) - C).abs() < 4.5 * error).all()  # 21 entries


def test_every_weight_of_the_exact_posterior_is_log_p() -> None:
    for latents in (2, 6):
        m = model(latents)
        x = draws(m)
        log_w = m.log_weights(x, 5, seeds=seeds.draw(N, torch.Generator().manual_seed(2)))
        torch.testing.assert_close(log_w, m.log_prob(x).expand(5, N), rtol=0, atol=1e-10)


def test_the_exact_elbo_is_log_p_less_the_gap_and_the_mean_of_the_log_weights() -> None:
    m = model()
    x = draws(m, 20)
    q = wrong_proposal(m, x)
    exact = MultivariateNormal(*m.posterior(x))
    gap = kl_divergence(MultivariateNormal(q.mean, q.covariance), exact)
    torch.testing.assert_close(m.elbo(x, q), m.log_prob(x) - gap, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(m.elbo(x), m.log_prob(x), rtol=0, atol=0)
    log_w = m.log_weights(x, 4000, seeds=seeds.draw(20, torch.Generator().manual_seed(2)), proposal=q)
    error = log_w.std(0) / math.sqrt(4000)
    assert ((log_w.mean(0) - m.elbo(x, q)).abs() < 4 * error).all()


def test_log_likelihoods_average_to_the_evidence() -> None:
    m = model(scale=0.3)
    x = draws(m, 20)
    likelihoods = m.log_likelihoods(x, 4000, seeds=seeds.draw(20, torch.Generator().manual_seed(3))).exp()
    error = likelihoods.std(0) / math.sqrt(4000)
    assert ((likelihoods.mean(0) - m.log_prob(x).exp()).abs() < 4 * error).all()


def test_draws_belong_to_the_seed_and_their_number_alone() -> None:
    m = model()
    x = draws(m, 10)
    s = seeds.draw(10, torch.Generator().manual_seed(4))
    for method in (m.log_weights, m.log_likelihoods):
        whole = method(x, 6, seeds=s)
        torch.testing.assert_close(method(x[3:5], 4, seeds=s[3:5], first=2), whole[2:, 3:5])


def test_the_importance_weighted_bound_rises_from_the_elbo_to_log_p_and_prior_monte_carlo_reaches_it_too() -> None:
    m = model(scale=0.3)
    x = draws(m)
    s = seeds.draw(N, torch.Generator().manual_seed(5))

    class Proposing:
        """The model with a proposal that is not its posterior."""

        def log_weights(self, images: Tensor, samples: int, *, seeds: Tensor, first: int = 0) -> Tensor:
            return m.log_weights(images, samples, seeds=seeds, first=first, proposal=wrong_proposal(m, images))

        log_likelihoods = staticmethod(m.log_likelihoods)

    log_p = m.log_prob(x)
    previous = m.elbo(x, wrong_proposal(m, x))
    for samples in (2, 10, 1000):
        bound = importance_weighted(Proposing(), x, samples, seeds=s)
        difference = bound - previous
        assert difference.mean() > -4 * difference.std() / math.sqrt(N)
        assert (bound - log_p).mean() < 4 * (bound - log_p).std() / math.sqrt(N)
        previous = bound
    prior = prior_monte_carlo(m, x, 2000, seeds=s)
    weights = Proposing().log_weights(x, 1000, seeds=s) - log_p
    likelihoods = m.log_likelihoods(x, 2000, seeds=s) - log_p
    for estimate, log_ratios in ((previous, weights), (prior, likelihoods)):
        error = (estimate - log_p).std() / math.sqrt(N)
        bias = (log_ratios.exp().var(0) / (2 * len(log_ratios))).mean()  # of a logarithm, to first order in 1/K
        assert (estimate - log_p + bias).mean().abs() < 4 * error


def test_parameters_that_do_not_fit_together_are_refused() -> None:
    W, mu, psi = model().buffers()
    with pytest.raises(UserError, match="different numbers of pixels"):
        LinearGaussian(W, mu[:5], psi, SHAPE)
    with pytest.raises(UserError, match="different numbers of pixels"):
        LinearGaussian(W, mu, psi, (1, 2, 2))
    with pytest.raises(UserError, match="must be positive"):
        LinearGaussian(W, mu, -psi, SHAPE)
    with pytest.raises(UserError, match="must be positive"):
        LinearGaussian(W, mu, 0.0, SHAPE)


class Encoder(nn.Module):
    """q(z given x) with a linear mean and one standard deviation a latent: all a linear VAE needs."""

    def __init__(self, latents: int) -> None:
        super().__init__()
        self.linear = nn.Linear(6, latents).double()
        self.log_std = nn.Parameter(torch.zeros(latents, dtype=torch.float64))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        mean = self.linear(images.flatten(1))
        return mean, self.log_std.expand_as(mean)


class Decoder(nn.Module):
    """W z + μ as an image."""

    def __init__(self, latents: int) -> None:
        super().__init__()
        self.linear = nn.Linear(latents, 6).double()

    def forward(self, z: Tensor) -> Tensor:
        return self.linear(z).unflatten(1, SHAPE)


def linear_vae(fitted: LinearGaussian) -> VAE:
    """A linear VAE at the analytic optimum: the model's own decoder and its exact posterior for encoder."""
    encoder, decoder = Encoder(fitted.latent_dim), Decoder(fitted.latent_dim)
    zero = torch.zeros(1, *SHAPE, dtype=torch.float64)
    basis = torch.eye(6, dtype=torch.float64).unflatten(1, SHAPE)
    offset = fitted.encode(zero)[0][0]
    with torch.no_grad():
        decoder.linear.weight.copy_(fitted.weight)
        decoder.linear.bias.copy_(fitted.mean)
        encoder.linear.weight.copy_((fitted.encode(basis)[0] - offset).T)
        encoder.linear.bias.copy_(offset)
        encoder.log_std.copy_(fitted.encode(zero)[1][0])
    return VAE(encoder, decoder, Normal(fitted.variance[0].sqrt().item()))


def exact_elbo(vae: VAE, x: Tensor) -> Tensor:
    """The linear VAE's ELBO with its expectation in closed form: what ``terms`` estimates by draws of z, [n]."""
    mean, log_std = vae.encode(x)
    assert isinstance(vae.decoder, Decoder)
    assert isinstance(vae.likelihood, Normal)
    spread = (vae.decoder.linear.weight**2).sum(0) * (2 * log_std).exp()  # E‖W σ ε‖², latent by latent
    at_mean = vae.likelihood.log_prob(vae.decode(mean), x)
    return at_mean - 0.5 * spread.sum(1) / vae.likelihood.std**2 - vae.kl_per_dimension(x).sum(1)


def test_a_linear_vae_at_the_optimum_has_probabilistic_pcas_log_likelihood() -> None:
    x = draws(model())
    fitted = ProbabilisticPCA(2).fit(x)
    vae = linear_vae(fitted)
    torch.testing.assert_close(exact_elbo(vae, x), fitted.log_prob(x), rtol=0, atol=1e-8)
    s = seeds.draw(N, torch.Generator().manual_seed(6))
    torch.testing.assert_close(vae.log_weights(x, 3, seeds=s), fitted.log_prob(x).expand(3, N), rtol=0, atol=1e-8)
    # One draw a term is noisy, but unbiased: over images and draws within four standard errors.
    gap = -vae.terms(x, samples=50, seeds=s).negative_elbo - fitted.log_prob(x)
    assert gap.mean().abs() < 4 * gap.std() / math.sqrt(N)
    torch.testing.assert_close(vae.reconstruct(x), fitted.reconstruct(x), rtol=0, atol=1e-10)


def test_a_linear_vae_trained_by_gradient_reaches_probabilistic_pcas_log_likelihood() -> None:
    x = draws(model())
    fitted = ProbabilisticPCA(2).fit(x)
    torch_generator = torch.Generator().manual_seed(7)
    encoder, decoder = Encoder(2), Decoder(2)
    for parameter in (*encoder.parameters(), *decoder.parameters()):
        parameter.data = 0.1 * torch.randn(parameter.shape, generator=torch_generator, dtype=torch.float64)
    vae = VAE(encoder, decoder, Normal(fitted.variance[0].sqrt().item()))
    # Fixed draws make the objective deterministic; with 32 an image it is close to its expectation.
    s = seeds.draw(N, torch.Generator().manual_seed(8))
    optimiser = torch.optim.LBFGS(vae.parameters(), max_iter=150, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        value = vae.terms(x, samples=32, seeds=s).negative_elbo.mean()
        value.backward()
        return value

    start = loss().item()
    optimiser.step(loss)
    best = fitted.log_prob(x).mean().item()
    reached = exact_elbo(vae, x).mean().item()
    assert -start < best - 1.0
    assert best - 1e-2 < reached <= best + 1e-10


def test_factor_analysis_recovers_a_model_from_its_samples() -> None:
    m = model()
    x = draws(m, 5000)
    fitted = FactorAnalysis(2).fit(x)
    # Twice the gain in log-likelihood is chi-squared with as many degrees of freedom as parameters (Wilks): 6·2 − 1 + 6
    # of W and ψ and 6 of μ.
    gain = 2 * (fitted.log_prob(x) - m.log_prob(x)).sum().item()
    assert 0 < gain < 23 + 4 * math.sqrt(2 * 23)
