"""From an adversarial autoencoder's settings to its plan: the nets, the turns, samples through training."""

from functools import partial
from typing import cast

import torch
from torch import nn

from epslab import seeds
from epslab.data import ImageSet, PointSet
from epslab.generative.adversarial_autoencoder import (
    AdversarialAutoencoder,
    DeceivingObjective,
    JudgeObjective,
)
from epslab.generative.wasserstein_autoencoder import MMDObjective, WassersteinAutoencoder
from epslab.nets.adversarial import PerceptronCritic
from epslab.nets.codes import conv_pair, perceptron_pair
from epslab.recipes.adversarial_autoencoder.measure import measure
from epslab.recipes.adversarial_autoencoder.settings import AdversarialAutoencoderRecipe
from epslab.recipes.checks import require_images
from epslab.recipes.plan import Plan, draw_samples
from epslab.recipes.schedules import schedule
from epslab.runs import Run
from epslab.training import Turn
from epslab.training.turns import adam
from epslab.types import ImageShape


def plan(settings: AdversarialAutoencoderRecipe, images: ImageSet | PointSet, seed: int) -> Plan:
    """The model for examples of this shape, its turns as the settings name them, samples at their epochs."""
    model = build(settings, tuple(images.shape), seed)

    def look(model: WassersteinAutoencoder, epoch: int, run: Run) -> None:
        if epoch in settings.sample_epochs or epoch == settings.epochs:
            draw_samples(model.sample, run, epoch, seed)

    # The last weights are kept: the squared error alone would choose codes that are far from the prior.
    return Plan(model, turns(settings, model), monitor=None, look=look, measure=measure)


def build(settings: AdversarialAutoencoderRecipe, shape: tuple[int, ...], seed: int) -> WassersteinAutoencoder:
    """The untrained model for examples of this shape; the same seed gives the same weights.

    Raises:
        UserError: Convolutions for points, or for images with a side below 4.
    """
    with seeds.seeded(seed, "weights"):
        if settings.net_for(shape) == "conv":
            require_images(shape, "net='conv'", "perceptron")
            pair = conv_pair(cast(ImageShape, shape), settings.latent_dim, settings.width)
        else:
            pair = perceptron_pair(shape, settings.latent_dim, settings.hidden)
        if settings.matching == "mmd":
            return WassersteinAutoencoder(*pair, shape=shape, latent_dim=settings.latent_dim)
        # A critic's values are only compared: a last bias would cancel.
        judge = PerceptronCritic((settings.latent_dim,), settings.judge, bias=settings.matching == "jensen-shannon")
        return AdversarialAutoencoder(*pair, judge, shape=shape, latent_dim=settings.latent_dim)


def turns(settings: AdversarialAutoencoderRecipe, model: WassersteinAutoencoder) -> dict[str, Turn]:
    """The judge's turn at every batch, where there is one; then that of encoder and decoder, at every n-th."""
    rate, weight = settings.learning_rate or 1e-3, settings.matching_weight
    rates = schedule(settings.schedule, settings.epochs)
    coders = nn.ModuleDict({name: part for name, part in model.named_children() if name != "judge"})
    if settings.matching == "mmd":
        return {"": Turn(MMDObjective(model, weight), coders, adam(rate), rates)}
    assert isinstance(model, AdversarialAutoencoder)
    kind = settings.matching
    # Less momentum, as is usual where two nets learn against each other.
    betas = (0.0, 0.9) if kind == "wasserstein" else (0.5, 0.999)
    optimiser = partial(torch.optim.Adam, lr=rate, betas=betas, fused=True)
    return {
        "judge": Turn(JudgeObjective(model, kind, settings.penalty), model.judge, optimiser, rates),
        "coders": Turn(DeceivingObjective(model, kind, weight), coders, optimiser, rates, every=settings.every),
    }
