"""PCA, probabilistic PCA and factor analysis against scikit-learn and against what their fits promise."""

import math

import numpy as np
import pytest
import sklearn.decomposition as oracle
import torch
from torch import nn

from epslab.errors import UserError
from epslab.generative.linear_gaussian import LinearGaussian
from epslab.generative.pca import PCA, FactorAnalysis, ProbabilisticPCA

D = 3


def correlated(n: int = 200, shape: tuple[int, ...] = (2, 2, 3), noise: float = 0.3) -> torch.Tensor:
    """Images of three strong directions and pixel noise whose strength differs from pixel to pixel."""
    g = torch.Generator().manual_seed(5)
    d = math.prod(shape)
    W = torch.randn(d, D, generator=g, dtype=torch.float64) * torch.tensor([3.0, 2.0, 1.0])
    pixel_noise = noise * torch.linspace(0.5, 2.0, d, dtype=torch.float64)
    z = torch.randn(n, D, generator=g, dtype=torch.float64)
    x = z @ W.T + pixel_noise * torch.randn(n, d, generator=g, dtype=torch.float64) + 0.5
    return x.unflatten(1, shape)


def principal_angle(a: torch.Tensor, b: torch.Tensor) -> float:
    """The largest angle between the spans of two bases, accurate near 0: its sine is ‖(I − AAᵀ)B‖₂."""
    qa, qb = torch.linalg.qr(a).Q, torch.linalg.qr(b).Q
    return math.asin(min(1.0, torch.linalg.matrix_norm(qb - qa @ (qa.T @ qb), 2).item()))


def test_pca_is_scikit_learns() -> None:
    x = correlated()
    rows = x.flatten(1).numpy()
    ours, theirs = PCA(D).fit(x), oracle.PCA(D, svd_solver="full").fit(rows)
    signs = np.sign((ours.axes.numpy() * theirs.components_.T).sum(0))
    np.testing.assert_allclose(ours.axes.numpy() * signs, theirs.components_.T, atol=1e-12)
    np.testing.assert_allclose(ours.encode(x).numpy() * signs, theirs.transform(rows), atol=1e-12)
    np.testing.assert_allclose(ours.explained_variance.numpy(), theirs.explained_variance_ * 199 / 200, rtol=1e-12)
    np.testing.assert_allclose(ours.explained_variance_ratio.numpy(), theirs.explained_variance_ratio_, rtol=1e-12)
    expected = theirs.inverse_transform(theirs.transform(rows)).reshape(x.shape)
    np.testing.assert_allclose(ours.reconstruct(x).numpy(), expected, atol=1e-12)


def test_the_columns_sign_is_fixed_by_their_largest_entry() -> None:
    axes = PCA(D).fit(correlated()).axes
    assert (axes.gather(0, axes.abs().argmax(0, keepdim=True)) > 0).all()


@pytest.mark.parametrize("shape", [(12,), (1, 3, 4)])
def test_pca_keeps_shape_and_dtype_and_is_exact_with_fewer_images_than_pixels(shape: tuple[int, ...]) -> None:
    x = correlated(6, shape).float()
    pca = PCA(5).fit(x)  # six images span five dimensions around their mean
    assert pca.reconstruct(x).shape == x.shape
    assert pca.reconstruct(x).dtype == torch.float32
    torch.testing.assert_close(pca.reconstruct(x), x, atol=1e-5, rtol=0)


def test_pca_samples_have_the_variances_of_the_subspace_and_stay_in_it() -> None:
    pca = PCA(D).fit(correlated())
    samples = pca.sample(20_000, torch.Generator().manual_seed(0))
    assert samples.shape == (20_000, 2, 2, 3)
    torch.testing.assert_close(pca.reconstruct(samples), samples, atol=1e-10, rtol=0)
    z = pca.encode(samples)
    error = pca.explained_variance * math.sqrt(2 / 20_000)  # of a normal sample's variance
    assert ((z.var(0) - pca.explained_variance).abs() < 4 * error).all()


def test_a_linear_autoencoder_trained_by_gradient_finds_the_same_subspace_and_error() -> None:
    x = correlated().flatten(1)
    pca = PCA(D).fit(x)
    encoder, decoder = nn.Linear(12, D).double(), nn.Linear(D, 12).double()
    g = torch.Generator().manual_seed(1)
    for parameter in (*encoder.parameters(), *decoder.parameters()):
        parameter.data = 0.1 * torch.randn(parameter.shape, generator=g, dtype=torch.float64)
    parameters = [*encoder.parameters(), *decoder.parameters()]
    optimiser = torch.optim.LBFGS(parameters, max_iter=500, tolerance_change=1e-14, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        value = (decoder(encoder(x)) - x).square().sum(1).mean()
        value.backward()
        return value

    start = loss().item()
    optimiser.step(loss)
    best = (pca.reconstruct(x) - x).square().sum(1).mean().item()
    assert start > 2 * best
    assert loss().item() == pytest.approx(best, rel=1e-5)
    assert loss().item() >= best * (1 - 1e-12)
    assert principal_angle(decoder.weight.detach(), pca.axes) < 1e-2


def test_probabilistic_pca_has_the_likelihood_of_scikit_learns_when_variances_are_divided_alike() -> None:
    x = correlated()
    ours = ProbabilisticPCA(D).fit(x)
    # scikit-learn divides variances by n − 1: images stretched by √(n/(n−1)) around their mean have ours there.
    mean = x.mean(0)
    stretched = mean + (x - mean) * math.sqrt(199 / 200)
    theirs = oracle.PCA(D, svd_solver="full").fit(stretched.flatten(1).numpy())
    np.testing.assert_allclose(ours.log_prob(x).numpy(), theirs.score_samples(x.flatten(1).numpy()), rtol=1e-10)
    assert ours.variance[0].item() == pytest.approx(theirs.noise_variance_, rel=1e-10)
    assert (ours.variance == ours.variance[0]).all()


def test_probabilistic_pca_is_the_maximum_of_the_likelihood() -> None:
    x = correlated()
    model = ProbabilisticPCA(D).fit(x)
    best = model.log_prob(x).mean().item()
    g = torch.Generator().manual_seed(2)
    for _ in range(20):
        step = 1e-2 * torch.randn(model.weight.shape, generator=g, dtype=torch.float64)
        assert LinearGaussian(model.weight + step, model.mean, model.variance).log_prob(x.flatten(1)).mean() < best
    for factor in (0.99, 1.01):
        other = LinearGaussian(model.weight, model.mean, factor * model.variance)
        assert other.log_prob(x.flatten(1)).mean() < best


def test_pca_is_probabilistic_pcas_zero_noise_limit() -> None:
    x = correlated()
    pca = PCA(D).fit(x)
    previous = math.inf
    for sigma in (1e-1, 1e-2, 1e-3):
        W = pca.axes * (pca.explained_variance - sigma**2).sqrt()
        difference = (LinearGaussian(W, pca.mean, sigma**2, (2, 2, 3)).reconstruct(x) - pca.reconstruct(x)).abs().max()
        assert difference < 0.02 * previous  # of the order of σ²
        previous = difference.item()
    assert previous < 1e-5


def test_fitted_models_have_a_diagonal_posterior_so_that_encode_tells_all_of_it() -> None:
    x = correlated()
    for model in (ProbabilisticPCA(D).fit(x), FactorAnalysis(D).fit(x)):
        mean, covariance = model.posterior(x)
        torch.testing.assert_close(covariance, covariance.diagonal().diag(), atol=1e-12, rtol=0)
        encoded, log_std = model.encode(x)
        torch.testing.assert_close(encoded, mean)
        torch.testing.assert_close(log_std, covariance.diagonal().sqrt().log().expand(200, D))


def test_factor_analysis_reaches_scikit_learns_likelihood_and_never_falls() -> None:
    x = correlated()
    ours = FactorAnalysis(D).fit(x, iterations=20_000, tolerance=1e-10)
    theirs = oracle.FactorAnalysis(D, tol=1e-9, max_iter=20_000, svd_method="lapack").fit(x.flatten(1).numpy())
    history = torch.tensor(ours.history)
    assert len(history) > 10
    assert (history.diff() > -1e-12 * history.abs().max()).all()
    assert ours.history[-1] == pytest.approx(ours.log_prob(x).mean().item(), rel=1e-12)
    assert ours.history[-1] == pytest.approx(theirs.score(x.flatten(1).numpy()), abs=1e-5)
    np.testing.assert_allclose(ours.variance.numpy(), theirs.noise_variance_, rtol=1e-3)
    expected = theirs.get_covariance()
    np.testing.assert_allclose((ours.weight @ ours.weight.T + ours.variance.diag()).numpy(), expected, atol=2e-2)


def test_factor_analysis_beats_probabilistic_pca_where_pixels_differ_in_noise() -> None:
    x = correlated()
    assert FactorAnalysis(D).fit(x).log_prob(x).mean() > ProbabilisticPCA(D).fit(x).log_prob(x).mean() + 0.5


def test_factor_analysis_keeps_constant_pixels_at_the_least_variance_and_still_never_falls() -> None:
    x = correlated()
    x[:, 0, 0, :] = 0.0
    model = FactorAnalysis(D, least_variance=1e-4).fit(x)
    torch.testing.assert_close(model.variance[:3], torch.full((3,), 1e-4, dtype=torch.float64), rtol=1e-12, atol=0)
    history = torch.tensor(model.history)
    assert (history.diff() > -1e-10).all()


def test_em_stops_when_an_iteration_gains_too_little() -> None:
    x = correlated()
    model = FactorAnalysis(D).fit(x, tolerance=1e-3)
    gains = torch.tensor(model.history).diff()
    assert (gains[:-1] >= 1e-3).all()
    assert gains[-1] < 1e-3
    assert len(FactorAnalysis(D).fit(x, iterations=2, tolerance=0.0).history) == 3


@pytest.mark.parametrize("kind", [PCA, ProbabilisticPCA, FactorAnalysis])
def test_what_cannot_be_fitted_or_is_not_fitted_says_so(kind: type[PCA | ProbabilisticPCA | FactorAnalysis]) -> None:
    with pytest.raises(UserError, match="at least 1, but is 0"):
        kind(0)
    with pytest.raises(UserError, match="13 components need"):
        kind(13).fit(correlated())
    with pytest.raises(UserError, match="not fitted yet"):
        kind(D).encode(correlated())
    with pytest.raises(UserError, match="not fitted yet"):
        kind(D).sample(3)
    with pytest.raises(UserError, match=r"\(12,\).*\(2, 2, 3\)"):
        kind(D).fit(correlated()).encode(correlated(shape=(12,)))


def test_probabilistic_pca_needs_variance_left_for_its_noise() -> None:
    with pytest.raises(UserError, match="no variance is left"):
        ProbabilisticPCA(5).fit(correlated(6))
    with pytest.raises(UserError, match="no variance is left"):
        ProbabilisticPCA(12).fit(correlated())
    with pytest.raises(UserError, match="must be positive"):
        FactorAnalysis(3, least_variance=0.0)


@pytest.mark.parametrize("kind", [PCA, ProbabilisticPCA, FactorAnalysis])
def test_fitting_and_use_leave_the_global_generator_alone_and_states_travel(
    kind: type[PCA | ProbabilisticPCA | FactorAnalysis],
) -> None:
    x = correlated()
    before = torch.get_rng_state()
    first, second = kind(D).fit(x), kind(D).fit(x * 2)
    draws = [model.sample(4, torch.Generator().manual_seed(3)) for model in (first, first)]
    torch.testing.assert_close(draws[0], draws[1], rtol=0, atol=0)
    assert torch.equal(before, torch.get_rng_state())
    second.load_state_dict(first.state_dict())
    torch.testing.assert_close(second.encode(x), first.encode(x), rtol=0, atol=0)
