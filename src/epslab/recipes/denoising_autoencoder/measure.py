"""The measurements of a trained denoising autoencoder: its error at each noise level, and its samples."""

import torch
from torch import Tensor

from epslab.data import ImageSet, PointSet
from epslab.evaluation.batches import batches
from epslab.evaluation.estimate import Estimate
from epslab.generative.denoising import DenoisingAutoencoder
from epslab.nets.modes import evaluating
from epslab.recipes.denoising_autoencoder.pictures import draw_all
from epslab.recipes.plan import Asked
from epslab.recipes.quality import joined, measure_samples
from epslab.runs import Measured, Measurement, Run, Table, with_error
from epslab.seeds import noise, of_indices

_LEVELS = 8  # levels of the ladder that are measured


def measure(model: DenoisingAutoencoder, run: Run, images: ImageSet | PointSet, asked: Asked) -> Measured:
    """The share of noise left at levels of the ladder, pictures, and the samples."""
    last = len(model.sigmas) - 1
    sigmas = model.sigmas[sorted({round(i * last / (_LEVELS - 1)) for i in range(_LEVELS)})].tolist()
    shares = [left(model, images, sigma, level, asked) for level, sigma in enumerate(sigmas)]
    draw_all(model, run, images, asked.seed)
    dimensions = images.points.shape[1] if isinstance(images, PointSet) else images.pixels[:1].numel()
    whole = torch.stack(shares).mean(0)
    found = Estimate.of(whole)
    own = Measured(
        [
            Measurement(
                "noise_left",
                "noise left by denoising",
                "fraction",
                found.mean,
                standard_error=found.standard_error,
                better="lower",
                headline=True,
                note=f"squared error over squared noise, mean of {len(sigmas)} levels",
            )
        ],
        tables=[_table(model, sigmas, shares, dimensions)],
        per_example={"noise_left": whole.tolist()},
    )
    return joined(own, measure_samples(model.sample, run, images, asked))


def left(model: DenoisingAutoencoder, images: ImageSet | PointSet, sigma: float, level: int, asked: Asked) -> Tensor:
    """‖r(x + sigma·eps, sigma) − x‖²/(sigma²·d) of each example, [n]: 1 where nothing was taken off."""
    found = []
    with torch.no_grad(), evaluating(model):
        for x, indices in batches(model, images, asked.batch_size, asked.seed):
            own = of_indices(asked.seed, indices, "denoising")
            noisy = x + sigma * noise(own, level, tuple(x.shape[1:]), x.dtype)
            error = model.denoise(noisy, x.new_full((len(x),), sigma)) - x
            found.append(error.double().square().flatten(1).mean(1).cpu() / sigma**2)
    return torch.cat(found)


def _table(model: DenoisingAutoencoder, sigmas: list[float], shares: list[Tensor], dimensions: int) -> Table:
    s2 = float(model.std) ** 2
    rows = []
    for sigma, share in zip(sigmas, shares, strict=True):
        mine = Estimate.of(100 * share)
        rows.append(
            (
                sigma,
                with_error(mine.mean, mine.standard_error),
                100 * s2 / (s2 + sigma**2),
                (sigma**2 * dimensions) ** 0.5,
            )
        )
    return Table(
        "Noise left by denoising, by noise level",
        ("sigma", "noise left, %", "by the linear guess, %", "noise, root squared norm"),
        rows,
        note="Squared error of r(x + sigma·eps, sigma) over squared noise, ± its standard error over examples. The"
        " linear guess knows the data's mean and standard deviation alone.",
    )
