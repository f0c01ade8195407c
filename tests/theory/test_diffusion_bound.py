"""The variational bound of diffusion, where it is known in closed form or by quadrature; in float64."""

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from epslab import seeds
from epslab.errors import UserError
from epslab.generative.diffusion import Diffusion
from epslab.generative.diffusion.bound import bound_terms
from epslab.probability.discretised import log_discretised_normal
from epslab.probability.schedules import Schedule, cosine, linear

LOG_2_PI = math.log(2 * math.pi)


class Exact(torch.nn.Module):
    """E[x_0 given x_t] of data N(0, s²), as any of the three predictions."""

    def __init__(self, schedule: Schedule, std: float, predicts: str) -> None:
        super().__init__()
        self.schedule, self.variance, self.predicts = schedule, std**2, predicts

    def forward(self, x_t: Tensor, t: Tensor) -> Tensor:
        alpha_bar = self.schedule.alpha_bar[t].view(-1, *[1] * (x_t.ndim - 1))
        x_0 = alpha_bar.sqrt() * self.variance / (alpha_bar * self.variance + 1 - alpha_bar) * x_t
        eps = (x_t - alpha_bar.sqrt() * x_0) / (1 - alpha_bar).sqrt()
        return {"noise": eps, "v": alpha_bar.sqrt() * eps - (1 - alpha_bar).sqrt() * x_0, "image": x_0}[self.predicts]


def normal_model(schedule: Schedule, std: float, variance: str = "posterior", predicts: str = "noise") -> Diffusion:
    """A model of points that knows the law of data N(0, std²) exactly."""
    return Diffusion(Exact(schedule, std, predicts), schedule, (2,), predicts, variance=variance).double()  # type: ignore[arg-type]


def expected_bound(schedule: Schedule, std: float, variance: str) -> float:
    """The bound in closed form, per dimension, for data N(0, std²)."""
    a, beta, s2 = schedule.alpha_bar, schedule.beta, std**2
    left = s2 * (1 - a) / (a * s2 + 1 - a)  # E (x_0 − E[x_0 given x_t])²
    prior = (a[-1] * s2 - a[-1] - torch.log1p(-a[-1])) / 2
    before, now = a[:-1], a[1:]
    posterior = (1 - before) / (1 - now) * beta[1:]
    mean = before * beta[1:].square() / (1 - now).square() * left[1:]
    sigma2 = posterior if variance == "posterior" else beta[1:]
    steps = (mean / sigma2 + posterior / sigma2 - 1 - (posterior / sigma2).log()) / 2
    last = posterior[0] if variance == "posterior" else beta[0]
    decoder = (left[0] / last + last.log() + LOG_2_PI) / 2
    return float(prior + steps.sum() + decoder)


@pytest.mark.parametrize("variance", ["posterior", "beta"])
@pytest.mark.parametrize(("schedule", "std"), [(linear(60), 0.5), (cosine(40), 2.0)])
@pytest.mark.parametrize("draws", [None, 7, 1])
def test_the_bound_of_normal_data_is_its_closed_form(
    schedule: Schedule, std: float, variance: str, draws: int | None
) -> None:
    """Also where the sum over times is estimated at some of them, whose number does not divide T − 1."""
    x = std * torch.randn(3000, 2, generator=seeds.generator(0, "x"), dtype=torch.float64)
    bound = normal_model(schedule, std, variance).bound(x, draws, seeds.generator(1, "bound"))
    error = bound.std() / math.sqrt(len(x))
    wanted = 2 * expected_bound(schedule, std, variance)
    assert abs(bound.mean() - wanted) < 4 * error
    assert wanted > 2 * (0.5 * (LOG_2_PI + 1) + math.log(std))  # the exact −E log p


@pytest.mark.parametrize("schedule", [linear(30), cosine(30)])
def test_where_the_chain_is_its_own_reverse_the_bound_is_exact_for_every_point(schedule: Schedule) -> None:
    """Of data N(0, 1) every x_t is N(0, 1), and x_s given x_t has exactly the variance β_t."""
    model = normal_model(schedule, 1.0, "beta")
    for point in ([0.0, 0.0], [2.0, -1.0], [4.0, 0.5]):
        x = torch.tensor([point], dtype=torch.float64).expand(3000, -1)
        bound = model.bound(x, generator=seeds.generator(0, "bound"))
        exact = 0.5 * float(x[0].square().sum()) + LOG_2_PI
        assert abs(bound.mean() - exact) < 4 * bound.std() / math.sqrt(3000)


def test_every_time_given_once_is_the_mean_of_the_estimates() -> None:
    """With one time per part the draws are all times: no time is left out and none is met twice."""
    met: list[int] = []

    def clean(x_t: Tensor, t: Tensor) -> Tensor:
        met.extend(t.tolist())
        return 0.3 * x_t

    x = torch.randn(1, 2, dtype=torch.float64)
    bound_terms(clean, linear(50), x, lambda mean, std: mean.sum(1), seeds=torch.arange(1))
    assert met == list(range(50))
    met.clear()
    bound_terms(clean, linear(50), x.expand(2000, -1), lambda m, std: m.sum(1), seeds=torch.arange(2000), draws=5)
    parts = torch.tensor(met[2000:]).view(5, 2000)
    counts = parts.flatten().bincount(minlength=50)[1:]
    assert counts.sum() == 10_000
    assert (abs(counts - 10_000 / 49) < 4 * math.sqrt(10_000 / 49)).all()
    assert all(lower.max() <= upper.min() for lower, upper in pairwise(parts))


def test_the_bound_on_grey_levels_is_above_their_exact_cost() -> None:
    """One pixel, four levels, two steps: the chain's own probability of each level by quadrature."""
    schedule = Schedule.of(torch.tensor([0.2, 0.7]))
    levels, variance = 4, "posterior"

    def clean(x_t: Tensor, t: Tensor) -> Tensor:
        return torch.tanh((1.4 - 0.6 * t.view(-1, *[1] * (x_t.ndim - 1))) * x_t + 0.2)

    a0, a1 = schedule.alpha_bar.tolist()
    posterior = (1 - a0) / (1 - a1) * 0.7
    grid = torch.linspace(-9, 9, 3001, dtype=torch.float64)
    width = 18 / 3000

    def normal(x: Tensor, mean: Tensor, var: float) -> Tensor:
        return torch.exp(-0.5 * (x - mean).square() / var) / math.sqrt(2 * math.pi * var)

    late = clean(grid[:, None], torch.ones(len(grid), dtype=torch.int64))[:, 0]
    mean = math.sqrt(a0) * 0.7 / (1 - a1) * late + math.sqrt(0.3) * (1 - a0) / (1 - a1) * grid
    marginal = (normal(grid[None], mean[:, None], posterior) * normal(grid, grid * 0, 1.0)[:, None]).sum(0) * width
    early = clean(grid[:, None], torch.zeros(len(grid), dtype=torch.int64))[:, 0]
    ks = torch.arange(levels)
    masses = log_discretised_normal(
        ks[:, None].expand(-1, len(grid)), early.expand(levels, -1), math.sqrt(posterior), levels
    )
    exact = -(masses.exp() @ marginal * width).log()
    assert abs((-exact).exp().sum() - 1) < 1e-6

    for k in range(levels):
        x_0 = torch.full((20_000, 1), 2 * k / (levels - 1) - 1, dtype=torch.float64)

        def decoder(mean: Tensor, std: float, k: int = k) -> Tensor:
            return -log_discretised_normal(torch.full_like(mean, k).long(), mean, std, levels)[:, 0]

        terms = bound_terms(clean, schedule, x_0, decoder, seeds=torch.arange(20_000), variance=variance)
        # The same bound by quadrature over x at t = 0 and t = 1.
        q0, q1 = normal(grid, math.sqrt(a0) * x_0[0], 1 - a0), normal(grid, math.sqrt(a1) * x_0[0], 1 - a1)
        c = math.sqrt(a0) * 0.7 / (1 - a1)
        step = float((q1 * (x_0[0] - late).square()).sum() * width) * c**2 / posterior / 2
        last = float(-(q0 * masses[k]).sum() * width)
        prior = 0.5 * (a1 * float(x_0[0, 0]) ** 2 - a1 - math.log1p(-a1))
        error = terms.negative_elbo.std() / math.sqrt(20_000)
        assert abs(terms.negative_elbo.mean() - (prior + step + last)) < 4 * error
        assert abs(terms.prior[0] - prior) < 1e-12
        assert prior + step + last > exact[k]


@pytest.mark.parametrize("levels", [2, 3, 16, 256])
@pytest.mark.parametrize("std", [1e-3, 0.05, 1.0])
def test_the_levels_of_a_normal_variable_add_up_to_one(levels: int, std: float) -> None:
    """Also for means at the ends and outside."""
    mean = torch.tensor([-3.0, -1.0, -0.999, 0.0, 0.31, 1.0, 2.0], dtype=torch.float64)
    k = torch.arange(levels)[:, None].expand(-1, len(mean))
    log_p = log_discretised_normal(k, mean.expand(levels, -1), std, levels)
    assert log_p.isfinite().all()  # never −∞: also far in a tail
    torch.testing.assert_close(log_p.logsumexp(0), torch.zeros_like(mean), atol=1e-10, rtol=0)


def test_a_levels_mass_is_that_of_its_share_of_the_line() -> None:
    mean = torch.full((3,), 0.1, dtype=torch.float64)
    found = log_discretised_normal(torch.tensor([0, 7, 15]), mean, 0.2, 16).exp()
    below, above = torch.tensor([[-99.0, -2 / 15, 14 / 15], [-14 / 15, 0.0, 99.0]], dtype=torch.float64)
    normal = torch.distributions.Normal(mean, torch.full_like(mean, 0.2))
    torch.testing.assert_close(found, normal.cdf(above) - normal.cdf(below), rtol=1e-9, atol=0)
    far = log_discretised_normal(torch.tensor([255, 0]), torch.tensor([-1.0, 1.0]), 0.01, 256)
    assert far[0] == far[1]  # both tails alike
    assert far[0] < -1e4


def test_a_flow_has_no_such_bound_and_draws_count_from_one() -> None:
    model = Diffusion(lambda x, t: x, linear(10), (2,), "flow")
    with pytest.raises(UserError, match="flow"):
        model.bound(torch.zeros(2, 2))
    with pytest.raises(UserError, match="at 0 times"):
        normal_model(linear(10), 1.0).bound(torch.zeros(2, 2, dtype=torch.float64), draws=0)
    with pytest.raises(UserError, match="Unknown variance 'small'"):
        normal_model(linear(10), 1.0, "small")
