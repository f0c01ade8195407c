"""How noisy the two estimators of the ELBO's gradient are, where the exact gradient is known.

Each estimate averages the same number of draws z from q = N(mu, diag sigma²) of f(z) = log p(x, z) + H(q). The
reparameterised one differentiates f at z = mu + sigma·eps (Kingma & Welling, 2014); the score-function one weighs
∇ log q(z) by f (Williams, 1992), with or without the mean of the other draws taken off (Mnih & Rezende, 2016).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from matplotlib.figure import Figure
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
LIMIT = 4  #: standard errors that only a bias makes likely
ESTIMATORS = ("reparameterised", "leave-one-out", "score function")
PARAMETERS = {"variance_mean": "the mean", "variance_log_std": "the log standard deviation"}


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
    """Independent estimates of the gradient, each from ``DRAWS`` draws."""
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
    """Measure one estimator with D latent dimensions, at one image drawn from the model."""
    model = linear_gaussian(latent_dim, seed)
    image = model.sample(1, seeds.generator(seed, "reparameterisation image", latent_dim))
    found, truth = estimates(model, image, estimator, repeats, seed), exact(model, image)
    errors = torch.cat(
        [(part.mean(0) - true[0]) / part.std(0) * math.sqrt(repeats) for part, true in zip(found, truth, strict=True)]
    )
    return Quality(found.mean.var(0).mean().item(), found.log_std.var(0).mean().item(), errors.abs().max().item())


@dataclass(frozen=True)
class Found:
    """How many estimates were made, and how good each estimator was at each of ``DIMENSIONS``."""

    repeats: int
    quality: Mapping[str, tuple[Quality, ...]]

    def ratios(self, estimator: str) -> list[float]:
        """Its variance for the mean, as a multiple of the reparameterised one, at each D."""
        ours = self.quality[ESTIMATORS[0]]
        return [q.variance_mean / r.variance_mean for q, r in zip(self.quality[estimator], ours, strict=True)]


def measure(context: Context) -> Found:
    """Measure the three estimators against D."""
    repeats = context.pick(2000, 20_000)
    quality_of = {name: tuple(quality(D, name, repeats, context.seed) for D in DIMENSIONS) for name in ESTIMATORS}
    return Found(repeats, quality_of)


def tell(found: Found) -> StudyResult:
    """How much noisier the score function is, and that nothing is biased."""
    meaning = (
        f"Variance of one coordinate, averaged over the D coordinates, from {found.repeats:,} estimates. A multiple"
        " says how many times as many draws that estimator needs for the same noise."
    )
    return StudyResult(
        name="reparameterisation",
        question=QUESTION,
        answer=_answer(found),
        figures={
            f"Variance of one coordinate of the ELBO's gradient with respect to {name}, {DRAWS} draws per estimate;"
            " note the logarithmic scale.": _variances(found, field)
            for field, name in PARAMETERS.items()
        },
        tables=(*(_table(found, field, meaning) for field in PARAMETERS), _table_of_biases(found)),
    )


def _answer(found: Found) -> str:
    baseline, score = (found.ratios(name) for name in ESTIMATORS[1:])
    coordinates = len(ESTIMATORS) * sum(2 * D for D in DIMENSIONS)
    furthest = max(quality.bias for own in found.quality.values() for quality in own)
    return (
        f"With {DRAWS} draws per estimate, the score-function gradient for the mean has {number(score[0])} times the"
        f" variance of the reparameterised one at D=1 and {number(score[-1])} times at D={DIMENSIONS[-1]}; a"
        f" leave-one-out baseline reduces that to {number(baseline[-1])} times. The ratio"
        f" {'grows' if score[-1] > score[0] else 'does not grow'} with D. Of {coordinates:,} averaged coordinates the"
        f" furthest is {number(furthest)} standard errors from the exact gradient:"
        f" {'one of the estimators is' if furthest >= LIMIT else 'no estimator is'} biased."
    )


def _variances(found: Found, field: str) -> Figure:
    return figures.lines(
        DIMENSIONS,
        {name: [getattr(quality, field) for quality in found.quality[name]] for name in ESTIMATORS},
        x_label="latent dimensions D",
        y_label="variance, nats²",
        log_y=True,
    )


def _table(found: Found, field: str, note: str) -> Table:
    variances = [[getattr(found.quality[name][i], field) for name in ESTIMATORS] for i in range(len(DIMENSIONS))]
    return Table(
        f"Gradient with respect to {PARAMETERS[field]}: variance, nats², and the others as multiples of it",
        ("D", *ESTIMATORS),
        [
            (D, first, *(other / first for other in others))
            for D, (first, *others) in zip(DIMENSIONS, variances, strict=True)
        ],
        note=note,
    )


def _table_of_biases(found: Found) -> Table:
    return Table(
        "Largest distance of the averaged gradient from the exact one, standard errors",
        ("D", "coordinates", *ESTIMATORS),
        [(D, 2 * D, *(found.quality[name][i].bias for name in ESTIMATORS)) for i, D in enumerate(DIMENSIONS)],
        note=f"The largest of n standard normal numbers is about √(2 ln n); {LIMIT} would be a bias.",
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
