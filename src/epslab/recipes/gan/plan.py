"""From the settings of a GAN to its plan: the nets for this data, the two turns, samples through training."""

from functools import partial

import torch
from torch import nn

from epslab import seeds
from epslab.data import ImageSet, PointSet
from epslab.errors import UserError
from epslab.generative.gan import (
    GAN,
    CriticObjective,
    DiscriminatorObjective,
    GeneratorObjective,
    Implicit,
    WassersteinGAN,
    WassersteinGeneratorObjective,
    clip_weights,
)
from epslab.nets.adversarial import ConvCritic, ConvGenerator, PerceptronCritic, PerceptronGenerator
from epslab.recipes.gan.settings import AdversarialRecipe, GANRecipe, GradientPenaltyRecipe, WassersteinRecipe
from epslab.recipes.plan import Plan, draw_samples
from epslab.recipes.schedules import schedule
from epslab.runs import Run
from epslab.training import Turn
from epslab.training.turns import OptimiserFactory

_SMALL = 16  # sides below this get perceptrons


def plan(settings: AdversarialRecipe, images: ImageSet | PointSet, seed: int) -> Plan:
    """The model for images or points of this shape, its turns as the settings name them, samples at their epochs."""
    model = build(settings, images.shape, seed)

    def look(model: Implicit, epoch: int, run: Run) -> None:
        if epoch in settings.sample_epochs or epoch == settings.epochs:
            draw_samples(model.sample, run, epoch, seed)

    return Plan(model, turns(settings, model), look=look)


def build(settings: AdversarialRecipe, shape: tuple[int, ...], seed: int) -> Implicit:
    """The untrained model for examples of this shape; the same seed gives the same weights.

    Raises:
        UserError: Convolutions are asked for, but the examples are points.
    """
    with seeds.seeded(seed, "weights"):
        generator, judge = _nets(settings, shape)
    if isinstance(settings, GANRecipe):
        return GAN(generator, judge, settings.latent_dim)
    return WassersteinGAN(generator, judge, settings.latent_dim)


def _nets(settings: AdversarialRecipe, shape: tuple[int, ...]) -> tuple[nn.Module, nn.Module]:
    images, bias = len(shape) == 3, isinstance(settings, GANRecipe)
    if settings.net == "conv" and not images:
        raise UserError(f"`net='conv'` is for images, but these examples are points of shape {shape}; use perceptron.")
    if settings.net == "conv" or (settings.net == "auto" and images and min(shape[1:]) >= _SMALL):
        c, h, w = shape
        generator = ConvGenerator((c, h, w), settings.latent_dim, settings.width)
        return generator, ConvCritic((c, h, w), settings.width, bias)
    # On points, batch normalisation blurs the edges between modes.
    return (
        PerceptronGenerator(shape, settings.latent_dim, settings.hidden, batch_norm=images),
        PerceptronCritic(shape, settings.hidden[::-1], bias),
    )


def turns(settings: AdversarialRecipe, model: Implicit) -> dict[str, Turn]:
    """The judge's turn at every batch, then the generator's at every n-th."""
    rate, every = settings.learning_rate or 1e-4, settings.critic_steps
    make = partial(Turn, schedule=schedule(settings.schedule, settings.epochs))
    if isinstance(settings, GANRecipe):
        assert isinstance(model, GAN)
        adam = _adam(rate, 0.5, 0.999)
        return {
            "discriminator": make(DiscriminatorObjective(model), model.discriminator, adam),
            "generator": make(GeneratorObjective(model, settings.loss), model.generator, adam, every=every),
        }
    assert isinstance(model, WassersteinGAN)
    optimiser, critics, penalty = _wasserstein(settings, rate)
    return {
        "critic": make(CriticObjective(model, penalty), model.critic, critics),
        "generator": make(WassersteinGeneratorObjective(model), model.generator, optimiser, every=every),
    }


def _wasserstein(settings: AdversarialRecipe, rate: float) -> tuple[OptimiserFactory, OptimiserFactory, float]:
    """The generator's optimiser, the critic's, and the weight of the penalty."""
    if isinstance(settings, GradientPenaltyRecipe):
        adam = _adam(rate, 0.0, 0.9)
        return adam, adam, settings.penalty
    assert isinstance(settings, WassersteinRecipe)
    # Momentum makes training with clipped weights unstable (Arjovsky et al., 2017, section 4.3).
    optimiser = partial(torch.optim.RMSprop, lr=rate)
    return optimiser, clip_weights(optimiser, settings.clip), 0.0


def _adam(rate: float, first: float, second: float) -> OptimiserFactory:
    return partial(torch.optim.Adam, lr=rate, betas=(first, second), fused=True)
