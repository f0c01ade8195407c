"""Priors p(z) for latent-variable models: standard normal, mixture of normals, and the VampPrior.

A prior is a density and a map from noise to latents. Where its KL divergence from a diagonal normal is known in closed
form it says so; where not, the model estimates it from its own draws of z.
"""

from abc import ABC, abstractmethod
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from epslab.errors import UserError
from epslab.nets.modes import evaluating
from epslab.probability.densities import log_normal, log_standard_normal
from epslab.types import ImageShape, Latents


@runtime_checkable
class Prior(Protocol):
    """What a VAE needs of its prior."""

    def log_prob(self, z: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch"]:
        """Log p(z) in nats."""
        ...

    def place(self, uniform: Float[Tensor, " n"], eps: Latents) -> Latents:
        """Turn uniform and standard normal noise into draws from p(z)."""
        ...

    def kl_per_dimension(self, mean: Latents, log_std: Latents) -> Float[Tensor, "n d"] | None:
        """KL(N(mean, exp(log_std)²) ‖ p) for each dimension, or None where no closed form exists."""
        ...


class StandardNormal(nn.Module):
    """p(z) = N(0, I), in as many dimensions as it is given."""

    def log_prob(self, z: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch"]:
        """Log p(z) in nats."""
        return log_standard_normal(z)

    def place(self, uniform: Float[Tensor, " n"], eps: Latents) -> Latents:
        """The noise itself."""
        return eps

    def kl_per_dimension(self, mean: Latents, log_std: Latents) -> Float[Tensor, "n d"]:
        """½ (sigma² + mu² − 1 − 2 log sigma) for each dimension."""
        return 0.5 * ((2 * log_std).exp() + mean**2 - 1 - 2 * log_std)


class _Mixture(nn.Module, ABC):
    """p(z) = Σ_k w_k N(z; mu_k, diag(sigma_k²)); subclasses say where the components come from."""

    @abstractmethod
    def components(self) -> tuple[Float[Tensor, " k"], Float[Tensor, "k d"], Float[Tensor, "k d"]]:
        """Log-weights, means and log standard deviations."""

    def log_prob(self, z: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch"]:
        """Log p(z) in nats, by log-sum-exp over the components."""
        log_w, mu, log_sigma = self.components()
        return (log_w + log_normal(z.unsqueeze(-2), mu, log_sigma)).logsumexp(-1)

    def place(self, uniform: Float[Tensor, " n"], eps: Latents) -> Latents:
        """Choose a component by the uniform number, then mu_k + sigma_k·eps."""
        log_w, mu, log_sigma = self.components()
        k = torch.searchsorted(log_w.exp().cumsum(0), uniform.to(log_w.dtype).contiguous()).clamp_(max=len(log_w) - 1)
        return mu[k] + log_sigma[k].exp() * eps

    def kl_per_dimension(self, mean: Latents, log_std: Latents) -> Float[Tensor, "n d"] | None:
        """The divergence of two normals where there is one component; no closed form otherwise."""
        _, mu, log_sigma = self.components()
        if len(mu) > 1:
            return None
        return log_sigma - log_std + ((2 * log_std).exp() + (mean - mu) ** 2) / (2 * (2 * log_sigma).exp()) - 0.5


class MixturePrior(_Mixture):
    """A mixture of K diagonal normals whose weights, means and scales are learnt.

    Args:
        components: K ≥ 1.
        latent_dim: D.
        generator: Source of the initial means, N(0, I): equal ones would stay equal for ever.
    """

    def __init__(self, components: int, latent_dim: int, generator: torch.Generator | None = None) -> None:
        super().__init__()
        if components < 1:
            raise UserError(f"A mixture prior needs at least 1 component, not {components}.")
        self.logits = nn.Parameter(torch.zeros(components))
        self.mean = nn.Parameter(torch.randn(components, latent_dim, generator=generator))
        self.log_std = nn.Parameter(torch.zeros(components, latent_dim))

    def components(self) -> tuple[Float[Tensor, " k"], Float[Tensor, "k d"], Float[Tensor, "k d"]]:
        """Log-weights, means and log standard deviations."""
        return self.logits.log_softmax(0), self.mean, self.log_std


class VampPrior(_Mixture):
    """The mixture of posteriors at K learnt pseudo-inputs: p(z) = 1/K Σ_k q(z given u_k).

    Tomczak & Welling (2018), eq. 9.

    Args:
        encoder: The model's own encoder.
        components: K ≥ 1.
        image_shape: (channels, height, width) of the pseudo-inputs.
        generator: Source of their start: images of independent uniform pixels.
    """

    def __init__(
        self,
        encoder: nn.Module,
        components: int,
        image_shape: ImageShape,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if components < 1:
            raise UserError(f"A VampPrior needs at least 1 pseudo-input, not {components}.")
        self.logit_inputs = nn.Parameter(torch.rand(components, *image_shape, generator=generator).logit(eps=1e-3))
        # In a tuple, so that the encoder's weights are registered, saved and trained once: as the model's own.
        self._encoder = (encoder,)

    def components(self) -> tuple[Float[Tensor, " k"], Float[Tensor, "k d"], Float[Tensor, "k d"]]:
        """Log-weights, means and log standard deviations of q at the pseudo-inputs."""
        (encoder,) = self._encoder
        # In eval mode: pseudo-inputs must not move the encoder's batch statistics.
        with evaluating(encoder):
            mean, log_std = encoder(self.logit_inputs.sigmoid())
        return mean.new_zeros(len(mean)).log_softmax(0), mean, log_std
