"""Planar, radial and prior flows against calculus, and against a posterior that no normal fits."""

import math

import pytest
import torch
from torch import Tensor
from torch.autograd.functional import jacobian

from epslab import seeds
from epslab.data import PointSet
from epslab.errors import UserError
from epslab.evaluation.latents import evaluate_latents
from epslab.generative.flows.planar import planar
from epslab.generative.flows.posterior import FlowPosterior
from epslab.generative.flows.prior import FlowPrior
from epslab.generative.flows.radial import radial
from epslab.probability.bounds import importance_weighted
from epslab.studies import banana

G = 200  # parameter settings tried


def normal(*shape: int, scale: float = 1.0, name: str = "p") -> Tensor:
    return scale * torch.randn(*shape, generator=seeds.generator(0, name), dtype=torch.float64)


def parameters(kind: str, d: int) -> list[Tensor]:
    """Parameters far and near, also such that only the constraint keeps the flow invertible."""
    first = normal(G, d, scale=3.0, name="first")
    if kind == "planar":
        return [normal(G, d, scale=3.0, name="u"), first, normal(G, scale=2.0, name="b")]
    return [first, normal(G, name="alpha"), normal(G, scale=4.0, name="beta")]


@pytest.mark.parametrize("d", [1, 2, 5])
@pytest.mark.parametrize("flow", [planar, radial])
def test_the_log_determinant_is_that_of_the_jacobian_and_its_sign_is_plus(flow: object, d: int) -> None:
    """A determinant above 0 everywhere is what makes these flows invertible."""
    z, given = normal(G, d, scale=2.0, name="z"), parameters(flow.__name__, d)  # type: ignore[attr-defined]
    _, log_det = flow(z, *given)  # type: ignore[operator]
    for i in range(0, G, 5):
        own = [p[i] for p in given]
        matrix = jacobian(lambda one, own=own: flow(one, *own)[0], z[i])  # type: ignore[operator, misc]
        sign, exact = torch.linalg.slogdet(matrix)
        assert sign == 1
        torch.testing.assert_close(log_det[i], exact, rtol=1e-9, atol=1e-9)
    assert log_det.std() > 0.1


def test_a_flow_along_a_line_never_turns_back() -> None:
    """In one dimension invertible means rising: also with parameters that would fold it without the constraint."""
    line = torch.linspace(-20, 20, 4001, dtype=torch.float64)[:, None]
    for flow in (planar, radial):
        for i in range(40):
            z, _ = flow(line, *(p[i] for p in parameters(flow.__name__, 1)))
            assert (z[:, 0].diff() > 0).all()


@pytest.mark.parametrize("kind", ["planar", "radial"])
def test_a_posterior_flow_starts_as_the_normal_and_gives_its_own_density(kind: str) -> None:
    mean, log_std, own = normal(4, 3), normal(4, 3, scale=0.3, name="s"), torch.arange(4)
    posterior = FlowPosterior(3, kind, steps=5).double()
    z, log_q = posterior.draw(mean, log_std, 2, own, first=1)
    eps = torch.stack([seeds.noise(own, k, (3,), torch.float64) for k in (1, 2)])
    z_0 = mean + log_std.exp() * eps
    law = torch.distributions.Normal(mean, log_std.exp())
    torch.testing.assert_close(z, z_0, rtol=0, atol=1e-12)
    torch.testing.assert_close(log_q, law.log_prob(z_0).sum(-1), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(posterior.centre(mean, log_std), mean, rtol=0, atol=1e-12)
    with torch.no_grad():
        posterior.parameters_of.weight.add_(normal(*posterior.parameters_of.weight.shape, scale=0.5, name="w"))
        posterior.parameters_of.bias.add_(normal(*posterior.parameters_of.bias.shape, name="c"))
    z, log_q = posterior.draw(mean, log_std, 1, own)
    start = mean + log_std.exp() * seeds.noise(own, 0, (3,), torch.float64)
    for i in range(4):

        def whole(one: Tensor, i: int = i) -> Tensor:
            return posterior(one[None, None], mean[i : i + 1], log_std[i : i + 1])[0][0, 0]

        volume = torch.linalg.slogdet(jacobian(whole, start[i])).logabsdet
        torch.testing.assert_close(z[0, i], whole(start[i]))
        torch.testing.assert_close(log_q[0, i], law.log_prob(start)[i].sum() - volume, rtol=1e-8, atol=1e-8)
    assert (z[0] - start).abs().max() > 0.1


def test_flows_bend_to_a_banana_that_no_normal_fits() -> None:
    """log p(x) is known: every ELBO is below it, the planar flow's by less than a third of what the normal's is."""
    own, elbo = seeds.draw(10_000, seeds.generator(7, "elbo")), {}
    for kind, steps, updates in (("normal", 1, 100), ("planar", 6, 120), ("radial", 8, 150)):
        vae = banana.fitted(kind, steps, updates)
        with torch.no_grad():
            elbo[kind] = -vae.terms(banana.X.expand(len(own), -1), seeds=own).negative_elbo
    gap = {kind: banana.log_evidence() - values for kind, values in elbo.items()}
    assert all(values.mean() > -4 * values.std() / math.sqrt(len(own)) for values in gap.values())
    assert gap["planar"].mean() < gap["normal"].mean() / 3
    gain = gap["normal"] - gap["radial"]
    assert gain.mean() > 4 * gain.std() / math.sqrt(len(own))


def test_importance_weights_of_a_flow_average_to_the_evidence() -> None:
    """Weights p(x, z)/q(z given x) are right only if log q is that of the flow's own draws."""
    vae = banana.fitted("planar", updates=60)
    own = seeds.draw(20, seeds.generator(8, "iw"))
    with torch.no_grad():
        found = importance_weighted(vae, banana.X.expand(20, -1), 500, seeds=own)
    assert abs(found.mean() - banana.log_evidence()) < 4 * found.std() / math.sqrt(20) + 0.01


def test_a_flow_prior_is_a_density_that_starts_as_the_normal_and_is_drawn_from() -> None:
    prior = FlowPrior(2, steps=3, width=8).double()
    z = normal(5, 4, 2)
    start = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(-1)
    torch.testing.assert_close(prior.log_prob(z), start, rtol=1e-6, atol=1e-6)
    g = seeds.generator(9, "prior")
    with torch.no_grad():
        for parameter in prior.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=g, dtype=torch.float64))
        side = torch.linspace(-14, 14, 561, dtype=torch.float64)
        grid = torch.cartesian_prod(side, side)
        weight = prior.log_prob(grid).exp() * 0.05**2
        drawn = prior.place(torch.rand(20_000), normal(20_000, 2, name="eps"))
    assert weight.sum().item() == pytest.approx(1, abs=1e-6)
    exact = (grid * weight[:, None]).sum(0)
    assert ((drawn.mean(0) - exact).abs() < 4 * drawn.std(0) / math.sqrt(len(drawn))).all()
    assert prior.kl_per_dimension(drawn, drawn) is None


def test_what_cannot_work_is_refused() -> None:
    with pytest.raises(UserError, match="needs at least 2 of them, not 1"):
        FlowPrior(1)
    with pytest.raises(UserError, match="'planar' or 'radial', not 'spiral'"):
        FlowPosterior(2, "spiral")
    with pytest.raises(UserError, match="at least 1 step, not 0"):
        FlowPosterior(2, steps=0)
    vae = banana.fitted("radial", updates=0)
    with pytest.raises(UserError, match="of a posterior flow does not split into dimensions"):
        vae.kl_per_dimension(banana.X)
    with pytest.raises(UserError, match="this model's is a flow"):
        evaluate_latents(vae, PointSet(torch.zeros(2, 1)))
