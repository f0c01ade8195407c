"""Pictures of a denoising autoencoder: noise taken off, the way from noise to samples, the score on the plane."""

import torch
from torch import Tensor

from epslab import figures, seeds
from epslab.data import ImageSet, PointSet
from epslab.evaluation.batches import batches
from epslab.generative.denoising import DenoisingAutoencoder
from epslab.nets.modes import evaluating
from epslab.runs import Run, number

_STOPS = 10  # of a chain on its way down the ladder
_POINTS = 1000
_SIDE = 19  # arrows along each side of a field


def draw_all(model: DenoisingAutoencoder, run: Run, images: ImageSet | PointSet, seed: int) -> None:
    """For images: denoised ones and chains; for points of the plane: the score at three levels."""
    if isinstance(images, PointSet):
        if images.points.shape[1] == 2:
            _draw_fields(model, run, images, seed)
        return
    x, _ = next(batches(model, images, 8, seed))
    sigmas = model.sigmas[[round(share * (len(model.sigmas) - 1)) for share in (0.25, 0.4, 0.55, 0.7)]].tolist()
    rows, names = denoised(model, x, sigmas, seed)
    run.show(
        "denoised",
        figures.strips(rows, columns=len(x), row_labels=names),
        "Test images; then, for each noise level sigma, with noise and with the noise taken off.",
    )
    stops = torch.stack(model.walk(seeds.draw(8, seeds.generator(seed, "walk"), x.device), _STOPS), dim=1)
    run.show(
        "annealing",
        figures.strips(
            stops.flatten(0, 1).float().cpu(),
            columns=stops.shape[1],
            ends="noise taken off, from broad to narrow levels",
        ),
        "Chains of annealed Langevin dynamics on their way down the ladder of noise levels, what is seen through the"
        " noise at each stop; the last column is the samples.",
    )


def denoised(model: DenoisingAutoencoder, x: Tensor, sigmas: list[float], seed: int) -> tuple[Tensor, list[str]]:
    """Rows of images, clean, then noisy and denoised in turn, [rows·n c h w], and the name of each row."""
    own = seeds.of_indices(seed, torch.arange(len(x), device=x.device), "picture")
    rows, names = [x], ["clean"]
    with torch.no_grad(), evaluating(model):
        for sigma in sigmas:
            noisy = x + sigma * seeds.noise(own, 0, tuple(x.shape[1:]), x.dtype)
            rows += [noisy, model.denoise(noisy, x.new_full((len(x),), sigma))]
            names += [f"σ={number(sigma)}", "denoised"]
    return torch.cat([row.float() for row in rows]).cpu().clamp(0, 1), names


def _draw_fields(model: DenoisingAutoencoder, run: Run, points: PointSet, seed: int) -> None:
    """Arrows sigma²·score, from each place to where r moves it."""
    shown = points.batch(torch.arange(min(_POINTS, len(points))))[0]
    places = lattice(shown, _SIDE)
    levels = model.sigmas[[round(share * (len(model.sigmas) - 1)) for share in (0.2, 0.5, 0.8)]].tolist()
    like = next(model.parameters())
    fields = {}
    with torch.no_grad(), evaluating(model):
        at = places.to(like)
        for sigma in levels:
            moved = model.denoise(at, at.new_full((len(at),), sigma)) - at
            fields[f"σ = {number(sigma)}"] = moved.float().cpu()
    run.show(
        "score",
        figures.vector_fields(shown, places, fields),
        "Test points, and where denoising moves each place of the plane: sigma² times the score of the data smoothed by"
        " noise of that level.",
    )


def lattice(points: Tensor, side: int) -> Tensor:
    """Places on a square lattice around points of the plane, [side² 2]."""
    middle, reach = (points.amax(0) + points.amin(0)) / 2, 0.6 * float((points.amax(0) - points.amin(0)).max())
    line = torch.linspace(-reach, reach, side)
    return middle + torch.cartesian_prod(line, line)
