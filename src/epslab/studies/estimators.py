"""How three estimates of log p(x) miss it: on a linear-Gaussian model, where it is exact, and on the trained VAE."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from matplotlib.figure import Figure

from epslab import figures, recipes, seeds
from epslab.evaluation.estimate import Estimate
from epslab.evaluation.estimators import Elbo, Estimator, ImportanceWeighted, PriorMonteCarlo
from epslab.evaluation.likelihood import evaluate_likelihood
from epslab.probability.bounds import importance_weighted, prior_monte_carlo
from epslab.report import StudyResult, Table, number
from epslab.studies.context import Context
from epslab.studies.oracle import IMAGE_SHAPE, WithProposal, elbo_gap, information, linear_gaussian
from epslab.studies.spread import text

QUESTION = "By how much do prior Monte Carlo, the ELBO and importance weighting miss log p(x)?"

DIMENSIONS = (1, 2, 5, 10, 20, 50)
ELBO = "ELBO"


@dataclass(frozen=True)
class Budget:
    """How much each estimate may draw: L from the prior, and every K of importance weighting, in rising order."""

    prior: int
    importance: tuple[int, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The estimates in rising order of what they should find: prior, ELBO, importance weighting by K."""
        return f"prior, L={self.prior:,}", ELBO, *(f"IW, K={k:,}" for k in self.importance)


@dataclass(frozen=True)
class Trained:
    """The estimates of log p(x) under the trained VAE, by name."""

    latent_dim: int  #: D
    images: int  #: test images
    nats: Mapping[str, Estimate]  #: means per image
    above: Mapping[str, Estimate]  #: the same minus the ELBO, image by image
    bits: Mapping[str, Estimate]  #: in bits/dim


@dataclass(frozen=True)
class Found:
    """Estimates where log p(x) is known and where it is not."""

    budget: Budget  #: draws of each estimate
    images: int  #: images drawn from each linear-Gaussian model
    missed: Mapping[int, Mapping[str, Estimate]]  #: estimate minus exact log p(x) in nats, by D and the estimate's name
    trained: Trained  #: the estimates under the trained VAE


def measure(context: Context) -> Found:
    """Measure the misses against D, then the estimates on the trained VAE's test images."""
    images = context.pick(200, 1000)
    budget = context.pick(Budget(1000, (10, 100, 1000)), Budget(10_000, (10, 100, 1000, 5000)))
    oracles = {D: WithProposal(linear_gaussian(D, context.seed)) for D in DIMENSIONS}
    missed = {D: misses(oracle, images=images, budget=budget, seed=context.seed) for D, oracle in oracles.items()}
    return Found(budget, images, missed, _on_the_vae(budget, context))


def misses(oracle: WithProposal, *, images: int, budget: Budget, seed: int = 0) -> dict[str, Estimate]:
    """Estimate − log p(x) in nats, averaged over images drawn from the model itself, by the estimate's name."""
    x = oracle.model.sample(images, seeds.generator(seed, "oracle images", oracle.model.latent_dim))
    own = seeds.of_indices(seed, torch.arange(images), "estimators")
    estimates = [
        prior_monte_carlo(oracle, x, budget.prior, seeds=own),
        oracle.elbo(x),
        *(importance_weighted(oracle, x, k, seeds=own) for k in budget.importance),
    ]
    exact = oracle.model.log_prob(x)
    return {name: Estimate.of(value - exact) for name, value in zip(budget.names, estimates, strict=True)}


def _on_the_vae(budget: Budget, context: Context) -> Trained:
    run = context.train(context.recipe(), "vae", context.seeds[0])
    vae = recipes.load(run)
    test = recipes.splits(run, context.data_root).test.take(context.pick(100, 500), context.seed)
    prior, elbo, *weighted = budget.names
    estimators: dict[str, Estimator] = {prior: PriorMonteCarlo(budget.prior), elbo: Elbo(samples=10)}
    estimators |= {name: ImportanceWeighted(k) for name, k in zip(weighted, budget.importance, strict=True)}
    report = evaluate_likelihood(vae, test, estimators, seed=context.seed)
    values = report.per_example
    return Trained(
        latent_dim=vae.latent_dim,
        images=len(test),
        nats={name: report[name] for name in estimators},
        above={name: Estimate.of(values[name] - values[elbo]) for name in estimators},
        bits={name: report.bits_per_dim(name) for name in estimators},
    )


def tell(found: Found) -> StudyResult:
    """The misses at the largest D, then the three estimates on the VAE; whether they come in the expected order."""
    prior, elbo, *weighted = found.budget.names
    return StudyResult(
        name="estimators",
        question=QUESTION,
        answer=_answer(found),
        figures={
            "Estimate minus exact log p(x) on the linear-Gaussian model. One nat is a factor e in probability; bands"
            " are one standard error.": _errors(found, (prior, elbo, weighted[-1])),
            "The same without prior Monte Carlo, magnified: more draws bring the importance-weighted bound"
            " closer.": _errors(found, (elbo, *weighted)),
        },
        tables=(_table_of_misses(found), _table_of_the_vae(found)),
    )


def _answer(found: Found) -> str:
    budget, trained = found.budget, found.trained
    prior, elbo, *_, best = budget.names
    at, last = max(found.missed.items())
    lost = next((D for D, missed in found.missed.items() if missed[prior].mean < -1), None)
    onset = f"more than a nat from D={lost} on" if lost else "never more than a nat"
    known, unknown = (
        "holds" if by[prior].mean < by[elbo].mean < by[best].mean else "does not hold" for by in (last, trained.nats)
    )
    values = [text(trained.nats[name]) for name in (prior, elbo, best)]
    return (
        f"At D={at}, where log p(x) is known exactly, prior Monte Carlo with {budget.prior:,} draws misses it by"
        f" {text(last[prior])} nats ({onset}), the ELBO by {number(last[elbo].mean)} and importance weighting with"
        f" K={budget.importance[-1]:,} by {text(last[best])}. The order prior < ELBO < importance weighting {known}"
        f" there. On the trained VAE (D={trained.latent_dim}) the three give {values[0]}, {values[1]} and {values[2]}"
        f" nats per image: the order {unknown}."
    )


def _errors(found: Found, names: Sequence[str]) -> Figure:
    """The misses of these estimates against D."""
    missed = found.missed.values()
    return figures.errors(
        list(found.missed),
        {name: ([by[name].mean for by in missed], [by[name].standard_error for by in missed]) for name in names},
        x_label="latent dimensions D",
        y_label="estimate − log p(x), nats",
        exact="exact log p(x)",
    )


def _table_of_misses(found: Found) -> Table:
    prior, elbo, *weighted = found.budget.names
    astray = max(abs(missed[elbo].mean + elbo_gap(D)) for D, missed in found.missed.items())
    draws = found.budget.prior
    return Table(
        "Estimate − exact log p(x), nats, linear-Gaussian model",
        ("D", "nats to find", elbo, prior, *weighted),
        [
            (D, information(D), missed[elbo].mean, *(text(missed[name]) for name in (prior, *weighted)))
            for D, missed in found.missed.items()
        ],
        note=f"Mean ± standard error over {found.images:,} images of {math.prod(IMAGE_SHAPE)} pixels drawn from the"
        " model; IW is importance weighting. Nats to find: the mean KL from posterior to prior; prior Monte Carlo needs"
        f" about e to that power draws, and {draws:,} is e^{number(math.log(draws))}. The ELBO is exact: it misses by"
        " KL(q‖posterior), the same for every image (largest difference from that theory:"
        f" {number(astray)}). q is the posterior, moved by half a standard deviation and a quarter wider.",
    )


def _table_of_the_vae(found: Found) -> Table:
    trained = found.trained
    return Table(
        f"log p(x) of test images under the trained VAE, D={trained.latent_dim}",
        ("estimate", "nats per image", "above the ELBO", "bits/dim"),
        [
            (name, text(nats), "" if name == ELBO else text(trained.above[name]), text(trained.bits[name]))
            for name, nats in trained.nats.items()
        ],
        note=f"Mean ± standard error over {trained.images:,} test images; differences are taken image by image. The"
        " exact value is unknown here. On average each estimate lies below log p(x), so the highest is the nearest.",
    )
