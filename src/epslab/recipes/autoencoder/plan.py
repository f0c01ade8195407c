"""From an autoencoder's settings to its plan: the nets, the squared error, pictures as it learns."""

from functools import partial
from typing import cast

from torch.optim import Adam

from epslab import seeds
from epslab.data import ImageSet, PointSet
from epslab.generative.autoencoder import Autoencoder, AutoencoderObjective
from epslab.nets.codes import conv_pair, linear_pair, perceptron_pair
from epslab.recipes.autoencoder.measure import measure
from epslab.recipes.autoencoder.pictures import draw_reconstructions
from epslab.recipes.autoencoder.settings import AutoencoderRecipe
from epslab.recipes.checks import require_images
from epslab.recipes.plan import Plan
from epslab.runs import Run
from epslab.types import ImageShape


def plan(settings: AutoencoderRecipe, images: ImageSet | PointSet, seed: int) -> Plan:
    """The autoencoder for examples of this shape and its squared error."""
    model = build(settings, images.shape, seed)

    def look(model: Autoencoder, epoch: int, run: Run) -> None:
        if epoch in (0, settings.epochs):
            draw_reconstructions(model, run, images[:16], epoch)

    # Few weights and one valley: the linear net learns with a rate that the others would not stand.
    rate = settings.learning_rate or (0.03 if settings.net_for(images.shape) == "linear" else 0.003)
    return Plan(
        model, AutoencoderObjective(model), optimiser=partial(Adam, lr=rate, fused=True), look=look, measure=measure
    )


def build(settings: AutoencoderRecipe, shape: tuple[int, ...], seed: int) -> Autoencoder:
    """The untrained model; the same seed gives the same weights.

    Raises:
        UserError: Convolutions for points, or for images with a side below 4.
    """
    net = settings.net_for(shape)
    with seeds.seeded(seed, "weights"):
        if net == "conv":
            require_images(shape, "net='conv'", "perceptron")
            pair = conv_pair(cast(ImageShape, shape), settings.latent_dim, settings.width)
        elif net == "perceptron":
            pair = perceptron_pair(shape, settings.latent_dim, settings.hidden)
        else:
            pair = linear_pair(shape, settings.latent_dim)
    return Autoencoder(*pair, shape=shape)
