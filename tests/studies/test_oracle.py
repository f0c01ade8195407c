import pytest
import torch

from epslab import seeds
from epslab.studies.oracle import WithProposal, elbo_gap, information, linear_gaussian


@pytest.mark.parametrize("latent_dim", [1, 5, 64])
def test_information_is_the_mean_divergence_of_posterior_and_prior(latent_dim: int) -> None:
    model = linear_gaussian(latent_dim)
    mean, covariance = model.posterior(model.sample(4000, torch.Generator().manual_seed(1)))
    kl = 0.5 * (covariance.trace() + mean.square().sum(1) - latent_dim - torch.logdet(covariance))
    assert abs(kl.mean() - information(latent_dim)) < 4 * kl.std() / 4000**0.5


@pytest.mark.parametrize(("shift", "widening"), [(0.5, 1.25), (0.0, 1.0), (-1.0, 0.5)])
def test_the_bound_misses_by_the_gap_at_every_image(shift: float, widening: float) -> None:
    oracle = WithProposal(linear_gaussian(7), shift, widening)
    x = oracle.model.sample(5, torch.Generator().manual_seed(2))
    missed = oracle.model.log_prob(x) - oracle.elbo(x)
    torch.testing.assert_close(missed, torch.full_like(missed, elbo_gap(7, shift, widening)), rtol=0, atol=1e-9)


def test_the_elbo_is_the_mean_of_the_log_weights() -> None:
    oracle = WithProposal(linear_gaussian(3))
    x = oracle.model.sample(2, torch.Generator().manual_seed(3))
    log_w = oracle.log_weights(x, 4000, seeds=seeds.of_indices(0, torch.arange(2)))
    assert ((log_w.mean(0) - oracle.elbo(x)).abs() < 4 * log_w.std(0) / 4000**0.5).all()


def test_at_the_posterior_every_weight_is_log_p() -> None:
    oracle = WithProposal(linear_gaussian(10), shift=0.0, widening=1.0)
    x = oracle.model.sample(3, torch.Generator().manual_seed(4))
    log_w = oracle.log_weights(x, 6, seeds=seeds.of_indices(0, torch.arange(3)))
    torch.testing.assert_close(log_w, oracle.model.log_prob(x).expand(6, -1), rtol=0, atol=1e-9)
