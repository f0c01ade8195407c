import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from torch import Tensor

from epslab.errors import UserError
from epslab.probability.divergences import (
    cross_entropy,
    entropy,
    frechet,
    jeffreys,
    jensen_shannon,
    kl_categorical,
    kl_normal,
    kl_standard_normal,
    mmd,
    sliced_wasserstein,
    wasserstein_1d,
)

PROPERTY = settings(deadline=None, derandomize=True)

CATEGORICAL = [kl_categorical, jensen_shannon, jeffreys]


@st.composite
def laws(draw: st.DrawFn, count: int = 2) -> list[Tensor]:
    """Probabilities over the same outcomes, zeros and the smallest numbers among them."""
    k = draw(st.integers(1, 6))
    weight = st.one_of(st.just(0.0), st.floats(1e-300, 1.0), st.floats(0.1, 1.0))
    drawn = []
    for _ in range(count):
        weights = draw(st.lists(weight, min_size=k, max_size=k).filter(lambda values: sum(values) > 1e-3))
        drawn.append(torch.tensor(weights, dtype=torch.float64) / sum(weights))
    return drawn


numbers = npst.arrays("float64", st.integers(1, 12), elements=st.floats(-100, 100))


@PROPERTY
@given(laws())
def test_divergences_are_not_negative_and_zero_only_between_equal_laws(pair: list[Tensor]) -> None:
    p, q = pair
    for divergence in CATEGORICAL:
        assert divergence(p, q) >= -1e-12
        assert divergence(p, p).item() == 0.0
        if (p - q).abs().max() > 1e-5:
            assert divergence(p, q) > 0


@PROPERTY
@given(laws())
def test_jensen_shannon_is_symmetric_and_at_most_ln_2_and_jeffreys_is_symmetric(pair: list[Tensor]) -> None:
    p, q = pair
    assert jensen_shannon(p, q).item() == pytest.approx(jensen_shannon(q, p).item(), abs=1e-14)
    assert jensen_shannon(p, q) <= math.log(2) + 1e-12
    assert jeffreys(p, q).item() == pytest.approx(jeffreys(q, p).item(), rel=1e-12)


@PROPERTY
@given(laws(3))
def test_the_root_of_jensen_shannon_obeys_the_triangle_inequality(three: list[Tensor]) -> None:
    p, q, r = three
    distance = [jensen_shannon(a, b).clamp(min=0).sqrt().item() for a, b in ((p, r), (p, q), (q, r))]
    assert distance[0] <= distance[1] + distance[2] + 1e-7


@PROPERTY
@given(laws())
def test_entropy_is_bounded_and_cross_entropy_is_at_least_it(pair: list[Tensor]) -> None:
    p, q = pair
    assert -1e-12 <= entropy(p) <= math.log(len(p)) + 1e-12
    assert cross_entropy(p, q) >= entropy(p) - 1e-12
    assert cross_entropy(p, q).item() == pytest.approx((entropy(p) + kl_categorical(p, q)).item(), abs=1e-9)


@PROPERTY
@given(laws())
def test_kl_is_infinite_exactly_where_q_misses_part_of_p(pair: list[Tensor]) -> None:
    p, q = pair
    assert (kl_categorical(p, q).item() == math.inf) == bool(((q == 0) & (p > 0)).any())
    assert not kl_categorical(p, q).isnan()


@PROPERTY
@given(laws())
def test_gradients_are_finite_where_values_are(pair: list[Tensor]) -> None:
    p, q = (values.clamp(min=1e-30).where(values > 0, 0.0).requires_grad_() for values in pair)
    for value in (kl_categorical(p, q), jensen_shannon(p, q), jeffreys(p, q), cross_entropy(p, q), entropy(p)):
        if value.isfinite():
            gradients = torch.autograd.grad(value, (p, q), allow_unused=True)
            assert all(gradient is None or gradient.isfinite().all() for gradient in gradients)


def test_an_outcome_that_cannot_happen_gets_no_gradient_from_kl() -> None:
    p, q = (torch.tensor(values, requires_grad=True) for values in ([0.5, 0.5, 0.0], [0.25, 0.75, 0.0]))
    by_p, by_q = torch.autograd.grad(kl_categorical(p, q), (p, q))
    torch.testing.assert_close(by_q, torch.tensor([-2.0, -2 / 3, 0.0]))
    assert by_p[2] == 0
    (by_one_hot,) = torch.autograd.grad(entropy(one_hot := torch.tensor([0.0, 1.0], requires_grad=True)), one_hot)
    torch.testing.assert_close(by_one_hot, torch.tensor([0.0, -1.0]))


@PROPERTY
@given(numbers, numbers)
def test_normal_kls_are_not_negative_and_zero_for_equal_laws(means: object, log_stds: object) -> None:
    d = min(len(means), len(log_stds))
    mean, log_std = torch.tensor(means)[:d], torch.tensor(log_stds)[:d] / 20
    zero = torch.zeros(d, dtype=torch.float64)
    assert kl_standard_normal(mean, log_std) >= 0
    assert kl_normal(mean, log_std, mean, log_std) == 0
    assert kl_normal(mean, log_std, zero, zero) == kl_standard_normal(mean, log_std)
    assert kl_normal(zero, zero, mean, log_std) >= 0


@PROPERTY
@given(numbers, numbers, numbers, st.floats(-50, 50))
def test_wasserstein_is_a_metric_that_moves_with_its_samples(a: object, b: object, c: object, shift: float) -> None:
    x, y, z = (torch.tensor(values) for values in (a, b, c))
    assert wasserstein_1d(x, x) == 0
    assert wasserstein_1d(x, y).item() == pytest.approx(wasserstein_1d(y, x).item(), rel=1e-12)
    assert wasserstein_1d(x, z) <= wasserstein_1d(x, y) + wasserstein_1d(y, z) + 1e-9
    assert wasserstein_1d(x + shift, y + shift).item() == pytest.approx(wasserstein_1d(x, y).item(), abs=1e-9)
    assert wasserstein_1d(-3 * x, -3 * y).item() == pytest.approx(3 * wasserstein_1d(x, y).item(), rel=1e-9, abs=1e-9)
    # A sample with every point twice is the same law.
    assert wasserstein_1d(x.repeat(2), y).item() == pytest.approx(wasserstein_1d(x, y).item(), rel=1e-9, abs=1e-9)


def test_leading_axes_broadcast_and_are_kept() -> None:
    p, q = torch.rand(4, 3, 5).softmax(-1), torch.rand(5).softmax(-1)
    for divergence in (*CATEGORICAL, cross_entropy):
        assert divergence(p, q).shape == (4, 3)
        torch.testing.assert_close(divergence(p, q)[1, 2], divergence(p[1, 2], q))
    assert kl_standard_normal(torch.zeros(4, 3, 2), torch.zeros(4, 3, 2)).shape == (4, 3)


def test_distances_between_samples_can_be_descended() -> None:
    generator = torch.Generator().manual_seed(0)
    y = torch.randn(7, 2, generator=generator)
    for distance in (
        lambda x: wasserstein_1d(x[:, 0], y[:, 0]),
        lambda x: sliced_wasserstein(x, y, 8, torch.Generator().manual_seed(0)),
        lambda x: mmd(x, y, 1.0),
    ):
        x = (3 + torch.randn(5, 2, generator=generator)).requires_grad_()
        (gradient,) = torch.autograd.grad(distance(x), x)
        assert gradient.isfinite().all()
        assert distance((x - 0.1 * gradient).detach()) < distance(x)


def test_sliced_wasserstein_follows_its_generator() -> None:
    x, y = torch.randn(9, 3), torch.randn(5, 3)
    first, second, other = (sliced_wasserstein(x, y, 4, torch.Generator().manual_seed(s)) for s in (0, 0, 1))
    assert torch.equal(first, second)
    assert first != other


def test_frechet_keeps_no_gradient() -> None:
    mean = torch.zeros(2, requires_grad=True)
    assert not frechet(mean, torch.eye(2), mean, torch.eye(2)).requires_grad


@pytest.mark.parametrize("function", [kl_categorical, cross_entropy, jensen_shannon, jeffreys])
@pytest.mark.parametrize("wrong", [[1.3, -0.3], [2.0, -1.0], [0.5, 0.4], [math.nan, 1.0]])
def test_logits_in_place_of_probabilities_are_refused(function: object, wrong: list[float]) -> None:
    right = torch.tensor([0.5, 0.5])
    for arguments in ((torch.tensor(wrong), right), (right, torch.tensor(wrong))):
        with pytest.raises(UserError, match="softmax"):
            function(*arguments)
    with pytest.raises(UserError, match="softmax"):
        entropy(torch.tensor(wrong))


def test_samples_and_settings_that_make_no_distance_are_refused() -> None:
    x = torch.zeros(3, 2)
    with pytest.raises(UserError, match="0 and 3 points"):
        wasserstein_1d(torch.zeros(0), torch.zeros(3))
    with pytest.raises(UserError, match="3 and 1 points, but at least 2"):
        mmd(x, x[:1], 1.0)
    for bandwidth in (0.0, -1.0, math.nan):
        with pytest.raises(UserError, match="bandwidth"):
            mmd(x, x, bandwidth)
    with pytest.raises(UserError, match="projections is 0"):
        sliced_wasserstein(x, x, 0)
