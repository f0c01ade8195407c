"""A generative adversarial network: two small perceptrons that take turns."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn
from torch.nn.functional import softplus

from epslab import figures, seeds
from epslab.classifiers import Proportion
from epslab.recipes import Plan, TrainingSettings
from epslab.runs import Column, Measured, Measurement
from epslab.training import Turn


class GAN(nn.Module):
    def __init__(self, shape, latent_dim):
        super().__init__()
        self.latent_dim, size = latent_dim, shape.numel()
        self.generator = nn.Sequential(
            nn.Linear(latent_dim, 64), nn.ReLU(), nn.Linear(64, size), nn.Unflatten(1, shape)
        )
        self.critic = nn.Sequential(nn.Flatten(), nn.Linear(size, 64), nn.ReLU(), nn.Linear(64, 1), nn.Flatten(0))

    def sample(self, n, generator=None):
        return self.generator(torch.randn(n, self.latent_dim, generator=generator)).sigmoid()


@dataclass(frozen=True)
class Loss:
    gan: GAN
    critic: bool  # whether it is the critic's turn
    columns: ClassVar = {"loss": Column("Loss of the player whose turn it is", "nats", "lower")}

    def __call__(self, batch, progress):
        fake = self.gan.critic(self.gan.generator(seeds.noise(batch.seeds, 0, (self.gan.latent_dim,))).sigmoid())
        return {"loss": softplus(fake) + softplus(-self.gan.critic(batch.images)) if self.critic else softplus(-fake)}


@dataclass(frozen=True)
class ToyGAN(TrainingSettings):
    """A toy generative adversarial network (Goodfellow et al., 2014)."""

    latent_dim: int = 8
    """Dimensions of the generator's noise."""

    def plan(self, images, seed):
        with seeds.seeded(seed, "weights"):
            gan = GAN(torch.Size(images.shape), self.latent_dim)
        turns = {"critic": Turn(Loss(gan, True), gan.critic), "generator": Turn(Loss(gan, False), gan.generator)}
        return Plan(gan, turns, measure=measure)


def measure(gan, run, images, asked):
    drawn = gan.sample(len(images), seeds.generator(asked.seed)).detach()
    fooled = Proportion.of(gan.critic(drawn) > 0)
    run.show("drawn", figures.image_grid(drawn[:64]), "Samples of the generator after training.")
    return Measured([Measurement("fooled", "samples taken for real", "fraction", float(fooled), fooled.interval())])
