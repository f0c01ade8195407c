"""What the theory of adversarial training knows in closed form: the best discriminator, the best critic, the losses."""

import math
from collections.abc import Callable

import pytest
import torch
from scipy import integrate, stats
from torch import Tensor, nn

from epslab import seeds
from epslab.errors import UserError
from epslab.generative.gan import (
    GAN,
    CriticObjective,
    DiscriminatorObjective,
    GeneratorObjective,
    WassersteinGAN,
    discriminator_loss,
    generator_loss,
    gradient_penalty,
)
from epslab.types import Batch, Progress

START = Progress(epoch=0, step=0, steps_per_epoch=1, epochs=1, training=True)


class Affine(nn.Module):
    """x = mean + std·z: the samples' law is known."""

    def __init__(self, mean: float, std: float) -> None:
        super().__init__()
        self.mean, self.std = (nn.Parameter(torch.tensor(value, dtype=torch.float64)) for value in (mean, std))

    def forward(self, z: Tensor) -> Tensor:
        return self.mean + self.std * z


class Quadratic(nn.Module):
    """l(x) = a + b·x + c·x²: what log p(x) − log q(x) is for two normals."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(3, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return features(x) @ self.weights


class Linear(nn.Module):
    """f(x) = w·x."""

    def __init__(self, *weights: float) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.tensor(weights, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) @ self.weights


def features(x: Tensor) -> Tensor:
    return torch.cat([torch.ones_like(x), x, x**2], dim=1)


def normal(n: int, mean: float, std: float) -> Batch:
    g = seeds.generator(0, "real")
    x = mean + std * torch.randn(n, 1, generator=g, dtype=torch.float64)
    return Batch(x, torch.zeros(n, dtype=torch.int64), seeds.draw(n, g))


def minimise(loss: Callable[[], Tensor], parameters: list[nn.Parameter]) -> None:
    """To the last digit: the losses here are convex."""
    optimiser = torch.optim.LBFGS(
        parameters, max_iter=500, tolerance_grad=1e-12, tolerance_change=1e-16, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        value = loss()
        value.backward()
        return value

    optimiser.step(closure)


def jensen_shannon(p: stats.rv_continuous, q: stats.rv_continuous) -> float:
    """By numerical integration of ½·p·log(p/m) + ½·q·log(q/m)."""

    def term(x: float) -> float:
        m = 0.5 * (p.pdf(x) + q.pdf(x))
        return 0.5 * sum(law.pdf(x) * math.log(law.pdf(x) / m) for law in (p, q) if law.pdf(x) > 0)

    return float(integrate.quad(term, -12, 14, limit=200)[0])


@pytest.mark.parametrize(("mean", "std"), [(1.0, 1.0), (0.5, 2.0), (0.0, 1.0)])
def test_the_trained_discriminator_is_p_over_p_plus_q(mean: float, std: float) -> None:
    """Goodfellow et al. (2014), proposition 1 and theorem 1: at D*, the game is worth 2·JSD − log 4."""
    n, real = 40_000, stats.norm(0, 1)
    gan, batch = GAN(Affine(mean, std), Quadratic(), latent_dim=1).double(), normal(40_000, 0.0, 1.0)
    objective = DiscriminatorObjective(gan)
    minimise(lambda: objective(batch, START)["loss"].mean(), list(gan.discriminator.parameters()))
    values = objective(batch, START)
    x = torch.linspace(-2, 3, 26, dtype=torch.float64)[:, None]
    exact = torch.tensor(real.logpdf(x[:, 0]) - stats.norm(mean, std).logpdf(x[:, 0]))
    # The estimate's own covariance: the inverse of the Fisher information of both samples.
    own = features(torch.cat([batch.examples, gan.fakes(batch.seeds, "discriminator").detach()]))
    d = gan.discriminator(own[:, 1:2]).detach().sigmoid()
    covariance = torch.linalg.inv(own.T @ (own * (d * (1 - d))[:, None]))
    error = (features(x) @ covariance * features(x)).sum(1).sqrt()
    assert error.max() < 0.15  # the test sees differences of D of a few hundredths
    assert ((gan.discriminator(x).detach() - exact).abs() < 4 * error).all()
    game = -values["loss"].detach()
    expected = 2 * jensen_shannon(real, stats.norm(mean, std)) - math.log(4)
    # Three fitted weights lift the value by 3/(2n) on average.
    assert abs(game.mean().item() - expected) < 4 * game.std().item() / n**0.5 + 4 * 3 / (2 * n)
    torch.testing.assert_close(values["jensen_shannon"], (game + math.log(4)) / 2)


def test_a_discriminator_that_cannot_tell_costs_log_4() -> None:
    gan = GAN(Affine(0.0, 1.0), Quadratic(), latent_dim=1).double()
    values = DiscriminatorObjective(gan)(normal(10, 0.0, 1.0), START)
    torch.testing.assert_close(values["loss"].detach(), torch.full((10,), math.log(4), dtype=torch.float64))
    assert (values["jensen_shannon"] == 0).all()
    assert (values["real"] == 0.5).all()
    assert (values["fake"] == 0.5).all()


def test_losses_take_logits_of_any_size() -> None:
    """No logarithm of a rounded sigmoid, and none of a raw logit."""
    logits = torch.tensor([-800.0, -40.0, -1.0, 0.0, 1.0, 40.0, 800.0], dtype=torch.float64)
    exact = [800.0, 40.0, math.log1p(math.e), math.log(2), math.log1p(1 / math.e), math.exp(-40), 0.0]
    expected = torch.tensor(exact, dtype=torch.float64)
    zero = torch.full_like(logits, -800.0)  # a sample that is surely not real costs the discriminator nothing
    close = {"rtol": 0.0, "atol": 1e-12}
    torch.testing.assert_close(discriminator_loss(logits, zero), expected, **close)
    torch.testing.assert_close(discriminator_loss(-zero, -logits), discriminator_loss(logits, zero), **close)
    torch.testing.assert_close(generator_loss(logits), discriminator_loss(logits, zero), **close)
    torch.testing.assert_close(generator_loss(-logits, "minimax"), -generator_loss(logits), **close)


def test_only_the_minimax_loss_saturates() -> None:
    """The slopes in l are −(1 − D) and −D: where D is near 0, the second is nothing (Goodfellow et al., section 3)."""
    logits = torch.linspace(-30, 30, 13, dtype=torch.float64).requires_grad_(True)
    d = logits.detach().sigmoid()
    (saved,) = torch.autograd.grad(generator_loss(logits).sum(), logits)
    (saturating,) = torch.autograd.grad(generator_loss(logits, "minimax").sum(), logits)
    torch.testing.assert_close(saved, -(1 - d), rtol=1e-9, atol=1e-15)
    torch.testing.assert_close(saturating, -d, rtol=1e-9, atol=1e-15)


def test_the_generator_meets_the_same_loss_in_training() -> None:
    gan, batch = GAN(Affine(2.0, 1.0), Quadratic(), latent_dim=1).double(), normal(8, 0.0, 1.0)
    torch.nn.init.normal_(gan.discriminator.weights, generator=seeds.generator(0, "weights"))  # type: ignore[arg-type]
    logits = gan.discriminator(gan.fakes(batch.seeds, "generator"))
    for kind in ("non-saturating", "minimax"):
        values = GeneratorObjective(gan, kind)(batch, START)
        torch.testing.assert_close(values["loss"], generator_loss(logits, kind))


def test_a_linear_critic_of_slope_1_has_no_penalty() -> None:
    g = seeds.generator(0, "penalty")
    real, fake = (torch.randn(6, 3, 4, 5, generator=g, dtype=torch.float64) for _ in range(2))
    slope = torch.randn(60, generator=g, dtype=torch.float64)
    slope /= slope.norm()
    for length in (1.0, 0.0, 3.0):
        values = gradient_penalty(lambda x, a=length: x.flatten(1) @ (a * slope), real, fake, g)  # type: ignore[misc]
        torch.testing.assert_close(values, torch.full_like(values, (length - 1) ** 2), rtol=0.0, atol=1e-14)


def test_the_penalty_is_of_each_example_at_one_point_between() -> None:
    """For f(x) = ½‖x‖² the gradient at x̂ is x̂ itself, so the penalty shows the point, and the norm, of each example.

    A norm over the whole batch, a mixing weight per pixel, or one for the whole batch would all give other values.
    """
    g = seeds.generator(0, "penalty")
    real, fake = (torch.randn(6, 2, 3, 3, generator=g, dtype=torch.float64) for _ in range(2))
    own = seeds.draw(6, g)
    u = seeds.uniform(own, 0, (), torch.float64)
    assert len(set(u.tolist())) == 6

    def critic(x: Tensor) -> Tensor:
        return 0.5 * x.flatten(1).square().sum(1)

    expected = [((a * x + (1 - a) * y).norm() - 1) ** 2 for a, x, y in zip(u, real, fake, strict=True)]
    values = gradient_penalty(critic, real, fake, seeds=own)
    torch.testing.assert_close(values, torch.stack(expected), rtol=1e-12, atol=0.0)
    torch.testing.assert_close(gradient_penalty(critic, real[2:3], fake[2:3], seeds=own[2:3]), values[2:3])
    with pytest.raises(UserError, match="as many generated as real"):
        gradient_penalty(critic, real, fake[:3])


def test_the_penalty_moves_the_critics_weights() -> None:
    """For f(x) = w·x the gradient of (‖w‖ − 1)² is 2·(‖w‖ − 1)·w/‖w‖."""
    critic = Linear(3.0, 4.0)
    points = torch.randn(5, 2, generator=seeds.generator(0, "points"), dtype=torch.float64)
    gradient_penalty(critic, points, points + 1).mean().backward()
    torch.testing.assert_close(critic.weights.grad, 2 * 4 * torch.tensor([0.6, 0.8], dtype=torch.float64))


@pytest.mark.parametrize("penalty", [1.0, 10.0, 1e4])
def test_the_critic_estimates_the_distance_of_shifted_normals(penalty: float) -> None:
    """N(0, 1) and N(−δ, 1) are δ apart. The penalty is soft, so that the best slope is 1 + δ/(2λ).

    The critic's gap is therefore δ·(1 + δ/(2λ)), which tends to δ as λ grows.
    """
    n, shift = 10_000, 1.5
    gan, batch = WassersteinGAN(Affine(-shift, 1.0), Linear(0.1), latent_dim=1).double(), normal(n, 0.0, 1.0)
    objective = CriticObjective(gan, penalty)
    minimise(lambda: objective(batch, START)["loss"].mean(), list(gan.critic.parameters()))
    gap = objective(batch, START)["wasserstein"].detach()
    means = (batch.examples - gan.fakes(batch.seeds, "critic").detach()).mean().item()
    assert gap.mean().item() == pytest.approx(means * (1 + means / (2 * penalty)), rel=1e-6)
    error = gap.std().item() / n**0.5 * (1 + shift / penalty)  # the slope varies with the sample, too
    assert abs(gap.mean().item() - shift * (1 + shift / (2 * penalty))) < 4 * error
