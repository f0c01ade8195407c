"""The measurements of a trained autoencoder: its squared error, and the share of variance the code keeps."""

import torch

from epslab.data import ImageSet, PointSet
from epslab.evaluation.batches import batches
from epslab.evaluation.estimate import Estimate
from epslab.generative.autoencoder import Autoencoder
from epslab.nets.modes import evaluating
from epslab.recipes.autoencoder.pictures import draw_all
from epslab.recipes.plan import Asked
from epslab.runs import Measured, Measurement, Run


def measure(model: Autoencoder, run: Run, images: ImageSet | PointSet, asked: Asked) -> Measured:
    """Squared error with its standard error, variance kept, and pictures."""
    kept, total = [], []
    mean = _mean(model, images, asked)
    with torch.no_grad(), evaluating(model):
        for x, _ in batches(model, images, asked.batch_size, asked.seed):
            kept.append(model.squared_error(x).double().cpu())
            total.append((x.double().cpu() - mean).square().flatten(1).sum(1))
    errors, spread = torch.cat(kept), torch.cat(total)
    draw_all(model, run, images)
    found = Estimate.of(errors)
    dimensions = mean.numel()
    return Measured(
        [
            Measurement(
                "squared_error",
                "squared error ‖x − x̂‖²",
                value=found.mean,
                standard_error=found.standard_error,
                better="lower",
                headline=True,
                note="per example, summed over its dimensions",
            ),
            Measurement(
                "root_mean_squared_error",
                "root mean squared error of one pixel" if len(images.shape) == 3 else "the same of one coordinate",
                value=(found.mean / dimensions) ** 0.5,
                better="lower",
                note="in units of the pixel range" if len(images.shape) == 3 else "",
            ),
            Measurement(
                "variance_kept",
                "variance kept",
                "fraction",
                1 - found.mean / float(spread.mean()),
                better="higher",
                note="1 − squared error / variance of these examples; below 0 the mean would be a better guess",
            ),
        ],
        per_example={"squared_error": errors.tolist()},
    )


def _mean(model: Autoencoder, images: ImageSet | PointSet, asked: Asked) -> torch.Tensor:
    """The mean example, [1 *shape] in float64."""
    sums = [x.double().cpu().sum(0, keepdim=True) for x, _ in batches(model, images, asked.batch_size, asked.seed)]
    return torch.stack(sums).sum(0) / len(images)
