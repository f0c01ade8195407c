"""Posteriors q(z given x) of a VAE: how draws come from the encoder's mean and log standard deviation."""

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from epslab.probability.densities import log_normal, wide
from epslab.seeds import noise
from epslab.types import Latents, Seeds

Draws = tuple[Float[Tensor, "samples n d"], Float[Tensor, "samples n"]]
"""z of each draw, and log q(z given x) in nats."""


@runtime_checkable
class Posterior(Protocol):
    """The family of q."""

    normal: bool  #: whether q is N(mean, exp(log_std)²), so that its KL divergence may have a closed form

    def draw(self, mean: Latents, log_std: Latents, samples: int, seeds: Seeds, first: int = 0) -> Draws:
        """Draws first..first+samples−1; draw k of an example is a function of its seed and k alone."""
        ...

    def centre(self, mean: Latents, log_std: Latents) -> Latents:
        """The z that no noise gives."""
        ...


class NormalPosterior(nn.Module):
    """q = N(mean, diag(exp(log_std)²)): z = mu + sigma·eps (Kingma & Welling, 2014, eq. 10).

    >>> z, log_q = NormalPosterior().draw(torch.zeros(3, 2), torch.zeros(3, 2), 5, torch.arange(3))
    >>> z.shape, log_q.shape
    (torch.Size([5, 3, 2]), torch.Size([5, 3]))
    """

    normal = True

    def draw(self, mean: Latents, log_std: Latents, samples: int, seeds: Seeds, first: int = 0) -> Draws:
        """Draws and their log-density, in float32 or wider."""
        z = normal_draws(mean, log_std, samples, seeds, first)
        return z, log_normal(z, mean, log_std)

    def centre(self, mean: Latents, log_std: Latents) -> Latents:
        """The mean."""
        return mean


def normal_draws(
    mean: Latents, log_std: Latents, samples: int, seeds: Seeds, first: int
) -> Float[Tensor, "samples n d"]:
    """Draws first..first+samples−1 of mu + sigma·eps, in float32 or wider."""
    mean, log_std = wide(mean), wide(log_std)
    eps = [noise(seeds, first + sample, (mean.shape[1],), mean.dtype) for sample in range(samples)]
    return mean + log_std.exp() * torch.stack(eps)
