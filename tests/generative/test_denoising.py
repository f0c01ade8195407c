"""The denoising autoencoder on normal data, where its mean, its score and its samples are known."""

import math

import pytest
import torch
from torch import Tensor, nn

from epslab import seeds
from epslab.errors import UserError
from epslab.generative.denoising import DenoisingAutoencoder, ladder
from epslab.generative.denoising_objective import DenoisingObjective
from epslab.nets import TimePerceptron
from epslab.types import Batch, Progress

PROGRESS = Progress(0, 0, 1, 1, True)
MU, S = 0.25, 0.5


class Nothing(nn.Module):
    """F = 0: r is then the best guess for N(mu, s² I)."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        return 0 * x * self.weight


def exact(d: int = 2, sigmas: tuple[float, ...] = (4.0, 1.0, 0.25), **options: float) -> DenoisingAutoencoder:
    """The model of N(mu, s² I) that nothing is left to learn for."""
    return DenoisingAutoencoder(Nothing(), (d,), sigmas, mean=MU, std=S, **options)  # type: ignore[arg-type]


def normal_batch(n: int, d: int, dtype: torch.dtype = torch.float64) -> Batch:
    x = MU + S * torch.randn(n, d, dtype=dtype, generator=seeds.generator(0, "x"))
    return Batch(x, torch.zeros(n).long(), torch.arange(n))


def test_the_score_of_normal_data_is_the_exact_one() -> None:
    """∇ log N(x; mu, s² + sigma²) = −(x − mu)/(s² + sigma²), and r = mu + s²/(s² + sigma²)·(x − mu)."""
    model = exact().double()
    x = 3 * torch.randn(5, 2, dtype=torch.float64, generator=seeds.generator(1, "x"))
    sigma = torch.tensor([4.0, 1.0, 0.25, 0.7, 2.0], dtype=torch.float64)
    total = (S**2 + sigma**2)[:, None]
    torch.testing.assert_close(model.score(x, sigma), -(x - MU) / total, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(model.denoise(x, sigma), MU + S**2 / total * (x - MU), rtol=1e-12, atol=1e-12)


def test_every_level_counts_alike() -> None:
    """The trap: narrow levels drowned by broad ones. Of the exact r the loss is d at every level, in expectation.

    Its score_error is d·s²/(s² + sigma²): what no denoiser can know.
    """
    d, n = 3, 40_000
    for sigma in (4.0, 1.0, 0.05):
        model = exact(d, (sigma, sigma * (1 - 1e-6))).double()
        values = DenoisingObjective(model)(normal_batch(n, d), PROGRESS)
        for found, expected in ((values["loss"], d), (values["score_error"], d * S**2 / (S**2 + sigma**2))):
            assert abs(float(found.mean().detach()) - expected) < 4 * float(found.std().detach()) / math.sqrt(n)


def test_levels_are_drawn_evenly_and_each_example_has_its_own() -> None:
    seen: list[Tensor] = []

    class Seeing(Nothing):
        def forward(self, x: Tensor, t: Tensor) -> Tensor:
            seen.append(t)
            return super().forward(x, t)

    model = DenoisingAutoencoder(Seeing(), (2,), ladder(8.0, 1.0, 4), mean=MU, std=S)
    n = 20_000
    DenoisingObjective(model)(normal_batch(n, 2, torch.float32), PROGRESS)
    shares = torch.stack([(seen[0].round() == t).double().mean() for t in (0, 333, 667, 1000)])
    assert ((shares - 0.25).abs() < 4 * math.sqrt(0.25 * 0.75 / n)).all()


def test_a_trained_net_learns_the_score_of_correlated_normal_data() -> None:
    """−(C + sigma² I)⁻¹·(x − mu), which the linear guess for one variance misses."""
    C = torch.tensor([[1.0, 0.7], [0.7, 0.6]])
    g = seeds.generator(0, "correlated")
    x = torch.randn(20_000, 2, generator=g) @ torch.linalg.cholesky(C).T
    with seeds.seeded(0, "net"):
        model = DenoisingAutoencoder(TimePerceptron(2, 32, 1), (2,), ladder(3.0, 0.1, 8), mean=0.0, std=0.9)
    objective, optimiser = DenoisingObjective(model), torch.optim.Adam(model.parameters(), 5e-3)
    steps = 300
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for step in range(steps):
        own = torch.arange(256) + 256 * step
        optimiser.zero_grad()
        batch = Batch(x[own % len(x)], torch.zeros(256).long(), own)
        objective(batch, PROGRESS)["loss"].mean().backward()
        optimiser.step()
        schedule.step()
    for sigma in (3.0, 1.0, 0.3):
        at = x[:2000] + sigma * torch.randn(2000, 2, generator=g)
        truth = -at @ torch.linalg.inv(C + sigma**2 * torch.eye(2))
        guess = -at / (0.9**2 + sigma**2)
        found = model.score(at, torch.full((2000,), sigma)).detach()
        missed = float((found - truth).square().mean() / truth.square().mean())
        assert missed < 0.04
        assert missed < float((guess - truth).square().mean() / truth.square().mean()) / 3


def test_samples_of_the_exact_model_have_the_variance_of_its_recursion() -> None:
    """Annealed Langevin on N(mu, s²), start, step and last denoising as they are stated."""
    step, steps, sigmas = 0.4, 7, (4.0, 1.0, 0.3)
    model = exact(1, sigmas, step=step, steps=steps)
    n = 40_000
    x = model.sample(n, seeds.generator(0, "samples"))
    v = S**2 + sigmas[0] ** 2
    for sigma in sigmas:
        h, total = step * sigma**2, S**2 + sigma**2
        for _ in range(steps):
            v = (1 - h / total) ** 2 * v + 2 * h
    v *= (S**2 / (S**2 + sigmas[-1] ** 2)) ** 2
    assert abs(float(x.var()) - v) < 4 * v * math.sqrt(2 / n)
    assert abs(float(x.mean()) - MU) < 4 * math.sqrt(v / n)


def test_a_walk_ends_in_the_samples() -> None:
    model = exact()
    stops = model.walk(seeds.draw(5, seeds.generator(0, "walk")), 3)
    assert len(stops) == 3
    assert torch.equal(stops[-1], model.sample(5, seeds.generator(0, "walk")))


def test_a_half_precision_model_computes_its_score_in_float32() -> None:
    """At a narrow level r and x agree in all 8 bits of a bfloat16: their difference would be 0."""
    model = exact(sigmas=(4.0, 1e-3)).bfloat16()
    x = torch.full((2, 2), 0.75, dtype=torch.bfloat16)
    found = model.score(x, torch.full((2,), 1e-3))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, torch.full((2, 2), -(0.75 - MU) / (S**2 + 1e-6)), rtol=1e-3, atol=0)
    assert model.sample(3).dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda: ladder(1.0, 1.0, 3), "`sigma_min=1` must be above 0 and below `sigma_max=1`"),
        (lambda: ladder(1.0, 0.1, 1), "`levels=` is 1"),
        (lambda: exact(sigmas=(1.0, 2.0)), "each below the last"),
        (lambda: exact(sigmas=(1.0,)), "2 levels or more"),
        (lambda: exact(step=2.0), "step=2.0"),
        (lambda: DenoisingAutoencoder(Nothing(), (2,), (1.0, 0.5), std=0.0), "std=0.0"),
        (lambda: exact().denoise(torch.zeros(1, 3), torch.ones(1)), "built for examples of shape 2, but was given 3"),
    ],
)
def test_what_cannot_work_is_refused(build, sentence: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UserError) as error:
        build()
    assert sentence in str(error.value)
