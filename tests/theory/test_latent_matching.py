"""Codes against their prior: the discrepancy's expectations in closed form, and models that bring it to 0."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from epslab import data, seeds
from epslab.errors import UserError
from epslab.generative import AdversarialAutoencoder, DeceivingObjective, JudgeObjective, MMDObjective
from epslab.generative.wasserstein_autoencoder import WassersteinAutoencoder
from epslab.probability.divergences import mmd, mmd_inverse_multiquadratic
from epslab.probability.normal_mmd import normal_mmd, normal_mmd_error
from epslab.recipes.adversarial_autoencoder.plan import plan
from epslab.recipes.adversarial_autoencoder.settings import AdversarialAutoencoderRecipe
from epslab.types import Batch, Progress

PROGRESS = Progress(0, 0, 1, 1, True)


def normals(samples: int, n: int, d: int, seed: int = 0) -> Tensor:
    return torch.randn(samples, n, d, dtype=torch.float64, generator=seeds.generator(seed, "normals"))


@pytest.mark.parametrize(("n", "d", "bandwidth"), [(2, 1, None), (20, 2, None), (20, 3, 0.7)])
def test_the_discrepancy_of_the_prior_itself_is_0_on_average_with_the_exact_spread(
    n: int, d: int, bandwidth: float | None
) -> None:
    """Biased estimates (a code paired with itself) are off by (1 − E k)/n, far beyond these errors."""
    found = torch.stack([normal_mmd(z, bandwidth) for z in normals(3000, n, d)])
    spread = normal_mmd_error(n, d, bandwidth)
    assert abs(found.mean()) <= 4 * spread / math.sqrt(3000)
    # The standard error of a variance, by the fourth moment.
    variances = (found - found.mean()).square()
    assert abs(variances.mean() - spread**2) <= 4 * variances.std() / math.sqrt(3000)


def test_the_discrepancy_from_shifted_codes_is_that_of_two_normals() -> None:
    """Of N(m, I) from N(0, I): 2·(h²/(h² + 2))^{D/2}·(1 − exp(−‖m‖²/(2(h² + 2)))) (Gretton et al., 2012)."""
    m, d, h2 = torch.tensor([1.0, -0.5], dtype=torch.float64), 2, 2.0
    exact = 2 * (h2 / (h2 + 2)) ** (d / 2) * (1 - math.exp(-float(m @ m) / (2 * (h2 + 2))))
    found = torch.stack([normal_mmd(z + m) for z in normals(400, 50, d)])
    assert abs(found.mean() - exact) <= 4 * found.std() / math.sqrt(400)


def test_a_sampled_prior_gives_the_same_discrepancy() -> None:
    z = normals(1, 40, 2)[0] * 0.5
    sampled = torch.stack([mmd(z, y, math.sqrt(2.0)) for y in normals(300, 200, 2, seed=1)])
    assert abs(sampled.mean() - normal_mmd(z)) <= 4 * sampled.std() / math.sqrt(300)


def test_the_inverse_multiquadratic_discrepancy_is_unbiased_and_tells_laws_apart() -> None:
    x, y = normals(2000, 5, 3), normals(2000, 7, 3, seed=1)
    scales = (0.6, 6.0)
    same = torch.stack([mmd_inverse_multiquadratic(a, b, scales) for a, b in zip(x, y, strict=True)])
    assert abs(same.mean()) <= 4 * same.std() / math.sqrt(2000)
    # Two points each: the sums written out. k(u) = c/(c + u²).
    a, b = torch.tensor([[0.0], [1.0]], dtype=torch.float64), torch.tensor([[3.0], [5.0]], dtype=torch.float64)
    k = {u: 2 / (2 + u**2) for u in (1, 2, 3, 4, 5)}
    assert mmd_inverse_multiquadratic(a, b, (2.0,)).item() == pytest.approx(
        k[1] + k[2] - 2 * (k[3] + k[5] + k[2] + k[4]) / 4, abs=1e-15
    )
    # Far apart, where a normal kernel has no slope left, this one has: samples are drawn together.
    slopes = []
    for discrepancy in (lambda far: mmd_inverse_multiquadratic(far, a, (2.0,)), lambda far: mmd(far, a, 1.0)):
        far = (a + 1e3).requires_grad_(True)
        discrepancy(far).backward()
        assert far.grad is not None
        slopes.append(float(far.grad.sum()))
    # The slope of −2·k(u) is 4·c·u/(c + u²)² at u ≈ 1000, averaged over the pairs and summed over the points.
    assert slopes[0] == pytest.approx(8e3 / 1e12, rel=0.01)
    assert abs(slopes[1]) < 1e-15


@pytest.mark.parametrize(
    "call",
    [
        lambda: normal_mmd(torch.zeros(1, 2)),
        lambda: normal_mmd_error(1, 2),
        lambda: normal_mmd(torch.zeros(3, 2), 0.0),
        lambda: mmd_inverse_multiquadratic(torch.zeros(3, 1), torch.zeros(3, 1), ()),
        lambda: mmd_inverse_multiquadratic(torch.zeros(3, 1), torch.zeros(3, 1), (1.0, -1.0)),
        lambda: mmd_inverse_multiquadratic(torch.zeros(1, 1), torch.zeros(3, 1), (1.0,)),
    ],
)
def test_what_has_no_discrepancy_is_refused(call: Any) -> None:
    with pytest.raises(UserError):
        call()


class Fixed(nn.Module):
    """z = w·x + b on the line."""

    def __init__(self, w: float, b: float) -> None:
        super().__init__()
        self.w, self.b = nn.Parameter(torch.tensor(w)), nn.Parameter(torch.tensor(b))

    def forward(self, x: Tensor) -> Tensor:
        return self.w * x + self.b


class Slope(nn.Module):
    """f(z) = a·z."""

    def __init__(self, a: float) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.tensor(a))

    def forward(self, z: Tensor) -> Tensor:
        return (self.a * z).squeeze(1)


def batch(n: int = 6) -> Batch:
    x = torch.linspace(-1, 1, n)[:, None]
    return Batch(x, torch.zeros(n, dtype=torch.int64), seeds.of_indices(0, torch.arange(n)))


def test_the_turns_are_the_papers_losses_to_the_digit() -> None:
    model = AdversarialAutoencoder(Fixed(2.0, 0.5), Fixed(0.4, 0.0), Slope(0.3), (1,), 1)
    b = batch()
    x, z, prior = b.examples, 2 * b.examples + 0.5, model.prior_draws(b.seeds)
    error = (x - 0.4 * z).square().squeeze(1)
    d_prior, d_code = (0.3 * prior).sigmoid().squeeze(1), (0.3 * z).sigmoid().squeeze(1)
    judged = JudgeObjective(model)(b, PROGRESS)
    torch.testing.assert_close(judged["loss"], -d_prior.log() - (1 - d_code).log())
    torch.testing.assert_close(judged["distance"], math.log(2) - judged["loss"].detach() / 2)
    deceiving = DeceivingObjective(model, weight=0.7)(b, PROGRESS)
    torch.testing.assert_close(deceiving["loss"], error - 0.7 * d_code.log())
    critic = JudgeObjective(model, "wasserstein", penalty=5.0)(b, PROGRESS)
    gap = (0.3 * (prior - z)).squeeze(1)
    torch.testing.assert_close(critic["loss"], 5 * torch.full((6,), 0.7**2) - gap)
    torch.testing.assert_close(critic["distance"], gap)
    encoder = DeceivingObjective(model, "wasserstein", weight=0.7)(b, PROGRESS)
    torch.testing.assert_close(encoder["loss"], error - 0.7 * (0.3 * z).squeeze(1))
    torch.testing.assert_close(encoder["squared_error"], error)


def test_the_judges_turn_gives_the_encoder_no_gradient() -> None:
    model = AdversarialAutoencoder(Fixed(2.0, 0.5), Fixed(0.4, 0.0), Slope(0.3), (1,), 1)
    for kind in ("jensen-shannon", "wasserstein"):
        JudgeObjective(model, kind)(batch(), PROGRESS)["loss"].sum().backward()  # type: ignore[arg-type]
        assert model.judge.a.grad is not None
        assert model.encoder.w.grad is None


def test_a_batch_of_one_has_no_discrepancy_but_an_error() -> None:
    model = WassersteinAutoencoder(Fixed(2.0, 0.5), Fixed(0.4, 0.0), (1,), 1)
    values = MMDObjective(model)(batch(1), PROGRESS)
    assert values["mmd"].item() == 0.0
    torch.testing.assert_close(values["loss"], values["squared_error"])
    many = MMDObjective(model, weight=3.0)(batch(6), PROGRESS)
    scales = [2.0 * s for s in (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)]
    expected = mmd_inverse_multiquadratic(model.encode(batch(6).examples), model.prior_draws(batch(6).seeds), scales)
    torch.testing.assert_close(many["loss"], many["squared_error"] + 3 * expected)


@pytest.mark.parametrize("matching", ["jensen-shannon", "mmd"])
def test_the_codes_of_a_trained_model_follow_the_prior(matching: Any) -> None:
    """Their discrepancy falls to what draws of the prior show; without the matching it stays far above."""
    images = data.load("digits")
    x, n = images.images, 64
    found = {}
    for weight in (0.0, None):
        settings = AdversarialAutoencoderRecipe(
            matching=matching, weight=weight, latent_dim=2, hidden=(64,), judge=(64,), schedule="cosine", epochs=1
        )
        made = plan(settings, images, 0)
        model: Any = made.model
        turns: Any = made.turns
        optimisers = {name: turn.optimiser(turn.parameters()) for name, turn in turns.items()}
        g = seeds.generator(0, "batches")
        for _ in range(400):
            drawn = torch.randint(len(x), (n,), generator=g)
            b = Batch(x[drawn], images.labels[drawn], seeds.draw(n, g))
            for name, turn in turns.items():
                model.zero_grad(set_to_none=True)
                turn.objective(b, PROGRESS)["loss"].mean().backward()
                optimisers[name].step()
        with torch.no_grad():
            z = model.encode(x)
        found[weight] = float(normal_mmd(z))
    # A judge and an encoder chase each other and are not at rest; the discrepancy itself can be brought to nothing.
    assert found[0.0] > 5 * found[None]
    if matching == "mmd":  # what it is brought down by: batches, of which those of the prior itself show as much
        assert found[None] < 2 * normal_mmd_error(n, 2), found
