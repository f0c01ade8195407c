import math

import pytest
import torch
from torch import Tensor

from epslab.errors import UserError
from epslab.probability.densities import log_normal
from epslab.probability.gradients import score_function

MU, LOG_SIGMA = 0.7, -0.4
N = 40_000


def gradients(baseline: bool | None, samples: int = 4) -> Tensor:
    """∂/∂mu and ∂/∂log sigma of E_q[(z − 2)² + log q(z)], one estimate an example: [2 N]; None: reparameterised."""
    generator = torch.Generator().manual_seed(0)
    mean = torch.full((N, 1), MU, dtype=torch.float64, requires_grad=True)
    log_std = torch.full((N, 1), LOG_SIGMA, dtype=torch.float64, requires_grad=True)
    eps = torch.randn(samples, N, 1, generator=generator, dtype=torch.float64)
    z = mean + log_std.exp() * eps
    if baseline is None:
        objective = ((z - 2).square().sum(-1) + log_normal(z, mean, log_std)).mean(0)
    else:
        log_q = log_normal(z.detach(), mean, log_std)
        objective = score_function((z.detach() - 2).square().sum(-1) + log_q, log_q, baseline)
    return torch.stack([gradient[:, 0] for gradient in torch.autograd.grad(objective.sum(), (mean, log_std))])


# E (z − 2)² = (mu − 2)² + sigma², and E log q = −log sigma + const.
EXACT = torch.tensor([2 * (MU - 2), 2 * math.exp(2 * LOG_SIGMA) - 1], dtype=torch.float64)


@pytest.mark.parametrize("baseline", [None, False, True])
def test_both_estimators_have_the_exact_gradient_as_their_expectation(baseline: bool | None) -> None:
    estimates = gradients(baseline)
    error = estimates.std(1) / math.sqrt(N)
    assert ((estimates.mean(1) - EXACT).abs() < 4 * error).all()


def test_the_reparameterised_gradient_varies_far_less_and_the_baseline_helps() -> None:
    reparameterised, plain, baseline = (gradients(how).var(1) for how in (None, False, True))
    assert (plain > 4 * reparameterised).all()
    assert (baseline < 0.9 * plain).all()
    assert (baseline > reparameterised).all()


def test_the_surrogate_has_the_value_of_the_mean() -> None:
    values, log_q = torch.tensor([[1.0, 2.0], [3.0, 6.0]]), torch.randn(2, 2, requires_grad=True)
    for leave_one_out in (False, True):
        torch.testing.assert_close(score_function(values, log_q, leave_one_out), torch.tensor([2.0, 4.0]))


def test_each_sample_is_weighed_by_its_value_less_the_mean_of_the_others() -> None:
    values, log_q = torch.tensor([[1.0], [3.0], [8.0]]), torch.zeros(3, 1, requires_grad=True)
    (plain,) = torch.autograd.grad(score_function(values, log_q).sum(), log_q)
    (left_out,) = torch.autograd.grad(score_function(values, log_q, leave_one_out=True).sum(), log_q)
    torch.testing.assert_close(plain.flatten(), torch.tensor([1.0, 3.0, 8.0]) / 3)
    torch.testing.assert_close(left_out.flatten(), torch.tensor([1 - 5.5, 3 - 4.5, 8 - 2.0]) / 3)


def test_the_baseline_needs_two_samples() -> None:
    with pytest.raises(UserError, match="1 sample"):
        score_function(torch.zeros(1, 3), torch.zeros(1, 3), leave_one_out=True)
