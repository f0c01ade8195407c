"""A model whose posterior is a banana, and whose log p(x) is known by quadrature.

z ~ N(0, I) in the plane, x = z_2 + z_1² + noise of standard deviation 0.3: given x = 0, z lies along a parabola.
"""

import math

import torch
from torch import Tensor, nn

from epslab import seeds
from epslab.generative.flows.posterior import FlowPosterior
from epslab.generative.posteriors import Posterior
from epslab.generative.vae import VAE
from epslab.probability.likelihoods import Normal

STD = 0.3
X = torch.zeros(1, 1, dtype=torch.float64)


def decoder(z: Tensor) -> Tensor:
    return z[:, 1:] + z[:, :1].square()


class Constant(nn.Module):
    """Mean and log standard deviation that are learnt, whatever x is."""

    def __init__(self) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(2, dtype=torch.float64))
        self.log_std = nn.Parameter(torch.zeros(2, dtype=torch.float64))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.mean.expand(len(x), -1), self.log_std.expand(len(x), -1)


def log_evidence() -> float:
    """Log p(x = 0) by a Riemann sum over the plane, exact to 1e-9: the integrand is smooth and falls to 0."""
    side = torch.linspace(-8, 8, 1601, dtype=torch.float64)
    z = torch.cartesian_prod(side, side)
    log_joint = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(1)
    log_joint += torch.distributions.Normal(decoder(z)[:, 0], STD).log_prob(torch.zeros(()))
    return float(log_joint.logsumexp(0) + 2 * math.log(0.01))


def fitted(kind: str, steps: int = 4, updates: int = 150) -> VAE:
    """The VAE with the best posterior of this kind that Adam finds: "normal", "planar" or "radial"."""
    with seeds.seeded(1, "banana", kind):
        posterior: Posterior | None = None if kind == "normal" else FlowPosterior(2, kind, steps).double()
        vae = VAE(Constant(), decoder, Normal(STD), latent_dim=2, posterior=posterior)
    adam = torch.optim.Adam(vae.parameters(), lr=0.05)
    for update in range(updates):
        for group in adam.param_groups:
            group["lr"] = 0.05 * min(1.0, 2 - 2 * update / updates)
        adam.zero_grad()
        own = seeds.of_indices(update, torch.arange(64))
        vae.terms(X.expand(64, -1), seeds=own).negative_elbo.mean().backward()
        adam.step()
    return vae
