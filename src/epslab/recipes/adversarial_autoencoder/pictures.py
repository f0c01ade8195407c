"""The pictures of an autoencoder whose codes are to follow a prior."""

import torch

from epslab import figures
from epslab.data import ImageSet, PointSet
from epslab.evaluation.batches import batches
from epslab.generative.wasserstein_autoencoder import WassersteinAutoencoder
from epslab.nets.modes import evaluating
from epslab.recipes.autoencoder.pictures import interpolations
from epslab.runs import Run
from epslab.types import Latents

_WALK = 9  # images along an interpolation
_CODES = 2500  # in a picture of the plane
_RADIUS = 3.0  # a circle that holds 98.9 % of the prior over the plane


def draw_all(model: WassersteinAutoencoder, run: Run, images: ImageSet | PointSet, codes: Latents) -> None:
    """The codes beside draws of the prior, reconstructions and interpolations of images."""
    prior = model.prior_draws(torch.arange(min(len(codes), _CODES)))
    first = "The plane of codes" if codes.shape[1] == 2 else f"The first two of {codes.shape[1]} dimensions of codes"
    if codes.shape[1] >= 2:
        run.show(
            "codes",
            figures.planes(
                {"prior": prior[:, :2], "codes": codes[:_CODES, :2]},
                circles=(torch.zeros(1, 2), _RADIUS),
                axes=("z₁", "z₂"),
            ),
            f"{first}: draws of the prior, and test examples. The circle holds 98.9 % of the prior.",
        )
    if isinstance(images, PointSet):
        return
    if codes.shape[1] == 2:
        run.show(
            "codes-by-class",
            figures.latent_scatter(codes[:_CODES], images.labels[:_CODES], images.classes),
            "Where test images lie in the plane of codes, by class.",
        )
    shown, _ = next(batches(model, images[:32], 32, 0))
    with torch.no_grad(), evaluating(model):
        made = model.reconstruct(shown).float().cpu()
    run.show(
        "reconstructions",
        figures.reconstructions(shown.float().cpu(), made),
        "Test images above, their reconstructions below.",
    )
    run.show(
        "interpolations",
        figures.strips(interpolations(model, codes[:12]), columns=_WALK, ends="reconstructions of two images"),
        "Straight lines between the codes of two test images, decoded.",
    )
