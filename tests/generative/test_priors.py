"""Priors: densities that integrate, draws that follow them, divergences in closed form where there is one."""

import math

import pytest
import torch
from torch import nn

from epslab import seeds
from epslab.errors import UserError
from epslab.generative.priors import FixedMixture, MixturePrior, StandardNormal, VampPrior
from epslab.generative.vae import VAE
from epslab.nets import PerceptronDecoder, PerceptronEncoder
from epslab.probability.likelihoods import Bernoulli


def mixture() -> MixturePrior:
    prior = MixturePrior(3, 1).double().requires_grad_(False)
    with torch.no_grad():
        prior.logits.copy_(torch.tensor([0.0, 1.0, -0.5]))
        prior.mean.copy_(torch.tensor([[-3.0], [0.0], [2.0]]))
        prior.log_std.copy_(torch.tensor([[-1.0], [0.2], [-0.3]]))
    return prior


def test_a_mixture_integrates_to_one_and_agrees_with_torch() -> None:
    z = torch.linspace(-15, 15, 20_001, dtype=torch.float64).unsqueeze(1)
    log_p = mixture().log_prob(z)
    assert torch.trapezoid(log_p.exp(), z[:, 0]).item() == pytest.approx(1, abs=1e-9)
    parts = torch.distributions.Normal(mixture().mean[:, 0], mixture().log_std[:, 0].exp())
    weights = torch.distributions.Categorical(logits=mixture().logits)
    oracle = torch.distributions.MixtureSameFamily(weights, parts).log_prob(z[:, 0])
    torch.testing.assert_close(log_p, oracle, rtol=1e-12, atol=1e-12)


def test_draws_follow_the_mixture() -> None:
    prior, s = mixture(), seeds.draw(50_000, seeds.generator(0, "s"))
    z = prior.place(seeds.uniform(s, 0, (), torch.float64), seeds.noise(s, 0, (1,), torch.float64))[:, 0]
    w, mu, sigma = prior.logits.softmax(0), prior.mean[:, 0], prior.log_std.exp()[:, 0]
    mean = (w * mu).sum()
    variance = (w * (sigma**2 + mu**2)).sum() - mean**2
    assert abs(z.mean() - mean) < 4 * math.sqrt(variance / len(z))
    fourth = ((z - mean) ** 4).mean()
    assert abs(z.var() - variance) < 4 * math.sqrt((fourth - variance**2) / len(z))


def test_standard_normal_is_the_noise_itself_with_the_textbook_kl() -> None:
    eps = torch.randn(4, 2, dtype=torch.float64)
    assert torch.equal(StandardNormal().place(torch.rand(4), eps), eps)
    mean, log_std = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    torch.testing.assert_close(
        StandardNormal().kl_per_dimension(mean.double(), log_std.double()),
        torch.tensor([[2.0, (math.e**2 - 3) / 2]], dtype=torch.float64),
    )


def test_one_component_has_a_closed_form_and_several_have_none() -> None:
    g = seeds.generator(1, "closed form")
    prior, mean, log_std = MixturePrior(1, 2, g).double(), *torch.randn(2, 5, 2, generator=g).double()
    with torch.no_grad():
        prior.log_std.copy_(torch.tensor([[0.8, -1.3]]))  # neither 0, where sigma and sigma² agree
    q = torch.distributions.Normal(mean, log_std.exp())
    p = torch.distributions.Normal(prior.mean[0], prior.log_std[0].exp())
    kl = prior.kl_per_dimension(mean, log_std)
    assert kl is not None
    torch.testing.assert_close(kl, torch.distributions.kl_divergence(q, p), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(prior.fixed().kl_per_dimension(mean, log_std), kl)
    assert mixture().kl_per_dimension(mean[:, :1], log_std[:, :1]) is None


def test_a_uniform_number_of_zero_chooses_no_component_of_weight_zero() -> None:
    prior = FixedMixture(torch.tensor([0.0, 1.0, 0.0]).log(), torch.tensor([[1.0], [2.0], [3.0]]), torch.zeros(3, 1))
    z = prior.place(torch.tensor([0.0, 0.5, 1 - 2.0**-24]), torch.zeros(3, 1))
    assert z.flatten().tolist() == [2.0, 2.0, 2.0]


def test_a_fixed_vampprior_keeps_the_encoders_answer_and_its_gradient() -> None:
    encoder = PerceptronEncoder((1, 4, 4), 2, (8,))
    prior = VampPrior(encoder, 5, (1, 4, 4))
    z = torch.randn(7, 2, generator=seeds.generator(0, "z"))
    fixed = prior.fixed()
    torch.testing.assert_close(fixed.log_prob(z), prior.log_prob(z))
    (gradient,) = torch.autograd.grad(fixed.log_prob(z).sum(), prior.logit_inputs)
    torch.testing.assert_close(gradient, torch.autograd.grad(prior.log_prob(z).sum(), prior.logit_inputs)[0])


class Regularised(nn.Module):
    """An encoder with BatchNorm and dropout, which notes its mode."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.dropout = nn.BatchNorm2d(1), nn.Dropout(0.5)
        self.body = PerceptronEncoder((1, 4, 4), 2, (8,))
        self.modes: list[bool] = []

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        self.modes.append(self.training)
        mean, log_std = self.body(self.dropout(self.norm(x)))
        return mean, log_std


@pytest.mark.parametrize("training", [True, False])
def test_vampprior_asks_the_encoder_in_eval_mode_and_gives_its_mode_back(training: bool) -> None:
    encoder = Regularised().train(training)
    encoder.dropout.train(not training)
    prior = VampPrior(encoder, 5, (1, 4, 4))
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    values = [prior.log_prob(torch.zeros(1, 2)) for _ in range(2)]
    assert torch.equal(*values)  # no dropout
    assert encoder.modes == [False, False]
    assert (encoder.training, encoder.norm.training, encoder.dropout.training) == (training, training, not training)
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())


def test_mixtures_in_half_precision_have_the_density_of_their_rounded_components() -> None:
    prior = mixture().bfloat16()
    z = torch.linspace(-5, 5, 50).unsqueeze(1)
    exact = FixedMixture(*(part.double() for part in (prior.logits.double().log_softmax(0), prior.mean, prior.log_std)))
    found = prior.log_prob(z.bfloat16())
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), exact.log_prob(z.bfloat16().double()), rtol=1e-5, atol=1e-4)


def test_vampprior_is_the_mixture_of_posteriors_at_its_pseudo_inputs() -> None:
    encoder = PerceptronEncoder((1, 4, 4), 2, (8,)).double()
    prior = VampPrior(encoder, 5, (1, 4, 4)).double()
    mean, log_std = encoder(prior.logit_inputs.sigmoid())
    z = torch.randn(7, 2, dtype=torch.float64)
    parts = torch.distributions.Independent(torch.distributions.Normal(mean, log_std.exp()), 1)
    weights = torch.distributions.Categorical(logits=torch.zeros(5, dtype=torch.float64))
    oracle = torch.distributions.MixtureSameFamily(weights, parts).log_prob(z)
    torch.testing.assert_close(prior.log_prob(z), oracle, rtol=1e-12, atol=1e-12)


def test_vampprior_shares_the_encoder_without_saving_it_twice() -> None:
    encoder = PerceptronEncoder((1, 4, 4), 2, (8,))
    vae = VAE(encoder, PerceptronDecoder((1, 4, 4), 2, (8,)), Bernoulli(), VampPrior(encoder, 5, (1, 4, 4)))
    own = {name for name in vae.state_dict() if name.startswith("prior.")}
    assert own == {"prior.logit_inputs"}
    vae.terms(torch.rand(3, 1, 4, 4)).negative_elbo.mean().backward()
    assert vae.prior.logit_inputs.grad.abs().sum() > 0  # type: ignore[union-attr, attr-defined]


@pytest.mark.parametrize("components", [0, -1])
def test_no_components_are_refused(components: int) -> None:
    with pytest.raises(UserError, match="at least 1 component"):
        MixturePrior(components, 2)
    with pytest.raises(UserError, match="at least 1 pseudo-input"):
        VampPrior(PerceptronEncoder((1, 4, 4), 2), components, (1, 4, 4))
