"""A mixture of normal distributions on the plane, trained on points by gradient."""

import math
from dataclasses import dataclass

import torch
from torch import nn

from epslab import seeds
from epslab.recipes import Plan, TrainingSettings
from epslab.runs import Column


class NormalMixture(nn.Module):
    """p(x) = Σ_k w_k N(x; mu_k, sigma_k² I)."""

    def __init__(self, components, dimensions=2):
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(components))
        self.mu = nn.Parameter(torch.randn(components, dimensions))
        self.log_sigma = nn.Parameter(torch.zeros(components))

    def log_prob(self, points):
        squares = (points[:, None] - self.mu).square().sum(2) / (2 * self.log_sigma).exp()
        constant = self.mu.shape[1] * (self.log_sigma + 0.5 * math.log(2 * math.pi))
        return (self.weights.log_softmax(0) - constant - squares / 2).logsumexp(1)

    def sample(self, n, generator=None):
        k = torch.multinomial(self.weights.softmax(0), n, replacement=True, generator=generator)
        return self.mu[k] + self.log_sigma[k, None].exp() * torch.randn(n, self.mu.shape[1], generator=generator)


@dataclass(frozen=True)
class NegativeLogLikelihood:
    model: nn.Module

    @property
    def columns(self):
        return {"loss": Column("Negative log-likelihood", "nats", "lower")}

    def __call__(self, batch, progress):
        return {"loss": -self.model.log_prob(batch.examples)}


@dataclass(frozen=True)
class Mixture(TrainingSettings):
    """A mixture of normal distributions for points."""

    components: int = 20
    """How many normal distributions."""

    def plan(self, points, seed):
        with seeds.seeded(seed, "weights"):
            model = NormalMixture(self.components, *points.shape)
        return Plan(model, NegativeLogLikelihood(model))
