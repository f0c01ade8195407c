"""Generative adversarial networks: a generator that is trained against a net that judges its samples."""

from epslab.generative.gan.diversity import diversity
from epslab.generative.gan.losses import LOSSES, discriminator_loss, generator_loss
from epslab.generative.gan.model import GAN, Implicit, WassersteinGAN
from epslab.generative.gan.objectives import DiscriminatorObjective, GeneratorObjective
from epslab.generative.gan.penalty import gradient_penalty
from epslab.generative.gan.wasserstein import CriticObjective, WassersteinGeneratorObjective, clip_weights

__all__ = [
    "GAN",
    "LOSSES",
    "CriticObjective",
    "DiscriminatorObjective",
    "GeneratorObjective",
    "Implicit",
    "WassersteinGAN",
    "WassersteinGeneratorObjective",
    "clip_weights",
    "discriminator_loss",
    "diversity",
    "generator_loss",
    "gradient_penalty",
]
