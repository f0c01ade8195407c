"""How three estimates of log p(x) miss it: on a linear-Gaussian model, where it is exact, and on the trained VAE."""

import math
from collections.abc import Mapping, Sequence

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


def misses(
    oracle: WithProposal, *, images: int, prior_draws: int, importance: tuple[int, ...], seed: int = 0
) -> dict[str, Estimate]:
    """Estimate − log p(x) in nats, averaged over images drawn from the model itself, by the estimate's name."""
    x = oracle.model.sample(images, seeds.generator(seed, "oracle images", oracle.model.latent_dim))
    own = seeds.of_indices(seed, torch.arange(images), "estimators")
    estimates = {f"prior, L={prior_draws:,}": prior_monte_carlo(oracle, x, prior_draws, seeds=own)}
    estimates["ELBO"] = oracle.elbo(x)
    for k in importance:
        estimates[f"IW, K={k:,}"] = importance_weighted(oracle, x, k, seeds=own)
    exact = oracle.model.log_prob(x)
    return {name: Estimate.of(estimate - exact) for name, estimate in estimates.items()}


def run(context: Context) -> StudyResult:
    """Measure the misses against D, then the estimates on the trained VAE's test images."""
    images, draws, importance = context.pick((200, 1000, (10, 100, 1000)), (1000, 10_000, (10, 100, 1000, 5000)))
    missed = {
        D: misses(
            WithProposal(linear_gaussian(D, context.seed)),
            images=images,
            prior_draws=draws,
            importance=importance,
            seed=context.seed,
        )
        for D in DIMENSIONS
    }
    prior, elbo, *weighted = tuple(missed[1])
    best = weighted[-1]
    last = missed[DIMENSIONS[-1]]
    lost = next((D for D in DIMENSIONS if missed[D][prior].mean < -1), None)
    onset = f"more than a nat from D={lost} on" if lost else "never more than a nat"
    ordered = last[prior].mean < last[elbo].mean < last[best].mean
    astray = max(abs(missed[D][elbo].mean + elbo_gap(D)) for D in DIMENSIONS)

    trained = context.train(context.recipe(), "vae", context.seeds[0])
    vae = recipes.load(trained)
    test = recipes.splits(trained, context.data_root).test.take(context.pick(100, 500), context.seed)
    estimators: dict[str, Estimator] = {
        prior: PriorMonteCarlo(draws),
        elbo: Elbo(samples=10),
        **{name: ImportanceWeighted(k) for name, k in zip(weighted, importance, strict=True)},
    }
    report = evaluate_likelihood(vae, test, estimators, seed=context.seed)
    bounds = report.per_example[elbo]
    nats = {name: report[name] for name in estimators}
    agrees = nats[prior].mean < nats[elbo].mean < nats[best].mean
    return StudyResult(
        name="estimators",
        question=QUESTION,
        answer=(
            f"At D={DIMENSIONS[-1]}, where log p is exact, prior Monte Carlo with {draws:,} draws misses it by"
            f" {text(last[prior])} nats ({onset}), the ELBO by {number(last[elbo].mean)} and importance weighting with"
            f" K={importance[-1]:,} by {text(last[best])}: the order prior < ELBO < importance weighting"
            f" {'holds' if ordered else 'does not hold'}. On the trained VAE (D={vae.latent_dim}) the three say"
            f" {text(nats[prior])}, {text(nats[elbo])} and {text(nats[best])} nats an image: there it"
            f" {'holds' if agrees else 'does not hold'}."
        ),
        figures={
            "Estimate minus exact log p(x), linear-Gaussian model. A nat is a factor e of probability; bands are one"
            " standard error.": _errors(missed, (prior, elbo, best)),
            "The same without prior Monte Carlo, magnified: more draws bring the importance-weighted bound"
            " closer.": _errors(missed, (elbo, *weighted)),
        },
        tables=(
            Table(
                "Estimate − exact log p(x), nats, linear-Gaussian model",
                ("D", "nats to find", "ELBO", prior, *weighted),
                [
                    (
                        D,
                        information(D),
                        missed[D][elbo].mean,
                        *(text(missed[D][name]) for name in (prior, *weighted)),
                    )
                    for D in DIMENSIONS
                ],
                note=(
                    f"Mean ± standard error over {images:,} images of {math.prod(IMAGE_SHAPE)} pixels drawn from the"
                    " model; IW is importance weighting. Nats to find: the mean of KL(posterior‖prior); simple Monte"
                    f" Carlo from the prior needs about e to that power draws; {draws:,} is e^{math.log(draws):.1f}."
                    " The ELBO is exact: it misses by KL(q‖posterior), the same for every image (largest difference"
                    f" from that theory: {number(astray)}); q is the posterior moved by half a standard deviation and"
                    " widened by a quarter."
                ),
            ),
            Table(
                f"log p(x) of test images under the trained VAE, D={vae.latent_dim}",
                ("estimate", "nats an image", "above the ELBO", "bits/dim"),
                [
                    (
                        name,
                        text(nats[name]),
                        "" if name == elbo else text(Estimate.of(report.per_example[name] - bounds)),
                        text(report.bits_per_dim(name)),
                    )
                    for name in estimators
                ],
                note=(
                    f"Mean ± standard error over {len(test):,} test images; the differences are taken image"
                    " by image. No exact value exists here: each estimate is below log p(x) on average, so the highest"
                    " is the nearest."
                ),
            ),
        ),
        runs=(trained.folder,),
    )


def _errors(missed: Mapping[int, Mapping[str, Estimate]], names: Sequence[str]) -> Figure:
    """The misses of these estimates against D."""
    return figures.errors(
        list(missed),
        {
            name: ([by[name].mean for by in missed.values()], [by[name].standard_error for by in missed.values()])
            for name in names
        },
        x_label="latent dimensions D",
        y_label="estimate − log p(x), nats",
        exact="exact log p(x)",
    )
