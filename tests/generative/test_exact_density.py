"""The density of a diffusion model in the units of its examples, with the exact predictor of normal data for a net."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch import distributions as D

from epslab import seeds
from epslab.errors import UserError
from epslab.generative.diffusion import Diffusion, log_density, log_probability
from epslab.nets import TimePerceptron
from epslab.probability.schedules import cosine, linear

MEAN, STD = 0.2, 0.5  # of x_0 as the net sees it


def exact(kind: str) -> Callable[[Tensor, Tensor], Tensor]:
    """The prediction for N(MEAN, STD²) at any time of cosine(50), also between the whole ones, or of a flow."""
    log_sigma = cosine(50).sigma.log()

    def predict(x_t: Tensor, t: Tensor) -> Tensor:
        if kind == "flow":
            sigma = t / 1000 / (1 - t / 1000).clamp(min=1e-12)
            signal = 1 / (1 + sigma)
        else:
            below = t.floor().clamp(max=48).long()
            sigma = torch.lerp(log_sigma[below], log_sigma[below + 1], t.double() - below).exp()
            signal = 1 / (1 + sigma**2).sqrt()
        sigma, signal = (v.to(x_t).view(-1, *[1] * (x_t.ndim - 1)) for v in (sigma, signal))
        x = x_t / signal
        x_0 = (STD**2 * x + sigma**2 * MEAN) / (STD**2 + sigma**2)
        eps = (x - x_0) / sigma.clamp(min=1e-12)
        if kind == "flow":
            at = sigma / (1 + sigma)
            slope = (at - (1 - at) * STD**2) / ((1 - at) ** 2 * STD**2 + at**2)
            return slope * (x_t - (1 - at) * MEAN) - MEAN
        return {"noise": eps, "v": signal * (eps - sigma * x_0), "image": x_0}[kind]

    return predict


def model(kind: str, *shape: int) -> Diffusion:
    return Diffusion(exact(kind), cosine(50), shape, predicts=kind, levels=16).double()  # type: ignore[arg-type]


def law(kind: str, centre: float, scale: float) -> D.Normal:
    """Of one number, in the units of the examples: x_0, or with the schedule's smallest noise on."""
    if kind == "flow":
        return D.Normal(centre + scale * MEAN, scale * STD)
    low, high = (cosine(50).sigma[i].item() for i in (0, -1))
    ratio = math.sqrt((STD**2 + low**2) / (STD**2 + high**2))
    return D.Normal(centre + scale * MEAN * (1 - ratio), scale * ratio * math.sqrt(1 + high**2))


@pytest.mark.parametrize("kind", ["noise", "v", "flow"])
def test_the_density_of_points_and_images_is_that_of_the_law(kind: str) -> None:
    points = model(kind, 2)
    points.standardise(torch.tensor([[10.0, 10.0], [14.0, 14.0]], dtype=torch.float64))
    x = torch.tensor([[12.5, 11.0], [9.0, 16.0]], dtype=torch.float64)
    found = log_density(points, x, tolerance=1e-4)
    torch.testing.assert_close(found.log_prob, law(kind, 12.0, 2.0).log_prob(x).sum(1), rtol=0.0, atol=5e-3)
    images = torch.rand(3, 1, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = log_density(model(kind, 1, 2, 2), images, probes=1, tolerance=1e-4)  # a diagonal Jacobian: no spread
    expected = law(kind, 0.5, 0.5).log_prob(images).flatten(1).sum(1)
    torch.testing.assert_close(found.log_prob, expected, rtol=0.0, atol=5e-3)


def test_the_bound_on_grey_levels_is_the_mean_over_dequantised_images() -> None:
    """By quadrature over u, and below the probability of the level itself."""
    levels, n = 16, 400
    image = torch.full((1, 1, 1, 1), 0.6, dtype=torch.float64)  # level 9 of 0..15
    own = seeds.draw(n, seeds.generator(0, "levels"))
    found = log_probability(model("flow", 1, 1, 1), image.expand(n, 1, 1, 1), tolerance=1e-5, seeds=own).log_prob
    one = law("flow", 0.5, 0.5)
    u = torch.linspace(-0.5, 0.5, 2001, dtype=torch.float64)
    exact = one.log_prob((9 + u) / 15).mean() - math.log(levels - 1)
    assert abs(found.mean() - exact) < 4 * found.std() / math.sqrt(n) + 1e-4
    mass = (one.cdf(torch.tensor(9.5 / 15)) - one.cdf(torch.tensor(8.5 / 15))).log()
    assert exact < mass


def test_a_density_leaves_the_model_as_it_was_and_follows_from_the_seeds() -> None:
    with seeds.seeded(0, "net"):
        trained = Diffusion(TimePerceptron(2, hidden=8), linear(20), (2,), predicts="v").double().train()
    torch.nn.init.normal_(trained.net.end.weight, generator=seeds.generator(0, "weights"))  # type: ignore[union-attr]
    x, own = torch.randn(4, 2, generator=seeds.generator(0, "x"), dtype=torch.float64), torch.arange(4)
    found = log_density(trained, x, probes=2, tolerance=1e-2, seeds=own)
    assert trained.training
    assert all(p.requires_grad and p.grad is None for p in trained.parameters())
    assert not found.log_prob.requires_grad
    assert found.log_prob.isfinite().all()
    alone = log_density(trained, x[2:], probes=2, tolerance=1e-2, seeds=own[2:])
    torch.testing.assert_close(alone.log_prob, found.log_prob[2:], rtol=1e-8, atol=1e-8)


def test_points_have_no_grey_levels() -> None:
    with pytest.raises(UserError, match="Points have no grey levels"):
        log_probability(model("flow", 2), torch.rand(2, 1, 1, 1))
    with pytest.raises(UserError, match="was built for examples of shape"):
        log_density(model("flow", 2), torch.rand(2, 3))
