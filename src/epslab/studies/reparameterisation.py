"""How noisy the two estimators of the ELBO's gradient are, where the exact gradient is known.

Each estimate averages the same number of draws z from q = N(mu, diag sigma²) of f(z) = log p(x, z) + H(q). The
reparameterised one differentiates f at z = mu + sigma·eps (Kingma & Welling, 2014); the score-function one weighs
∇ log q(z) by f (Williams, 1992), with or without the mean of the other draws taken off (Mnih & Rezende, 2016).
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from epslab import figures, seeds
from epslab.generative.linear_gaussian import Gaussian, LinearGaussian
from epslab.probability.densities import log_normal, log_standard_normal
from epslab.probability.gradients import score_function
from epslab.report import StudyResult, Table, number
from epslab.studies.context import Context
from epslab.studies.oracle import SHIFT, WIDENING, linear_gaussian

QUESTION = "How much less noisy is the reparameterised gradient than the score-function estimate?"

DIMENSIONS = (1, 2, 5, 10, 20, 50)
DRAWS = 4  #: in each estimate
ESTIMATORS = ("reparameterised", "leave-one-out", "score function")


class Gradients(NamedTuple):
    """Estimates of the ELBO's gradient, one a row, or the exact one in a single row."""

    mean: Float[Tensor, "repeats d"]  #: with respect to mu
    log_std: Float[Tensor, "repeats d"]  #: with respect to log sigma


class Quality(NamedTuple):
    """How good an estimator is; variances are averaged over coordinates."""

    variance_mean: float  #: of one coordinate of the gradient with respect to mu, nats²
    variance_log_std: float  #: with respect to log sigma
    bias: float  #: the largest over coordinates of |mean − exact|, in standard errors


def proposal(model: LinearGaussian, image: Float[Tensor, "1 *shape"]) -> tuple[Tensor, Tensor]:
    """Mu and log sigma of q, each [1 D]: the posterior moved by half a standard deviation, a quarter wider."""
    mean, log_std = model.encode(image)
    return mean + SHIFT * log_std.exp(), log_std + math.log(WIDENING)


def exact(model: LinearGaussian, image: Float[Tensor, "1 *shape"]) -> Gradients:
    """The gradient of the exact ELBO at q."""
    mu, log_sigma = (parameter.requires_grad_() for parameter in proposal(model, image))
    elbo = model.elbo(image, Gaussian(mu, (2 * log_sigma[0]).exp().diag()))
    return Gradients(*torch.autograd.grad(elbo.sum(), (mu, log_sigma)))


def estimates(
    model: LinearGaussian, image: Float[Tensor, "1 *shape"], estimator: str, repeats: int, seed: int = 0
) -> Gradients:
    """So many independent estimates of the gradient, each from ``DRAWS`` draws."""
    mu, log_sigma = (p.expand(repeats, -1).clone().requires_grad_() for p in proposal(model, image))
    generator = seeds.generator(seed, "reparameterisation", estimator)
    eps = torch.randn(DRAWS, *mu.shape, generator=generator, dtype=mu.dtype)
    z = mu + log_sigma.exp() * eps
    if estimator == "reparameterised":
        objective = (_log_joint(model, image, z) + _entropy(log_sigma)).mean(0)
    else:
        z = z.detach()
        objective = score_function(
            _log_joint(model, image, z) + _entropy(log_sigma),
            log_normal(z, mu, log_sigma),
            leave_one_out=estimator == "leave-one-out",
        )
    return Gradients(*torch.autograd.grad(objective.sum(), (mu, log_sigma)))


def quality(latent_dim: int, estimator: str, repeats: int, seed: int = 0) -> Quality:
    """Measure one estimator in so many latent dimensions, at one image drawn from the model."""
    model = linear_gaussian(latent_dim, seed)
    image = model.sample(1, seeds.generator(seed, "reparameterisation image", latent_dim))
    found, truth = estimates(model, image, estimator, repeats, seed), exact(model, image)
    errors = torch.cat(
        [(part.mean(0) - true[0]) / part.std(0) * math.sqrt(repeats) for part, true in zip(found, truth, strict=True)]
    )
    return Quality(found.mean.var(0).mean().item(), found.log_std.var(0).mean().item(), errors.abs().max().item())


def run(context: Context) -> StudyResult:
    """Measure the three estimators against D."""
    repeats = context.pick(2000, 20_000)
    found = {name: [quality(D, name, repeats, context.seed) for D in DIMENSIONS] for name in ESTIMATORS}
    ours, baseline, score = (found[name] for name in ESTIMATORS)
    furthest = max(q.bias for qualities in found.values() for q in qualities)
    coordinates = len(ESTIMATORS) * sum(2 * D for D in DIMENSIONS)
    ratio = [s.variance_mean / r.variance_mean for s, r in zip(score, ours, strict=True)]
    ratio_baseline = [b.variance_mean / r.variance_mean for b, r in zip(baseline, ours, strict=True)]
    grows = "grows" if ratio[-1] > ratio[0] else "does not grow"
    verdict = "no estimator is biased" if furthest < 4 else "one of the estimators is biased"
    return StudyResult(
        name="reparameterisation",
        question=QUESTION,
        answer=(
            f"With {DRAWS} draws an estimate, the score-function gradient for the mean has {number(ratio[0])} times the"
            f" variance of the reparameterised one at D=1 and {number(ratio[-1])} times at D={DIMENSIONS[-1]}; a"
            f" leave-one-out baseline brings that down to {number(ratio_baseline[-1])} times. The ratio {grows} with D."
            f" Of {coordinates:,} averaged coordinates the furthest lies {furthest:.1f} standard errors from the exact"
            f" gradient: {verdict}."
        ),
        figures={
            f"Variance of one coordinate of the ELBO's gradient with respect to {name}, {DRAWS} draws an estimate; note"
            " the logarithmic scale.": figures.lines(
                DIMENSIONS,
                {estimator: [getattr(q, field) for q in qualities] for estimator, qualities in found.items()},
                x_label="latent dimensions D",
                y_label="variance, nats²",
                log_y=True,
            )
            for field, name in (("variance_mean", "the mean"), ("variance_log_std", "the log standard deviation"))
        },
        tables=(
            *(
                Table(
                    f"Gradient with respect to {name}: variance, nats², and the others' multiples of it",
                    ("D", *ESTIMATORS),
                    [
                        (D, *_multiples([getattr(found[n][i], field) for n in ESTIMATORS]))
                        for i, D in enumerate(DIMENSIONS)
                    ],
                    note=note,
                )
                for field, name, note in (
                    ("variance_mean", "the mean", ""),
                    (
                        "variance_log_std",
                        "the log standard deviation",
                        f"Variance of one coordinate, averaged over the D coordinates, from {repeats:,} estimates. A"
                        " multiple says how many times more draws that estimator needs for the same noise.",
                    ),
                )
            ),
            Table(
                "Largest distance of the averaged gradient from the exact one, standard errors",
                ("D", "coordinates", *ESTIMATORS),
                [(D, 2 * D, *(found[name][i].bias for name in ESTIMATORS)) for i, D in enumerate(DIMENSIONS)],
                note="The largest of so many standard normal numbers is about √(2 ln coordinates); 4 would be a bias.",
            ),
        ),
    )


def _log_joint(
    model: LinearGaussian, image: Float[Tensor, "1 *shape"], z: Float[Tensor, "samples n d"]
) -> Float[Tensor, "samples n"]:
    """Log p(x, z)."""
    means = model.decode(z.flatten(0, 1)).reshape(*z.shape[:2], -1)
    return log_normal(image.flatten(), means, 0.5 * model.variance.log()) + log_standard_normal(z)


def _entropy(log_sigma: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
    """H(N(mu, diag sigma²)) = Σ log sigma + ½ log 2πe."""
    return (log_sigma + 0.5 * math.log(2 * math.pi * math.e)).sum(1)


def _multiples(variances: Sequence[float]) -> tuple[float, ...]:
    """The first variance, and the others as multiples of it."""
    first, *others = variances
    return (first, *(other / first for other in others))
