"""The measurements of an autoencoder whose codes are to follow a prior: how far they do, its error, its samples."""

import torch

from epslab.data import ImageSet, PointSet
from epslab.evaluation.batches import batches
from epslab.evaluation.estimate import Estimate
from epslab.generative.wasserstein_autoencoder import WassersteinAutoencoder
from epslab.nets.modes import evaluating
from epslab.probability.normal_mmd import normal_mmd, normal_mmd_error
from epslab.recipes.adversarial_autoencoder.pictures import draw_all
from epslab.recipes.plan import Asked
from epslab.recipes.quality import joined, measure_samples
from epslab.runs import Measured, Measurement, Run, number
from epslab.types import Latents

CODES = 2500
"""The most codes that are compared with the prior; the cost grows with their square."""


def measure(model: WassersteinAutoencoder, run: Run, images: ImageSet | PointSet, asked: Asked) -> Measured:
    """Squared error, the codes' discrepancy from the prior with its yardstick, samples, and pictures."""
    errors, codes = [], []
    with torch.no_grad(), evaluating(model):
        for x, _ in batches(model, images, asked.batch_size, asked.seed):
            errors.append(model.squared_error(x).double().cpu())
            codes.append(model.encode(x).float().cpu())
    z, squared = torch.cat(codes), torch.cat(errors)
    draw_all(model, run, images, z)
    found = Estimate.of(squared)
    error = Measurement(
        "squared_error",
        "squared error ‖x − x̂‖²",
        value=found.mean,
        standard_error=found.standard_error,
        better="lower",
        headline=True,
        note="per example, summed over its dimensions",
    )
    own = Measured([error, *latent_measurements(z)], per_example={"squared_error": squared.tolist()})
    return joined(own, measure_samples(model.sample, run, images, asked))


def latent_measurements(z: Latents) -> list[Measurement]:
    """The discrepancy of the codes from N(0, I), and what as many draws of N(0, I) would show; none for one code."""
    z = z[:CODES]
    if len(z) < 2:
        return []
    spread = normal_mmd_error(*z.shape)
    return [
        Measurement(
            "latent_mmd", "squared MMD of all codes together from the prior", value=float(normal_mmd(z)),
            better="lower", note=f"0 ± {number(spread)} for {len(z):,} draws of the prior itself",
        ),
    ]  # fmt: skip
