"""From a denoising autoencoder's settings to its plan: the ladder for this data, the net, samples as it learns."""

import math

import torch
from torch import nn

from epslab import seeds
from epslab.data import ImageSet, PointSet
from epslab.generative.denoising import DenoisingAutoencoder, ladder
from epslab.generative.denoising_objective import DenoisingObjective
from epslab.nets import TimePerceptron, UNet
from epslab.recipes.denoising_autoencoder.measure import measure
from epslab.recipes.denoising_autoencoder.settings import DenoisingRecipe
from epslab.recipes.plan import Plan, draw_samples
from epslab.runs import Run

_ASKED = 5000  # training examples that the data's mean and standard deviation are taken from


def plan(settings: DenoisingRecipe, images: ImageSet | PointSet, seed: int) -> Plan:
    """The model for examples of this shape and scale, its denoising error, samples at the epochs the settings name."""
    model = build(settings, images, seed)

    def look(model: DenoisingAutoencoder, epoch: int, run: Run) -> None:
        if epoch in settings.sample_epochs or epoch == settings.epochs:
            draw_samples(model.sample, run, epoch, seed)

    return Plan(model, DenoisingObjective(model), look=look, measure=measure)


def build(settings: DenoisingRecipe, images: ImageSet | PointSet, seed: int) -> DenoisingAutoencoder:
    """The untrained model: the weights by the seed, the ladder by the data's mean and standard deviation.

    Raises:
        UserError: The ladder's ends are the wrong way round for this data, or an image's side is below 4.
    """
    shape = tuple(images.shape)
    x, _ = images.batch(torch.arange(min(len(images), _ASKED)))
    mean, std = float(x.mean()), float(x.std(correction=0)) or 1.0
    broadest = settings.sigma_max or std * math.sqrt(math.prod(shape))
    narrowest = settings.sigma_min or (0.02 if len(shape) == 3 else 0.01 * std)
    net: nn.Module
    with seeds.seeded(seed, "weights"):
        if len(shape) == 3:
            net = UNet((shape[0], shape[1], shape[2]), settings.width, blocks=settings.blocks)
        else:
            net = TimePerceptron(shape[0], settings.hidden, settings.layers)
    sigmas = ladder(broadest, narrowest, settings.levels)
    return DenoisingAutoencoder(net, shape, sigmas, mean=mean, std=std, step=settings.step, steps=settings.steps)
