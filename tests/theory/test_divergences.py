"""Divergences and distances against closed forms, numeric integration, SciPy and torch.distributions, in float64."""

import math

import numpy as np
import pytest
import scipy.integrate
import scipy.linalg
import scipy.stats
import torch
from torch import Tensor
from torch import distributions as D

from epslab.probability.densities import log_normal, log_standard_normal
from epslab.probability.divergences import (
    cross_entropy,
    entropy,
    frechet,
    jeffreys,
    jensen_shannon,
    kl_categorical,
    kl_monte_carlo,
    kl_normal,
    kl_standard_normal,
    mmd,
    sliced_wasserstein,
    wasserstein_1d,
)

EXACT = {"rtol": 1e-12, "atol": 1e-12}


def number(value: float) -> Tensor:
    return torch.tensor([[value]], dtype=torch.float64)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def law(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_kl_to_the_standard_normal_at_the_points_known_by_hand() -> None:
    assert kl_standard_normal(number(2.0), number(0.0)).item() == 2.0
    assert kl_standard_normal(number(0.0), number(1.0)).item() == pytest.approx(2.194528, abs=5e-7)
    assert kl_standard_normal(number(0.0), number(1.0)).item() == pytest.approx((math.e**2 - 3) / 2, rel=1e-14)
    assert kl_standard_normal(number(0.0), number(0.0)).item() == 0.0


def test_kl_to_the_standard_normal_is_even_in_mu_and_adds_up_over_dimensions() -> None:
    mean, log_std = random(5, 7), random(5, 7, seed=1)
    kl = kl_standard_normal(mean, log_std)
    assert kl.shape == (5,)
    assert torch.equal(kl_standard_normal(-mean, log_std), kl)
    parts = sum(kl_standard_normal(mean[:, i : i + 1], log_std[:, i : i + 1]) for i in range(7))
    torch.testing.assert_close(kl, parts, **EXACT)
    torch.testing.assert_close(kl, kl_normal(mean, log_std, torch.zeros(5, 7).double(), torch.zeros(5, 7)), **EXACT)


def test_kl_of_two_normals_is_that_of_torch_distributions_and_of_the_integral() -> None:
    means, log_stds = random(2, 5, 7), 0.7 * random(2, 5, 7, seed=1)
    p, q = (D.Normal(mean, log_std.exp()) for mean, log_std in zip(means, log_stds, strict=True))
    kl = kl_normal(means[0], log_stds[0], means[1], log_stds[1])
    torch.testing.assert_close(kl, D.kl_divergence(p, q).sum(-1), **EXACT)

    f, g = scipy.stats.norm(0.3, 0.5), scipy.stats.norm(-0.4, 1.7)
    integral, error = scipy.integrate.quad(lambda x: f.pdf(x) * (f.logpdf(x) - g.logpdf(x)), -5, 6, epsabs=1e-12)
    by_formula = kl_normal(number(0.3), number(math.log(0.5)), number(-0.4), number(math.log(1.7))).item()
    assert by_formula == pytest.approx(integral, abs=max(error, 1e-10))


def test_kl_by_monte_carlo_agrees_with_the_closed_form_within_its_standard_error() -> None:
    mean, log_std = law(0.8, -0.3), law(-0.5, 0.2)
    z = mean + log_std.exp() * random(40_000, 3, 2)
    log_p, log_q = log_normal(z, mean, log_std), log_standard_normal(z)
    estimate = kl_monte_carlo(log_p, log_q)
    assert estimate.shape == (3,)
    error = (log_p - log_q).std(0) / math.sqrt(len(z))
    closed = kl_standard_normal(mean[None], log_std[None])
    assert ((estimate - closed).abs() < 4 * error).all()
    assert closed.item() > 20 * error.max().item()


def test_log_densities_are_those_of_torch_distributions() -> None:
    z, mean, log_std = random(4, 3, 2), random(3, 2, seed=1), random(3, 2, seed=2)
    torch.testing.assert_close(log_normal(z, mean, log_std), D.Normal(mean, log_std.exp()).log_prob(z).sum(-1), **EXACT)
    torch.testing.assert_close(log_standard_normal(z), D.Normal(0.0, 1.0).log_prob(z).sum(-1), rtol=1e-7, atol=1e-7)
    zeros = torch.zeros(2, dtype=torch.float64)
    torch.testing.assert_close(log_standard_normal(z), log_normal(z, zeros, zeros), **EXACT)


def test_the_entropy_of_a_coin_and_of_a_uniform_law() -> None:
    assert entropy(law(0.5, 0.5)).item() == pytest.approx(math.log(2), rel=1e-15)
    assert entropy(law(0.0, 1.0)).item() == 0.0
    torch.testing.assert_close(entropy(torch.full((3, 10), 0.1).double()), law(*[math.log(10)] * 3), rtol=1e-7, atol=0)
    p = 0.3
    assert entropy(law(p, 1 - p)).item() == pytest.approx(-p * math.log(p) - (1 - p) * math.log(1 - p), rel=1e-14)


def test_cross_entropy_is_entropy_plus_kl() -> None:
    p, q = random(20, 6).softmax(-1), random(20, 6, seed=1).softmax(-1)
    torch.testing.assert_close(cross_entropy(p, q), entropy(p) + kl_categorical(p, q), **EXACT)
    expected = D.kl_divergence(D.Categorical(probs=p), D.Categorical(probs=q))
    torch.testing.assert_close(kl_categorical(p, q), expected, rtol=1e-9, atol=1e-9)


def test_kl_of_two_coins_by_hand() -> None:
    assert kl_categorical(law(0.5, 0.5), law(0.25, 0.75)).item() == pytest.approx(0.5 * math.log(4 / 3), rel=1e-14)


def test_outcomes_of_probability_zero() -> None:
    p, q = law(0.5, 0.5, 0.0), law(0.5, 0.0, 0.5)
    assert kl_categorical(p, q).item() == math.inf
    assert cross_entropy(p, q).item() == math.inf
    assert jeffreys(p, q).item() == math.inf
    assert kl_categorical(p, law(0.25, 0.25, 0.5)).item() == pytest.approx(math.log(2), rel=1e-15)
    assert kl_categorical(p, p).item() == 0.0


def test_jensen_shannon_is_ln_2_for_disjoint_supports_and_half_the_kls_to_the_middle() -> None:
    assert jensen_shannon(law(0.4, 0.6, 0.0), law(0.0, 0.0, 1.0)).item() == pytest.approx(math.log(2), rel=1e-15)
    p, q = random(20, 6).softmax(-1), random(20, 6, seed=1).softmax(-1)
    m = (p + q) / 2
    expected = 0.5 * kl_categorical(p, m) + 0.5 * kl_categorical(q, m)
    torch.testing.assert_close(jensen_shannon(p, q), expected, **EXACT)
    scipys = scipy.spatial.distance.jensenshannon(p.numpy(), q.numpy(), axis=-1) ** 2
    np.testing.assert_allclose(jensen_shannon(p, q).numpy(), scipys, rtol=1e-10, atol=1e-12)


def test_jeffreys_is_the_sum_of_both_kls_and_not_jensen_shannon() -> None:
    p, q = law(0.9, 0.1), law(0.1, 0.9)
    torch.testing.assert_close(jeffreys(p, q), kl_categorical(p, q) + kl_categorical(q, p), **EXACT)
    assert jeffreys(p, q).item() == pytest.approx(2 * 0.8 * math.log(9), rel=1e-14)
    assert jeffreys(p, q) > math.log(2)


@pytest.mark.parametrize(("n", "m"), [(50, 50), (50, 49), (7, 13), (1, 6), (12, 8), (5, 500)])
def test_wasserstein_on_the_line_is_scipys_for_samples_of_any_sizes(n: int, m: int) -> None:
    x, y = random(n), 0.5 + 1.5 * random(m, seed=1)
    assert wasserstein_1d(x, y).item() == pytest.approx(scipy.stats.wasserstein_distance(x, y), rel=1e-12)
    many = wasserstein_1d(torch.stack([x, x + 3]), torch.stack([y, y]))
    torch.testing.assert_close(many, torch.stack([wasserstein_1d(x, y), wasserstein_1d(x + 3, y)]), **EXACT)


def test_the_wasserstein_distance_of_a_shifted_sample_is_the_shift() -> None:
    x = random(1000)
    assert wasserstein_1d(x, x + 2.5).item() == pytest.approx(2.5, rel=1e-13)
    assert wasserstein_1d(x, (x - 40.0).flip(0)).item() == pytest.approx(40.0, rel=1e-13)


def test_the_dual_of_wasserstein_has_no_logarithms() -> None:
    # f(x) = x is 1-Lipschitz and optimal between shifted laws: E_p f − E_q f is the distance.
    x = random(1000)
    y = x - 1.25
    assert wasserstein_1d(x, y).item() == pytest.approx((x.mean() - y.mean()).item(), rel=1e-12)


def test_sliced_wasserstein_of_a_shift_is_the_mean_length_of_its_projection() -> None:
    d, shift = 5, law(3.0, 0.0, -4.0, 0.0, 0.0)
    x, projections = random(50, d), 4000
    distance = sliced_wasserstein(x, x + shift, projections, torch.Generator().manual_seed(0))
    # E|⟨v, θ⟩| = ‖v‖·Γ(d/2)/(√π·Γ((d+1)/2)) and E⟨v, θ⟩² = ‖v‖²/d for θ uniform on the sphere.
    expected = 5 * math.gamma(d / 2) / (math.sqrt(math.pi) * math.gamma((d + 1) / 2))
    error = math.sqrt((25 / d - expected**2) / projections)
    assert abs(distance.item() - expected) < 4 * error
    line = sliced_wasserstein(x[:, :1], x[:20, 1:2], 3)
    torch.testing.assert_close(line, wasserstein_1d(x[:, 0], x[:20, 1]), **EXACT)


def covariance(d: int, seed: int) -> Tensor:
    a = random(d, 2 * d, seed=seed)
    return a @ a.T / (2 * d)


def test_frechet_of_commuting_covariances_in_closed_form() -> None:
    basis = torch.linalg.qr(random(6, 6)).Q
    a, b = random(6, seed=1).exp(), random(6, seed=2).exp()
    mean_1, mean_2 = random(6, seed=3), random(6, seed=4)
    cov_1, cov_2 = ((basis * values) @ basis.T for values in (a, b))
    expected = (mean_1 - mean_2).square().sum() + (a.sqrt() - b.sqrt()).square().sum()
    torch.testing.assert_close(frechet(mean_1, cov_1, mean_2, cov_2), expected, rtol=1e-12, atol=1e-12)


def test_frechet_is_that_of_the_matrix_square_root() -> None:
    cov_1, cov_2, mean = covariance(8, 0), covariance(8, 1), torch.zeros(8, dtype=torch.float64)
    root = scipy.linalg.sqrtm((cov_1 @ cov_2).numpy()).real
    expected = cov_1.trace() + cov_2.trace() - 2 * np.trace(root)
    torch.testing.assert_close(frechet(mean, cov_1, mean + 1, cov_2), expected + 8, rtol=1e-11, atol=1e-11)


def test_frechet_of_equal_and_of_singular_laws() -> None:
    mean, cov = random(5), covariance(5, 0)
    assert 0 <= frechet(mean, cov, mean, cov).item() < 1e-12
    v = random(5, seed=1)
    line = torch.outer(v, v)  # rank one; (C1 C2)^½ has the single eigenvalue vᵀv·2
    expected = (1 + 4 - 2 * 2) * v.square().sum()
    torch.testing.assert_close(frechet(mean, line, mean, 4 * line), expected, rtol=1e-12, atol=1e-12)


def squared_mmd_of_normals(shift: float, bandwidth: float) -> float:
    """Between N(0, 1) and N(shift, 1): E k of two independent points, whose difference has variance 2."""
    width = bandwidth**2 + 2
    return 2 * bandwidth / math.sqrt(width) * (1 - math.exp(-(shift**2) / (2 * width)))


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_mmd_is_unbiased_and_zero_in_expectation_for_one_law(shift: float) -> None:
    n, m, repeats = 6, 8, 600
    x, y = random(repeats, n, 1), shift + random(repeats, m, 1, seed=1)
    estimates = torch.stack([mmd(a, b, 0.8) for a, b in zip(x, y, strict=True)])
    error = estimates.std() / math.sqrt(repeats)
    assert abs(estimates.mean() - squared_mmd_of_normals(shift, 0.8)) < 4 * error
    # The biased estimate, with every point paired with itself too, would be found out.
    self_pairs = 1 - 0.8 / math.sqrt(0.8**2 + 2)
    assert self_pairs * (1 / n + 1 / m) > 10 * error


def test_mmd_of_two_points_each_by_hand() -> None:
    x, y = torch.tensor([[0.0], [1.0]]).double(), torch.tensor([[0.0], [2.0]]).double()

    def k(distance: float) -> float:
        return math.exp(-(distance**2) / (2 * 1.5**2))

    expected = k(1) + k(2) - 2 * (k(0) + k(2) + k(1) + k(1)) / 4
    assert mmd(x, y, 1.5).item() == pytest.approx(expected, rel=1e-13)
