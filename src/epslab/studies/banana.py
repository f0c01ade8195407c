"""A model whose posterior is a banana, and whose log p(x) is known by quadrature.

z ~ N(0, I) in the plane, x = z_2 + z_1² + noise of standard deviation 0.3: given x = 0, z lies along a parabola.
"""

import math

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from epslab import seeds
from epslab.generative.flows.posterior import FlowPosterior
from epslab.generative.posteriors import Posterior
from epslab.generative.vae import VAE
from epslab.probability.densities import log_normal, log_standard_normal
from epslab.probability.likelihoods import Normal

STD = 0.3  #: of the noise
X = torch.zeros(1, 1, dtype=torch.float64)
"""What was observed."""
_SIDE, _STEP = 8.0, 0.01
_RATE = 0.05  # Adam's, halfway; it falls to 0


def decoder(z: Float[Tensor, "n 2"]) -> Float[Tensor, "n 1"]:
    """The mean of x."""
    return z[:, 1:] + z[:, :1].square()


class _Learnt(nn.Module):
    """Mean and log standard deviation, whatever x is."""

    def __init__(self) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(2, dtype=torch.float64))
        self.log_std = nn.Parameter(torch.zeros(2, dtype=torch.float64))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.mean.expand(len(x), -1), self.log_std.expand(len(x), -1)


def log_evidence() -> float:
    """Log p(x) by a sum over a grid of the plane: the integrand is smooth and has fallen to 0 at its borders."""
    _, log_joint = _grid()
    return float(log_joint.logsumexp(0) + 2 * math.log(_STEP))


def exact_draws(n: int, generator: Generator) -> Float[Tensor, "n 2"]:
    """Draws from the exact posterior, to the step of the grid."""
    z, log_joint = _grid()
    return z[torch.multinomial(log_joint.softmax(0), n, replacement=True, generator=generator)]


def fitted(kind: str, steps: int = 8, updates: int = 300) -> VAE:
    """The VAE with the best posterior of a kind that Adam finds.

    Args:
        kind: "normal", "planar" or "radial".
        steps: Flows, one after the other.
        updates: Steps of Adam, each on 64 draws.
    """
    with seeds.seeded(1, "banana", kind):
        posterior: Posterior | None = None if kind == "normal" else FlowPosterior(2, kind, steps).double()
        vae = VAE(_Learnt(), decoder, Normal(STD), latent_dim=2, posterior=posterior)
    adam = torch.optim.Adam(vae.parameters(), lr=_RATE)
    for update in range(updates):
        for group in adam.param_groups:
            group["lr"] = _RATE * min(1.0, 2 - 2 * update / updates)
        adam.zero_grad()
        own = seeds.of_indices(update, torch.arange(64))
        torch.autograd.backward(vae.terms(X.expand(64, -1), seeds=own).negative_elbo.mean())
        adam.step()
    return vae


def _grid() -> tuple[Float[Tensor, "n 2"], Float[Tensor, " n"]]:
    """The grid and log p(x, z) on it."""
    side = torch.arange(-_SIDE, _SIDE + _STEP / 2, _STEP, dtype=torch.float64)
    z = torch.cartesian_prod(side, side)
    log_std = torch.full((1,), math.log(STD), dtype=torch.float64)
    return z, log_standard_normal(z) + log_normal(X, decoder(z), log_std)
