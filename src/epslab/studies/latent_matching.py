"""Codes and their prior: a VAE, adversarial autoencoders and WAE-MMD bring the two together in different ways."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from epslab import figures, recipes, seeds
from epslab.data import ImageSet
from epslab.evaluation.estimate import Estimate
from epslab.evaluation.samples import evaluate_samples, pixels
from epslab.generative.vae import VAE
from epslab.generative.wasserstein_autoencoder import WassersteinAutoencoder
from epslab.probability.normal_mmd import normal_mmd, normal_mmd_error
from epslab.recipes.adversarial_autoencoder.settings import AdversarialAutoencoderRecipe
from epslab.report import StudyResult, Table, number
from epslab.runs import Run
from epslab.seeds import noise, of_indices
from epslab.studies.context import Context
from epslab.studies.generative import settings_for
from epslab.studies.spread import text
from epslab.types import Latents

QUESTION = "How do the codes of all images together come to follow the prior, and what does it cost?"

MODELS = {
    "vae": "VAE",
    "jensen-shannon": "AAE, JS",
    "wasserstein": "AAE, Wasserstein",
    "mmd": "WAE-MMD",
    "none": "no matching",
}
"""The VAE, the ways of ``AdversarialAutoencoderRecipe.matching``, and none; and what a table calls them."""
MOST = 2500
"""The most codes and samples that are compared; the cost grows with their square."""
RADIUS = 3.0
"""Of a circle that holds 98.9 % of the prior over the plane."""


@dataclass(frozen=True, eq=False)
class Model:
    """One trained model, measured on the test images."""

    error: Estimate  #: squared error of the reconstruction, summed over pixels
    mmd: float  #: squared discrepancy of the codes of all images from the prior
    coverage: Estimate  #: share of test images with a decoded draw of the prior nearby, by pixels
    codes: Float[Tensor, "n 2"]  #: of the test images; of a VAE, one draw of each posterior


@dataclass(frozen=True, eq=False)
class Found:
    """All models, with two latent dimensions."""

    images: int  #: test images
    compared: int  #: codes and samples that are compared
    models: Mapping[str, Model]
    spread: float  #: standard deviation of the discrepancy of as many draws of the prior
    labels: Int[Tensor, " n"]
    classes: tuple[str, ...]


def measure(context: Context) -> Found:
    """Train each model with two latent dimensions; compare its codes with the prior, and its samples with images."""
    runs = {name: _train(context, name) for name in MODELS}
    test = recipes.splits(runs["vae"], context.data_root).test
    shown = test[:MOST]
    return Found(
        images=len(test),
        compared=len(shown),
        models={name: _measured(recipes.load(run), shown, context.seed) for name, run in runs.items()},
        spread=normal_mmd_error(len(shown), 2),
        labels=shown.labels,
        classes=test.classes,
    )


def _train(context: Context, name: str) -> Run:
    if name == "vae":  # the one of the study of the latent plane
        return context.train(context.recipe(latent_dim=2), "manifold", context.seed)
    settings = settings_for(context, "adversarial-autoencoder")
    assert isinstance(settings, AdversarialAutoencoderRecipe)
    own: dict[str, Any] = {"matching": "mmd", "weight": 0.0} if name == "none" else {"matching": name}
    return context.train(replace(settings, latent_dim=2, **own), f"codes-{name}", context.seed)


@torch.no_grad()
def _measured(model: VAE | WassersteinAutoencoder, images: ImageSet, seed: int) -> Model:
    x, n = images.images, len(images)
    codes = _codes(model, x, of_indices(seed, torch.arange(n), "latent-matching"))
    errors = (model.reconstruct(x) - x).double().square().flatten(1).sum(1)
    own = seeds.generator(seed, "latent-matching")
    drawn = model.sample_means(n, own) if isinstance(model, VAE) else model.sample(n, own)
    return Model(
        error=Estimate.of(errors),
        mmd=float(normal_mmd(codes)),
        coverage=evaluate_samples(drawn, images, pixels)["coverage"],
        codes=codes.float(),
    )


def _codes(model: VAE | WassersteinAutoencoder, x: Tensor, own: Tensor) -> Latents:
    """One code of each image: draws of the aggregated posterior."""
    if not isinstance(model, VAE):
        return model.encode(x)
    mean, log_std = model.encode(x)
    return mean + log_std.exp() * noise(own, 0, (mean.shape[1],))


def tell(found: Found) -> StudyResult:
    """How near the codes come to the prior, and what it costs."""
    return StudyResult(
        name="latent-matching",
        question=QUESTION,
        answer=_answer(found),
        figures={
            "Codes of test images in the latent plane, by class: of a VAE one draw of each posterior, of the others"
            f" the code itself. The circle, of radius {RADIUS:g}, holds 98.9 % of the prior.": figures.planes(
                {MODELS[name]: model.codes for name, model in found.models.items()},
                circles=(torch.zeros(1, 2), RADIUS),
                labels={MODELS[name]: found.labels for name in found.models},
                classes=found.classes,
                axes=("z₁", "z₂"),
                alt=_answer(found),
            )
        },
        tables=(_table(found),),
    )


def _answer(found: Found) -> str:
    models = found.models
    follow = [MODELS[name] for name, model in models.items() if model.mmd < 4 * found.spread]
    nearest = min(models, key=lambda name: models[name].mmd)
    plain = models["none"]
    matched = {name: model for name, model in models.items() if name != "none"}
    sharpest = min(matched, key=lambda name: matched[name].error.mean)
    told = (
        f"The codes of {_and(follow)} cannot be told from draws of the prior"
        if follow
        else "No model's codes follow the prior exactly"
    )
    return (
        f"{told}, whose squared MMD is 0 ± {number(found.spread)}; the least is {number(models[nearest].mmd)}, of"
        f" {MODELS[nearest]}. Without any matching it is {number(plain.mmd)}, and"
        f" {number(100 * plain.coverage.mean)} % of test images have a decoded draw of the prior nearby. The best"
        f" reconstruction with matching is that of {MODELS[sharpest]}, a squared error of"
        f" {text(matched[sharpest].error)} beside {text(plain.error)} without."
    )


def _and(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{'; '.join(names[:-1])} and {names[-1]}"


def _table(found: Found) -> Table:
    return Table(
        f"{found.images:,} test images, two latent dimensions",
        ("model", "squared error", "squared MMD of codes and prior", "in standard deviations", "coverage, %"),
        [
            (
                MODELS[name],
                text(model.error),
                number(model.mmd),
                number(model.mmd / found.spread),
                text(Estimate(100 * model.coverage.mean, 100 * model.coverage.standard_error, model.coverage.n)),
            )
            for name, model in found.models.items()
        ],
        note="AAE, JS: codes judged by a discriminator (Jensen–Shannon); AAE, Wasserstein: by a critic; WAE-MMD: by no"
        " net; no matching: an autoencoder whose codes are free. Squared error: of the reconstruction, summed over"
        " pixels; of a VAE, at the posterior's mean. MMD: by a normal kernel of width √2, unbiased,"
        f" {found.compared:,} codes against N(0, I) itself; its standard deviation for as many draws of the prior is"
        f" {number(found.spread)}. Coverage: share of test images with a decoded draw of the prior (of the VAE its"
        " mean) nearby, by the pixels' distances. ± is the standard error over test images.",
    )
