"""Priors p(z) for latent-variable models: standard normal, mixture of normals, and the VampPrior.

A prior is a density and a map from noise to latents. If the KL divergence of a diagonal normal from it has a closed
form, ``kl_per_dimension`` gives it; otherwise the model estimates the divergence from draws of z.
"""

from abc import ABC, abstractmethod
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from epslab.errors import UserError
from epslab.nets.modes import evaluating
from epslab.probability.densities import log_normal, log_standard_normal, wide
from epslab.probability.divergences import kl_normal, kl_standard_normal
from epslab.types import ImageShape, Latents


@runtime_checkable
class Prior(Protocol):
    """The prior p(z) of a VAE."""

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
    """p(z) = N(0, I), for any number of dimensions.

    >>> StandardNormal().kl_per_dimension(torch.tensor([[2.0]]), torch.zeros(1, 1))
    tensor([[2.]])
    """

    def log_prob(self, z: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch"]:
        """Log p(z) in nats."""
        return log_standard_normal(z)

    def place(self, uniform: Float[Tensor, " n"], eps: Latents) -> Latents:
        """The noise itself."""
        return eps

    def kl_per_dimension(self, mean: Latents, log_std: Latents) -> Float[Tensor, "n d"]:
        """½ (sigma² + mu² − 1 − 2 log sigma) for each dimension."""
        return kl_standard_normal(mean.unsqueeze(-1), log_std.unsqueeze(-1))


Components = tuple[Float[Tensor, " k"], Float[Tensor, "k d"], Float[Tensor, "k d"]]
"""Of a mixture of normals: log-weights, means and log standard deviations."""


class Mixture(ABC):
    """p(z) = Σ_k w_k N(z; mu_k, diag(sigma_k²)); subclasses say where the components come from."""

    @abstractmethod
    def components(self) -> Components:
        """Log-weights (float32 or wider), means and log standard deviations."""

    def fixed(self) -> "FixedMixture":
        """The mixture with its components computed once: for many draws at the same weights."""
        return FixedMixture(*self.components())

    def log_prob(self, z: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch"]:
        """Log p(z) in nats, by log-sum-exp over the components."""
        log_w, mu, log_sigma = self.components()
        return (log_w + log_normal(z.unsqueeze(-2), mu, log_sigma)).logsumexp(-1)

    def place(self, uniform: Float[Tensor, " n"], eps: Latents) -> Latents:
        """Choose component k by the uniform number; return mu_k + sigma_k·eps."""
        log_w, mu, log_sigma = self.components()
        mu, log_sigma = wide(mu), wide(log_sigma)
        upper = log_w.exp().cumsum(0)
        k = torch.searchsorted(upper, uniform.to(upper.dtype).contiguous(), right=True).clamp_(max=len(log_w) - 1)
        return mu[k] + log_sigma[k].exp() * eps

    def kl_per_dimension(self, mean: Latents, log_std: Latents) -> Float[Tensor, "n d"] | None:
        """The divergence of two normals if there is one component; several have no closed form: None."""
        _, mu, log_sigma = self.components()
        if len(mu) > 1:
            return None
        return kl_normal(mean.unsqueeze(-1), log_std.unsqueeze(-1), mu.unsqueeze(-1), log_sigma.unsqueeze(-1))


class FixedMixture(Mixture):
    """A mixture of these components.

    Args:
        log_weights: log w_k, normalised, [k].
        means: mu_k, [k d].
        log_stds: log sigma_k, [k d].
    """

    def __init__(
        self, log_weights: Float[Tensor, " k"], means: Float[Tensor, "k d"], log_stds: Float[Tensor, "k d"]
    ) -> None:
        self._components = log_weights, means, log_stds

    def components(self) -> Components:
        """Log-weights, means and log standard deviations."""
        return self._components


class MixturePrior(nn.Module, Mixture):
    """A mixture of K diagonal normals whose weights, means and scales are learnt.

    Args:
        components: K ≥ 1.
        latent_dim: D.
        generator: Draws the initial means from N(0, I) (None: torch's default). Equal means would stay equal for ever.

    Raises:
        UserError: components < 1.

    >>> prior = MixturePrior(components=3, latent_dim=2)
    >>> prior.log_prob(torch.zeros(5, 2)).shape
    torch.Size([5])
    """

    def __init__(self, components: int, latent_dim: int, generator: torch.Generator | None = None) -> None:
        super().__init__()
        if components < 1:
            raise UserError(f"A mixture prior needs at least 1 component, not {components}.")
        self.logits = nn.Parameter(torch.zeros(components))
        self.mean = nn.Parameter(torch.randn(components, latent_dim, generator=generator))
        self.log_std = nn.Parameter(torch.zeros(components, latent_dim))

    def components(self) -> Components:
        """Log-weights, means and log standard deviations."""
        return wide(self.logits).log_softmax(0), self.mean, self.log_std


class VampPrior(nn.Module, Mixture):
    """The mixture of posteriors at K learnt pseudo-inputs: p(z) = 1/K Σ_k q(z given u_k).

    Tomczak & Welling (2018), eq. 9. Every method asks the encoder once, in eval mode; ``fixed`` keeps its answer.

    Args:
        encoder: The model's own encoder.
        components: K ≥ 1.
        image_shape: (channels, height, width) of the pseudo-inputs.
        generator: Draws the initial pseudo-inputs, images of independent uniform pixels (None: torch's default).

    Raises:
        UserError: components < 1.

    >>> from epslab.nets import PerceptronEncoder
    >>> prior = VampPrior(PerceptronEncoder((1, 8, 8), latent_dim=2), components=5, image_shape=(1, 8, 8))
    >>> prior.log_prob(torch.zeros(3, 2)).shape
    torch.Size([3])
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

    def components(self) -> Components:
        """Log-weights, means and log standard deviations of q at the pseudo-inputs."""
        (encoder,) = self._encoder
        # In eval mode: pseudo-inputs must not move the encoder's batch statistics.
        with evaluating(encoder):
            mean, log_std = encoder(self.logit_inputs.sigmoid())
        return wide(mean.new_zeros(len(mean))).log_softmax(0), mean, log_std
