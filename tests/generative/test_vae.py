"""The VAE against what is known exactly: its terms, three-step sampling, manifold, and independence of batch mates."""

import copy
import math

import pytest
import torch
from torch import nn

from epslab import seeds
from epslab.errors import UserError
from epslab.generative.priors import FixedMixture, MixturePrior, VampPrior
from epslab.generative.vae import VAE, manifold, reparameterise
from epslab.nets import ConvDecoder, ConvEncoder, PerceptronDecoder, PerceptronEncoder
from epslab.probability.bounds import importance_weighted, prior_monte_carlo
from epslab.probability.likelihoods import Bernoulli, Categorical, Normal

SHAPE = (1, 4, 4)


def small_vae(latent_dim: int = 3, levels: int = 16, **options: object) -> VAE:
    with seeds.seeded(0, "test"):
        encoder = PerceptronEncoder(SHAPE, latent_dim, (8,))
        decoder = PerceptronDecoder(SHAPE, latent_dim, (8,), channels=levels)
    vae = VAE(encoder, decoder, Categorical(levels), latent_dim=latent_dim, **options)  # type: ignore[arg-type]
    return vae.double()


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


def test_the_monte_carlo_kl_of_two_equal_components_is_the_closed_form_of_one() -> None:
    g = seeds.generator(16, "component")
    mean, log_std = torch.randn(1, 3, generator=g).double(), torch.randn(1, 3, generator=g).double()
    one = FixedMixture(torch.zeros(1).double(), mean, log_std)
    two = FixedMixture(torch.tensor([0.3, 0.7]).log().double(), mean.repeat(2, 1), log_std.repeat(2, 1))
    x = images(1)
    closed = small_vae(prior=one).terms(x).regularisation
    estimates = small_vae(prior=two).terms(x.expand(2000, -1, -1, -1), seeds=torch.arange(2000)).regularisation
    error = estimates.std() / math.sqrt(2000)
    assert abs(estimates.mean() - closed[0]) < 4 * error
    assert error > 1e-3


def test_the_monte_carlo_kl_averages_over_every_draw() -> None:
    """By hand, from the same draws: an average over the first alone, or over some of them, is another number."""
    vae, x = small_vae(prior=MixturePrior(3, 3)), images(4)
    s = seeds.draw(4, seeds.generator(13, "s"))
    mean, log_std = vae.encode(x)
    values = []
    for k in range(5):
        z = mean + log_std.exp() * seeds.noise(s, k, (3,), torch.float64)
        log_q = torch.distributions.Normal(mean, log_std.exp()).log_prob(z).sum(1)
        values.append(log_q - vae.prior.log_prob(z))
    by_hand = torch.stack(values)
    torch.testing.assert_close(vae.terms(x, 5, seeds=s).regularisation, by_hand.mean(0), rtol=1e-10, atol=1e-10)
    assert (by_hand.std(0) > 1e-3).all()


class Counted(nn.Module):
    """An encoder that counts how often it is asked, and for how many images."""

    def __init__(self, latent_dim: int = 3) -> None:
        super().__init__()
        self.body = PerceptronEncoder(SHAPE, latent_dim, (8,))
        self.asked: list[int] = []

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        self.asked.append(len(x))
        mean, log_std = self.body(x)
        return mean, log_std


@pytest.mark.parametrize("vamp", [False, True])
def test_a_bound_asks_the_encoder_once_for_the_batch_and_once_for_the_pseudo_inputs(vamp: bool) -> None:
    with seeds.seeded(0, "counted"):
        encoder = Counted()
        prior = VampPrior(encoder, 7, SHAPE) if vamp else None
        vae = VAE(encoder, PerceptronDecoder(SHAPE, 3, (8,), channels=16), Categorical(16), prior, latent_dim=3)
    vae, x = vae.double(), images(20)
    s = seeds.draw(20, seeds.generator(14, "s"))
    pseudo = [7] * vamp
    found = {}
    for chunk in (None, 1, 13, 1000):
        for estimate, batch in ((importance_weighted, [20]), (prior_monte_carlo, [])):
            encoder.asked.clear()
            value = estimate(vae, x, 60, seeds=s, chunk=chunk)
            assert sorted(encoder.asked) == pseudo + batch
            torch.testing.assert_close(value, found.setdefault(estimate, value), rtol=1e-12, atol=1e-12)
    encoder.asked.clear()
    vae.terms(x, 10, seeds=s)
    assert sorted(encoder.asked) == [*pseudo, 20]
    encoder.asked.clear()
    vae.sample(5)
    assert encoder.asked == pseudo


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("components", [0, 3])
def test_a_half_precision_model_is_measured_in_float32(dtype: torch.dtype, components: int) -> None:
    """Nets that give the same rounded numbers in float64 have the same bound: a sharp posterior far from the prior."""
    g = seeds.generator(15, "half")
    mean, log_std = 4 * torch.randn(1, 3, generator=g).to(dtype), (torch.randn(1, 3, generator=g) - 4).to(dtype)
    parameters = torch.randn(16, 4, 4, generator=g).to(dtype)

    def encoder(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return tuple(values.to(x.dtype).expand(len(x), -1) for values in (mean, log_std))  # type: ignore[return-value]

    def decoder(z: torch.Tensor) -> torch.Tensor:
        return parameters.to(z.dtype).expand(len(z), -1, -1, -1)

    prior = MixturePrior(components, 3, g).to(dtype) if components else None
    half = VAE(encoder, decoder, Categorical(16), prior)
    exact = VAE(encoder, decoder, Categorical(16), copy.deepcopy(prior).double() if prior else None)
    s, x = seeds.draw(6, g), torch.full((6, *SHAPE), 0.5)
    for measure in (
        lambda vae, x: vae.terms(x, 3, seeds=s).reconstruction,
        lambda vae, x: vae.terms(x, 3, seeds=s).regularisation,
        lambda vae, x: importance_weighted(vae, x, 5, seeds=s),
        lambda vae, x: prior_monte_carlo(vae, x, 5, seeds=s),
    ):
        found = measure(half, x.to(dtype))
        assert found.dtype == torch.float32
        torch.testing.assert_close(found.double(), measure(exact, x.double()), rtol=1e-5, atol=2e-4)
    half.decode = lambda z: parameters.expand(len(z), -1, -1, -1)  # type: ignore[method-assign]
    if prior is not None:
        assert half.sample(3).dtype == dtype


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
    vae = VAE(PerceptronEncoder(SHAPE, 2, (4,)), decoder, Bernoulli(), latent_dim=2)
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
    with pytest.raises(UserError, match="encode some images first, or build the VAE with latent_dim"):
        vae.sample(1)
    vae.terms(torch.rand(2, *SHAPE))
    assert vae.latent_dim == 5
    assert vae.sample(3).shape == (3, *SHAPE)


class Conditional(nn.Module):
    """A decoder whose first linear layer is not what z goes into."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Linear(11, 4)
        self.body = PerceptronDecoder(SHAPE, 3, (8,))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return self.body(z) + self.embedding(z.new_zeros(len(z), 11)).mean()


def test_latent_dimensions_are_given_not_guessed_from_a_layer() -> None:
    encoder = PerceptronEncoder(SHAPE, 3, (8,))
    vae = VAE(encoder, Conditional(), Bernoulli(), latent_dim=3)
    assert vae.latent_dim == 3
    assert vae.sample(2).shape == (2, *SHAPE)
    with pytest.raises(UserError, match="not known yet"):
        _ = VAE(encoder, Conditional(), Bernoulli()).latent_dim
    with pytest.raises(UserError, match="encoder gives 3 latent dimensions, but the VAE has 4"):
        VAE(encoder, Conditional(), Bernoulli(), latent_dim=4).encode(torch.rand(2, *SHAPE))
    with pytest.raises(UserError, match="latent_dim is 0"):
        VAE(encoder, Conditional(), Bernoulli(), latent_dim=0)


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
    """Read off from the codes that the public methods send through the decoder."""
    n, seen = 20_000, []

    def decoder(z: torch.Tensor) -> torch.Tensor:
        seen.append(z)
        return z[:, :, None, None]

    zero = torch.zeros(1, 2, 1, 1, dtype=torch.float64)
    vae = VAE(lambda x: (x.flatten(1), x.flatten(1)), decoder, Normal(1.0))  # q = N(0, I), as the prior
    s = seeds.draw(n, seeds.generator(12, "s"))
    x = zero.expand(n, -1, -1, -1)
    for draws in (vae.log_weights, vae.log_likelihoods):
        draws(x, 2, seeds=s)
    posterior, prior = (z.view(2, n, 2) for z in seen)
    pairs = [(posterior[i], prior[j]) for i in range(2) for j in range(2)]
    for a, b in (*pairs, (posterior[0], posterior[1]), (prior[0], prior[1])):
        for f in (lambda z: z, lambda z: (z**2 - 1) / math.sqrt(2)):
            assert ((f(a) * f(b)).mean(0).abs() < 4.5 / math.sqrt(n)).all()


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
