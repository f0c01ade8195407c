"""Planar and radial flows as the posterior of a VAE (Rezende & Mohamed, 2015)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from epslab.errors import UserError
from epslab.generative.flows.planar import planar
from epslab.generative.flows.radial import radial
from epslab.generative.posteriors import Draws, normal_draws
from epslab.probability.densities import log_normal, wide
from epslab.types import Latents, Seeds

KINDS = ("planar", "radial")


class FlowPosterior(nn.Module):
    """z = f_T ∘ … ∘ f_1(z_0), z_0 ~ N(mean, diag(exp(log_std)²)): a posterior that can bend and split.

        log q(z given x) = log N(z_0; mean, exp(log_std)²) − Σ_t log|det ∂f_t/∂z|        (eq. 13)

    Every example has flows of its own: their parameters are a linear function of what the encoder says of it, mean and
    log_std. At the start all flows are the identity.

    Args:
        latent_dim: D.
        kind: "planar" or "radial".
        steps: T ≥ 1.

    Raises:
        UserError: An unknown kind, or no step.

    >>> posterior = FlowPosterior(2, "planar", steps=4)
    >>> z, log_q = posterior.draw(torch.zeros(3, 2), torch.zeros(3, 2), 5, torch.arange(3))
    >>> z.shape, log_q.shape
    (torch.Size([5, 3, 2]), torch.Size([5, 3]))
    """

    normal = False

    def __init__(self, latent_dim: int, kind: str = "planar", steps: int = 8) -> None:
        super().__init__()
        if kind not in KINDS:
            raise UserError(f"A flow of a posterior is 'planar' or 'radial', not '{kind}'.")
        if steps < 1:
            raise UserError(f"A posterior flow needs at least 1 step, not {steps}.")
        self.kind, self.steps, self.latent_dim = kind, steps, latent_dim
        # Of each step: a direction or centre [D], then u [D] and b, or log alpha and beta.
        self.size = 2 * latent_dim + 1 if kind == "planar" else latent_dim + 2
        self.parameters_of = nn.Linear(2 * latent_dim, steps * self.size)
        with torch.no_grad():
            self.parameters_of.weight.zero_()
            start = torch.zeros(steps, self.size)
            start[:, :latent_dim] = torch.randn(steps, latent_dim)
            self.parameters_of.bias.copy_(start.flatten())

    def draw(self, mean: Latents, log_std: Latents, samples: int, seeds: Seeds, first: int = 0) -> Draws:
        """Draws and their log-density, in float32 or wider."""
        z_0 = normal_draws(mean, log_std, samples, seeds, first)
        z, log_det = self.forward(z_0, mean, log_std)
        return z, log_normal(z_0, mean, log_std) - log_det

    def centre(self, mean: Latents, log_std: Latents) -> Latents:
        """What the flows make of the mean."""
        z, _ = self.forward(wide(mean)[None], mean, log_std)
        return z[0].to(mean.dtype)

    def forward(self, z: Float[Tensor, "samples n d"], mean: Latents, log_std: Latents) -> Draws:
        """The points after all flows, and the sum of the log-determinants."""
        given = torch.cat([mean, log_std], dim=1).to(self.parameters_of.weight.dtype)
        total = z.new_zeros(z.shape[:-1])
        for step in wide(self.parameters_of(given)).view(len(mean), self.steps, self.size).unbind(1):
            first, rest = step[:, : self.latent_dim], step[:, self.latent_dim :]
            if self.kind == "planar":
                z, log_det = planar(z, rest[:, :-1], first, rest[:, -1])
            else:
                z, log_det = radial(z, first, rest[:, 0], rest[:, 1])
            total = total + log_det
        return z, total
