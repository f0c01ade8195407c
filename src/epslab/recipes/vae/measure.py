"""The measurements of a trained VAE: bounds on its likelihood, and what its latents carry."""

from collections.abc import Mapping
from typing import Any

from epslab.data import Examples
from epslab.evaluation.estimators import Elbo, Estimator, ImportanceWeighted, PriorMonteCarlo
from epslab.evaluation.latents import evaluate_latents
from epslab.evaluation.likelihood import evaluate_likelihood
from epslab.generative.vae import VAE
from epslab.probability.likelihoods import Categorical, Normal
from epslab.recipes.plan import Asked
from epslab.recipes.published import trained_as, with_published
from epslab.recipes.quality import joined, measure_samples
from epslab.recipes.vae.pictures import draw_all
from epslab.recipes.vae.published import FACTS
from epslab.recipes.vae.settings import Estimates
from epslab.runs import Measured, Run
from epslab.types import Likelihood


def measure(vae: VAE, run: Run, images: Examples, asked: Asked) -> Measured:
    """Bounds in nats and bits/dim with standard errors, the latents, and pictures of both."""
    likelihood = evaluate_likelihood(
        vae,
        images,
        estimators(asked.options),
        batch_size=asked.batch_size,
        seed=asked.seed,
        progress=asked.progress,
    )
    # What latents carry is measured of normal posteriors alone: a flow's density is known at its own draws only.
    latents = None
    if vae.posterior.normal:
        latents = evaluate_latents(vae, images, batch_size=asked.batch_size, seed=asked.seed)
    draw_all(vae, run, images, latents)
    said = [] if latents is None else [latents.statement]
    collapsed = latents is not None and latents.collapsed
    measured = Measured(
        [*likelihood.measurements(), *([] if latents is None else latents.measurements())],
        statements=[] if collapsed else said,
        warnings=said if collapsed else [],
        conditions=_images_are(run.config) if "likelihood" in run.config else _sees(vae.likelihood),
        per_example=likelihood.by_measurement,
    )
    found = with_published(measured, FACTS, trained_as(run))
    return joined(found, measure_samples(vae.sample, run, images, asked))


def _images_are(config: Mapping[str, Any]) -> str:
    """How the likelihood sees an image; bounds compare only between runs where this is the same."""
    if config["likelihood"] == "categorical":
        return f"{config['levels']} grey levels"
    if config["likelihood"] == "normal":
        return f"a density of pixel values, standard deviation {config['std']}"
    return f"binary pixels ({config['binarise']})" if config["likelihood"] == "bernoulli" else "256 grey levels"


def _sees(likelihood: Likelihood) -> str:
    """The same for a VAE without a recipe, in the same words where they are known."""
    match likelihood:
        case Categorical():
            return f"{likelihood.levels} grey levels"
        case Normal():
            return f"a density of pixel values, standard deviation {likelihood.std}"
    return type(likelihood).__name__


def estimators(asked: Estimates) -> dict[str, Estimator]:
    """The bounds that were asked for, the ELBO first."""
    found: dict[str, Estimator] = {"elbo": Elbo(asked.samples)}
    if asked.importance_samples is not None:
        found["importance_weighted"] = ImportanceWeighted(asked.importance_samples)
    if asked.prior_samples is not None:
        found["prior_monte_carlo"] = PriorMonteCarlo(asked.prior_samples)
    return found
