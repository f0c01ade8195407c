"""A latent-variable model where every truth is known, with a q that is deliberately not its posterior.

W has orthonormal columns times a signal of three noise standard deviations, so every latent dimension poses the same
problem and only their number D changes. q is the exact posterior, moved by half a standard deviation and widened by a
quarter in every dimension.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from epslab.generative.linear_gaussian import Gaussian, LinearGaussian
from epslab.seeds import generator
from epslab.types import PerExample, Seeds

IMAGE_SHAPE = (1, 8, 8)
SIGNAL = 3.0  #: what a latent adds to the image, in standard deviations of the pixels' noise, which is the unit
SHIFT = 0.5  #: of q's mean, in standard deviations of the posterior
WIDENING = 1.25  #: factor of the posterior's standard deviations


def linear_gaussian(latent_dim: int, seed: int = 0) -> LinearGaussian:
    """The model with D latents, 1 ≤ D ≤ 64, in float64."""
    pixels = math.prod(IMAGE_SHAPE)
    own = generator(seed, "oracle", latent_dim)
    directions = torch.randn(pixels, latent_dim, generator=own, dtype=torch.float64)
    weight = SIGNAL * torch.linalg.qr(directions).Q
    return LinearGaussian(weight, torch.zeros(pixels, dtype=torch.float64), 1.0, IMAGE_SHAPE)


def information(latent_dim: int) -> float:
    """I(x; z), the mean over x of KL(p(z given x) ‖ p(z)) = (D/2)·ln(1 + signal²), in nats."""
    return 0.5 * latent_dim * math.log1p(SIGNAL**2)


def elbo_gap(latent_dim: int, shift: float = SHIFT, widening: float = WIDENING) -> float:
    """KL(q ‖ p(z given x)), by which the ELBO misses log p(x): the same in every dimension and for every x, in nats."""
    return 0.5 * latent_dim * (widening**2 + shift**2 - 1 - 2 * math.log(widening))


@dataclass(frozen=True)
class WithProposal:
    """The model with q instead of its posterior.

    Args:
        model: p, exact.
        shift: Of q's mean in every dimension, in posterior standard deviations (0 and a widening of 1: the posterior).
        widening: Factor of the posterior's standard deviations.
    """

    model: LinearGaussian
    shift: float = SHIFT
    widening: float = WIDENING

    def proposal(self, images: Float[Tensor, "n *shape"]) -> Gaussian:
        """Q(z given x)."""
        mean, covariance = self.model.posterior(images)
        return Gaussian(mean + self.shift * covariance.diagonal().sqrt(), self.widening**2 * covariance)

    def elbo(self, images: Float[Tensor, "n *shape"]) -> PerExample:
        """The exact bound at this q, in nats."""
        return self.model.elbo(images, self.proposal(images))

    def log_weights(
        self, images: Float[Tensor, "n *shape"], samples: int, *, seeds: Seeds, first: int = 0
    ) -> Float[Tensor, "samples n"]:
        """Log p(x, z_k) − log q(z_k given x), z_k from q, for draws first..first+samples−1."""
        return self.model.log_weights(images, samples, seeds=seeds, first=first, proposal=self.proposal(images))

    def log_likelihoods(
        self, images: Float[Tensor, "n *shape"], samples: int, *, seeds: Seeds, first: int = 0
    ) -> Float[Tensor, "samples n"]:
        """Log p(x given z_l), z_l from the prior, for draws first..first+samples−1."""
        return self.model.log_likelihoods(images, samples, seeds=seeds, first=first)
