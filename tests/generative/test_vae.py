"""The VAE against what is known exactly: its terms, three-step sampling, manifold, and independence of batch mates."""

import math

import pytest
import torch
from torch import nn

from epslab import seeds
from epslab.errors import UserError
from epslab.generative.priors import MixturePrior
from epslab.generative.vae import VAE, manifold, reparameterise
from epslab.nets import ConvDecoder, ConvEncoder, PerceptronDecoder, PerceptronEncoder
from epslab.probability.likelihoods import Bernoulli, Categorical, Normal

SHAPE = (1, 4, 4)


def small_vae(latent_dim: int = 3, levels: int = 16, **options: object) -> VAE:
    with seeds.seeded(0, "test"):
        encoder = PerceptronEncoder(SHAPE, latent_dim, (8,))
        decoder = PerceptronDecoder(SHAPE, latent_dim, (8,), channels=levels)
    return VAE(encoder, decoder, Categorical(levels), **options).double()  # type: ignore[arg-type]


def images(n: int = 6) -> torch.Tensor:
    return torch.rand(n, *SHAPE, generator=seeds.generator(0, "images"), dtype=torch.float64)


class Constant(nn.Module):
    """A decoder that ignores z: what is left is exactly the likelihood."""

    def __init__(self, parameters: torch.Tensor) -> None:
        super().__init__()
        self.value = nn.Parameter(parameters)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return self.value.expand(len(z), *self.value.shape)


def test_reparameterise_moments_and_gradient() -> None:
    mean = torch.full((100_000,), 1.5, dtype=torch.float64, requires_grad=True)
    std = torch.full((100_000,), 0.5, dtype=torch.float64, requires_grad=True)
    z = reparameterise(mean, std, seeds.generator(1, "z"))
    assert abs(z.mean().item() - 1.5) < 4 * 0.5 / math.sqrt(len(z))
    assert abs(z.var().item() - 0.25) < 4 * 0.25 * math.sqrt(2 / len(z))
    z.sum().backward()
    assert (mean.grad == 1).all()
    torch.testing.assert_close(std.grad, (z.detach() - 1.5) / 0.5)


def test_terms_are_the_likelihood_and_the_closed_form_kl() -> None:
    vae, x = small_vae(), images()
    terms = vae.terms(x, seeds=seeds.draw(6, seeds.generator(2, "s")))
    mean, log_std = vae.encode(x)
    q = torch.distributions.Normal(mean, log_std.exp())
    kl = torch.distributions.kl_divergence(q, torch.distributions.Normal(0.0, 1.0)).sum(1)
    torch.testing.assert_close(terms.regularisation, kl, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(terms.negative_elbo, terms.reconstruction + terms.regularisation)
    vae.decoder = Constant(torch.zeros(16, 4, 4, dtype=torch.float64))
    flat = vae.terms(x).reconstruction
    torch.testing.assert_close(flat, torch.full((6,), 16 * math.log(16), dtype=torch.float64), rtol=1e-12, atol=0)


def test_reconstruction_is_an_average_over_draws_and_falls_within_its_error() -> None:
    vae, x = small_vae(), images(1)
    s = seeds.draw(1, seeds.generator(3, "s"))
    mean, log_std = vae.encode(x)
    draws = torch.stack(
        [
            -vae.likelihood.log_prob(vae.decode(mean + log_std.exp() * seeds.noise(s, k, (3,), torch.float64)), x)
            for k in range(50)
        ]
    )
    torch.testing.assert_close(vae.terms(x, 50, seeds=s).reconstruction, draws.mean(0))


def test_terms_do_not_depend_on_batch_mates() -> None:
    vae, x = small_vae(), images()
    s = seeds.draw(6, seeds.generator(4, "s"))
    together = vae.terms(x, 3, seeds=s).reconstruction
    alone = torch.cat([vae.terms(x[i : i + 1], 3, seeds=s[i : i + 1]).reconstruction for i in (5, 2)])
    torch.testing.assert_close(alone, together[[5, 2]], rtol=1e-12, atol=1e-12)


def test_same_generator_same_terms_and_another_differs() -> None:
    vae, x = small_vae(), images()
    a, b, c = (vae.terms(x, generator=seeds.generator(k, "g")).reconstruction for k in (5, 5, 6))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_monte_carlo_kl_of_a_one_component_mixture_is_the_closed_form() -> None:
    prior = MixturePrior(1, 3)
    vae, x = small_vae(prior=prior), images(1)
    closed = vae.terms(x).regularisation
    vae.prior.kl_per_dimension = lambda mean, log_std: None  # type: ignore[method-assign, assignment]
    singles = torch.stack([vae.terms(x, seeds=torch.tensor([s])).regularisation[0] for s in range(2000)])
    error = singles.std() / math.sqrt(len(singles))
    assert abs(singles.mean() - closed[0]) < 4 * error


def test_samples_are_draws_not_means() -> None:
    vae = small_vae(levels=4)
    vae.encode(images(1))
    vae.decoder = Constant(torch.zeros(4, 4, 4, dtype=torch.float64))
    x = vae.sample(500, seeds.generator(7, "x"))
    levels = (x * 3).round()
    torch.testing.assert_close(x, levels / 3)  # every pixel is one of the four levels
    counts = torch.stack([(levels == k).double().mean() for k in range(4)])
    assert (counts - 0.25).abs().max() < 4 * math.sqrt(0.25 * 0.75 / x.numel())
    torch.testing.assert_close(vae.sample_means(2), torch.full((2, *SHAPE), 0.5, dtype=torch.float64))


def test_sampling_draws_new_latents_and_is_reproducible() -> None:
    vae = small_vae()
    assert not torch.equal(vae.sample_latents(4), vae.sample_latents(4))
    assert torch.equal(vae.sample(4, seeds.generator(8, "x")), vae.sample(4, seeds.generator(8, "x")))
    z = vae.sample_latents(20_000, seeds.generator(9, "z"))
    assert z.shape == (20_000, 3)
    assert (z.mean(0).abs() < 4 / math.sqrt(20_000)).all()


def test_sampling_uses_evaluation_mode_and_gives_the_mode_back() -> None:
    """The trap: BatchNorm in train mode while sampling makes images depend on their batch, and moves its statistics."""
    norm = nn.BatchNorm1d(2)
    decoder = nn.Sequential(nn.Linear(2, 2), norm, PerceptronDecoder(SHAPE, 2, (4,), channels=1))
    vae = VAE(PerceptronEncoder(SHAPE, 2, (4,)), decoder, Bernoulli())
    before = norm.running_mean.clone()  # type: ignore[union-attr]
    vae.sample(16)
    vae.sample_means(16)
    manifold(vae, 3)
    assert torch.equal(norm.running_mean, before)  # type: ignore[arg-type]
    assert norm.training
    norm.eval()
    vae.sample(2)
    assert not norm.training
    assert decoder.training


def test_manifold_shows_means_at_normal_quantiles() -> None:
    def decoder(z: torch.Tensor) -> torch.Tensor:
        return z[:, :, None, None]  # two "channels" hold z itself

    vae = VAE(lambda x: (x.flatten(1), x.flatten(1)), decoder, Normal(1.0))
    vae.encode(torch.rand(1, 2, 1, 1))
    grid = manifold(vae, 4).flatten(1)
    quantiles = torch.distributions.Normal(0.0, 1.0).icdf(torch.tensor([0.125, 0.375, 0.625, 0.875]))
    torch.testing.assert_close(grid[:4, 0], quantiles)  # z_1 grows along a row
    torch.testing.assert_close(grid[::4, 1], quantiles)  # z_2 from row to row
    torch.testing.assert_close(grid.mean(0), torch.zeros(2), atol=1e-6, rtol=0)


def test_manifold_wants_two_latent_dimensions() -> None:
    with pytest.raises(UserError, match="this model has 3"):
        manifold(small_vae())


def test_latent_dimensions_are_found_by_use() -> None:
    def decoder(z: torch.Tensor) -> torch.Tensor:
        return z.mean(1)[:, None, None, None].expand(-1, *SHAPE)

    vae = VAE(lambda x: (x.flatten(1)[:, :5], x.flatten(1)[:, :5]), decoder, Bernoulli())
    with pytest.raises(UserError, match="encode some images first"):
        vae.sample(1)
    vae.terms(torch.rand(2, *SHAPE))
    assert vae.latent_dim == 5
    assert vae.sample(3).shape == (3, *SHAPE)
    assert VAE(ConvEncoder(SHAPE, 7), ConvDecoder(SHAPE, 7), Bernoulli()).latent_dim == 7


def test_log_weights_average_to_the_elbo() -> None:
    """E_q[log p(x, z) − log q(z given x)] = ELBO: two roads to one number, in expectation."""
    vae, x = small_vae(), images(2)
    s = seeds.draw(2, seeds.generator(10, "s"))
    log_w = vae.log_weights(x, 4000, seeds=s)
    exact = -vae.terms(x, 4000, seeds=s).negative_elbo
    gap = log_w.mean(0) - exact  # same z: only the KL is estimated
    assert (gap.abs() < 4 * log_w.std(0) / math.sqrt(4000)).all()


def test_draws_do_not_depend_on_where_a_chunk_begins() -> None:
    vae, x = small_vae(prior=MixturePrior(3, 3)), images(2)
    s = seeds.draw(2, seeds.generator(11, "s"))
    for densities in (vae.log_weights, vae.log_likelihoods):
        whole = densities(x, 5, seeds=s)
        parts = torch.cat([densities(x, 2, seeds=s), densities(x, 3, seeds=s, first=2)])
        torch.testing.assert_close(parts, whole, rtol=1e-12, atol=1e-12)


def test_prior_and_posterior_draws_are_independent() -> None:
    vae = small_vae(latent_dim=2)
    s = seeds.draw(20_000, seeds.generator(12, "s"))
    eps = seeds.noise(s, 0, (2,), torch.float64)
    z = vae._from_prior(seeds.fork(s, "prior"), 0, torch.float64)
    assert ((eps * z).mean(0).abs() < 4 / math.sqrt(20_000)).all()


@pytest.mark.parametrize("beta", [-1.0, math.nan])
def test_a_negative_beta_is_refused(beta: float) -> None:
    with pytest.raises(UserError, match="must be 0 or more"):
        small_vae(beta=beta)


def test_zero_samples_are_refused() -> None:
    with pytest.raises(UserError, match="at least 1 sample"):
        small_vae().terms(images(), samples=0)


def test_the_untrained_course_vae_starts_at_four_bits_a_pixel() -> None:
    with seeds.seeded(0, "course"):
        vae = VAE(ConvEncoder((1, 28, 28), 20), ConvDecoder((1, 28, 28), 20, 32, 16), Categorical(16))
    x = torch.rand(8, 1, 28, 28, generator=seeds.generator(0, "x"))
    with torch.no_grad():
        bits = vae.terms(x, generator=seeds.generator(0, "z")).negative_elbo / (784 * math.log(2))
    assert ((bits - 4).abs() < 0.05).all()
