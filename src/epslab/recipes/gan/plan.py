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
from epslab.nets.adversarial import ConvCritic, ConvGenerator, PerceptronCritic, PerceptronGenerator, Scaling
from epslab.recipes.gan.measure import measure
from epslab.recipes.gan.settings import AdversarialRecipe, GANRecipe, GradientPenaltyRecipe, WassersteinRecipe
from epslab.recipes.plan import Plan, draw_samples
from epslab.recipes.schedules import schedule
from epslab.runs import Run
from epslab.training import Turn
from epslab.training.turns import OptimiserFactory, adam


def plan(settings: AdversarialRecipe, images: ImageSet | PointSet, seed: int) -> Plan:
    """The model for images or points of this shape, its turns as the settings name them, samples at their epochs."""
    model = build(settings, images.shape, seed)
    if isinstance(images, PointSet):
        for part in model.modules():
            if isinstance(part, Scaling):
                part.standardise(images.points)

    def look(model: Implicit, epoch: int, run: Run) -> None:
        if epoch in settings.sample_epochs or epoch == settings.epochs:
            draw_samples(model.sample, run, epoch, seed)

    return Plan(model, turns(settings, model, images.shape), look=look, measure=measure)


def build(settings: AdversarialRecipe, shape: tuple[int, ...], seed: int) -> Implicit:
    """The untrained model for examples of this shape; the same seed gives the same weights.

    Raises:
        UserError: Convolutions are asked for, but the examples are points.
    """
    with seeds.seeded(seed, "weights"):
        generator, judge = _nets(settings, shape)
    latent_dim = settings.latent_dim_for(shape)
    if isinstance(settings, GANRecipe):
        return GAN(generator, judge, latent_dim)
    return WassersteinGAN(generator, judge, latent_dim)


def _nets(settings: AdversarialRecipe, shape: tuple[int, ...]) -> tuple[nn.Module, nn.Module]:
    bias, latent_dim, hidden = (
        isinstance(settings, GANRecipe),
        settings.latent_dim_for(shape),
        settings.hidden_for(shape),
    )
    if settings.net_for(shape) == "conv":
        if len(shape) != 3:
            raise UserError(
                f"`net='conv'` is for images, but these examples are points of shape {shape}: `net='auto'`."
            )
        generator = ConvGenerator(shape, latent_dim, settings.width)
        return generator, ConvCritic(shape, settings.width, bias)
    return (
        # No batch normalisation for points, as in the toy experiments of Gulrajani et al. (2017).
        PerceptronGenerator(shape, latent_dim, hidden, batch_norm=len(shape) == 3),
        PerceptronCritic(shape, hidden[::-1], bias),
    )


def turns(settings: AdversarialRecipe, model: Implicit, shape: tuple[int, ...]) -> dict[str, Turn]:
    """The judge's turn at every batch, then the generator's at every n-th."""
    make = partial(Turn, schedule=schedule(settings.schedule, settings.epochs))
    every = settings.critic_steps
    if isinstance(settings, GANRecipe):
        assert isinstance(model, GAN)
        optimiser = _adam(settings, shape, 0.5, 0.999)
        return {
            "discriminator": make(DiscriminatorObjective(model), model.discriminator, optimiser),
            "generator": make(GeneratorObjective(model, settings.loss), model.generator, optimiser, every=every),
        }
    assert isinstance(model, WassersteinGAN)
    optimiser, critics, penalty = _wasserstein(settings, shape)
    return {
        "critic": make(CriticObjective(model, penalty), model.critic, critics),
        "generator": make(WassersteinGeneratorObjective(model), model.generator, optimiser, every=every),
    }


def _wasserstein(
    settings: AdversarialRecipe, shape: tuple[int, ...]
) -> tuple[OptimiserFactory, OptimiserFactory, float]:
    """The generator's optimiser, the critic's, and the weight of the penalty."""
    if isinstance(settings, GradientPenaltyRecipe):
        optimiser = _adam(settings, shape, 0.0, 0.9)
        return optimiser, optimiser, settings.penalty_for(shape)
    assert isinstance(settings, WassersteinRecipe)
    # Momentum makes training with clipped weights unstable (Arjovsky et al., 2017, section 4.3).
    optimiser = partial(torch.optim.RMSprop, lr=settings.rate_for(shape))
    return optimiser, clip_weights(optimiser, settings.clip_for(shape)), 0.0


def _adam(settings: AdversarialRecipe, shape: tuple[int, ...], *betas: float) -> OptimiserFactory:
    """Adam with the momentum of the paper; a fused kernel cannot clip gradients of float16."""
    return adam(settings.rate_for(shape), settings.gradient_clip is None, betas=(betas[0], betas[1]))
