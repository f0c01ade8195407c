"""What a discriminator learns between two known laws, and what its certainty does to the generator's gradient."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from epslab import seeds
from epslab.evaluation.estimate import Estimate
from epslab.generative.gan import GAN, DiscriminatorObjective, generator_loss
from epslab.nets import PerceptronCritic
from epslab.probability.divergences import jensen_shannon
from epslab.types import Batch, PerExample, Progress

CENTRES, WIDTH = (-1.0, 1.0), 0.5  #: p: two normals in equal parts
SPREAD = 1.5  #: q = N(0, SPREAD²)
EDGE, POINTS = 4.0, 401  #: of the grid that D is shown on
_BATCH, _RATE = 512, 3e-3
_FRESH = 50_000  # pairs the trained discriminator is measured on


@dataclass(frozen=True, eq=False)
class Optimum:
    """A discriminator trained between p and q.

    Args:
        x: Where it is shown, [k].
        best: D* = p/(p + q), [k].
        learnt: What it says, [k].
        value: E log D(x) + E log(1 − D(G(z))) on fresh examples, nats.
        limit: 2·JSD(p‖q) − log 4, nats, by integration.
        error: Mean of |D − D*| over p and q in equal parts.
        steps: Steps of training.
    """

    x: Float[Tensor, " k"]
    best: Float[Tensor, " k"]
    learnt: Float[Tensor, " k"]
    value: Estimate
    limit: float
    error: float
    steps: int


@dataclass(frozen=True, eq=False)
class Saturation:
    """The generator's gradient under both losses while only the discriminator learns.

    Args:
        steps: The discriminator's steps so far.
        fooled: D(G(z)), mean over samples.
        saturating: Norm of the gradient of log(1 − D(G(z))) with respect to the generator's weights.
        saved: That of −log D(G(z)).
    """

    steps: tuple[int, ...]
    fooled: tuple[float, ...]
    saturating: tuple[float, ...]
    saved: tuple[float, ...]


class _Wide(nn.Module):
    """G(z) = SPREAD·z."""

    def forward(self, z: Float[Tensor, "n 1"]) -> Float[Tensor, "n 1"]:
        return SPREAD * z


def optimum(steps: int, seed: int) -> Optimum:
    """Train a perceptron between p and q for this number of steps, and compare it with what is known."""
    with seeds.seeded(seed, "discriminator"):
        gan = GAN(_Wide(), PerceptronCritic((1,), (64, 64)), latent_dim=1)
    objective, source = DiscriminatorObjective(gan), seeds.generator(seed, "laws")
    optimiser = torch.optim.Adam(gan.discriminator.parameters(), lr=_RATE)
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, max(1, steps))
    for step in range(steps):
        optimiser.zero_grad()
        torch.autograd.backward(objective(_real(_BATCH, source), _at(step))["loss"].mean())
        optimiser.step()
        schedule.step()
    x = torch.linspace(-EDGE, EDGE, POINTS)
    p, q = _densities(x.double())
    with torch.no_grad():
        learnt = gan.discriminator(x[:, None]).sigmoid()
        value = Estimate.of(-objective(_real(_FRESH, source), _at(steps))["loss"])
    best, weights = p / (p + q), (p + q) / (p + q).sum()
    return Optimum(
        x=x,
        best=best.float(),
        learnt=learnt,
        value=value,
        limit=limit(),
        error=float((weights * (learnt.double() - best).abs()).sum()),
        steps=steps,
    )


def limit() -> float:
    """2·JSD(p‖q) − log 4 in nats, by the trapezoidal rule, whose error for such laws is far below 1e-9."""
    x = torch.linspace(-12, 12, 4801, dtype=torch.float64)
    p, q = (density * (x[1] - x[0]) for density in _densities(x))
    return 2 * float(jensen_shannon(p / p.sum(), q / q.sum())) - math.log(4)


def saturation(
    gan: GAN, examples: Float[Tensor, "n *shape"], shown: Sequence[int], rate: float, seed: int
) -> Saturation:
    """Train the discriminator alone, and at some of its steps measure the generator's gradient under both losses.

    Args:
        gan: The model, untrained; its discriminator is trained.
        examples: The data, in random order.
        shown: The numbers of steps to measure at, rising.
        rate: Adam's learning rate.
        seed: Of the batches and the noise.
    """
    objective, source = DiscriminatorObjective(gan), seeds.generator(seed, "saturation")
    optimiser = torch.optim.Adam(gan.discriminator.parameters(), lr=rate, betas=(0.5, 0.999))
    rows = []
    for step in range(shown[-1] + 1):
        chosen = examples[torch.randint(len(examples), (64,), generator=source)]
        batch = Batch(chosen, torch.zeros(len(chosen), dtype=torch.int64), seeds.draw(len(chosen), source))
        if step in shown:
            rows.append((step, *_gradients(gan, batch)))
        optimiser.zero_grad()
        torch.autograd.backward(objective(batch, _at(step))["loss"].mean())
        optimiser.step()
    steps, fooled, saturating, saved = zip(*rows, strict=True)
    return Saturation(steps, fooled, saturating, saved)


def _gradients(gan: GAN, batch: Batch) -> tuple[float, float, float]:
    """D(G(z)), and the gradient's norm under the minimax and the non-saturating loss."""
    logits: PerExample = gan.discriminator(gan.fakes(batch.seeds, "generator"))
    weights = list(gan.generator.parameters())
    norms = []
    for kind in ("minimax", "non-saturating"):
        slopes = torch.autograd.grad(generator_loss(logits, kind).mean(), weights, retain_graph=True)
        norms.append(float(torch.cat([slope.flatten() for slope in slopes]).norm()))
    return float(logits.detach().sigmoid().mean()), norms[0], norms[1]


def _densities(x: Float[Tensor, " k"]) -> tuple[Float[Tensor, " k"], Float[Tensor, " k"]]:
    def normal(mean: float, std: float) -> Float[Tensor, " k"]:
        return torch.exp(-0.5 * ((x - mean) / std) ** 2) / (std * math.sqrt(2 * math.pi))

    return 0.5 * (normal(CENTRES[0], WIDTH) + normal(CENTRES[1], WIDTH)), normal(0.0, SPREAD)


def _real(n: int, source: torch.Generator) -> Batch:
    """Draws from p."""
    centre = torch.tensor(CENTRES)[torch.randint(2, (n,), generator=source)]
    x = centre + WIDTH * torch.randn(n, generator=source)
    return Batch(x[:, None], torch.zeros(n, dtype=torch.int64), seeds.draw(n, source))


def _at(step: int) -> Progress:
    return Progress(epoch=0, step=step, steps_per_epoch=1, epochs=1, training=True)
