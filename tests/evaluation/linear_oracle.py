"""An oracle: a VAE that is a linear-Gaussian model, so that ELBO, KL and log p(x) are known for any Gaussian q."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from epslab import seeds
from epslab.data import ImageSet
from epslab.generative.linear_gaussian import Gaussian, LinearGaussian
from epslab.generative.vae import VAE
from epslab.probability.likelihoods import Normal

SHAPE = (1, 2, 4)
STD = 0.1


class LinearEncoder(nn.Module):
    """The exact posterior of a linear-Gaussian model, moved and stretched if told to."""

    def __init__(self, model: LinearGaussian, shift: float, stretch: float) -> None:
        super().__init__()
        self.model = model
        self.shift = nn.Parameter(torch.tensor(shift, dtype=torch.float64))
        self.stretch = stretch

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_std = self.model.encode(images)
        return mean + self.shift, log_std + math.log(self.stretch)


class LinearDecoder(nn.Module):
    """W z + μ."""

    def __init__(self, model: LinearGaussian) -> None:
        super().__init__()
        self.model = model

    def forward(self, z: Tensor) -> Tensor:
        return self.model.decode(z)


@dataclass
class Oracle:
    """A linear VAE, and what is known of it."""

    vae: VAE
    model: LinearGaussian

    def images(self, n: int, seed: int = 0) -> ImageSet:
        """Images drawn from the model, rounded to 8 bits."""
        x = self.model.sample(n, seeds.generator(seed, "oracle")).clamp(0, 1)
        return ImageSet((x * 255).round().to(torch.uint8), torch.zeros(n, dtype=torch.int64), ("any",))

    def posterior(self, x: Tensor) -> Gaussian:
        mean, log_std = self.vae.encode(x)
        return Gaussian(mean, (2 * log_std[0]).exp().diag())

    def kl(self, x: Tensor) -> Tensor:
        """KL(q‖p) by torch, dimension by dimension, [n D]."""
        mean, log_std = self.vae.encode(x)
        q, p = torch.distributions.Normal(mean, log_std.exp()), torch.distributions.Normal(0.0, 1.0)
        return torch.distributions.kl_divergence(q, p)

    def elbo(self, x: Tensor) -> Tensor:
        return self.model.elbo(x, self.posterior(x))


def linear_vae(scales: tuple[float, ...] = (0.15, 0.1, 0.0), shift: float = 0.0, stretch: float = 1.0) -> Oracle:
    """Orthogonal columns of W with these lengths, so that the exact posterior is diagonal."""
    basis = torch.linalg.qr(torch.randn(8, len(scales), generator=seeds.generator(0, "W"), dtype=torch.float64)).Q
    model = LinearGaussian(
        basis * torch.tensor(scales, dtype=torch.float64), torch.full((8,), 0.5, dtype=torch.float64), STD**2, SHAPE
    )
    vae = VAE(LinearEncoder(model, shift, stretch), LinearDecoder(model), Normal(STD))
    vae.encode(torch.zeros(1, *SHAPE, dtype=torch.float64))
    return Oracle(vae, model)
