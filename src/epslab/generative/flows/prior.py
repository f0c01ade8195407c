"""A coupling flow as the prior of a VAE."""

from jaxtyping import Float
from torch import Tensor, nn

from epslab.errors import UserError
from epslab.generative.flows.multiscale import MultiScale
from epslab.probability.densities import log_standard_normal, wide
from epslab.types import Latents


class FlowPrior(nn.Module):
    """p(z) = N(f(z); 0, I)·|det ∂f/∂z|, f a coupling flow that is learnt with the VAE.

    It starts as N(0, I). Where the codes of all images together are no normal, it can be their density, and the KL to
    it is smaller (Chen et al., 2017, "Variational Lossy Autoencoder").

    Args:
        latent_dim: D ≥ 2.
        steps: Steps of the flow.
        width: Hidden units of its nets.

    Raises:
        UserError: latent_dim < 2.

    >>> prior = FlowPrior(latent_dim=2)
    >>> prior.log_prob(torch.zeros(5, 2)).shape
    torch.Size([5])
    """

    def __init__(self, latent_dim: int, steps: int = 4, width: int = 64) -> None:
        super().__init__()
        if latent_dim < 2:
            raise UserError(f"A flow prior couples latent dimensions, and needs at least 2 of them, not {latent_dim}.")
        self.flow = MultiScale((latent_dim,), scales=1, steps=steps, width=width)

    def log_prob(self, z: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch"]:
        """Log p(z) in nats."""
        base, log_det = self.flow(wide(z).reshape(-1, z.shape[-1]))
        log_p: Tensor = log_standard_normal(base) + log_det
        return log_p.view(z.shape[:-1])

    def place(self, uniform: Float[Tensor, " n"], eps: Latents) -> Latents:
        """f⁻¹(eps)."""
        z: Latents = self.flow.inverse(eps)
        return z

    def kl_per_dimension(self, mean: Latents, log_std: Latents) -> None:
        """None: there is no closed form."""
