import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from epslab.errors import UserError
from epslab.probability.likelihoods import Bernoulli, Categorical, DiscretisedLogisticMixture, Normal
from epslab.types import Likelihood

PROPERTY = settings(deadline=None, derandomize=True)

ALL = [Categorical(4), Bernoulli(), Normal(0.2), DiscretisedLogisticMixture(16, 2)]
DISCRETE = [Categorical(4), Bernoulli(), DiscretisedLogisticMixture(6, 2)]
each = pytest.mark.parametrize("likelihood", ALL, ids=lambda likelihood: type(likelihood).__name__)
each_discrete = pytest.mark.parametrize("likelihood", DISCRETE, ids=lambda likelihood: type(likelihood).__name__)


def levels_of(likelihood: Likelihood) -> int:
    return getattr(likelihood, "levels", 2)


def probabilities(likelihood: Likelihood, parameters: Tensor) -> Tensor:
    """Of every level of a single pixel [1 p 1 1], by log_prob."""
    levels = levels_of(likelihood)
    images = (torch.arange(levels, dtype=parameters.dtype) / (levels - 1)).view(-1, 1, 1, 1)
    return likelihood.log_prob(parameters.expand(levels, -1, -1, -1), images).exp()


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@PROPERTY
@given(data=st.data(), levels=st.integers(2, 40))
def test_categorical_sums_to_one_over_levels(data: st.DataObject, levels: int) -> None:
    logits = data.draw(st.lists(st.floats(-1e4, 1e4), min_size=levels, max_size=levels))
    total = probabilities(Categorical(levels), torch.tensor(logits, dtype=torch.float64).view(1, -1, 1, 1)).sum()
    assert total.item() == pytest.approx(1, rel=1e-12)


@PROPERTY
@given(logit=st.floats(-1e4, 1e4))
def test_bernoulli_sums_to_one(logit: float) -> None:
    total = probabilities(Bernoulli(), torch.full((1, 1, 1, 1), logit, dtype=torch.float64)).sum()
    assert total.item() == pytest.approx(1, rel=1e-12)


@PROPERTY
@given(data=st.data(), levels=st.integers(2, 256), mixtures=st.integers(1, 4))
def test_logistic_mixture_sums_to_one_over_levels(data: st.DataObject, levels: int, mixtures: int) -> None:
    likelihood = DiscretisedLogisticMixture(levels, mixtures)
    values = data.draw(st.lists(st.floats(-50, 50), min_size=3 * mixtures, max_size=3 * mixtures))
    parameters = torch.tensor(values, dtype=torch.float64).view(1, -1, 1, 1)
    assert probabilities(likelihood, parameters).sum().item() == pytest.approx(1, rel=1e-10)


def test_a_wide_logistic_keeps_its_digits_in_float32() -> None:
    parameters = torch.tensor([0.0, 0.2, 6.5]).view(1, 3, 1, 1)
    likelihood = DiscretisedLogisticMixture(256, 1)
    exact = probabilities(likelihood, parameters.double())
    torch.testing.assert_close(probabilities(likelihood, parameters).double(), exact, rtol=1e-5, atol=0)


def test_the_normal_density_integrates_to_one() -> None:
    x = torch.linspace(-2, 3, 2001, dtype=torch.float64).view(-1, 1, 1, 1)
    density = Normal(0.2).log_prob(torch.full_like(x, 0.4), x).exp()
    assert torch.trapezoid(density, x.flatten()).item() == pytest.approx(1, rel=1e-12)


@each_discrete
def test_draws_have_the_probabilities_that_log_prob_states(likelihood: Likelihood) -> None:
    n, parameters = 20_000, random(1, likelihood.channels(1), 1, 1, seed=3)
    levels, p = levels_of(likelihood), probabilities(likelihood, parameters)
    draws = likelihood.sample(parameters.expand(n, -1, -1, -1), torch.Generator().manual_seed(0))
    values = draws * (levels - 1)
    assert torch.allclose(values, values.round(), atol=1e-4)  # levels, nothing between them
    counts = torch.bincount(values.round().long().flatten(), minlength=levels)
    assert ((counts - n * p).abs() <= 4 * (n * p * (1 - p)).sqrt() + 1e-3).all()


def test_normal_draws_have_mean_std_and_tails_beyond_the_pixel_range() -> None:
    n = 20_000
    draws = Normal(0.5).sample(torch.full((n, 1, 1, 1), 0.2), torch.Generator().manual_seed(0))
    assert abs(draws.mean() - 0.2) < 4 * 0.5 / math.sqrt(n)
    assert abs(draws.std() - 0.5) < 4 * 0.5 / math.sqrt(2 * n)
    assert (draws < 0).any()


@each
def test_a_mean_is_not_a_sample_but_samples_average_to_it(likelihood: Likelihood) -> None:
    n, parameters = 4000, random(1, likelihood.channels(3), 2, 2, seed=5)
    draws = likelihood.sample(parameters.expand(n, -1, -1, -1), torch.Generator().manual_seed(1))
    mean = likelihood.mean(parameters)[0]
    assert draws.shape == (n, 3, 2, 2)
    assert mean.shape == (3, 2, 2)
    assert ((draws.mean(0) - mean).abs() < 4 * draws.std(0) / math.sqrt(n)).all()
    assert (draws.std(0) > 0.01).all()


@each
@pytest.mark.parametrize("channels", [1, 3])
def test_memory_layout_changes_neither_values_nor_gradients(likelihood: Likelihood, channels: int) -> None:
    images = torch.rand(2, channels, 5, 4, generator=torch.Generator().manual_seed(1))
    parameters = random(2, likelihood.channels(channels), 5, 4).double()
    results = []
    for layout in (torch.contiguous_format, torch.channels_last):
        leaf = parameters.contiguous(memory_format=layout).requires_grad_()
        log_p = likelihood.log_prob(leaf, images.double())
        results.append((log_p.detach(), torch.autograd.grad(log_p.sum(), leaf)[0]))
        draws = likelihood.sample(leaf.detach(), torch.Generator().manual_seed(2))
        results[-1] += (likelihood.mean(leaf.detach()), draws)
    for contiguous, channels_last in zip(*results, strict=True):
        torch.testing.assert_close(contiguous, channels_last, rtol=1e-12, atol=1e-12)


def test_the_gradient_of_channels_last_logits_comes_back_channels_last() -> None:
    logits = random(2, 16, 8, 8).contiguous(memory_format=torch.channels_last).requires_grad_()
    (gradient,) = torch.autograd.grad(Categorical(16).log_prob(logits, torch.rand(2, 1, 8, 8)).sum(), logits)
    assert gradient.is_contiguous(memory_format=torch.channels_last)


def test_the_levels_of_the_first_channel_come_first() -> None:
    parameters = torch.zeros(1, 6, 1, 1)
    parameters[0, 2] = 50.0  # first channel, last of three levels
    parameters[0, 4] = 50.0  # second channel, middle level
    torch.testing.assert_close(Categorical(3).mean(parameters).flatten(), torch.tensor([1.0, 0.5]))


@each
def test_extreme_parameters_give_finite_values_and_gradients(likelihood: Likelihood) -> None:
    for size in (-60.0, 60.0):
        parameters = torch.full((2, likelihood.channels(1), 2, 2), size, requires_grad=True)
        images = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1).expand(2, 1, 2, 2)
        log_p = likelihood.log_prob(parameters, images)
        (gradient,) = torch.autograd.grad(log_p.sum(), parameters)
        assert log_p.isfinite().all()
        assert gradient.isfinite().all()


@each
def test_samples_follow_the_generator_and_leave_the_global_one_alone(likelihood: Likelihood) -> None:
    parameters = random(2, likelihood.channels(1), 3, 3)
    state = torch.get_rng_state()
    first, second = (likelihood.sample(parameters, torch.Generator().manual_seed(7)) for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(likelihood.sample(parameters, torch.Generator().manual_seed(8)), first)


@each
def test_a_draw_is_a_function_of_its_parameters_and_its_seed_alone(likelihood: Likelihood) -> None:
    parameters = random(6, likelihood.channels(3), 5, 7)
    seeds, some = torch.arange(6), torch.tensor([4, 1])
    together = likelihood.sample(parameters, seeds=seeds)
    assert torch.equal(likelihood.sample(parameters[some], seeds=seeds[some]), together[some])
    assert not torch.equal(likelihood.sample(parameters, seeds=seeds + 6), together)


@each
def test_parameters_of_the_wrong_width_are_refused_in_a_sentence(likelihood: Likelihood) -> None:
    expected = likelihood.channels(3)
    with pytest.raises(
        UserError, match=rf"gives {expected + 1} parameter channels, but the likelihood needs {expected}"
    ):
        likelihood.log_prob(torch.zeros(1, expected + 1, 2, 2), torch.zeros(1, 3, 2, 2))


@pytest.mark.parametrize("likelihood", [Categorical(4), DiscretisedLogisticMixture(16, 2)])
def test_parameters_that_split_into_no_channels_are_refused(likelihood: Likelihood) -> None:
    parameters = torch.zeros(1, likelihood.channels(1) + 1, 2, 2)
    for use in (likelihood.mean, likelihood.sample):
        with pytest.raises(UserError, match="needs a multiple of"):
            use(parameters)


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda: Categorical(1), "levels is 1"),
        (lambda: DiscretisedLogisticMixture(levels=0), "levels is 0"),
        (lambda: DiscretisedLogisticMixture(mixtures=0), "components is 0"),
        (lambda: Normal(0.0), "standard deviation is 0.0"),
        (lambda: Normal(math.nan), "standard deviation is nan"),
        (lambda: Normal(math.inf), "standard deviation is inf"),
    ],
)
def test_settings_that_make_no_law_are_refused(build: object, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        build()


def test_likelihoods_are_compared_by_their_settings() -> None:
    assert Categorical(16) == Categorical(16) != Categorical(8)
    assert DiscretisedLogisticMixture() == DiscretisedLogisticMixture(256, 10)


HALF = pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])


@each_discrete
@HALF
def test_probabilities_of_half_precision_parameters_sum_to_one(likelihood: Likelihood, dtype: torch.dtype) -> None:
    parameters = (3 * random(1, likelihood.channels(1), 1, 1, seed=4)).to(dtype)
    levels = levels_of(likelihood)
    images = (torch.arange(levels) / (levels - 1)).view(-1, 1, 1, 1)
    log_p = likelihood.log_prob(parameters.expand(levels, -1, -1, -1), images)
    assert log_p.dtype == torch.float32
    assert log_p.exp().sum().item() == pytest.approx(1, abs=1e-6)


@HALF
@pytest.mark.parametrize("levels", [2, 256])
def test_the_logistic_mixture_of_half_precision_parameters_sums_to_one(dtype: torch.dtype, levels: int) -> None:
    likelihood = DiscretisedLogisticMixture(levels, 10)
    parameters = random(50, likelihood.channels(1), 1, 1, seed=6).to(dtype)
    images = torch.arange(levels).div(levels - 1).view(1, 1, 1, levels)
    log_p = torch.stack(
        [likelihood.log_prob(parameters, images[..., k : k + 1].expand(50, -1, -1, -1)) for k in range(levels)]
    )
    torch.testing.assert_close(log_p.exp().sum(0), torch.ones(50), rtol=1e-5, atol=0)


@each
@HALF
def test_half_precision_parameters_are_computed_with_in_float32(likelihood: Likelihood, dtype: torch.dtype) -> None:
    """Many pixels: summed in half precision, log p(x) would be off by nats; and so would means near 0 and 1."""
    parameters = random(2, likelihood.channels(1), 28, 28, seed=7).to(dtype)
    images = torch.rand(2, 1, 28, 28, generator=torch.Generator().manual_seed(8))
    log_p = likelihood.log_prob(parameters, images)
    torch.testing.assert_close(
        log_p.double(), likelihood.log_prob(parameters.double(), images.double()), rtol=1e-5, atol=1e-3
    )
    mean = likelihood.mean(parameters)
    assert mean.dtype == dtype
    torch.testing.assert_close(mean, likelihood.mean(parameters.double()).to(dtype), rtol=1e-2, atol=1e-5)
    draws = likelihood.sample(parameters, torch.Generator().manual_seed(9))
    assert draws.dtype == dtype
    assert torch.equal(draws, likelihood.sample(parameters.float(), torch.Generator().manual_seed(9)).to(dtype)) or (
        isinstance(likelihood, Normal)
    )


@each
def test_float64_parameters_are_computed_with_in_float64(likelihood: Likelihood) -> None:
    parameters = random(2, likelihood.channels(1), 3, 3).double()
    images = torch.rand(2, 1, 3, 3).double()
    assert likelihood.log_prob(parameters, images).dtype == torch.float64
    assert likelihood.mean(parameters).dtype == likelihood.sample(parameters).dtype == torch.float64


@each
def test_no_images_have_no_likelihoods(likelihood: Likelihood) -> None:
    parameters = torch.zeros(0, likelihood.channels(3), 5, 7)
    assert likelihood.log_prob(parameters, torch.zeros(0, 3, 5, 7)).shape == (0,)
    assert likelihood.mean(parameters).shape == likelihood.sample(parameters).shape == (0, 3, 5, 7)
